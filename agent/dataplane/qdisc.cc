// SPDX-License-Identifier: Apache-2.0
#include "dataplane/qdisc.h"

#include <linux/pkt_sched.h>
#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/classifier.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/tc.h>
#include <netlink/socket.h>

#include <memory>
#include <string>

namespace sallyport::dataplane {
namespace {

using Socket = std::unique_ptr<nl_sock, decltype(&nl_socket_free)>;
using Cache = std::unique_ptr<nl_cache, decltype(&nl_cache_free)>;
using Qdisc = std::unique_ptr<rtnl_qdisc, decltype(&rtnl_qdisc_put)>;

Error NetlinkError(const std::string& what, int result) {
  return Error{what + ": " + nl_geterror(result)};
}

bool HasFilters(nl_sock* socket, uint32_t ifindex, uint32_t parent) {
  nl_cache* raw = nullptr;
  if (rtnl_cls_alloc_cache(socket, static_cast<int>(ifindex), parent, &raw) < 0) return true;
  Cache cache(raw, nl_cache_free);
  return nl_cache_nitems(cache.get()) > 0;
}

}  // namespace

Status RemoveEmptyClsact(uint32_t ifindex) {
  Socket socket(nl_socket_alloc(), nl_socket_free);
  if (!socket) return Error{"no memory for a netlink socket"};
  if (int result = nl_connect(socket.get(), NETLINK_ROUTE); result < 0)
    return NetlinkError("netlink", result);
  for (uint32_t minor : {TC_H_MIN_INGRESS, TC_H_MIN_EGRESS})
    if (HasFilters(socket.get(), ifindex, TC_H_MAKE(TC_H_CLSACT, minor))) return Ok();
  Qdisc qdisc(rtnl_qdisc_alloc(), rtnl_qdisc_put);
  rtnl_tc_set_ifindex(TC_CAST(qdisc.get()), static_cast<int>(ifindex));
  rtnl_tc_set_parent(TC_CAST(qdisc.get()), TC_H_CLSACT);
  rtnl_tc_set_handle(TC_CAST(qdisc.get()), TC_H_MAKE(TC_H_CLSACT, 0));
  int result = rtnl_qdisc_delete(socket.get(), qdisc.get());
  bool gone = result == -NLE_OBJ_NOTFOUND || result == -NLE_NODEV || result == -NLE_INVAL;
  return result >= 0 || gone ? Ok() : Status(NetlinkError("remove clsact qdisc", result));
}

}  // namespace sallyport::dataplane
