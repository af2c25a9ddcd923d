// SPDX-License-Identifier: Apache-2.0
#include "control/reconciler.h"

#include <algorithm>
#include <cerrno>
#include <new>

#include "base/log.h"
#include "model/fingerprint.h"

namespace sallyport::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The interface has gone, or is about to; its news follows.
bool IsGone(const Error& error) { return error.code == ENODEV || error.code == ENOLINK; }

constexpr auto kSweepEvery = seconds(10);

// What must have been listed once before anything that is in force may change.
constexpr const char* kLinks = "interfaces";
constexpr const char* kClaims = "CNI results";
constexpr const char* kObjects = "objects";

// Both: what changed since before the earlier ones.
void Add(policy::Changes& to, policy::Changes from) {
  to.peers.merge(from.peers);
  to.prefixes.merge(from.prefixes);
  to.node_addresses |= from.node_addresses;
  to.service_addresses.merge(from.service_addresses);
  to.sets.merge(from.sets);
  to.rules.merge(from.rules);
  to.port_sets.merge(from.port_sets);
  to.endpoints.merge(from.endpoints);
}

std::string NameOf(const endpoint::Links& links, uint32_t ifindex) {
  auto it = links.find(ifindex);
  return it == links.end() ? "interface " + std::to_string(ifindex) : it->second.name;
}

dataplane::Bindings ToBindings(const endpoint::Decision& decision) {
  dataplane::Bindings out;
  for (const auto& [pod, placement] : decision.placements) {
    out[pod] = {placement.ifindex, placement.addresses, placement.direct};
  }
  return out;
}

}  // namespace

Reconciler::Reconciler(const std::string& node, dataplane::Dataplane& dataplane,
                       endpoint::Tracker tracker, LeftAlone& left_alone, Clock& clock)
    : node_(node),
      dataplane_(dataplane),
      tracker_(std::move(tracker)),
      left_alone_(left_alone),
      clock_(clock),
      compiler_(node),
      store_({kLinks, kClaims, kObjects}),
      pins_(node),
      home_(node),
      attached_at_start_([&] {
        auto attached = dataplane.Attached();
        return std::set<uint32_t>(attached.begin(), attached.end());
      }()),
      upkeep_(dataplane, clock),
      refusals_(dataplane.ReadCounters()),
      backoff_(milliseconds(50), seconds(30)) {
  attached_ = attached_at_start_;
  auto watched = dataplane.AttachedToNode();
  watched_.insert(watched.begin(), watched.end());
}

void Reconciler::Take(LinksChanged links) {
  tracker_.Update(links.update);
  if (links.doors.left_alone) tracker_.SetLeftAlone(*links.doors.left_alone);
  for (uint32_t ifindex : links.update.gone) {  // first: another may have its index by now
    left_alone_.Forget(ifindex);
    unswept_ |= attached_.erase(ifindex) > 0;
    watched_.erase(ifindex);
    upkeep_.Forget(ifindex);
    refusals_.Forget(ifindex);
    own_addresses_.Gone(ifindex);
  }
  for (uint32_t ifindex : links.doors.closed) watched_.erase(ifindex);
  attached_.merge(links.doors.closed);
  watched_.merge(links.doors.watched);
  for (uint32_t ifindex : links.update.Reused()) Reused(ifindex);
  if (links.update.addresses) {
    pins_.SetLocal(*links.update.addresses);
    Store({model::Delta::Set(pins_.Own(store_.snapshot()))});
  }
  if (!links.doors.failure.empty()) {
    LogError(links.doors.failure + "; interfaces that are there now are left alone");
  }
  store_.SetComplete(kLinks);
  endpoints_changed_ = true;
  upkeep_.FiltersChanged(links.update.filters_changed);
}

