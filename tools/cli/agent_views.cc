// SPDX-License-Identifier: Apache-2.0
#include "cli/agent_views.h"

#include <functional>
#include <vector>

#include "cli/json.h"
#include "cli/table.h"

namespace sallyport::cli {
namespace {

using model::Value;

// A terminal obeys control characters, those of Latin-1 too: they are shown as blanks.
std::string Shown(std::string text) {
  for (size_t i = 0; i < text.size(); ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    bool latin = byte == 0xc2 && next >= 0x80 && next < 0xa0;
    if (byte < 0x20 || byte == 0x7f) text[i] = ' ';
    if (latin) text.replace(i, 2, " ");
  }
  return text;
}

// A value in a cell: sequences and mappings in one line.
std::string Text(const Value* value) {
  if (value == nullptr) return "";
  switch (value->type) {
    case Value::Type::kNull:
      return "";
    case Value::Type::kBool:
      return value->boolean ? "yes" : "no";
    case Value::Type::kInteger:
    case Value::Type::kNumber:
    case Value::Type::kString:
      return Shown(value->text);
    case Value::Type::kSequence: {
      std::string out;
      for (const Value& item : value->items) out += (out.empty() ? "" : ", ") + Text(&item);
      return out;
    }
    case Value::Type::kMapping: {
      std::string out;
      for (const auto& [key, member] : value->members) {
        out += (out.empty() ? "" : ", ") + Shown(key) + " " + Text(&member);
      }
      return out;
    }
  }
  return "";
}

std::string Text(const Value& value, std::string_view key) { return Text(value.Find(key)); }

std::string Text(const Value& value, std::string_view key, std::string_view member) {
  const Value* outer = value.Find(key);
  return outer == nullptr ? "" : Text(outer->Find(member));
}

struct Column {
  const char* heading;
  std::function<std::string(const Value&)> text;
};

Column Plain(const char* heading, const char* key) {
  return {heading, [key](const Value& row) { return Text(row, key); }};
}

Column Nested(const char* heading, const char* key, const char* member) {
  return {heading, [=](const Value& row) { return Text(row, key, member); }};
}

// What an end of a flow that lies on this node says; nothing where it does not.
Column Judged(const char* heading, const char* key) {
  return {heading, [key](const Value& row) -> std::string {
            const Value* judged = row.Find(key);
            if (judged == nullptr || judged->type != Value::Type::kBool) return Text(judged);
            return judged->boolean ? "allowed" : "denied";
          }};
}

std::string Render(const Value& list, const std::vector<Column>& columns, const char* none,
                   const Terminal& terminal) {
  if (list.items.empty()) return std::string(none) + "\n";
  std::vector<std::string> headings;
  headings.reserve(columns.size());
  for (const Column& column : columns) headings.push_back(column.heading);
  std::vector<std::vector<std::string>> rows;
  for (const Value& item : list.items) {
    std::vector<std::string> cells;
    cells.reserve(columns.size());
    for (const Column& column : columns) cells.push_back(column.text(item));
    rows.push_back(std::move(cells));
  }
  return RenderList(headings, rows, terminal);
}

bool HasPorts(const Value& value) {
  std::string protocol = Text(value, "protocol");
  return protocol == "TCP" || protocol == "UDP" || protocol == "SCTP";
}

std::string FlowState(const Value& flow) {
  auto is = [&](const char* key) {
    const Value* value = flow.Find(key);
    return value != nullptr && value->boolean;
  };
  if (const Value* state = flow.Find("state")) return Text(state);
  if (is("cut")) return "cut";
  if (is("closing")) return "closing";
  if (is("kept")) return "kept";
  return is("answered") ? "answered" : "unanswered";
}

std::string EndpointState(const Value& endpoint) {
  std::string state = Text(endpoint, "state");
  std::string why = Text(endpoint, "why_closed");
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
  std::string address = Text(value, side);
  std::string pod = Text(value, side + "_pod");
  bool bracket = pod.empty() && address.find(':') != std::string::npos;
  std::string out = pod.empty() ? address : pod + " (" + address + ")";
  if (!HasPorts(value)) return out;
  return (bracket ? "[" + out + "]" : out) + ":" + Text(value, side + "_port");
}

std::string RenderStatus(const Value& status, const Terminal& terminal) {
  const Value* ready = status.Find("ready");
  bool is_ready = ready != nullptr && ready->boolean;
  std::string out = "node        " + Text(status, "node") + "\nversion     " +
                    Text(status, "version") + "\ngeneration  " + Text(status, "generation") +
                    "\nready       " +
                    terminal.Paint(is_ready ? Colour::kGreen : Colour::kRed, Text(ready)) + "\n";
  for (const char* key : {"reasons", "diagnostics"}) {
    const Value* list = status.Find(key);
    if (list == nullptr) continue;
    for (const Value& item : list->items) out += "  - " + Text(&item) + "\n";
  }
  const Value* tables = status.Find("tables");
  if (tables == nullptr || tables->items.empty()) return out;
  return out + "\n" +
         Render(*tables,
                {Plain("TABLE", "name"), Plain("USED", "used"), Plain("CAPACITY", "capacity")}, "",
                terminal);
}

std::string RenderEndpoints(const Value& endpoints, const Terminal& terminal) {
  return Render(endpoints,
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
  return Render(policies,
                {Plain("POLICY", "policy"), Plain("DIRECTIONS", "directions"),
                 Plain("ESTABLISHED", "established"), Plain("SELECTS HERE", "selects"),
                 Plain("WRITTEN IN", "place")},
                "no policy selects a pod on this node", terminal);
}

std::string RenderFlows(const Value& flows, const Terminal& terminal) {
  return Render(flows,
                {Plain("PROTOCOL", "protocol"),
                 {"SOURCE", [](const Value& flow) { return RenderSide(flow, "source"); }},
                 {"DESTINATION", [](const Value& flow) { return RenderSide(flow, "destination"); }},
                 {"STATE", FlowState},
                 Plain("IDLE S", "idle_s"),
                 Judged("EGRESS", "egress"),
                 Judged("INGRESS", "ingress")},
                "no flows", terminal);
}

std::string RenderEvent(const Value& event, const Terminal& terminal) {
  std::string out = terminal.Paint(Colour::kDim, Text(event, "time")) + " " +
                    terminal.Paint(Colour::kRed, Text(event, "verdict")) + " " +
                    Text(event, "reason") + ": " + Text(event, "direction") + " of " +
                    Text(event, "endpoint") + ": " + RenderSide(event, "source") + " -> " +
                    RenderSide(event, "destination") + " " + Text(event, "protocol");
  std::string isolating = Text(event, "isolating");
  std::string near_miss = Text(event, "near_miss");
  std::string suppressed = Text(event, "suppressed");
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
