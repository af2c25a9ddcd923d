// SPDX-License-Identifier: Apache-2.0
#include "control/pin_keeper.h"

#include <algorithm>

namespace sallyport::control {

model::LocalAddresses PinKeeper::Own(const model::Snapshot& objects) const {
  model::LocalAddresses out = local_;
  for (const auto& [name, gateway] : objects.egress_gateways)
    for (const net::Address& address : gateway->egress_ips) out.erase(address);
  return out;
}

void PinKeeper::Hear(const std::vector<model::Delta>& deltas) {
  stale_ |= std::any_of(deltas.begin(), deltas.end(), [this](const model::Delta& delta) {
    return plan_.MayChange(delta, node_);
  });
}

bool PinKeeper::Update(const model::Snapshot& objects) {
  if (!stale_) return false;
  stale_ = false;
  plan_ = egress::MakePinPlan(objects, node_);
  addresses_ = egress::AddressesOf(objects);
  findings_.clear();
  for (const auto& [name, diagnostics] : egress::Diagnose(objects))
    for (const model::Diagnostic& finding : diagnostics) findings_[name].push_back(finding.message);
  return true;
}

void PinKeeper::Pin(dataplane::Bindings& bindings) const {
  for (auto& [pod, binding] : bindings) {
    auto it = plan_.pods.find(pod);
    binding.pins = it == plan_.pods.end() ? nullptr : it->second;
  }
}

EgressNews PinKeeper::News(const model::Snapshot& objects) const {
  return {objects.egress_gateways, objects.nodes, plan_.block_sizes, addresses_, findings_};
}

}  // namespace sallyport::control
