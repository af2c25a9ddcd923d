// SPDX-License-Identifier: Apache-2.0
// Two pods on one node, made of network namespaces as the ptp CNI plugin makes them: a veth each,
// the node routes between them. What the benchmarks measure in.
#pragma once

#include <cstdint>

namespace sallyport::bench {

inline constexpr const char* kClientAddress = "10.77.0.2";
inline constexpr const char* kServerAddress = "10.77.0.3";

class Arena {
 public:
  // Namespaces "node", "client" and "server" (shared/spaces.h); removes those of an earlier run
  // first. Throws std::runtime_error if something cannot be made.
  Arena();
  ~Arena();
  Arena(const Arena&) = delete;

  uint32_t client_ifindex() const { return client_ifindex_; }  // host side
  uint32_t server_ifindex() const { return server_ifindex_; }

 private:
  uint32_t client_ifindex_ = 0, server_ifindex_ = 0;
};

}  // namespace sallyport::bench
