// SPDX-License-Identifier: Apache-2.0
// Where the benchmarks of egress gateways run: network namespaces, as ptp makes pods, and as a
// switch joins nodes.
//
//   pod, pod2 --- source ------ gateway --- outside
//                               |
//   near -----------------------+
//
// The gateway's address towards the outside is in one network with the outside's, and so is the
// egress IP, which the gateway has. Without more, all of them route: that is plain routing.
#pragma once

namespace sallyport::bench {

inline constexpr const char* kPodAddress = "10.78.0.2";
inline constexpr const char* kSecondPodAddress = "10.78.0.3";
inline constexpr const char* kNearPodAddress = "10.78.1.2";
inline constexpr const char* kSourceAddress = "192.168.78.1";
inline constexpr const char* kGatewayAddress = "192.168.78.2";
inline constexpr const char* kOutsideAddress = "203.0.113.20";
inline constexpr const char* kEgressIp = "203.0.113.10";

class Site {
 public:
  // Removes what an earlier run has left first. Throws std::runtime_error if something cannot be
  // made.
  Site();
  ~Site();
  Site(const Site&) = delete;
};

}  // namespace sallyport::bench
