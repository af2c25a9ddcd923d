// SPDX-License-Identifier: Apache-2.0
#include "endpoint/netlink.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace sallyport::endpoint {
namespace {

constexpr int kReceiveBuffer = 4 << 20;
constexpr int kDumpTries = 10;

// What a run of messages leaves behind besides the table itself.
struct Taken {
  LinkTable* table = nullptr;
  LinkSocket::News news;
  bool defaults_changed = false;
  std::set<uint32_t> defaults;   // of a dump of routes
  std::set<uint32_t> ask_again;  // links whose other end has left this namespace
};

std::string Text(const nlattr* attribute) {
  const char* data = static_cast<const char*>(nla_data(attribute));
  return {data, strnlen(data, static_cast<size_t>(nla_len(attribute)))};
}

std::optional<net::Address> AddressOf(int family, const nlattr* attribute) {
  if (!attribute) return std::nullopt;
  if (family == AF_INET && nla_len(attribute) == 4) {
    return net::Address::V4(ntohl(nla_get_u32(attribute)));
  }
  if (family == AF_INET6 && nla_len(attribute) == 16) {
    net::Address::Bytes bytes;
    memcpy(bytes.data(), nla_data(attribute), bytes.size());
    return net::Address(bytes);
  }
  return std::nullopt;
}

void TakeLink(nlmsghdr* header, Taken& taken) {
  nlattr* attributes[IFLA_MAX + 1] = {};
  if (nlmsg_parse(header, sizeof(ifinfomsg), attributes, IFLA_MAX, nullptr) < 0) return;
  auto* info = static_cast<ifinfomsg*>(nlmsg_data(header));
  if (info->ifi_family != AF_UNSPEC) return;  // a bridge's view of its port
  auto ifindex = static_cast<uint32_t>(info->ifi_index);
  if (header->nlmsg_type == RTM_DELLINK) {
    taken.table->RemoveLink(ifindex);
    taken.ask_again.merge(taken.table->PeersOf(ifindex));
    return;
  }
  Link link{.ifindex = ifindex, .name = {}, .kind = {}};
  if (attributes[IFLA_IFNAME]) link.name = Text(attributes[IFLA_IFNAME]);
  if (attributes[IFLA_LINK]) link.peer_ifindex = nla_get_u32(attributes[IFLA_LINK]);
  if (attributes[IFLA_LINK_NETNSID]) {
    link.peer_netns = nla_get_s32(attributes[IFLA_LINK_NETNSID]);
  }
  if (attributes[IFLA_LINKINFO]) {
    nlattr* details[IFLA_INFO_MAX + 1] = {};
    if (nla_parse_nested(details, IFLA_INFO_MAX, attributes[IFLA_LINKINFO], nullptr) == 0 &&
        details[IFLA_INFO_KIND]) {
      link.kind = Text(details[IFLA_INFO_KIND]);
    }
  }
  taken.table->SetLink(std::move(link));
}

void TakeAddress(nlmsghdr* header, Taken& taken) {
  nlattr* attributes[IFA_MAX + 1] = {};
  if (nlmsg_parse(header, sizeof(ifaddrmsg), attributes, IFA_MAX, nullptr) < 0) return;
  auto* info = static_cast<ifaddrmsg*>(nlmsg_data(header));
  // On a point-to-point link IFA_ADDRESS is the far end's.
  auto address = AddressOf(info->ifa_family,
                           attributes[IFA_LOCAL] ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS]);
  if (!address) return;
  if (header->nlmsg_type == RTM_NEWADDR) {
    taken.table->SetAddress(info->ifa_index, *address, info->ifa_prefixlen);
  } else {
    taken.table->RemoveAddress(info->ifa_index, *address, info->ifa_prefixlen);
  }
}

