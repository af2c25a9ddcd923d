// SPDX-License-Identifier: Apache-2.0
#include "gateway/tunnel_device.h"

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <vector>

#include "base/netlink.h"
#include "base/unique_fd.h"
#include "gateway/route_questions.h"

namespace sallyport::gateway {
namespace {

constexpr uint32_t kOverV4 = 50, kOverV6 = 70;  // Ethernet, VXLAN, UDP, IP

std::string AttributeText(int type, const void* data, size_t size) {
  nlattr header{static_cast<uint16_t>(NLA_HDRLEN + size), static_cast<uint16_t>(type)};
  std::string out(reinterpret_cast<const char*>(&header), sizeof header);
  out.append(static_cast<const char*>(data), size);
  out.resize(NLMSG_ALIGN(out.size()));
  return out;
}

std::string ByteText(int type, uint8_t value) { return AttributeText(type, &value, 1); }

std::string VxlanText(uint16_t port) {
  const uint8_t wire[] = {static_cast<uint8_t>(port >> 8), static_cast<uint8_t>(port)};
  std::string data = ByteText(IFLA_VXLAN_COLLECT_METADATA, 1) + ByteText(IFLA_VXLAN_LEARNING, 0) +
                     ByteText(IFLA_VXLAN_UDP_ZERO_CSUM6_TX, 1) +
                     ByteText(IFLA_VXLAN_UDP_ZERO_CSUM6_RX, 1) +
                     AttributeText(IFLA_VXLAN_PORT, wire, sizeof wire);
  return AttributeText(IFLA_INFO_KIND, "vxlan", sizeof "vxlan") +
         AttributeText(IFLA_INFO_DATA, data.data(), data.size());
}

Status MakeTunnel(NetlinkSocket& socket, const TunnelOptions& options) {
  NetlinkRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, ifinfomsg{});
  std::string vxlan = VxlanText(options.port);
  request.Put(IFLA_IFNAME, options.name)
      .Put(IFLA_MTU, options.mtu)
      .Put(IFLA_GROUP, kTunnelGroup)
      .Put(IFLA_LINKINFO, vxlan.data(), vxlan.size());
  Status status = Change(socket, request);
  if (status) return status;
  Error error = std::move(status).error().Context("making the tunnel's device " + options.name);
  if (error.code == EOPNOTSUPP) error.message += " (does the kernel have vxlan? modprobe vxlan)";
  return error;
}

Status DeleteInterface(NetlinkSocket& socket, uint32_t ifindex) {
  ifinfomsg one{};
  one.ifi_index = static_cast<int>(ifindex);
  Status status = Change(socket, NetlinkRequest(RTM_DELLINK, NLM_F_ACK, one));
  if (status || status.error().code == ENODEV) return Ok();
  return std::move(status).error().Context("removing the tunnel's device");
}

// Where a kernel lacks the file, it lacks what the file is about.
Status WriteSetting(const std::string& path, const char* value) {
  UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file && errno == ENOENT) return Ok();
  if (!file || write(file.get(), value, 1) != 1) return ErrnoError("writing " + path);
  return Ok();
}

// What bpf_fib_lookup asks of the device that a packet came in by, and that the device gives itself
// no address. Programs take each packet, so nothing is left for rp_filter to look at.
Status SetUp(const std::string& name) {
  const std::string v4 = "/proc/sys/net/ipv4/conf/" + name + "/";
  const std::string v6 = "/proc/sys/net/ipv6/conf/" + name + "/";
  for (const auto& [path, value] : {
           std::pair(v4 + "forwarding", "1"),
           std::pair(v4 + "rp_filter", "0"),
           std::pair(v6 + "addr_gen_mode", "1"),  // none
           std::pair(v6 + "accept_ra", "0"),
           std::pair(v6 + "forwarding", "1"),
       }) {
    if (Status status = WriteSetting(path, value); !status) return status;
  }
  return Ok();
}

