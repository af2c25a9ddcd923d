// SPDX-License-Identifier: Apache-2.0
#include "control/drops.h"

#include <limits>

#include "base/log.h"
#include "observe/json.h"
#include "policy/evaluate.h"

namespace sallyport::control {
namespace {

constexpr size_t kMostKnown = 4096;
constexpr int kExplainedPerSecond = 100;
constexpr int kExplainedOfOne = kExplainedPerSecond / 4;

std::string Who(const std::string& pod, const net::Address& address) {
  return pod.empty() ? address.ToString() : pod;
}

std::string Line(const observe::EventView& event) {
  std::string out = "drop: " + Who(event.source_pod, event.tuple.source) + " -> " +
                    Who(event.destination_pod, event.tuple.destination) + " (" +
                    event.tuple.ToString() + ") at " + event.direction + " of " +
                    (event.endpoint.empty() ? event.interface : event.endpoint) + ": " +
                    event.reason + ": " + event.description;
  std::string isolating;
  for (const std::string& policy : event.isolating) {
    isolating += (isolating.empty() ? "" : ", ") + policy;
  }
  if (!isolating.empty()) out += "; isolated by " + isolating;
  if (!event.near_miss.empty()) out += "; nearest: " + event.near_miss;
  if (event.suppressed > 0) out += "; " + std::to_string(event.suppressed) + " more not shown";
  return out;
}

// Some policy isolates the endpoint.
bool IsPolicys(const dataplane::DropEvent& event) {
  return event.reason == "policy" || event.reason == "no-room";
}

}  // namespace

bool DropMailbox::Put(const dataplane::DropEvent& event) {
  std::lock_guard lock(mutex_);
  if (events_.size() >= kCapacity) {
    lost_ += lost_ < std::numeric_limits<uint32_t>::max() ? 1 : 0;
    ++all_lost_;
    return false;
  }
  events_.push_back(event);
  return events_.size() == 1;
}

std::vector<dataplane::DropEvent> DropMailbox::Take(size_t limit, bool& more) {
  std::lock_guard lock(mutex_);
  std::vector<dataplane::DropEvent> out;
  while (!events_.empty() && out.size() < limit) {
    out.push_back(std::move(events_.front()));
    events_.pop_front();
  }
  if (!out.empty() && lost_ > 0) {
    uint32_t room = std::numeric_limits<uint32_t>::max() - out.front().suppressed;
    out.front().suppressed += std::min(room, lost_);
    lost_ = 0;
  }
  more = !events_.empty();
  return out;
}

uint64_t DropMailbox::lost() const {
  std::lock_guard lock(mutex_);
  return all_lost_;
}

void DropReporter::Refresh(const Reconciler& reconciler) {
  if (fresh_ && revision_ == reconciler.revision()) return;
  pods_.clear();
  for (const auto& [ifindex, sighting] : reconciler.decision().sightings) {
    if (sighting.pod) pods_[ifindex] = *sighting.pod;
  }
  endpoints_.clear();
  for (const auto& [pod, binding] : reconciler.in_force()) {
    pods_[binding.ifindex] = pod;
    for (const net::Address& address : binding.addresses) endpoints_[address] = pod;
  }
  known_.clear();
  revision_ = reconciler.revision();
  fresh_ = true;
}

// An endpoint's address is known from its CNI result before the pod's status names it.
std::string DropReporter::PodAt(const Reconciler& reconciler, const net::Address& address) const {
  if (auto it = endpoints_.find(address); it != endpoints_.end()) return it->second.ToString();
  auto pods = policy::PodsAt(reconciler.snapshot(), address);
  return pods.size() == 1 ? pods.front()->name.ToString() : "";
}

bool DropReporter::MayExplain(uint32_t endpoint) {
  MonotonicTime now = clock_.Now();
  if (now - second_ >= std::chrono::seconds(1)) {
    second_ = now;
    explained_ = 0;
    explained_of_.clear();
  }
  if (explained_ >= kExplainedPerSecond) return false;
  if (int& of = explained_of_[endpoint]; ++of > kExplainedOfOne) return false;
  ++explained_;
  return true;
}

DropReporter::Explanation DropReporter::Explain(const dataplane::DropEvent& event,
                                                const Reconciler& reconciler) {
  const net::FlowTuple& tuple = event.tuple;
  Question question{event.endpoint, event.direction,        tuple.source,    tuple.destination,
                    tuple.protocol, tuple.destination_port, IsPolicys(event)};
  if (auto it = known_.find(question); it != known_.end()) return it->second;
  if (!MayExplain(event.endpoint)) return {};

  const model::Snapshot& snapshot = reconciler.snapshot();
  Explanation out{PodAt(reconciler, tuple.source), PodAt(reconciler, tuple.destination), {}, {}};
  auto name = pods_.find(event.endpoint);
  auto pod = name == pods_.end() ? snapshot.pods.end() : snapshot.pods.find(name->second);
  if (IsPolicys(event) && pod != snapshot.pods.end() && pod->second->IsLive()) {
    bool egress = event.direction == policy::Direction::kEgress;
    auto verdict = policy::Judge(snapshot, *pod->second, event.direction,
                                 egress ? tuple.destination : tuple.source, tuple.protocol,
                                 tuple.destination_port);
    for (const model::ObjectName& by : verdict.isolating) out.isolating.push_back(by.ToString());
    if (verdict.near_miss) {
      out.near_miss = verdict.near_miss->rule.ToString() + ": " + verdict.near_miss->lacked;
    }
    if (verdict.allowed && !reconciler.FullTables().empty()) {
      out.near_miss = "what allows it found no room: full: " + reconciler.FullTables();
    }
    if (verdict.node_port) {
      out.near_miss =
          verdict.node_port->ToString() + (out.near_miss.empty() ? "" : "; " + out.near_miss);
    }
  }
  if (known_.size() >= kMostKnown) known_.clear();
  known_[question] = out;
  return out;
}

void DropReporter::Report(const dataplane::DropEvent& event, const Reconciler& reconciler) {
  Refresh(reconciler);
  Explanation explanation = Explain(event, reconciler);
  observe::EventView view;
  view.time = event.time;
  view.reason = event.reason;
  view.description = event.description;
  view.direction = policy::ToString(event.direction);
  if (auto pod = pods_.find(event.endpoint); pod != pods_.end()) {
    view.endpoint = pod->second.ToString();
  }
  auto link = reconciler.links().find(event.ifindex);
  view.interface =
      link == reconciler.links().end() ? std::to_string(event.ifindex) : link->second.name;
  view.tuple = event.tuple;
  view.source_pod = std::move(explanation.source_pod);
  view.destination_pod = std::move(explanation.destination_pod);
  view.isolating = std::move(explanation.isolating);
  view.near_miss = std::move(explanation.near_miss);
  view.suppressed = event.suppressed;
  // With a member for each part of it, for whoever searches the logs.
  LogWith(LogLevel::kInfo, Line(view), [&view] { return "\"drop\":" + observe::ToJson(view); });
  log_.Add(std::move(view));
  ++reported_;
}

}  // namespace sallyport::control
