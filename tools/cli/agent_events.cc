// SPDX-License-Identifier: Apache-2.0
#include "cli/agent_events.h"

#include <cstdio>
#include <ctime>
#include <map>
#include <tuple>

#include "cli/agent_views.h"
#include "cli/json.h"

namespace sallyport::cli {
namespace {

using model::Value;
using Key = std::tuple<std::string, std::string, std::string, std::string>;

std::string MemberText(const Value& value, std::string_view key) {
  const Value* member = value.Find(key);
  return member == nullptr ? "" : member->text;
}

// Source, destination, protocol, and the destination's port where the protocol has ports.
Key KeyOf(const Row& row) {
  net::Protocol protocol = probe::OnWire(row.port.protocol, row.destination);
  std::string port = net::HasPorts(protocol) ? std::to_string(row.port.number) : "";
  return {row.source.ToString(), row.destination.ToString(), net::ToString(protocol), port};
}

Key KeyOf(const Value& event) {
  std::string protocol = MemberText(event, "protocol");
  auto known = net::ParseProtocol(protocol);
  bool ports = known && net::HasPorts(*known);
  return {MemberText(event, "source"), MemberText(event, "destination"), protocol,
          ports ? MemberText(event, "destination_port") : ""};
}

}  // namespace

std::string Timestamp(WallTime time) {
  auto millis = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
  auto seconds = static_cast<time_t>(millis / 1000);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char date[32], out[48];
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(out, sizeof out, "%s.%03dZ", date, static_cast<int>(millis % 1000));
  return out;
}

void AttachEvents(std::string_view events, const std::string& node, WallTime start,
                  std::vector<Row>& rows) {
  auto answer = ParseAnswer(events);
  if (!answer) return;
  std::string since = Timestamp(start);
  std::map<Key, const Value*> last;
  for (const Value& event : answer->items) {
    if (MemberText(event, "time") >= since) last[KeyOf(event)] = &event;
  }
  for (Row& row : rows) {
    if (!row.seen || row.seen->outcome != probe::Outcome::kBlocked) continue;
    auto found = last.find(KeyOf(row));
    if (found == last.end()) continue;
    JsonObject out;
    out.Add("node", node);
    for (const auto& [key, member] : found->second->members) out.Add(key, member);
    row.agent = out.ToString();
  }
}

}  // namespace sallyport::cli
