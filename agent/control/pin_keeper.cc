// SPDX-License-Identifier: Apache-2.0
#include "control/pin_keeper.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace sallyport::control {
namespace {

// But for EgressGateways themselves, whose author waits.
constexpr auto kDiagnoseEvery = std::chrono::seconds(30);

}  // namespace

model::LocalAddresses PinKeeper::Own(const model::Snapshot& objects) const {
  model::LocalAddresses out = local_;
  for (const auto& [name, gateway] : objects.egress_gateways)
    for (const net::Address& address : gateway->egress_ips) out.erase(address);
  return out;
}

void PinKeeper::Hear(const std::vector<model::Delta>& deltas) {
  for (const model::Delta& delta : deltas) {
    effect_ = std::max(effect_, plan_.EffectOf(delta, node_));
    if (delta.kind == model::Kind::kEgressGateway) diagnose_at_ = {};
    undiagnosed_ = true;
    if (delta.kind != model::Kind::kPod) continue;
    const auto* pod = std::get_if<model::PodPtr>(&delta.object);
    if (pod && (*pod)->node == node_) {
      here_.insert(delta.name);
    } else {
      here_.erase(delta.name);
    }
  }
}

bool PinKeeper::Update(const model::Snapshot& objects) {
  Effect effect = std::exchange(effect_, Effect::kNone);
  if (effect == Effect::kNone) return false;
  egress::PinWorld world = effect == Effect::kWorld && !objects.egress_gateways.empty()
                               ? egress::WorldOf(objects)
                               : std::move(plan_.world);
  plan_ = egress::MakePinPlan(objects, std::move(world), here_);
  return true;
}

bool PinKeeper::Diagnose(const model::Snapshot& objects, MonotonicTime now) {
  if (!undiagnosed_ || now < diagnose_at_) return false;
  if (objects.egress_gateways.empty() && findings_.empty()) return false;
  undiagnosed_ = false;
  diagnose_at_ = now + kDiagnoseEvery;
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
  return {objects.egress_gateways, objects.nodes, plan_.block_sizes, plan_.world.addresses,
          findings_};
}

}  // namespace sallyport::control
