// SPDX-License-Identifier: Apache-2.0
#include "endpoint/link_socket.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <string_view>

namespace sallyport::endpoint {
namespace {

constexpr int kRoom = 4 << 20;
constexpr int kDumpTries = 10;

// What a run of messages leaves behind besides the table itself.
struct Taken {
  explicit Taken(LinkTable& into) : table(into) {}
  LinkTable& table;
  LinkSocket::News news;
  bool defaults_changed = false;
  std::set<uint32_t> defaults;   // of a dump of routes
  std::set<uint32_t> ask_again;  // links whose other end has left this namespace
};

std::optional<net::Address> AddressOf(int family, std::optional<std::string_view> payload) {
  if (!payload) return std::nullopt;
  const auto* bytes = reinterpret_cast<const uint8_t*>(payload->data());
  if (family == AF_INET && payload->size() == 4) {
    return net::Address::V4(static_cast<uint32_t>(bytes[0]) << 24 |
                            static_cast<uint32_t>(bytes[1]) << 16 |
                            static_cast<uint32_t>(bytes[2]) << 8 | bytes[3]);
  }
  if (family == AF_INET6 && payload->size() == 16) {
    net::Address::Bytes copy;
    memcpy(copy.data(), bytes, copy.size());
    return net::Address(copy);
  }
  return std::nullopt;
}

void TakeLink(const NetlinkMessage& message, Taken& taken) {
  ifinfomsg info{};
  NetlinkAttributes attributes;
  // Of another family: a bridge's view of its port.
  if (!message.Split(info, attributes) || info.ifi_family != AF_UNSPEC) return;
  auto ifindex = static_cast<uint32_t>(info.ifi_index);
  if (message.type() == RTM_DELLINK) {
    taken.table.RemoveLink(ifindex);
    taken.ask_again.merge(taken.table.PeersOf(ifindex));
    return;
  }
  Link link;
  link.ifindex = ifindex;
  link.hardware = info.ifi_type;
  link.name = attributes.Text(IFLA_IFNAME);
  link.kind = attributes.Nested(IFLA_LINKINFO).Text(IFLA_INFO_KIND);
  link.peer_ifindex = attributes.Get<uint32_t>(IFLA_LINK).value_or(0);
  link.master = attributes.Get<uint32_t>(IFLA_MASTER).value_or(0);
  link.peer_netns = attributes.Get<int32_t>(IFLA_LINK_NETNSID).value_or(kPeerHere);
  taken.table.SetLink(std::move(link));
}

void TakeAddress(const NetlinkMessage& message, Taken& taken) {
  ifaddrmsg info{};
  NetlinkAttributes attributes;
  if (!message.Split(info, attributes)) return;
  // On a point-to-point link IFA_ADDRESS is the far end's.
  auto own = attributes.Find(IFA_LOCAL);
  auto address = AddressOf(info.ifa_family, own ? own : attributes.Find(IFA_ADDRESS));
  if (!address) return;
  if (message.type() == RTM_NEWADDR) {
    uint32_t flags = attributes.Get<uint32_t>(IFA_FLAGS).value_or(info.ifa_flags);
    taken.table.SetAddress(info.ifa_index, *address, info.ifa_prefixlen, flags & IFA_F_PERMANENT);
  } else {
    taken.table.RemoveAddress(info.ifa_index, *address, info.ifa_prefixlen);
  }
}

void TakeNextHops(std::string_view hops, std::set<uint32_t>& out) {
  while (hops.size() >= sizeof(rtnexthop)) {
    rtnexthop hop;
    memcpy(&hop, hops.data(), sizeof(hop));
    if (hop.rtnh_len < sizeof(hop) || hop.rtnh_len > hops.size()) return;
    if (hop.rtnh_ifindex > 0) out.insert(static_cast<uint32_t>(hop.rtnh_ifindex));
    hops.remove_prefix(std::min<size_t>(RTNH_ALIGN(hop.rtnh_len), hops.size()));
  }
}

// News of a route only says that something changed: one message may stand for a replaced route
// that it does not name, so default routes are asked for again.
void TakeRoute(const NetlinkMessage& message, Taken& taken, bool dump) {
  rtmsg info{};
  NetlinkAttributes attributes;
  if (!message.Split(info, attributes)) return;
  if (info.rtm_type != RTN_UNICAST || info.rtm_flags & RTM_F_CLONED) return;
  if (!dump) {
    int host = info.rtm_family == AF_INET ? 32 : 128;
    taken.defaults_changed |= info.rtm_dst_len == 0;
    taken.news.routes |= info.rtm_dst_len == 0 || info.rtm_dst_len == host;
    return;
  }
  if (info.rtm_dst_len != 0 || info.rtm_protocol == RTPROT_RA) return;
  if (auto out = attributes.Get<uint32_t>(RTA_OIF)) taken.defaults.insert(*out);
  if (auto hops = attributes.Find(RTA_MULTIPATH)) TakeNextHops(*hops, taken.defaults);
}

void TakeQdisc(const NetlinkMessage& message, Taken& taken) {
  tcmsg info{};
  NetlinkAttributes attributes;
  if (!message.Split(info, attributes)) return;
  auto ifindex = static_cast<uint32_t>(info.tcm_ifindex);
  if (message.type() == RTM_DELQDISC) {
    taken.news.filters_changed.insert(ifindex);
    taken.table.RemoveQdisc(ifindex, info.tcm_handle);
  } else if (attributes.Find(TCA_KIND)) {
    taken.table.SetQdisc(ifindex, info.tcm_handle, attributes.Text(TCA_KIND));
  }
}

// One of ours may be among them: whoever asks for them sees that all is well.
void TakeFilter(const NetlinkMessage& message, Taken& taken) {
  tcmsg info{};
  NetlinkAttributes attributes;
  if (!message.Split(info, attributes)) return;
  taken.news.filters_changed.insert(static_cast<uint32_t>(info.tcm_ifindex));
}

void Take(const NetlinkMessage& message, Taken& taken, bool dump) {
  taken.news.any = true;
  switch (message.type()) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return TakeLink(message, taken);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return TakeAddress(message, taken);
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return TakeRoute(message, taken, dump);
    case RTM_NEWQDISC:
    case RTM_DELQDISC:
      return TakeQdisc(message, taken);
    case RTM_NEWTFILTER:
    case RTM_DELTFILTER:
      return TakeFilter(message, taken);
    default:
      return;
  }
}

template <typename Fixed>
Status List(NetlinkSocket& socket, int type, const Fixed& fixed, Taken& taken) {
  Status status =
      socket.Ask(NetlinkRequest(type, NLM_F_DUMP, fixed),
                 [&taken](const NetlinkMessage& message) { Take(message, taken, true); });
  if (status) return status;
  return std::move(status).error().Context("listing interfaces");
}

Status ListDefaultRoutes(NetlinkSocket& socket, LinkTable& table) {
  Taken taken(table);
  Status status = List(socket, RTM_GETROUTE, rtmsg{}, taken);
  if (status) table.SetDefaultRoutes(taken.defaults);
  return status;
}

Status ListAll(NetlinkSocket& socket, LinkTable& table) {
  Taken taken(table);
  Status status = List(socket, RTM_GETLINK, ifinfomsg{}, taken);
  if (status) status = List(socket, RTM_GETADDR, ifaddrmsg{}, taken);
  if (status) status = List(socket, RTM_GETQDISC, tcmsg{}, taken);
  if (status) status = ListDefaultRoutes(socket, table);
  return status;
}

}  // namespace

