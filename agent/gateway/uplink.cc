// SPDX-License-Identifier: Apache-2.0
#include "gateway/uplink.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/netlink.h"
#include "gateway/route_questions.h"

namespace sallyport::gateway {
namespace {

constexpr uint32_t kForEver = 0xffffffff;
constexpr uint32_t kMainTable = RT_TABLE_MAIN;

int FamilyOf(bool v4) { return v4 ? AF_INET : AF_INET6; }
int HostLength(const net::Address& address) { return address.IsV4() ? 32 : 128; }

struct Way {
  uint32_t ifindex = 0;
  uint32_t metric = 0;
};

std::optional<uint32_t> OutOf(const NetlinkAttributes& attributes) {
  if (auto out = attributes.Get<uint32_t>(RTA_OIF)) return out;
  auto hops = attributes.Find(RTA_MULTIPATH);
  if (!hops || hops->size() < sizeof(rtnexthop)) return std::nullopt;
  rtnexthop hop;
  memcpy(&hop, hops->data(), sizeof hop);
  return static_cast<uint32_t>(hop.rtnh_ifindex);
}

// A default route of the main table.
std::optional<Way> ReadDefault(const NetlinkMessage& message) {
  rtmsg info{};
  NetlinkAttributes attributes;
  if (message.type() != RTM_NEWROUTE || !message.Split(info, attributes)) return std::nullopt;
  uint32_t table = attributes.Get<uint32_t>(RTA_TABLE).value_or(info.rtm_table);
  if (info.rtm_dst_len != 0 || info.rtm_type != RTN_UNICAST || table != kMainTable)
    return std::nullopt;
  auto out = OutOf(attributes);
  if (!out) return std::nullopt;
  return Way{*out, attributes.Get<uint32_t>(RTA_PRIORITY).value_or(0)};
}

ifaddrmsg AddressOn(uint32_t ifindex, const net::Address& address) {
  ifaddrmsg out{};
  out.ifa_family = static_cast<uint8_t>(FamilyOf(address.IsV4()));
  out.ifa_prefixlen = static_cast<uint8_t>(HostLength(address));
  out.ifa_index = ifindex;
  return out;
}

Status AddHeld(NetlinkSocket& socket, uint32_t ifindex, const net::Address& address) {
  ifaddrmsg fixed = AddressOn(ifindex, address);
  fixed.ifa_scope = address.IsV4() ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  std::string wire = WireBytes(address);
  NetlinkRequest request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, fixed);
  request.Put(IFA_LOCAL, wire.data(), wire.size())
      .Put(IFA_ADDRESS, wire.data(), wire.size())
      .Put(IFA_RT_PRIORITY, kHeldMetric);
  if (address.IsV4()) {
    request.Put(IFA_FLAGS, uint32_t{IFA_F_NOPREFIXROUTE});
  } else {
    ifa_cacheinfo life{};
    life.ifa_valid = kForEver;
    request.Put(IFA_FLAGS, uint32_t{IFA_F_NOPREFIXROUTE | IFA_F_NODAD})
        .Put(IFA_CACHEINFO, &life, sizeof life);
  }
  return Change(socket, request);
}

Status RemoveHeld(NetlinkSocket& socket, uint32_t ifindex, const net::Address& address) {
  std::string wire = WireBytes(address);
  NetlinkRequest request(RTM_DELADDR, NLM_F_ACK, AddressOn(ifindex, address));
  request.Put(IFA_LOCAL, wire.data(), wire.size()).Put(IFA_ADDRESS, wire.data(), wire.size());
  Status status = Change(socket, request);
  // It went by itself, or its interface did.
  if (status || status.error().code == EADDRNOTAVAIL || status.error().code == ENODEV) return Ok();
  return std::move(status).error().Context("taking " + address.ToString() + " off " +
                                           NameFor(socket, ifindex));
}

bool IsHeld(const InterfaceAddress& has) {
  return has.mark == kHeldMetric && has.length == HostLength(has.address);
}

}  // namespace

Result<uint32_t> UplinkByName(const std::string& name) {
  auto socket = NetlinkSocket::Open();
  if (!socket) return std::move(socket).error();
  auto found = FindInterface(*socket, name);
  if (!found) return std::move(found).error();
  if (!*found)
    return ErrnoError("no interface " + name + " on this node (spec.gateways.interface)", ENODEV);
  return (*found)->ifindex;
}

