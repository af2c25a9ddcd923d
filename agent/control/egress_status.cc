// SPDX-License-Identifier: Apache-2.0
#include "control/egress_status.h"

#include <algorithm>

namespace sallyport::control {
namespace {

using gateway::GatewayAddress;
using gateway::GatewayCondition;
using gateway::GatewayStatus;

// A gateway that starts listens for two seconds before it takes an address.
constexpr egress::Millis kNobodyFor = 5 * egress::kSecond;

void Join(std::string& to, const std::string& text, const char* between) {
  if (!to.empty()) to += between;
  to += text;
}

std::string HolderOf(const EgressReport& report, const net::Address& address) {
  auto it = report.intent.state.ips.find(address);
  return it == report.intent.state.ips.end() ? "" : it->second.gateway;
}

std::string WriterOf(const EgressReport& report, const model::EgressGateway& object) {
  for (const net::Address& address : object.egress_ips)
    if (std::string holder = HolderOf(report, address); !holder.empty()) return holder;
  for (const auto& [name, node] : report.news.nodes)
    if (node->ready) return name;
  return "";
}

std::string WhyNobody(const EgressReport& report, const net::Address& address) {
  auto spec = report.news.addresses.find(address);
  if (spec != report.news.addresses.end() && !spec->second.unusable.empty())
    return spec->second.unusable;
  auto nobody = report.intent.nobody.find(address);
  return nobody == report.intent.nobody.end() ? "no gateway has taken it yet" : nobody->second;
}

GatewayCondition ReadyOf(const EgressReport& report, const model::EgressGateway& object) {
  std::string held, missing;
  for (const net::Address& address : object.egress_ips) {
    std::string holder = HolderOf(report, address);
    if (holder.empty()) {
      Join(missing, address.ToString() + ": " + WhyNobody(report, address), "; ");
    } else {
      Join(held, address.ToString() + " by " + holder, ", ");
    }
  }
  if (object.egress_ips.empty())
    return {"Ready", "False", "NotUnderstood",
            "it has no egress IPs that can be read; what it pins is dropped"};
  if (held.empty())
    return {"Ready", "False", "NoGateway", "nobody holds " + missing + "; what it pins is dropped"};
  return {"Ready", "True", "Held",
          "held: " + held + (missing.empty() ? "" : "; nobody holds " + missing)};
}

// The nodes that find no more ports of its addresses.
std::string ShortOf(const EgressReport& report, const model::EgressGateway& object) {
  std::map<net::Address, std::map<std::string, std::string>> short_of;
  for (const auto& [id, entry] : report.leases.all())
    if (!entry.lease.exhausted_since.empty())
      short_of[id.address][entry.lease.holder] = entry.lease.exhausted_since;
  std::string out;
  for (const net::Address& address : object.egress_ips) {
    auto it = short_of.find(address);
    if (it == short_of.end()) continue;
    std::string nodes;
    for (const auto& [node, since] : it->second) Join(nodes, node + " (since " + since + ")", ", ");
    Join(out, "no more ports of " + address.ToString() + " are to be had for " + nodes, "; ");
  }
  return out;
}

GatewayCondition DegradedOf(const EgressReport& report, const model::EgressGateway& object) {
  if (std::string text = ShortOf(report, object); !text.empty())
    return {"Degraded", "True", "PortsExhausted",
            text +
                ": what goes beyond theirs to one destination is refused; add an egress "
                "IP, or spread the pods over fewer nodes"};
  std::string text;
  for (const net::Address& address : object.egress_ips) {
    if (HolderOf(report, address).empty())
      Join(text, "nobody holds " + address.ToString() + ": " + WhyNobody(report, address), "; ");
    auto failed = report.failed.find(address);
    if (failed != report.failed.end()) Join(text, failed->second, "; ");
  }
  if (!text.empty()) return {"Degraded", "True", "AddressNotHeld", text};
  auto findings = report.news.findings.find(object.name);
  if (findings == report.news.findings.end() || findings->second.empty())
    return {"Degraded", "False", "AsSpecified", "all of it is in force"};
  for (const std::string& finding : findings->second) Join(text, finding, "; ");
  return {"Degraded", "True", "Conflict", text};
}

}  // namespace

std::vector<GatewayStatus> StatusesOf(const EgressReport& report, const std::string& node) {
  std::vector<GatewayStatus> out;
  for (const auto& [name, object] : report.news.gateways) {
    if (WriterOf(report, *object) != node) continue;
    GatewayStatus status;
    status.name = name;
    status.generation = object->generation;
    status.conditions = {ReadyOf(report, *object), DegradedOf(report, *object)};
    for (const net::Address& address : object->egress_ips)
      status.addresses.push_back({address.ToString(), HolderOf(report, address)});
    out.push_back(std::move(status));
  }
  return out;
}

std::vector<GatewayStatus> CertainOf(std::vector<GatewayStatus> statuses, egress::Millis now,
                                     std::map<std::string, egress::Millis>* nobody_since) {
  std::map<std::string, egress::Millis> since;
  std::vector<GatewayStatus> out;
  for (GatewayStatus& status : statuses) {
    bool nobody = !status.addresses.empty() &&
                  std::all_of(status.addresses.begin(), status.addresses.end(),
                              [](const GatewayAddress& one) { return one.node.empty(); });
    if (nobody) {
      auto before = nobody_since->find(status.name);
      egress::Millis first = before == nobody_since->end() ? now : before->second;
      since[status.name] = first;
      if (now - first < kNobodyFor) continue;
    }
    out.push_back(std::move(status));
  }
  *nobody_since = std::move(since);
  return out;
}

std::vector<gateway::GatewayEvent> EventsOf(const EgressReport& report) {
  std::vector<gateway::GatewayEvent> out;
  for (const egress::TakeOver& taken : report.intent.taken) {
    auto spec = report.news.addresses.find(taken.address);
    if (spec == report.news.addresses.end()) continue;
    auto object = report.news.gateways.find(spec->second.gateway);
    if (object == report.news.gateways.end()) continue;
    const std::string to = report.intent.state.self, address = taken.address.ToString();
    gateway::GatewayEvent event;
    event.gateway = object->first;
    event.uid = object->second->uid;
    event.warning = !taken.from.empty();
    event.reason = taken.from.empty() ? "Held" : "TakenOver";
    event.message = taken.from.empty()
                        ? address + " is held by " + to
                        : address + " went from " + taken.from + " to " + to + ": " + taken.why;
    out.push_back(std::move(event));
  }
  return out;
}

}  // namespace sallyport::control