// What was done about the former one, here or in the kernel, may have met the new one.
void Reconciler::Reused(uint32_t ifindex) {
  attached_.erase(ifindex);
  watched_.erase(ifindex);
  refusals_.Forget(ifindex);
  dataplane_.Forget(ifindex);
  std::erase_if(in_force_, [&](const auto& entry) { return entry.second.ifindex == ifindex; });
}

void Reconciler::Take(const endpoint::CniUpdate& update) {
  for (const endpoint::Claim& claim : update.set) tracker_.SetClaim(claim);
  for (const std::string& file : update.gone) tracker_.RemoveClaim(file);
  // Where nothing was enforced before, a directory that does not exist says that no pod runs here.
  if (update.listed || attached_at_start_.empty()) store_.SetComplete(kClaims);
  cni_error_ = update.error;
  unreadable_ = update.unreadable;
  endpoints_changed_ = true;
  diagnostics_changed_ = true;
}

void Reconciler::Take(ObjectsChanged objects) {
  for (const model::Delta& delta : objects.deltas) {
    if (delta.kind == model::Kind::kPod) {
      const auto* pod = std::get_if<model::PodPtr>(&delta.object);
      endpoints_changed_ |= pod ? tracker_.SetPod(*pod) : tracker_.RemovePod(delta.name);
    }
  }
  bool gateways = std::any_of(
      objects.deltas.begin(), objects.deltas.end(),
      [](const model::Delta& delta) { return delta.kind == model::Kind::kEgressGateway; });
  Store(std::move(objects.deltas));
  if (gateways) Store({model::Delta::Set(pins_.Own(store_.snapshot()))});
  object_diagnostics_ = std::move(objects.standing);
  if (objects.complete) store_.SetComplete(kObjects);
  diagnostics_changed_ = true;
}

// Something to bring into force.
void Reconciler::Noticed() {
  if (!waiting_since_) waiting_since_ = clock_.Now();
}

void Reconciler::Store(std::vector<model::Delta> deltas) {
  for (model::Delta& delta : store_.Apply(std::move(deltas))) deltas_.push_back(std::move(delta));
  if (!deltas_.empty()) Noticed();
}

void Reconciler::Reconcile() {
  bool failed_before = !failures_.empty();
  failures_.clear();
  if (endpoints_changed_) Decide();  // what was taken off now was a pod's up to now
  Watch(Guard(decision_.guarded));
  Compile();
  Pin();
  Enforce();
  AdoptOpened();
  Enclose();
  Unguard();
  LogDiagnostics();
  if (failures_.empty()) {
    backoff_.Reset();
    if (failed_before) LogInfo("what failed before has succeeded");
  } else {
    retry_at_ = clock_.Now() + std::chrono::duration_cast<MonotonicTime::duration>(backoff_.Next());
  }
}

void Reconciler::Measure() {
  if (!refusals_.IsDue(clock_.Now())) return;
  try {
    refusals_.Take(dataplane_.ReadCounters(), clock_.Now());
  } catch (const std::bad_alloc&) {  // enforcing goes on, whatever is measured
    LogError("out of memory while measuring");
  }
}

bool Reconciler::Look() {
  if (store_.waiting_for().contains(kLinks) || clock_.Now() < upkeep_.next_look()) return false;
  Measure();
  if (pins_.Diagnose(snapshot(), clock_.Now())) ++revision_;
  Upkeep::Carriers carriers;
  for (uint32_t ifindex : attached_) {
    if (!MustNotCarry(ifindex)) carriers.pods.insert(ifindex);
  }
  for (uint32_t ifindex : watched_) {
    if (IsNodes(ifindex)) carriers.nodes.insert(ifindex);
  }
  carriers.name = [this](uint32_t ifindex) { return NameOf(tracker_.links(), ifindex); };
  carriers.attach = [this](uint32_t ifindex) { return AttachAgain(ifindex); };
  return upkeep_.Look(carriers);
}

Status Reconciler::AttachAgain(uint32_t ifindex) {
  const endpoint::Link& link = tracker_.links().at(ifindex);
  if (!attached_.contains(ifindex)) return dataplane_.AttachNode(ifindex, link.name, RoleOf(link));
  dataplane_.Close({ifindex});
  return dataplane_.Attach(ifindex, link.name);
}

