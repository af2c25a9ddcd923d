// SPDX-License-Identifier: Apache-2.0
#include <chrono>

#include "cli/json.h"
#include "cli/row.h"

namespace sallyport::cli {
namespace {

std::string RuleJson(const policy::RuleRef& rule) {
  return JsonObject()
      .Add("policy", rule.policy.ToString())
      .Add("direction", policy::ToString(rule.direction))
      .Add("index", rule.index)
      .Add("file", rule.place.file)
      .Add("line", rule.place.line)
      .ToString();
}

std::string NearMissJson(const policy::NearMiss& miss) {
  return JsonObject().AddJson("rule", RuleJson(miss.rule)).Add("lacked", miss.lacked).ToString();
}

std::string VerdictJson(const policy::DirectionVerdict& verdict) {
  std::vector<std::string> isolating;
  for (const model::ObjectName& name : verdict.isolating)
    isolating.push_back(Json(name.ToString()));
  return JsonObject()
      .Add("allowed", verdict.allowed)
      .Add("why", policy::ToString(verdict.why))
      .AddJson("isolating", JsonArray(isolating))
      .AddJson("rule", verdict.rule ? RuleJson(*verdict.rule) : kNull)
      .AddJson("near_miss", verdict.near_miss ? NearMissJson(*verdict.near_miss) : kNull)
      .ToString();
}

std::string PinJson(const egress::PinAnswer& pin) {
  std::optional<std::string> ip;
  if (pin.target.kind == egress::Target::Kind::kPinned) ip = pin.target.egress_ip.ToString();
  return JsonObject()
      .Add("gateway", pin.gateway)
      .Add("cidr", pin.by.ToString())
      .Add("ip", ip)
      .Add("why", pin.why)
      .ToString();
}

void AddSeen(JsonObject& out, const Row& row) {
  out.Add("outcome", probe::ToString(row.seen->outcome));
  std::optional<double> latency;
  if (row.Passed()) {
    auto microseconds = std::chrono::round<std::chrono::microseconds>(row.seen->latency);
    latency = static_cast<double>(microseconds.count()) / 1000;
  }
  out.Add("latency_ms", latency);
  if (!row.seen->detail.empty()) out.Add("detail", row.seen->detail);
}

std::string RowJson(const Row& row) {
  bool has_port = net::HasPorts(row.port.protocol);
  JsonObject out;
  out.Add("from", row.from.name).Add("to", row.to.name);
  out.AddJson("address", row.to.made_up ? kNull : Json(row.destination.ToString()));
  out.AddJson("port", has_port ? Json(row.port.number) : kNull);
  out.Add("protocol", net::ToString(probe::OnWire(row.port.protocol, row.destination)));
  out.Add("allowed", row.Allowed());
  out.AddJson("egress", VerdictJson(row.verdict.egress));
  out.AddJson("ingress", VerdictJson(row.verdict.ingress));
  if (row.pin) out.AddJson("pin", PinJson(*row.pin));
  if (!row.service.empty()) out.Add("service", row.service);
  if (row.seen) AddSeen(out, row);
  if (row.expected) {
    out.Add("expected", row.expected->allowed ? "allowed" : "denied");
    out.Add("as_expected", !row.CouldNotTell() && row.Passed() == row.expected->allowed);
  }
  if (!row.agent.empty()) out.AddJson("agent", row.agent);
  return out.ToString();
}

}  // namespace

std::string ToJson(const std::vector<Row>& rows) {
  std::vector<std::string> lines;
  lines.reserve(rows.size());
  for (const Row& row : rows) lines.push_back(RowJson(row));
  return JsonArray(lines, true) + "\n";
}

}  // namespace sallyport::cli