void TakeNextHops(const nlattr* attribute, std::set<uint32_t>& out) {
  auto* hop = static_cast<rtnexthop*>(nla_data(attribute));
  int left = nla_len(attribute);
  while (left >= static_cast<int>(sizeof(*hop)) && RTNH_OK(hop, left)) {
    if (hop->rtnh_ifindex > 0) out.insert(static_cast<uint32_t>(hop->rtnh_ifindex));
    left -= static_cast<int>(RTNH_ALIGN(hop->rtnh_len));
    hop = RTNH_NEXT(hop);
  }
}

// News of a route only says that something changed: one message may stand for a replaced route
// that it does not name, so default routes are asked for again.
void TakeRoute(nlmsghdr* header, Taken& taken, bool dump) {
  nlattr* attributes[RTA_MAX + 1] = {};
  if (nlmsg_parse(header, sizeof(rtmsg), attributes, RTA_MAX, nullptr) < 0) return;
  auto* info = static_cast<rtmsg*>(nlmsg_data(header));
  if (info->rtm_type != RTN_UNICAST || info->rtm_flags & RTM_F_CLONED) return;
  if (!dump) {
    int host = info->rtm_family == AF_INET ? 32 : 128;
    taken.defaults_changed |= info->rtm_dst_len == 0;
    taken.news.routes |= info->rtm_dst_len == 0 || info->rtm_dst_len == host;
    return;
  }
  if (info->rtm_dst_len != 0) return;
  if (attributes[RTA_OIF]) taken.defaults.insert(nla_get_u32(attributes[RTA_OIF]));
  if (attributes[RTA_MULTIPATH]) TakeNextHops(attributes[RTA_MULTIPATH], taken.defaults);
}

void TakeQdisc(nlmsghdr* header, Taken& taken) {
  nlattr* attributes[TCA_MAX + 1] = {};
  if (nlmsg_parse(header, sizeof(tcmsg), attributes, TCA_MAX, nullptr) < 0) return;
  auto* info = static_cast<tcmsg*>(nlmsg_data(header));
  auto ifindex = static_cast<uint32_t>(info->tcm_ifindex);
  if (header->nlmsg_type == RTM_DELQDISC) {
    taken.news.filters_removed = true;
    taken.table->RemoveQdisc(ifindex, info->tcm_handle);
  } else if (attributes[TCA_KIND]) {
    taken.table->SetQdisc(ifindex, info->tcm_handle, Text(attributes[TCA_KIND]));
  }
}

void Take(nlmsghdr* header, Taken& taken, bool dump) {
  taken.news.any = true;
  switch (header->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return TakeLink(header, taken);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return TakeAddress(header, taken);
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return TakeRoute(header, taken, dump);
    case RTM_NEWQDISC:
    case RTM_DELQDISC:
      return TakeQdisc(header, taken);
    case RTM_DELTFILTER:
      taken.news.filters_removed = true;
      return;
    default:
      return;
  }
}

int OnNews(nl_msg* message, void* context) {
  Take(nlmsg_hdr(message), *static_cast<Taken*>(context), false);
  return NL_OK;
}

int OnDump(nl_msg* message, void* context) {
  Take(nlmsg_hdr(message), *static_cast<Taken*>(context), true);
  return NL_OK;
}

Error NetlinkError(const char* what, int code) {
  // ENOBUFS reaches us as NLE_NOMEM: nothing else on a receiving socket does.
  return Error{std::string(what) + ": " + nl_geterror(code), code == -NLE_NOMEM ? ENOBUFS : EIO};
}

// One question and its answer, however many messages that takes.
Status Ask(nl_sock* socket, int type, int flags, void* header, size_t size, Taken& taken) {
  nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, OnDump, &taken);
  int code = nl_send_simple(socket, type, flags, header, size);
  if (code < 0) return NetlinkError("asking the kernel for its interfaces", code);
  code = nl_recvmsgs_default(socket);
  if (code < 0) {
    return Error{std::string("reading the kernel's interfaces: ") + nl_geterror(code),
                 code == -NLE_DUMP_INTR ? EINTR : EIO};
  }
  return Ok();
}

