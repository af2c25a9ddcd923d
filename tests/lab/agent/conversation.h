// SPDX-License-Identifier: Apache-2.0
// Conversations between two pods that go on while something changes: TCP or UDP, both ways.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "support/sandbox.h"

namespace sallyport::test {

inline constexpr uint16_t kTalkPort = 5002;

class Conversation {
 public:
  // `from` opens it, with SOCK_STREAM or SOCK_DGRAM; one letter each way has passed.
  Conversation(const Pod& from, const Pod& to, int type, bool v6);

  // A letter each way arrives, however long it takes.
  bool Carries();
  // Both sides say something...
  void Say();
  // ... and nothing of it arrives, even after TCP has tried again on both sides.
  bool IsCut();
  // What TCP was told while it was cut arrives.
  bool Revives();
  // Segments that had to be sent again because they did not arrive.
  uint32_t lost() const;
  uint64_t carried() const { return carried_; }
  const std::string& name() const { return name_; }

 private:
  struct Side {
    UniqueFd socket;
    net::Address address;
    uint16_t port = 0;
    uint32_t tries = 0;    // segments sent again, when what was said last has been tried enough
    uint32_t waiting = 0;  // letters that TCP holds
  };
  bool Pass(Side& from, Side& to);
  bool WasTried(const Side& side) const;
  bool HasGotNothing(const Side& side) const;

  const bool is_tcp_;
  const std::string name_;
  Side opener_, other_;
  std::atomic<uint64_t> carried_ = 0;
};

using Conversations = std::vector<std::unique_ptr<Conversation>>;

// TCP and UDP, in both families, opened from each side.
Conversations Talk(const Pod& a, const Pod& b);
Conversations Talk(const Pod& from, const Pod& to, std::vector<int> types);

// Nothing of what any side says arrives.
bool AreCut(const Conversations& conversations);
bool Carry(const Conversations& conversations);

// Conversations that never rest, on a thread of their own: nothing of them may be lost.
class Bystanders {
 public:
  explicit Bystanders(Conversations conversations);
  // Ends them. Each has gone on after the call. Returns what was lost: "" if nothing.
  std::string End();

 private:
  Conversations conversations_;
  std::atomic<uint64_t> rounds_ = 0;
  std::string lost_;
  std::jthread thread_;
};

}  // namespace sallyport::test
