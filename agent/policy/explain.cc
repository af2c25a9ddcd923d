// SPDX-License-Identifier: Apache-2.0
#include "policy/explain.h"

namespace sallyport::policy {
namespace {

std::string WithPlace(const RuleRef& rule) {
  std::string place = rule.place.ToString();
  return rule.ToString() + (place.empty() ? "" : " (" + place + ")");
}

std::string Names(const std::vector<model::ObjectName>& names) {
  std::string out;
  for (const model::ObjectName& name : names) out += (out.empty() ? "" : ", ") + name.ToString();
  return out;
}

std::string Denied(const DirectionVerdict& verdict, Direction direction) {
  std::string out = "denied: ";
  bool nowhere = verdict.node_port && verdict.node_port->backend.empty();
  if (verdict.node_port) out += verdict.node_port->ToString() + (nowhere ? "; " : " denied: ");
  out += "isolated by " + Names(verdict.isolating);
  if (nowhere) return out;
  if (!verdict.near_miss) return out + ", which allow no " + ToString(direction) + " at all";
  return out + "; nearest: " + WithPlace(verdict.near_miss->rule) + ": " +
         verdict.near_miss->lacked;
}

// What becomes of connections that were there before, where a policy says something about that.
std::string OfEstablished(const DirectionVerdict& verdict) {
  const std::string keep = std::string(model::kEstablished) + ": keep";
  if (verdict.keeps) return "; connections that were established before stay (" + keep + ")";
  if (verdict.not_keeping.empty()) return "";
  return "; established ones are cut: " + Names(verdict.not_keeping) + " without " + keep;
}

std::string Allowed(const DirectionVerdict& verdict) {
  std::string rule = "rule " + (verdict.rule ? WithPlace(*verdict.rule) : "");
  if (!verdict.node_port) return "allowed: " + rule;
  return "allowed: " + verdict.node_port->ToString() + " and all others: " + rule;
}

std::string Who(const std::optional<model::ObjectName>& pod, const net::Address& address) {
  return pod ? pod->ToString() : address.ToString();
}

}  // namespace

std::string Explain(const DirectionVerdict& verdict, Direction direction) {
  switch (verdict.why) {
    case Why::kNotIsolated:
      return "allowed: no policy isolates it for " + ToString(direction);
    case Why::kRule:
      return Allowed(verdict);
    case Why::kOwnNode:
      return "allowed: traffic between a pod and its own node is always allowed";
    case Why::kSelf:
      return "allowed: a pod can always reach itself";
    case Why::kNotAPod:
      return "allowed: not a pod, nothing to judge";
    case Why::kNoRule:
      return Denied(verdict, direction) + OfEstablished(verdict);
  }
  return "";
}

std::string Explain(const FlowVerdict& verdict, const net::FlowTuple& flow) {
  return flow.ToString() + ": " + (verdict.allowed ? "allowed" : "denied") + "\n" +  //
         "  egress of " + Who(verdict.source, flow.source) + ": " +
         Explain(verdict.egress, Direction::kEgress) + "\n" +  //
         "  ingress of " + Who(verdict.destination, flow.destination) + ": " +
         Explain(verdict.ingress, Direction::kIngress) + "\n";
}

}  // namespace sallyport::policy
