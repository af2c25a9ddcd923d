// SPDX-License-Identifier: Apache-2.0
// The VXLAN device between source nodes and gateways. Programs say of each packet where it goes and
// see of each where it came from (collect-metadata), so one device serves all nodes and both
// families.
//
// Ours is told from others by its group of interfaces, which it has from its first moment. Another
// device of the name is left alone, and an error.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "net/address.h"

namespace sallyport::gateway {

inline constexpr const char* kTunnelName = "sallyport";
// The group of interfaces that marks it: "sply".
inline constexpr uint32_t kTunnelGroup = 0x73706c79;

struct TunnelOptions {
  std::string name = kTunnelName;
  uint16_t port = 0;  // UDP, of all nodes
  uint32_t mtu = 0;   // of the packets inside: TunnelMtu
};

struct TunnelDevice {
  uint32_t ifindex = 0;
  // Nobody's programs are on it yet: it was made, or made anew because the old one had another
  // port.
  bool made = false;
};

// Makes it as wanted, or adopts what is there; up, forwarding, with no address. Idempotent, and
// what of it differs is set right in place where that can be. Errors: a device of that name that is
// not ours; the port is somebody else's (the message says whose, where that can be known).
// `before_up` is called before packets can come out of it: who is to look at them must stand there.
// It stays down if that fails.
using BeforeUp = std::function<Status(const TunnelDevice&)>;
Result<TunnelDevice> EnsureTunnel(const TunnelOptions& options, const BeforeUp& before_up = {});

// Ours only; that there is none is fine.
Status RemoveTunnel(const std::string& name = kTunnelName);

// How large a packet may be that goes through the tunnel whole: the smallest MTU of the interfaces
// that have the node's address, where the tunnel ends, less what VXLAN puts in front (50 bytes over
// IPv4, 70 over IPv6). An error if no interface has it.
Result<uint32_t> TunnelMtu(const net::Address& node_address);

}  // namespace sallyport::gateway
