// SPDX-License-Identifier: Apache-2.0
#include "observe/json.h"

#include <ctime>
#include <nlohmann/json.hpp>

#include "egress/explain.h"
#include "policy/explain.h"

namespace sallyport::observe {
namespace {

using Json = nlohmann::ordered_json;

// Names come from packets, files and other people: what is not UTF-8 is replaced, not an error. A
// DEL, which JSON lets pass, is escaped as the other control characters are.
std::string Dump(const Json& json) {
  std::string out = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  for (size_t at = 0; (at = out.find('\x7f', at)) != std::string::npos;) {
    out.replace(at, 1, "\\u007f");
  }
  return out;
}

Json BothWays(const uint64_t (&values)[2]) {
  return {{"egress", values[0]}, {"ingress", values[1]}};
}

template <typename Views, typename Render>
Json Array(const Views& views, Render render) {
  Json out = Json::array();
  for (const auto& view : views) out.push_back(render(view));
  return out;
}

template <typename Views, typename Render>
std::string List(const Views& views, Render render) {
  return Dump(Array(views, render));
}

void PutTuple(Json& out, const net::FlowTuple& tuple) {
  out["source"] = tuple.source.ToString();
  out["source_port"] = tuple.source_port;
  out["destination"] = tuple.destination.ToString();
  out["destination_port"] = tuple.destination_port;
  out["protocol"] = net::ToString(tuple.protocol);
}

Json EndpointJson(const EndpointView& view) {
  Json addresses = Json::array();
  for (const net::Address& address : view.addresses) addresses.push_back(address.ToString());
  Json dropped = Json::object();
  for (const auto& [reason, count] : view.dropped) dropped[reason] = count;
  return {{"pod", view.pod},
          {"interface", view.interface},
          {"ifindex", view.ifindex},
          {"addresses", addresses},
          {"state", view.open ? "open" : "closed"},
          {"why_closed", view.why_closed},
          {"egress_set", view.egress_set},
          {"ingress_set", view.ingress_set},
          {"keeps", view.keeps},
          {"packets", BothWays(view.packets)},
          {"bytes", BothWays(view.bytes)},
          {"dropped", dropped}};
}

Json PolicyJson(const PolicyView& view) {
  return {{"policy", view.policy},
          {"selects", view.selects},
          {"directions", view.directions},
          {"established", view.keeps ? "keep" : "cut"},
          {"place", view.place}};
}

Json FlowJson(const FlowView& view) {
  Json out;
  PutTuple(out, view.tuple);
  out["source_pod"] = view.source_pod;
  out["destination_pod"] = view.destination_pod;
  out["idle_s"] = view.idle_seconds;
  out["answered"] = view.answered;
  out["closing"] = view.closing;
  out["cut"] = view.cut;
  if (view.kept) out["kept"] = true;
  out["egress"] = view.egress ? Json(*view.egress) : Json(nullptr);
  out["ingress"] = view.ingress ? Json(*view.ingress) : Json(nullptr);
  if (!view.pinned) return out;
  out["egress_ip"] = view.egress_ip ? Json(view.egress_ip->ToString()) : Json(nullptr);
  out["egress_port"] = view.egress_ip ? Json(view.egress_port) : Json(nullptr);
  return out;
}

Json RuleJson(const policy::RuleRef& rule) {
  return {{"policy", rule.policy.ToString()},
          {"direction", policy::ToString(rule.direction)},
          {"index", rule.index},
          {"file", rule.place.file},
          {"line", rule.place.line}};
}

Json VerdictJson(const policy::DirectionVerdict& verdict) {
  Json isolating = Json::array();
  for (const model::ObjectName& name : verdict.isolating) isolating.push_back(name.ToString());
  Json near_miss = nullptr;
  if (verdict.near_miss) {
    near_miss = {{"rule", RuleJson(verdict.near_miss->rule)},
                 {"lacked", verdict.near_miss->lacked}};
  }
  Json out = {{"allowed", verdict.allowed},
              {"why", policy::ToString(verdict.why)},
              {"isolating", isolating},
              {"rule", verdict.rule ? RuleJson(*verdict.rule) : Json(nullptr)},
              {"near_miss", near_miss}};
  if (verdict.keeps || !verdict.not_keeping.empty())
    out["established"] = verdict.keeps ? "kept" : "cut";
  return out;
}

Json PinJson(const egress::PinAnswer& pin) {
  bool pinned = pin.target.kind == egress::Target::Kind::kPinned;
  return {{"gateway", pin.gateway},
          {"cidr", pin.by.ToString()},
          {"ip", pinned ? Json(pin.target.egress_ip.ToString()) : Json(nullptr)},
          {"why", pin.why}};
}

// For people: the answer, then each direction, then its pin, then what is closed.
std::string InWords(const ExplainView& view) {
  const net::FlowTuple& tuple = view.tuple;
  std::string address = tuple.destination.ToString();
  std::string where = view.to;
  if (where != address) {
    address = " (" + address + ")";
  } else {
    if (!tuple.destination.IsV4()) where = "[" + where + "]";
    address.clear();
  }
  where += net::HasPorts(tuple.protocol) ? ":" + std::to_string(tuple.destination_port) : "";
  std::string out = view.from + " -> " + where + "/" + net::ToString(tuple.protocol) + address +
                    ": " + (view.Passes() ? "allowed" : "denied") +
                    (view.service.empty() ? "" : "\n  behind Service " + view.service) +
                    "\n  egress of " + view.from + ": " +
                    policy::Explain(view.verdict.egress, policy::Direction::kEgress) +
                    "\n  ingress of " + view.to + ": " +
                    policy::Explain(view.verdict.ingress, policy::Direction::kIngress) + "\n";
  if (view.pin) out += "  outside: " + egress::Explain(*view.pin) + "\n";
  for (const std::string& closed : view.closed) out += "  closed: " + closed + "\n";
  return out;
}

Json ExplainJson(const ExplainView& view) {
  bool has_port = net::HasPorts(view.tuple.protocol);
  Json out = {{"from", view.from},
              {"to", view.to},
              {"address", view.tuple.destination.ToString()},
              {"port", has_port ? Json(view.tuple.destination_port) : Json(nullptr)},
              {"protocol", net::ToString(view.tuple.protocol)},
              {"allowed", view.Passes()},
              {"egress", VerdictJson(view.verdict.egress)},
              {"ingress", VerdictJson(view.verdict.ingress)},
              {"closed", view.closed}};
  if (view.pin) out["pin"] = PinJson(*view.pin);
  if (!view.service.empty()) out["service"] = view.service;
  out["words"] = InWords(view);
  return out;
}

Json WatchJson(const WatchView& view) {
  return {{"resource", view.resource},
          {"installed", view.installed},
          {"synced", view.synced},
          {"connected", view.connected},
          {"lost_since", view.lost_since ? Json(ToString(*view.lost_since)) : Json(nullptr)},
          {"last_event", view.last_event ? Json(ToString(*view.last_event)) : Json(nullptr)},
          {"events", view.events},
          {"reconnects", view.reconnects},
          {"relists", view.relists},
          {"errors", view.errors},
          {"last_error", view.last_error}};
}

template <typename T>
Json OrNull(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json PortBlockJson(const PortBlockView& block) {
  return {{"first", block.first}, {"last", block.last}, {"node", block.node},
          {"use", block.use},     {"live", block.live}, {"resting", block.resting}};
}

Json EgressAddressJson(const EgressAddressView& view) {
  return {{"ip", view.ip.ToString()},
          {"gateway", view.gateway},
          {"holder", view.holder},
          {"epoch", view.epoch},
          {"since", view.since ? Json(ToString(*view.since)) : Json(nullptr)},
          {"held_here", view.held_here},
          {"uplink", view.uplink},
          {"via", view.via},
          {"why_nobody", view.why_nobody},
          {"ports", view.ports},
          {"busiest", view.busiest},
          {"headroom", view.headroom},
          {"live", view.live},
          {"resting", view.resting},
          {"opened", view.opened},
          {"refused", view.refused},
          {"hurried", view.hurried},
          {"seconds_to_exhaustion", OrNull(view.seconds_to_exhaustion)},
          {"exhausted", view.exhausted},
          {"forwarded",
           {{"out", {{"packets", view.packets_out}, {"bytes", view.bytes_out}}},
            {"in", {{"packets", view.packets_in}, {"bytes", view.bytes_in}}}}},
          {"strangers", view.strangers},
          {"foreign", view.foreign},
          {"blocks", Array(view.blocks, PortBlockJson)}};
}

Json EgressPeerJson(const EgressPeerView& peer) {
  using std::chrono::milliseconds;
  bool known = peer.address != net::Address();
  std::optional<int64_t> ago;
  if (peer.heard_ago) ago = std::chrono::duration_cast<milliseconds>(*peer.heard_ago).count();
  return {{"node", peer.node},
          {"address", known ? Json(peer.address.ToString()) : Json(nullptr)},
          {"heard_ms_ago", OrNull(ago)}};
}

}  // namespace

bool ExplainView::Passes() const {
  return verdict.allowed && closed.empty() && egress::MayLeave(pin);
}

std::string ToJson(const StatusView& status) {
  Json tables = Json::array();
  for (const TableView& table : status.tables) {
    tables.push_back({{"name", table.name},
                      {"used", table.used},
                      {"capacity", table.capacity},
                      {"left_out", table.left_out}});
  }
  Json watches = Json::array();
  for (const WatchView& watch : status.watches) watches.push_back(WatchJson(watch));
  return Dump({{"node", status.node},
               {"version", status.version},
               {"generation", status.generation},
               {"ready", status.ready},
               {"reasons", status.reasons},
               {"tables", tables},
               {"diagnostics", status.diagnostics},
               {"cluster", status.cluster},
               {"watches", watches}});
}

std::string ToJson(const std::vector<EndpointView>& endpoints) {
  return List(endpoints, EndpointJson);
}

std::string ToJson(const std::vector<PolicyView>& policies) { return List(policies, PolicyJson); }

std::string ToJson(const std::vector<FlowView>& flows) { return List(flows, FlowJson); }

std::string ToJson(const std::vector<ExplainView>& answers) { return List(answers, ExplainJson); }

std::string ToJson(const EgressView& egress) {
  return Dump({{"node", egress.node},
               {"tunnel",
                {{"device", egress.tunnel.device},
                 {"port", egress.tunnel.port},
                 {"vni", egress.tunnel.vni},
                 {"mtu", egress.tunnel.mtu}}},
               {"takeovers", egress.takeovers},
               {"addresses", Array(egress.addresses, EgressAddressJson)},
               {"peers", Array(egress.peers, EgressPeerJson)}});
}

std::string ToJson(const EventView& event) {
  Json out = {{"time", ToString(event.time)}, {"verdict", "drop"},
              {"reason", event.reason},       {"description", event.description},
              {"direction", event.direction}, {"endpoint", event.endpoint},
              {"interface", event.interface}};
  PutTuple(out, event.tuple);
  out["source_pod"] = event.source_pod;
  out["destination_pod"] = event.destination_pod;
  out["isolating"] = event.isolating;
  out["near_miss"] = event.near_miss;
  out["suppressed"] = event.suppressed;
  return Dump(out);
}

std::string ErrorJson(const std::string& message) { return Dump({{"error", message}}); }

std::string ToString(WallTime time) {
  auto since = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
  auto seconds = static_cast<time_t>(since >= 0 ? since / 1000 : (since - 999) / 1000);
  auto millis = static_cast<int>(since - seconds * 1000);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64];
  size_t length = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
  snprintf(text + length, sizeof(text) - length, ".%03dZ", millis);
  return text;
}

}  // namespace sallyport::observe
