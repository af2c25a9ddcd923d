// SPDX-License-Identifier: Apache-2.0
#include "dataplane/qdisc.h"

#include <linux/pkt_cls.h>
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

uint32_t ParentOf(sp_direction direction) {
  return TC_H_MAKE(TC_H_CLSACT, direction == SP_EGRESS ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
}

// In doubt there are some.
bool HasFilters(NetlinkSocket& socket, uint32_t ifindex, uint32_t parent) {
  bool found = false;
  Status status = socket.Ask(
      NetlinkRequest(RTM_GETTFILTER, NLM_F_DUMP, At(ifindex, parent)),
      [&found](const NetlinkMessage& message) { found |= message.type() == RTM_NEWTFILTER; });
  return found || !status.ok();
}

// A chain other than the first is asked only if a filter of the first says so. What has no handle
// stands for all filters of its priority.
void TakeFilter(const NetlinkMessage& message, std::vector<Filter>& out) {
  tcmsg info{};
  NetlinkAttributes attributes;
  if (message.type() != RTM_NEWTFILTER || !message.Split(info, attributes)) return;
  if (attributes.Get<uint32_t>(TCA_CHAIN).value_or(0) != 0 || info.tcm_handle == 0) return;
  Filter filter;
  filter.place = {TC_H_MAJ(info.tcm_info) >> 16, info.tcm_handle};
  filter.kind = attributes.Text(TCA_KIND);
  if (filter.kind == "bpf")
    filter.program = attributes.Nested(TCA_OPTIONS).Get<uint32_t>(TCA_BPF_ID).value_or(0);
  out.push_back(std::move(filter));
}

}  // namespace

Result<std::vector<Filter>> FiltersAt(uint32_t ifindex, sp_direction direction) {
  Result<NetlinkSocket> socket = NetlinkSocket::Open();
  if (!socket) return std::move(socket).error();
  std::vector<Filter> out;
  Status status =
      socket->Ask(NetlinkRequest(RTM_GETTFILTER, NLM_F_DUMP, At(ifindex, ParentOf(direction))),
                  [&out](const NetlinkMessage& message) { TakeFilter(message, out); });
  if (!status.ok() && status.error().code != ENODEV && status.error().code != EINVAL)
    return std::move(status).error().Context("list filters");
  return out;
}

Status RemoveEmptyClsact(uint32_t ifindex) {
  Result<NetlinkSocket> socket = NetlinkSocket::Open();
  if (!socket) return std::move(socket).error();
  for (sp_direction direction : kDirections)
    if (HasFilters(*socket, ifindex, ParentOf(direction))) return Ok();
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