void Reconciler::Decide() {
  decision_ = tracker_.Decide(attached_);
  bindings_ = ToBindings(decision_);
  const model::Snapshot& objects = store_.snapshot();
  for (const model::ObjectName& name : own_addresses_.Update(decision_, objects)) {
    auto pod = objects.pods.find(name);
    if (pod != objects.pods.end()) deltas_.push_back(model::Delta::Set(pod->second));
  }
  if (bindings_ != in_force_) Noticed();
  endpoints_changed_ = false;
}

bool Reconciler::Guard(const std::set<uint32_t>& interfaces) {
  bool all = true;
  for (uint32_t ifindex : interfaces) {
    if (attached_.contains(ifindex)) continue;
    std::string name = NameOf(tracker_.links(), ifindex);
    Status status = dataplane_.Attach(ifindex, name);
    if (status) {
      attached_.insert(ifindex);
      watched_.erase(ifindex);
    } else if (!IsGone(status.error())) {
      all = false;
      Told("attaching to " + name, status);
    }
  }
  return all;
}

// Packets may leave there, and no pod's programs judge them: it is the node's, or left alone.
bool Reconciler::IsNodes(uint32_t ifindex) const {
  auto link = tracker_.links().find(ifindex);
  return link != tracker_.links().end() && endpoint::IsWayOut(link->second) &&
         !decision_.guarded.contains(ifindex);
}

// Only where every way out is watched may anything be left to be judged there.
void Reconciler::Watch(bool all_guarded) {
  all_watched_ = all_guarded && !store_.waiting_for().contains(kLinks) && upkeep_.disturbed() == 0;
  for (const auto& [ifindex, link] : tracker_.links()) {
    if (!IsNodes(ifindex) || watched_.contains(ifindex)) continue;
    if (attached_.contains(ifindex) && !MustNotCarry(ifindex)) continue;
    Status status = dataplane_.AttachNode(ifindex, link.name, RoleOf(link));
    if (status) {
      watched_.insert(ifindex);
      if (attached_.erase(ifindex) > 0) {
        LogInfo("detached from " + link.name + ": it is not a pod's");
      }
    } else if (!IsGone(status.error())) {
      all_watched_ = false;
      Told("attaching to " + link.name, status);
    }
  }
}

void Reconciler::Compile() {
  if (deltas_.empty()) return;
  for (model::Delta& delta : deltas_) {
    if (auto* pod = std::get_if<model::PodPtr>(&delta.object)) *pod = own_addresses_.Of(*pod);
  }
  pins_.Hear(deltas_);
  MonotonicTime start = clock_.Now();
  Add(changes_, compiler_.Apply(deltas_));
  timings_.compile.Observe(clock_.Now() - start);
  home_.Hear(deltas_, snapshot());
  deltas_.clear();
  fingerprint_.clear();
  ++revision_;
}

// Before they are opened: nothing of theirs leaves with another address first.
void Reconciler::Pin() {
  if (pins_.Update(snapshot())) ++revision_;
  pins_.Pin(bindings_);
  if (bindings_ != in_force_) Noticed();
}

