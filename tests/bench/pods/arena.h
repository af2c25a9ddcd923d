// SPDX-License-Identifier: Apache-2.0
// Two pods on one node, made of network namespaces as the ptp CNI plugin makes them: a veth each,
// the node routes between them. What the benchmarks measure in.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <thread>

namespace sallyport::bench {

inline constexpr const char* kClientAddress = "10.77.0.2";
inline constexpr const char* kServerAddress = "10.77.0.3";

class Arena {
 public:
  // Namespaces spt-bench-{node,client,server}; removes those of an earlier run first. Throws
  // std::runtime_error if something cannot be made.
  Arena();
  ~Arena();
  Arena(const Arena&) = delete;

  uint32_t client_ifindex() const { return client_ifindex_; }  // host side
  uint32_t server_ifindex() const { return server_ifindex_; }

  // Runs a shell command in a namespace: "node", "client" or "server". Throws if it fails.
  void Run(const std::string& where, const std::string& command) const;
  // The calling thread lives there from now on.
  void Enter(const std::string& where) const;

 private:
  uint32_t client_ifindex_ = 0, server_ifindex_ = 0;
};

// Seconds of processor time that this process and the kernel's softirq threads have used. On veth
// pairs all forwarding happens in the sender's context or in ksoftirqd: nothing is missed, and what
// else runs on the machine is not counted.
double BusySeconds();

}  // namespace sallyport::bench
