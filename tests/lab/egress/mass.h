// SPDX-License-Identifier: Apache-2.0
// Very many TCP connections to one remote, both ends in processes of this program's own (one may
// not have so many open files): opened many at a time, then quiet until each is asked to carry a
// number there and back.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "net/address.h"

namespace sallyport::lab {

class Mass {
 public:
  // For so many pods, and at most so many connections of each. To be made while this process has
  // one thread only.
  Mass(size_t pods, size_t each);
  ~Mass();
  Mass(const Mass&) = delete;
  Mass& operator=(const Mass&) = delete;

  // The far end: in that network namespace, it says to each whom it sees.
  void Listen(const std::string& outside_netns, uint16_t port);
  // Opens `each` more connections from each of the pods' network namespaces, in all of them at the
  // same time. Returns how many came about before `patience` had passed without a new one; the
  // others are given up.
  size_t Open(const std::vector<std::string>& pods, const net::Address& to, size_t each,
              std::chrono::seconds patience);
  // Ends so many of each pod's, as a pod does it.
  void Close(size_t each);
  // Each connection carries a number there and back. "", or what went wrong.
  std::string Pass();
  // The addresses that the far end saw in the last pass.
  const std::set<net::Address>& sources() const { return sources_; }

 private:
  struct Worker {
    pid_t pid = -1;
    UniqueFd control;
  };
  Worker Start(bool far);
  std::vector<size_t> Parts(size_t each) const;

  const size_t per_pod_;  // workers
  std::vector<Worker> near_, far_;
  uint16_t port_ = 0;
  std::set<net::Address> sources_;
};

}  // namespace sallyport::lab
