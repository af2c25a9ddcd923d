// SPDX-License-Identifier: Apache-2.0
#include "egress/explain.h"

namespace sallyport::egress {

std::optional<PinAnswer> PinOfFlow(const model::Snapshot& snapshot, const model::Pod* sender,
                                   const net::FlowTuple& flow) {
  if (!sender || sender->host_network || !sender->IsLive()) return std::nullopt;
  return PinOf(snapshot, *sender, flow.destination);
}

bool MayLeave(const std::optional<PinAnswer>& pin) {
  return !pin || pin->target.kind == Target::Kind::kPinned;
}

std::string Explain(const PinAnswer& pin) {
  std::string whose = "by EgressGateway " + pin.gateway + " (" + pin.by.ToString() + ")";
  if (pin.target.kind == Target::Kind::kPinned)
    return "leaves as " + pin.target.egress_ip.ToString() + ", " + whose;
  return "dropped: pinned to nothing " + whose + (pin.why.empty() ? "" : ": " + pin.why);
}

}  // namespace sallyport::egress