void Reconciler::Enforce() {
  if (!store_.complete()) return;
  bool same =
      certain_ && shortfalls_.empty() && bindings_ == in_force_ && deferring_ == all_watched_;
  if (enforced_ && changes_.empty() && same) {
    waiting_since_.reset();  // what was news is nothing to this node
    return;
  }
  MonotonicTime start = clock_.Now();
  dataplane_.Defer(all_watched_);
  Status status = dataplane_.Apply(image(), enforced_ ? &changes_ : nullptr, bindings_);
  certain_ = status.ok();
  if (!status) {
    Told("enforcing the latest policy", status);
    return;
  }
  MonotonicTime end = clock_.Now();
  timings_.apply.Observe(end - start);
  if (!enforced_) LogInfo("policy is in force on node " + node_);
  dataplane::Bindings before = std::move(in_force_);
  in_force_ = bindings_;
  shortfalls_.Take(dataplane_.shortfalls());
  for (const model::ObjectName& pod : shortfalls_.Closed()) in_force_.erase(pod);
  if (shortfalls_.empty()) {
    timings_.delay.Observe(end - waiting_since_.value_or(start));
    waiting_since_.reset();
  } else {
    failures_.merge(shortfalls_.Reasons());
    ++timings_.failures;
  }
  changes_ = {};
  enforced_ = true;
  deferring_ = all_watched_;
  unsettled_ = true;
  ++revision_;
  LogDoors(before);
}

// Their policy is in force already, so that nothing of theirs meets a closed door; but for those
// that a full table has no room for: what they send is denied.
void Reconciler::AdoptOpened() {
  dataplane::Bindings judged = in_force_;
  for (const auto& [pod, binding] : bindings_) {
    if (!shortfalls_.NoRoomFor(pod).empty()) judged[pod] = binding;
  }
  for (const auto& [pod, binding] : judged) {
    if (!decision_.guarded_once_open.contains(binding.ifindex)) continue;
    (void)Guard({binding.ifindex});  // told; tried again
    if (!attached_.contains(binding.ifindex)) continue;
    tracker_.Adopt(binding.ifindex);
    left_alone_.Forget(binding.ifindex);
    decision_.guarded_once_open.erase(binding.ifindex);
    decision_.guarded.insert(binding.ifindex);
  }
}

// What is left alone, or not for us to guard (--devices), may be inside as well.
void Reconciler::Enclose() {
  if (!enforced_) return;
  auto unguarded = [this](const auto& entry) {
    const auto& [ifindex, link] = entry;
    return link.IsPair() && !link.uplink && !decision_.guarded.contains(ifindex);
  };
  dataplane::Enclosure inside;
  if (std::ranges::none_of(tracker_.links(), unguarded))
    inside = {home_.cidrs(), endpoint::Entrances(tracker_.links())};
  if (inside == enclosed_) return;
  Status status = dataplane_.Enclose(inside);
  if (status)
    enclosed_ = std::move(inside);
  else
    Told("enclosing the node's pods", status);
}

// Of those that were guarded at the start, a result that is not read yet may say that they are a
// pod's.
bool Reconciler::MustNotCarry(uint32_t ifindex) const {
  if (!tracker_.links().contains(ifindex)) return true;
  if (!decision_.unguarded.contains(ifindex)) return false;
  return !attached_at_start_.contains(ifindex) || !store_.waiting_for().contains(kClaims);
}

// Those that went before their news could be heard too: their pins go with them.
void Reconciler::Unguard() {
  if (store_.waiting_for().contains(kLinks)) return;
  std::vector<uint32_t> off;
  for (uint32_t ifindex : attached_) {
    if (MustNotCarry(ifindex)) off.push_back(ifindex);
  }
  for (uint32_t ifindex : off) {
    std::string name = NameOf(tracker_.links(), ifindex);
    Status status = dataplane_.Detach(ifindex);
    if (!status) {
      Told("detaching from " + name, status);
      continue;
    }
    attached_.erase(ifindex);
    unswept_ = true;
    if (decision_.unguarded.contains(ifindex)) {
      LogInfo("detached from " + name + ": it is not a pod's");
    }
  }
}

void Reconciler::Settle() {
  Sweep();
  if (!unsettled_) return;
  Status status = dataplane_.Settle();
  if (!status)
    LogWarning("settling the tables, done with the next change: " + status.error().message);
  unsettled_ = false;
}

