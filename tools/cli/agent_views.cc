// SPDX-License-Identifier: Apache-2.0
#include "cli/agent_views.h"

#include <algorithm>

#include "cli/answer_table.h"
#include "cli/json.h"

namespace sallyport::cli {
namespace {

using model::Value;

// What an end of a flow that lies on this node says; nothing where it does not.
Column Judged(const char* heading, const char* key) {
  return {heading, [key](const Value& row) -> std::string {
            const Value* judged = row.Find(key);
            if (judged == nullptr || judged->type != Value::Type::kBool) return CellText(judged);
            return judged->boolean ? "allowed" : "denied";
          }};
}

bool HasPorts(const Value& value) {
  std::string protocol = CellText(value, "protocol");
  return protocol == "TCP" || protocol == "UDP" || protocol == "SCTP";
}

std::string FlowState(const Value& flow) {
  auto is = [&](const char* key) {
    const Value* value = flow.Find(key);
    return value != nullptr && value->boolean;
  };
  if (const Value* state = flow.Find("state")) return CellText(state);
  if (is("cut")) return "cut";
  if (is("closing")) return "closing";
  if (is("kept")) return "kept";
  return is("answered") ? "answered" : "unanswered";
}

// "203.0.113.10:2048"; "no port yet" where it is pinned and dropped until then.
std::string OutsideAs(const Value& flow) {
  const Value* ip = flow.Find("egress_ip");
  if (ip == nullptr) return "";
  std::string address = CellText(ip);
  if (address.empty()) return "no port yet";
  if (address.find(':') != std::string::npos) address = "[" + address + "]";
  return address + ":" + CellText(flow, "egress_port");
}

std::string EndpointState(const Value& endpoint) {
  std::string state = CellText(endpoint, "state");
  std::string why = CellText(endpoint, "why_closed");
  return why.empty() ? state : state + ": " + why;
}

}  // namespace

Result<Value> ParseAnswer(std::string_view json) {
  model::ParsedText parsed = model::ParseText(json, "the agent's answer");
  if (model::HasErrors(parsed.diagnostics)) {
    return Error{"not understood: " + parsed.diagnostics.front().ToString()};
  }
  if (parsed.documents.size() != 1) return Error{"not understood: the answer is empty"};
  return std::move(parsed.documents.front());
}

std::string RenderSide(const Value& value, const std::string& side) {
  std::string address = CellText(value, side);
  std::string pod = CellText(value, side + "_pod");
  bool bracket = pod.empty() && address.find(':') != std::string::npos;
  std::string out = pod.empty() ? address : pod + " (" + address + ")";
  if (!HasPorts(value)) return out;
  return (bracket ? "[" + out + "]" : out) + ":" + CellText(value, side + "_port");
}

std::string RenderStatus(const Value& status, const Terminal& terminal) {
  const Value* ready = status.Find("ready");
  bool is_ready = ready != nullptr && ready->boolean;
  std::string out =
      "node        " + CellText(status, "node") + "\nversion     " + CellText(status, "version") +
      "\ngeneration  " + CellText(status, "generation") + "\nready       " +
      terminal.Paint(is_ready ? Colour::kGreen : Colour::kRed, CellText(ready)) + "\n";
  for (const char* key : {"reasons", "diagnostics"}) {
    const Value* list = status.Find(key);
    if (list == nullptr) continue;
    for (const Value& item : list->items) out += "  - " + CellText(&item) + "\n";
  }
  const Value* tables = status.Find("tables");
  if (tables == nullptr || tables->items.empty()) return out;
  return out + "\n" +
         RenderAnswers(
             *tables,
             {Plain("TABLE", "name"), Plain("USED", "used"), Plain("CAPACITY", "capacity")}, "",
             terminal);
}

std::string RenderEndpoints(const Value& endpoints, const Terminal& terminal) {
  return RenderAnswers(endpoints,
                       {Plain("POD", "pod"),
                        Plain("INTERFACE", "interface"),
                        Plain("ADDRESSES", "addresses"),
                        {"STATE", EndpointState},
                        Plain("EGRESS SET", "egress_set"),
                        Plain("INGRESS SET", "ingress_set"),
                        Plain("KEEPS", "keeps"),
                        Nested("PACKETS OUT", "packets", "egress"),
                        Nested("PACKETS IN", "packets", "ingress"),
                        Plain("DROPPED", "dropped")},
                       "no endpoints on this node", terminal);
}

std::string RenderPolicies(const Value& policies, const Terminal& terminal) {
  return RenderAnswers(policies,
                       {Plain("POLICY", "policy"), Plain("DIRECTIONS", "directions"),
                        Plain("ESTABLISHED", "established"), Plain("SELECTS HERE", "selects"),
                        Plain("WRITTEN IN", "place")},
                       "no policy selects a pod on this node", terminal);
}

std::string RenderFlows(const Value& flows, const Terminal& terminal) {
  std::vector<Column> columns = {
      Plain("PROTOCOL", "protocol"),
      {"SOURCE", [](const Value& flow) { return RenderSide(flow, "source"); }},
      {"DESTINATION", [](const Value& flow) { return RenderSide(flow, "destination"); }},
      {"STATE", FlowState},
      Plain("IDLE S", "idle_s"),
      Judged("EGRESS", "egress"),
      Judged("INGRESS", "ingress")};
  bool pinned = std::any_of(flows.items.begin(), flows.items.end(),
                            [](const Value& flow) { return flow.Find("egress_ip") != nullptr; });
  if (pinned) columns.push_back({"OUTSIDE AS", OutsideAs});
  return RenderAnswers(flows, columns, "no flows", terminal);
}

std::string RenderEvent(const Value& event, const Terminal& terminal) {
  std::string out = terminal.Paint(Colour::kDim, CellText(event, "time")) + " " +
                    terminal.Paint(Colour::kRed, CellText(event, "verdict")) + " " +
                    CellText(event, "reason") + ": " + CellText(event, "direction") + " of " +
                    CellText(event, "endpoint") + ": " + RenderSide(event, "source") + " -> " +
                    RenderSide(event, "destination") + " " + CellText(event, "protocol");
  std::string isolating = CellText(event, "isolating");
  std::string near_miss = CellText(event, "near_miss");
  std::string suppressed = CellText(event, "suppressed");
  if (!suppressed.empty() && suppressed != "0") out += " (and " + suppressed + " not shown)";
  out += "\n";
  if (!isolating.empty()) {
    out += "    isolated by " + isolating;
    if (!near_miss.empty()) out += "; nearest: " + near_miss;
    out += "\n";
  }
  return out;
}

std::string RenderJson(const Value& answer) {
  if (answer.type != Value::Type::kSequence) return Json(answer) + "\n";
  std::vector<std::string> lines;
  for (const Value& item : answer.items) lines.push_back(Json(item));
  return JsonArray(lines, true) + "\n";
}

}  // namespace sallyport::cli