Status DumpDefaultRoutes(nl_sock* socket, LinkTable& table) {
  Taken taken{.table = &table, .news = {}, .defaults = {}, .ask_again = {}};
  rtmsg routes{};
  if (Status status = Ask(socket, RTM_GETROUTE, NLM_F_DUMP, &routes, sizeof(routes), taken);
      !status) {
    return status;
  }
  table.SetDefaultRoutes(taken.defaults);
  return Ok();
}

Status DumpOnce(nl_sock* socket, LinkTable& table) {
  Taken taken{.table = &table, .news = {}, .defaults = {}, .ask_again = {}};
  ifinfomsg links{};
  ifaddrmsg addresses{};
  tcmsg qdiscs{};
  Status status = Ask(socket, RTM_GETLINK, NLM_F_DUMP, &links, sizeof(links), taken);
  if (status) status = Ask(socket, RTM_GETADDR, NLM_F_DUMP, &addresses, sizeof(addresses), taken);
  if (status) status = Ask(socket, RTM_GETQDISC, NLM_F_DUMP, &qdiscs, sizeof(qdiscs), taken);
  if (status) status = DumpDefaultRoutes(socket, table);
  return status;
}

}  // namespace

void LinkSocket::Close::operator()(nl_sock* socket) const { nl_socket_free(socket); }

Result<LinkSocket::Socket> LinkSocket::Connect() {
  Socket socket(nl_socket_alloc());
  if (!socket) return ErrnoError("netlink socket", ENOMEM);
  if (int code = nl_connect(socket.get(), NETLINK_ROUTE); code < 0) {
    return NetlinkError("netlink socket", code);
  }
  nl_socket_set_msg_buf_size(socket.get(), 1 << 16);
  nl_socket_disable_auto_ack(socket.get());
  return socket;
}

Result<LinkSocket> LinkSocket::Open() {
  auto news = Connect();
  if (!news) return std::move(news).error();
  auto questions = Connect();
  if (!questions) return std::move(questions).error();

  nl_sock* socket = news->get();
  nl_socket_disable_seq_check(socket);
  nl_socket_set_buffer_size(socket, kReceiveBuffer, 0);  // more is better; less is still right
  nl_socket_set_nonblocking(socket);
  int code =
      nl_socket_add_memberships(socket, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_TC, 0);
  if (code < 0) return NetlinkError("subscribing to the kernel's interfaces", code);
  return LinkSocket(std::move(*news), std::move(*questions));
}

int LinkSocket::fd() const { return nl_socket_get_fd(news_.get()); }

Result<LinkTable> LinkSocket::Dump() {
  Status status;
  for (int i = 0; i < kDumpTries; ++i) {
    LinkTable table;
    status = DumpOnce(questions_.get(), table);
    if (status) return table;
    if (status.error().code != EINTR) break;  // EINTR: it changed under way
  }
  return std::move(status).error();
}

Result<LinkSocket::News> LinkSocket::Read(LinkTable& table) {
  Taken taken{.table = &table, .news = {}, .defaults = {}, .ask_again = {}};
  nl_socket_modify_cb(news_.get(), NL_CB_VALID, NL_CB_CUSTOM, OnNews, &taken);
  int code = 0;
  while ((code = nl_recvmsgs_default(news_.get())) >= 0) {
  }
  if (code != -NLE_AGAIN) return NetlinkError("reading the kernel's news of interfaces", code);

  for (uint32_t ifindex : taken.ask_again) {
    ifinfomsg one{};
    one.ifi_index = static_cast<int>(ifindex);
    // A failure means that it has gone too: its own news follows.
    (void)Ask(questions_.get(), RTM_GETLINK, 0, &one, sizeof(one), taken);
  }
  if (taken.defaults_changed) {
    if (Status status = DumpDefaultRoutes(questions_.get(), table); !status) {
      return Error{status.error().message, ENOBUFS};
    }
  }
  return taken.news;
}

}  // namespace sallyport::endpoint