// Up, with this MTU.
Status Raise(NetlinkSocket& socket, uint32_t ifindex, const TunnelOptions& options) {
  ifinfomsg one{};
  one.ifi_index = static_cast<int>(ifindex);
  one.ifi_flags = one.ifi_change = IFF_UP;
  NetlinkRequest request(RTM_NEWLINK, NLM_F_ACK, one);
  request.Put(IFLA_MTU, options.mtu);
  Status status = Change(socket, request);
  if (status) return status;
  Error error =
      std::move(status).error().Context("setting the tunnel's device " + options.name + " up");
  if (error.code == EADDRINUSE)
    error.message += ": somebody has UDP port " + std::to_string(options.port) +
                     "; give all agents another --tunnel-port";
  return error;
}

bool Fits(const Interface& device, const TunnelOptions& options) {
  return device.port == options.port && device.external && !device.learning &&
         device.zero_checksums6;
}

// Of all devices: ours, and none that is in its way.
Result<std::optional<Interface>> LookAround(NetlinkSocket& socket, const TunnelOptions& options) {
  auto all = ListInterfaces(socket);
  if (!all) return std::move(all).error();
  std::optional<Interface> ours;
  for (const Interface& other : *all) {
    bool vxlan = other.kind == "vxlan";
    if (other.name == options.name) {
      if (!vxlan || other.group != kTunnelGroup)
        return Error{"there is a device " + options.name + " (" +
                         (other.kind.empty() ? "no vxlan" : other.kind) +
                         ") that is not Sallyport's; remove or rename it",
                     EEXIST};
      ours = other;
    } else if (vxlan && other.port == options.port) {
      return Error{"UDP port " + std::to_string(options.port) + " is that of the VXLAN device " +
                       other.name + "; give all agents another --tunnel-port",
                   EADDRINUSE};
    }
  }
  return ours;
}

}  // namespace

Result<TunnelDevice> EnsureTunnel(const TunnelOptions& options, const BeforeUp& before_up) {
  auto socket = NetlinkSocket::Open();
  if (!socket) return std::move(socket).error();
  auto ours = LookAround(*socket, options);
  if (!ours) return std::move(ours).error();

  TunnelDevice out;
  if (*ours && !Fits(**ours, options)) {
    if (Status status = DeleteInterface(*socket, (*ours)->ifindex); !status)
      return std::move(status).error();
    ours->reset();
  }
  if (!*ours) {
    if (Status made = MakeTunnel(*socket, options); !made) return std::move(made).error();
    out.made = true;
    ours = FindInterface(*socket, options.name);
    if (!ours) return std::move(ours).error();
    if (!*ours) return ErrnoError("the tunnel's device " + options.name + " has gone", ENODEV);
  }
  out.ifindex = (*ours)->ifindex;
  if (Status status = SetUp(options.name); !status) return std::move(status).error();
  if (before_up)
    if (Status status = before_up(out); !status) return std::move(status).error();
  if (Status status = Raise(*socket, out.ifindex, options); !status)
    return std::move(status).error();
  return out;
}

Status RemoveTunnel(const std::string& name) {
  auto socket = NetlinkSocket::Open();
  if (!socket) return std::move(socket).error();
  auto found = FindInterface(*socket, name);
  if (!found) return std::move(found).error();
  if (!*found || (*found)->kind != "vxlan" || (*found)->group != kTunnelGroup) return Ok();
  return DeleteInterface(*socket, (*found)->ifindex);
}

Result<uint32_t> TunnelMtu(const net::Address& node_address) {
  auto socket = NetlinkSocket::Open();
  if (!socket) return std::move(socket).error();
  auto addresses = ListAddresses(*socket);
  if (!addresses) return std::move(addresses).error();
  auto interfaces = ListInterfaces(*socket);
  if (!interfaces) return std::move(interfaces).error();

  uint32_t least = UINT32_MAX;
  for (const InterfaceAddress& has : *addresses) {
    if (has.address != node_address) continue;
    for (const Interface& interface : *interfaces) {
      if (interface.ifindex == has.ifindex) least = std::min(least, interface.mtu);
    }
  }
  uint32_t over = node_address.IsV4() ? kOverV4 : kOverV6;
  if (least == UINT32_MAX || least <= over)
    return Error{"no interface here has the node's address " + node_address.ToString() +
                     ", where the tunnel is to end; does the Node object's InternalIP say where "
                     "this node is?",
                 EADDRNOTAVAIL};
  return least - over;
}

}  // namespace sallyport::gateway
