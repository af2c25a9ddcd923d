// SPDX-License-Identifier: Apache-2.0
// A capture at the outside's interface, over a whole test: whatever comes from a pinned pod must
// have an egress IP as its source. That the capture missed nothing is a part of what it says.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "net/address.h"

namespace sallyport::lab {

// What it looks at in a packet.
struct Sighting {
  net::Address from, to;
  uint8_t protocol = 0;
  uint16_t source_port = 0, destination_port = 0;  // of ICMP: type and code, identifier
  size_t length = 0;                               // of the frame
  // "203.0.113.10 port 1024 -> 198.51.100.20 port 8080, TCP, 74 bytes"
  std::string ToString() const;
};

class Capture {
 public:
  struct Rules {
    // Only pinned pods send to these: who sends there must be one of `egress_ips`.
    std::set<net::Address> reserved;
    std::set<net::Address> egress_ips;
    // Pods and nodes: none of their addresses may be seen anywhere...
    std::vector<net::Cidr> inner;
    // ... but those of pods that are not pinned, which may not send to `reserved` either.
    std::set<net::Address> free;
  };

  Capture(const std::string& netns, const std::string& device, Rules rules);
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  // From now on these may be seen too.
  void AllowEgress(const net::Address& address);
  void AllowFree(const net::Address& address);
  // Packets of this source so far.
  uint64_t SeenFrom(const net::Address& source) const;
  // Looks at all that has arrived before the call. "": nothing was as it may not be.
  std::string Trouble();

 private:
  void Watch(const std::stop_token& stop);
  void Take(std::span<const uint8_t> frame, size_t length);
  bool MayBe(const Sighting& seen) const;

  UniqueFd socket_;
  mutable std::mutex mutex_;
  Rules rules_;
  std::map<net::Address, uint64_t> seen_;
  std::string trouble_;
  uint64_t idle_ = 0;  // how often nothing was waiting
  std::jthread thread_;
};

}  // namespace sallyport::lab