// Flows of pods that have gone. Not at each moment: many go at once.
void Reconciler::Sweep() {
  if (!unswept_ || unsettled_ || !enforced_ || clock_.Now() < sweep_at_) return;
  unswept_ = false;
  sweep_at_ = clock_.Now() + kSweepEvery;
  if (size_t freed = dataplane_.SweepFlows(); freed > 0)
    LogDebug(std::to_string(freed) + " flows of pods that have gone are taken out");
}

Duration Reconciler::Patience() const {
  // Before interfaces are known there is nothing to look at; their news ends the wait.
  bool blind = store_.waiting_for().contains(kLinks);
  MonotonicTime next = blind ? clock_.Now() + seconds(1) : upkeep_.next_look();
  if (!failures_.empty()) next = std::min(next, retry_at_);
  return std::max<Duration>(next - clock_.Now(), Duration::zero());
}

void Reconciler::Told(const std::string& what, const Status& status) {
  std::string message = what + ": " + status.error().message;
  failures_[what] = message;
  ++timings_.failures;
  if (logged_.insert(message).second) {
    LogError(message + "; what was in force stays, and it is tried again");
  }
}

void Reconciler::LogDoors(const dataplane::Bindings& before) {
  for (const auto& [pod, binding] : in_force_) {
    auto it = before.find(pod);
    if (it != before.end() && it->second == binding) continue;
    std::string addresses;
    for (const net::Address& address : binding.addresses) addresses += " " + address.ToString();
    LogInfo("endpoint " + pod.ToString() + " is open on " +
            NameOf(tracker_.links(), binding.ifindex) + ":" + addresses);
  }
  for (const auto& [pod, binding] : before) {
    if (in_force_.contains(pod)) continue;
    LogInfo("endpoint " + pod.ToString() + " is closed");
  }
}

// Each once, as long as it stands.
void Reconciler::LogDiagnostics() {
  if (!diagnostics_changed_) return;
  diagnostics_changed_ = false;
  std::set<std::string> now;
  for (const std::string& diagnostic : Diagnostics()) {
    if (!logged_.contains(diagnostic)) LogWarning(diagnostic);
    now.insert(diagnostic);
  }
  for (const auto& [what, message] : failures_) now.insert(message);
  logged_ = std::move(now);
}

std::vector<std::string> Reconciler::Reasons() const {
  std::vector<std::string> out;
  for (const std::string& source : store_.waiting_for()) {
    bool why = source == kClaims && !cni_error_.empty();
    out.push_back(source + " have not all been read yet" + (why ? ": " + cni_error_ : ""));
  }
  for (const auto& [what, message] : failures_) out.push_back(message);
  for (std::string& reason : upkeep_.Reasons()) out.push_back(std::move(reason));
  if (out.empty() && !enforced_) out.push_back("policy is not in force yet");
  if (std::string why = refusals_.WhyFull(clock_.Now()); !why.empty()) out.push_back(why);
  return out;
}

std::vector<std::string> Reconciler::Notices() const {
  return refusals_.SpentShares(clock_.Now(), [this](uint32_t ifindex) {
    for (const auto& [pod, binding] : in_force_) {
      if (binding.ifindex == ifindex) return "pod " + pod.ToString();
    }
    return NameOf(tracker_.links(), ifindex);
  });
}

Duration Reconciler::Waiting() const {
  return waiting_since_ ? clock_.Now() - *waiting_since_ : Duration::zero();
}

const std::string& Reconciler::Fingerprint() const {
  if (fingerprint_.empty()) fingerprint_ = model::Fingerprint(store_.snapshot());
  return fingerprint_;
}

std::vector<std::string> Reconciler::Diagnostics() const {
  std::vector<std::string> out;
  for (const model::Diagnostic& diagnostic : object_diagnostics_) {
    out.push_back(diagnostic.ToString());
  }
  for (const model::Diagnostic& diagnostic : compiler_.diagnostics()) {
    out.push_back(diagnostic.ToString());
  }
  for (const auto& [file, why] : unreadable_) out.push_back("CNI result " + file + ": " + why);
  return out;
}

}  // namespace sallyport::control
