// SPDX-License-Identifier: Apache-2.0
#include "lab/netlink.h"

#include <linux/if_addr.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>

#include <optional>
#include <utility>

#include "lab/netns.h"

namespace sallyport::lab {
namespace {

template <typename T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

Error NetlinkError(const std::string& what, int code) {
  return {what + ": " + nl_geterror(code), 0};
}

Owned<rtnl_link> NewLink() { return {rtnl_link_alloc(), rtnl_link_put}; }

Owned<nl_addr> ToNl(const net::Address& address, int prefix) {
  const net::Address::Bytes& bytes = address.bytes();
  nl_addr* out = address.IsV4() ? nl_addr_build(AF_INET, bytes.data() + 12, 4)
                                : nl_addr_build(AF_INET6, bytes.data(), 16);
  nl_addr_set_prefixlen(out, prefix);
  return {out, nl_addr_put};
}

}  // namespace

Result<Netlink> Netlink::Open(const std::string& netns_path) {
  Socket socket(nl_socket_alloc(), nl_socket_free);
  if (!socket) return Error{"no memory for a netlink socket", 0};
  Status opened = InNetns(netns_path, [&]() -> Status {
    int code = nl_connect(socket.get(), NETLINK_ROUTE);
    return code < 0 ? Status(NetlinkError("open netlink in " + netns_path, code)) : Ok();
  });
  if (!opened) return std::move(opened).error();
  return Netlink(std::move(socket));
}

Result<int> Netlink::IndexOf(const std::string& name) {
  rtnl_link* found = nullptr;
  int code = rtnl_link_get_kernel(socket_.get(), 0, name.c_str(), &found);
  if (code < 0) return NetlinkError("find interface " + name, code);
  Owned<rtnl_link> link(found, rtnl_link_put);
  return rtnl_link_get_ifindex(link.get());
}

Status Netlink::AddVeth(const std::string& name, const std::string& peer_name,
                        const std::string& peer_netns_path) {
  auto there = OpenNetns(peer_netns_path);
  if (!there) return std::move(there).error();
  Owned<rtnl_link> link(rtnl_link_veth_alloc(), rtnl_link_put);
  Owned<rtnl_link> peer(rtnl_link_veth_get_peer(link.get()), rtnl_link_put);
  rtnl_link_set_name(link.get(), name.c_str());
  rtnl_link_set_name(peer.get(), peer_name.c_str());
  rtnl_link_set_ns_fd(peer.get(), there->get());
  int code = rtnl_link_add(socket_.get(), link.get(), NLM_F_CREATE | NLM_F_EXCL);
  if (code < 0) return NetlinkError("add veth pair " + name + " - " + peer_name, code);
  return Ok();
}

Status Netlink::AddBridge(const std::string& name) {
  int code = rtnl_link_bridge_add(socket_.get(), name.c_str());
  if (code < 0) return NetlinkError("add bridge " + name, code);
  return Ok();
}

Status Netlink::SetMaster(const std::string& name, const std::string& bridge) {
  auto index = IndexOf(name);
  if (!index) return std::move(index).error();
  auto master = IndexOf(bridge);
  if (!master) return std::move(master).error();
  int code = rtnl_link_enslave_ifindex(socket_.get(), *master, *index);
  if (code < 0) return NetlinkError("put " + name + " on bridge " + bridge, code);
  return Ok();
}

Status Netlink::SetUp(const std::string& name) {
  auto index = IndexOf(name);
  if (!index) return std::move(index).error();
  Owned<rtnl_link> original = NewLink();
  Owned<rtnl_link> change = NewLink();
  rtnl_link_set_ifindex(original.get(), *index);
  rtnl_link_set_flags(change.get(), IFF_UP);
  int code = rtnl_link_change(socket_.get(), original.get(), change.get(), 0);
  if (code < 0) return NetlinkError("set " + name + " up", code);
  return Ok();
}

Status Netlink::AddAddress(const std::string& name, const InterfaceAddress& address) {
  auto index = IndexOf(name);
  if (!index) return std::move(index).error();
  Owned<rtnl_addr> request(rtnl_addr_alloc(), rtnl_addr_put);
  Owned<nl_addr> local = ToNl(address.address, address.prefix);
  rtnl_addr_set_ifindex(request.get(), *index);
  rtnl_addr_set_local(request.get(), local.get());
  if (!address.address.IsV4()) rtnl_addr_set_flags(request.get(), IFA_F_NODAD);
  int code = rtnl_addr_add(socket_.get(), request.get(), NLM_F_CREATE | NLM_F_EXCL);
  if (code < 0) return NetlinkError("add address " + address.ToString() + " to " + name, code);
  return Ok();
}

Status Netlink::AddRoute(const net::Cidr& destination, const net::Address& gateway) {
  Owned<rtnl_route> route(rtnl_route_alloc(), rtnl_route_put);
  Owned<nl_addr> to = ToNl(destination.address(), destination.length());
  Owned<nl_addr> via = ToNl(gateway, gateway.IsV4() ? 32 : 128);
  rtnl_route_set_family(route.get(), gateway.IsV4() ? AF_INET : AF_INET6);
  rtnl_route_set_dst(route.get(), to.get());
  rtnl_route_set_scope(route.get(), RT_SCOPE_UNIVERSE);
  rtnl_nexthop* hop = rtnl_route_nh_alloc();
  rtnl_route_nh_set_gateway(hop, via.get());
  rtnl_route_add_nexthop(route.get(), hop);
  int code = rtnl_route_add(socket_.get(), route.get(), NLM_F_CREATE | NLM_F_EXCL);
  if (code < 0)
    return NetlinkError("add route " + destination.ToString() + " via " + gateway.ToString(), code);
  return Ok();
}

Result<std::vector<std::string>> Netlink::LinkNames() {
  nl_cache* found = nullptr;
  int code = rtnl_link_alloc_cache(socket_.get(), AF_UNSPEC, &found);
  if (code < 0) return NetlinkError("list interfaces", code);
  Owned<nl_cache> cache(found, nl_cache_free);
  std::vector<std::string> names;
  for (nl_object* object = nl_cache_get_first(cache.get()); object;
       object = nl_cache_get_next(object))
    names.emplace_back(rtnl_link_get_name(reinterpret_cast<rtnl_link*>(object)));
  return names;
}

}  // namespace sallyport::lab