Result<LinkSocket> LinkSocket::Open() {
  auto news = NetlinkSocket::Subscribe({RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                        RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_TC},
                                       kRoom);
  if (!news) return std::move(news).error().Context("following interfaces");
  auto questions = NetlinkSocket::Open();
  if (!questions) return std::move(questions).error().Context("listing interfaces");
  return LinkSocket(std::move(*news), std::move(*questions));
}

Result<LinkTable> LinkSocket::Dump() {
  Status status;
  for (int i = 0; i < kDumpTries; ++i) {
    LinkTable table;
    status = ListAll(questions_, table);
    if (status) return table;
    if (status.error().code != EINTR) break;  // EINTR: it changed under way
  }
  return std::move(status).error();
}

Result<LinkSocket::News> LinkSocket::Read(LinkTable& table) {
  Taken taken(table);
  Status status =
      news_.Read([&taken](const NetlinkMessage& message) { Take(message, taken, false); });
  if (!status) return std::move(status).error();

  for (uint32_t ifindex : taken.ask_again) {
    ifinfomsg one{};
    one.ifi_index = static_cast<int>(ifindex);
    // A failure means that it has gone too: its own news follows.
    (void)questions_.Ask(NetlinkRequest(RTM_GETLINK, 0, one),
                         [&taken](const auto& message) { Take(message, taken, true); });
  }
  if (taken.defaults_changed) {
    if (Status listed = ListDefaultRoutes(questions_, table); !listed) {
      return Error{listed.error().message, ENOBUFS};
    }
  }
  return taken.news;
}

LinkSocket::News LinkSocket::TakeMessage(const NetlinkMessage& message, bool listed,
                                         LinkTable& table) {
  Taken taken(table);
  Take(message, taken, listed);
  table.SetDefaultRoutes(taken.defaults);
  return taken.news;
}

}  // namespace sallyport::endpoint
