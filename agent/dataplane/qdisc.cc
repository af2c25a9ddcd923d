// SPDX-License-Identifier: Apache-2.0
#include "dataplane/qdisc.h"

#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include <cerrno>

#include "base/netlink.h"

namespace sallyport::dataplane {
namespace {

tcmsg At(uint32_t ifindex, uint32_t parent) {
  tcmsg out{};
  out.tcm_ifindex = static_cast<int>(ifindex);
  out.tcm_parent = parent;
  return out;
}

// In doubt there are some.
bool HasFilters(NetlinkSocket& socket, uint32_t ifindex, uint32_t parent) {
  bool found = false;
  Status status = socket.Ask(
      NetlinkRequest(RTM_GETTFILTER, NLM_F_DUMP, At(ifindex, parent)),
      [&found](const NetlinkMessage& message) { found |= message.type() == RTM_NEWTFILTER; });
  return found || !status.ok();
}

}  // namespace

Status RemoveEmptyClsact(uint32_t ifindex) {
  Result<NetlinkSocket> socket = NetlinkSocket::Open();
  if (!socket) return std::move(socket).error();
  for (uint32_t minor : {TC_H_MIN_INGRESS, TC_H_MIN_EGRESS})
    if (HasFilters(*socket, ifindex, TC_H_MAKE(TC_H_CLSACT, minor))) return Ok();
  tcmsg clsact = At(ifindex, TC_H_CLSACT);
  clsact.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
  Status status =
      socket->Ask(NetlinkRequest(RTM_DELQDISC, NLM_F_ACK, clsact), [](const NetlinkMessage&) {});
  if (status.ok()) return status;
  int code = status.error().code;
  if (code == ENOENT || code == ENODEV || code == EINVAL) return Ok();  // it has gone
  return std::move(status).error().Context("remove clsact qdisc");
}

}  // namespace sallyport::dataplane
