// SPDX-License-Identifier: Apache-2.0
// What the kernel says of interfaces and addresses, for this folder. Each call asks now, in the
// network namespace of the calling thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/netlink.h"
#include "base/result.h"
#include "net/address.h"

namespace sallyport::gateway {

struct Interface {
  uint32_t ifindex = 0;
  std::string name;
  std::string kind;  // "vxlan", "veth"; "" of most hardware
  uint32_t mtu = 0;
  uint32_t flags = 0;     // IFF_...
  uint32_t group = 0;     // of interfaces; 0 is everyone's
  uint16_t hardware = 0;  // ARPHRD_...
  std::optional<std::array<uint8_t, 6>> mac;
  // Of a vxlan.
  uint16_t port = 0;
  bool external = false;  // collect-metadata
  bool learning = false;
  bool zero_checksums6 = false;  // both ways
};

struct InterfaceAddress {
  uint32_t ifindex = 0;
  net::Address address;
  int length = 0;     // of its prefix
  uint32_t mark = 0;  // the metric of its prefix's route; 0: it has none
};

Result<std::vector<Interface>> ListInterfaces(NetlinkSocket& socket);
// Nothing: there is none.
Result<std::optional<Interface>> FindInterface(NetlinkSocket& socket, uint32_t ifindex);
Result<std::optional<Interface>> FindInterface(NetlinkSocket& socket, const std::string& name);
Result<std::vector<InterfaceAddress>> ListAddresses(NetlinkSocket& socket);

// "eth0", or "interface 7" where it has gone.
std::string NameFor(NetlinkSocket& socket, uint32_t ifindex);

// An address as its family writes it on the wire: 4 or 16 bytes.
std::string WireBytes(const net::Address& address);

// A request that is to change something; done, or the kernel's error.
Status Change(NetlinkSocket& socket, const NetlinkRequest& request);

}  // namespace sallyport::gateway