Result<uint32_t> UplinkByRoute(const net::Address& destination) {
  auto socket = NetlinkSocket::Open();
  if (!socket) return std::move(socket).error();
  rtmsg to{};
  to.rtm_family = static_cast<uint8_t>(FamilyOf(destination.IsV4()));
  to.rtm_dst_len = static_cast<uint8_t>(HostLength(destination));
  std::string wire = WireBytes(destination);
  NetlinkRequest request(RTM_GETROUTE, 0, to);
  request.Put(RTA_DST, wire.data(), wire.size());
  std::optional<uint32_t> out;
  int type = RTN_UNSPEC;
  Status status = socket->Ask(request, [&](const NetlinkMessage& message) {
    rtmsg info{};
    NetlinkAttributes attributes;
    if (message.type() != RTM_NEWROUTE || !message.Split(info, attributes)) return;
    type = info.rtm_type;
    out = OutOf(attributes);
  });
  if (!status) return std::move(status).error().Context("the route to " + destination.ToString());
  if (type == RTN_UNICAST && out) return *out;
  return ErrnoError("the route to " + destination.ToString() + " does not leave this node",
                    ENETUNREACH);
}

Result<uint32_t> UplinkByDefaultRoute(bool v4) {
  auto socket = NetlinkSocket::Open();
  if (!socket) return std::move(socket).error();
  rtmsg all{};
  all.rtm_family = static_cast<uint8_t>(FamilyOf(v4));
  std::optional<Way> best;
  Status status = socket->Ask(NetlinkRequest(RTM_GETROUTE, NLM_F_DUMP, all),
                              [&best](const NetlinkMessage& message) {
                                auto way = ReadDefault(message);
                                if (way && (!best || way->metric < best->metric)) best = way;
                              });
  // Where it changed under way, what was told of it is still what one moment had.
  if (!status && status.error().code != EINTR)
    return std::move(status).error().Context("listing routes");
  if (best) return best->ifindex;
  return ErrnoError(std::string("no default route of ") + (v4 ? "IPv4" : "IPv6") +
                        "; name the uplink in spec.gateways.interface",
                    ENETUNREACH);
}

Result<bool> UplinkWorks(uint32_t ifindex) {
  auto socket = NetlinkSocket::Open();
  if (!socket) return std::move(socket).error();
  auto found = FindInterface(*socket, ifindex);
  if (!found) return std::move(found).error();
  constexpr uint32_t kWorking = IFF_UP | IFF_RUNNING;
  return *found && ((*found)->flags & kWorking) == kWorking;
}

Status HoldAddress(uint32_t ifindex, const net::Address& egress_ip) {
  auto socket = NetlinkSocket::Open();
  if (!socket) return std::move(socket).error();
  auto addresses = ListAddresses(*socket);
  if (!addresses) return std::move(addresses).error();
  bool there = false;
  std::vector<uint32_t> elsewhere;
  for (const InterfaceAddress& has : *addresses) {
    if (has.address != egress_ip) continue;
    if (!IsHeld(has))
      return Error{"this machine's " + NameFor(*socket, has.ifindex) + " has " +
                       egress_ip.ToString() + "/" + std::to_string(has.length) +
                       " by itself; an egress IP must be nobody's: remove it there, or from the "
                       "EgressGateway",
                   EEXIST};
    if (has.ifindex == ifindex) {
      there = true;
    } else {
      elsewhere.push_back(has.ifindex);
    }
  }
  if (!there) {
    if (Status added = AddHeld(*socket, ifindex, egress_ip); !added)
      return std::move(added).error().Context("giving " + egress_ip.ToString() + " to " +
                                              NameFor(*socket, ifindex));
  }
  for (uint32_t other : elsewhere) {
    if (Status removed = RemoveHeld(*socket, other, egress_ip); !removed) return removed;
  }
  return Ok();
}

Status DropAddress(uint32_t ifindex, const net::Address& egress_ip) {
  auto held = HeldAddresses();
  if (!held) return std::move(held).error();
  HeldAddress one{ifindex, egress_ip};
  if (std::find(held->begin(), held->end(), one) == held->end()) return Ok();
  auto socket = NetlinkSocket::Open();
  if (!socket) return std::move(socket).error();
  return RemoveHeld(*socket, ifindex, egress_ip);
}

Result<std::vector<HeldAddress>> HeldAddresses() {
  auto socket = NetlinkSocket::Open();
  if (!socket) return std::move(socket).error();
  auto addresses = ListAddresses(*socket);
  if (!addresses) return std::move(addresses).error();
  std::vector<HeldAddress> out;
  for (const InterfaceAddress& has : *addresses) {
    if (IsHeld(has)) out.push_back({has.ifindex, has.address});
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace sallyport::gateway
