// SPDX-License-Identifier: Apache-2.0
#include "lab/conntrack.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "base/netlink.h"
#include "lab/netns.h"

namespace sallyport::lab {
namespace {

using Place = std::pair<net::Address, uint16_t>;
using Socket = std::unique_ptr<nl_sock, void (*)(nl_sock*)>;

constexpr int TypeOf(int message) { return (NFNL_SUBSYS_CTNETLINK << 8) | message; }

Error FlowError(const std::string& what, int code) {
  return {"conntrack: " + what + ": " + nl_geterror(code), 0};
}

// A flow, and the bytes by which the kernel finds it again.
struct Entry {
  UdpFlow flow;
  uint8_t family = 0;
  std::string original;
  std::string zone;
};

std::optional<net::Address> AddressIn(const NetlinkAttributes& tuple, int v4_type, int v6_type) {
  NetlinkAttributes ip = tuple.Nested(CTA_TUPLE_IP);
  if (auto number = ip.Get<uint32_t>(v4_type)) return net::Address::V4(ntohl(*number));
  if (auto bytes = ip.Get<net::Address::Bytes>(v6_type)) return net::Address(*bytes);
  return std::nullopt;
}

// Only UDP has an entry here.
std::optional<Entry> ReadEntry(const NetlinkMessage& message) {
  nfgenmsg fixed;
  NetlinkAttributes all;
  if (!message.Split(fixed, all)) return std::nullopt;
  NetlinkAttributes original = all.Nested(CTA_TUPLE_ORIG);
  NetlinkAttributes reply = all.Nested(CTA_TUPLE_REPLY);
  if (original.Nested(CTA_TUPLE_PROTO).Get<uint8_t>(CTA_PROTO_NUM) != IPPROTO_UDP)
    return std::nullopt;
  auto to = AddressIn(original, CTA_IP_V4_DST, CTA_IP_V6_DST);
  auto from = AddressIn(reply, CTA_IP_V4_SRC, CTA_IP_V6_SRC);
  auto to_port = original.Nested(CTA_TUPLE_PROTO).Get<uint16_t>(CTA_PROTO_DST_PORT);
  auto from_port = reply.Nested(CTA_TUPLE_PROTO).Get<uint16_t>(CTA_PROTO_SRC_PORT);
  if (!to || !from || !to_port || !from_port) return std::nullopt;
  return Entry{{{*to, ntohs(*to_port)}, {*from, ntohs(*from_port)}},
               fixed.nfgen_family,
               std::string(all.Find(CTA_TUPLE_ORIG).value_or("")),
               std::string(all.Find(CTA_ZONE).value_or(""))};
}

struct Listing {
  const UdpServices* services;
  std::vector<Entry> stale;
};

int OnEntry(nl_msg* message, void* listing) {
  auto* list = static_cast<Listing*>(listing);
  auto entry = ReadEntry(NetlinkMessage(nlmsg_hdr(message)));
  if (entry && list->services->IsStale(entry->flow)) list->stale.push_back(*std::move(entry));
  return NL_OK;
}

Status ListStale(nl_sock* socket, Listing* listing) {
  nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, OnEntry, listing);
  nfgenmsg all{AF_UNSPEC, NFNETLINK_V0, 0};
  int code = nl_send_simple(socket, TypeOf(IPCTNL_MSG_CT_GET), NLM_F_REQUEST | NLM_F_DUMP, &all,
                            sizeof all);
  if (code >= 0) code = nl_recvmsgs_default(socket);
  return code < 0 ? Status(FlowError("list flows", code)) : Ok();
}

Status Delete(nl_sock* socket, const Entry& entry) {
  std::unique_ptr<nl_msg, void (*)(nl_msg*)> message(
      nlmsg_alloc_simple(TypeOf(IPCTNL_MSG_CT_DELETE), NLM_F_REQUEST | NLM_F_ACK), nlmsg_free);
  if (!message) return Error{"conntrack: no memory", 0};
  nfgenmsg fixed{entry.family, NFNETLINK_V0, 0};
  int code = nlmsg_append(message.get(), &fixed, sizeof fixed, NLMSG_ALIGNTO);
  auto put = [&](int type, const std::string& bytes) {
    if (code >= 0 && !bytes.empty())
      code = nla_put(message.get(), type, static_cast<int>(bytes.size()), bytes.data());
  };
  put(CTA_TUPLE_ORIG | NLA_F_NESTED, entry.original);
  put(CTA_ZONE, entry.zone);
  if (code >= 0) code = nl_send_auto(socket, message.get());
  if (code >= 0) code = nl_wait_for_ack(socket);
  // It may have ended by itself meanwhile.
  return code < 0 && code != -NLE_OBJ_NOTFOUND ? Status(FlowError("delete a flow", code)) : Ok();
}

Result<int> ForgetHere(const UdpServices& services) {
  Socket socket(nl_socket_alloc(), nl_socket_free);
  if (!socket) return Error{"conntrack: no memory for a netlink socket", 0};
  if (int code = nl_connect(socket.get(), NETLINK_NETFILTER); code < 0)
    return FlowError("open netlink", code);
  Listing listing{&services, {}};
  if (Status listed = ListStale(socket.get(), &listing); !listed) return std::move(listed).error();
  for (const Entry& entry : listing.stale)
    if (Status gone = Delete(socket.get(), entry); !gone) return std::move(gone).error();
  return static_cast<int>(listing.stale.size());
}

}  // namespace

UdpServices::UdpServices(const std::vector<ServicePort>& ports,
                         const std::vector<net::Address>& node_addresses) {
  for (const ServicePort& port : ports) {
    if (port.protocol != net::Protocol::kUdp) continue;
    std::vector<Place> places = {{port.cluster_ip, port.port}};
    for (const auto* addresses : {&port.external_ips, &port.balancer_ips})
      for (const net::Address& address : *addresses) places.emplace_back(address, port.port);
    if (port.node_port)
      for (const net::Address& address : node_addresses)
        if (address.IsV4() == port.cluster_ip.IsV4()) places.emplace_back(address, port.node_port);
    for (const Place& place : places)
      for (const auto* endpoints : {&port.endpoints, &port.local_endpoints})
        for (const ProxyEndpoint& endpoint : *endpoints)
          endpoints_[place].insert({endpoint.address, endpoint.port});
    for (const Place& place : places) endpoints_[place];
  }
}

bool UdpServices::IsStale(const UdpFlow& flow) const {
  auto found = endpoints_.find(flow.destination);
  return found != endpoints_.end() && !found->second.contains(flow.answered_by);
}

Result<int> ForgetStaleFlows(const std::string& netns, const UdpServices& services) {
  if (services.empty()) return 0;
  if (netns.empty()) return ForgetHere(services);
  Result<int> out = 0;
  Status entered = InNetns(netns, [&]() -> Status {
    out = ForgetHere(services);
    return Ok();
  });
  return entered ? out : Result<int>(std::move(entered).error());
}

}  // namespace sallyport::lab
