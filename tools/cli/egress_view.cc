// SPDX-License-Identifier: Apache-2.0
// `sallyport egress`, for people.
#include <cstdlib>
#include <map>

#include "cli/agent_views.h"
#include "cli/answer_table.h"
#include "cli/table.h"

namespace sallyport::cli {
namespace {

using model::Value;

const std::vector<Value>& ItemsOf(const Value& value, std::string_view key) {
  static const std::vector<Value> kNone;
  const Value* list = value.Find(key);
  return list == nullptr ? kNone : list->items;
}

// "45 s", "12 min", "3 h"; of more than two days "long".
std::string TimeText(const std::string& seconds) {
  if (seconds.empty()) return "";
  auto left = static_cast<long>(std::strtod(seconds.c_str(), nullptr));
  if (left < 120) return std::to_string(left) + " s";
  if (left < 2 * 3600) return std::to_string(left / 60) + " min";
  if (left < 48 * 3600) return std::to_string(left / 3600) + " h";
  return "long";
}

std::string LastsFor(const Value& address) {
  if (!CellText(address, "exhausted").empty()) return "exhausted";
  return TimeText(CellText(address, "seconds_to_exhaustion"));
}

std::string HolderOf(const Value& address) {
  std::string holder = CellText(address, "holder"), uplink = CellText(address, "uplink");
  if (holder.empty()) return "nobody";
  if (CellText(address, "held_here") != "yes") return holder;
  return holder + " (" + (uplink.empty() ? "here" : uplink) + ")";
}

std::string TunnelText(const Value& egress) {
  if (CellText(egress, "tunnel", "device").empty()) return "none";
  return CellText(egress, "tunnel", "device") + ", UDP port " + CellText(egress, "tunnel", "port") +
         ", VNI " + CellText(egress, "tunnel", "vni") + ", packets of up to " +
         CellText(egress, "tunnel", "mtu") + " bytes";
}

// One node's ports of one address, with neighbours in one range.
struct PortsOfNode {
  std::string ranges, finishing;
  long next = -1;  // the port after the last range
  uint64_t live = 0, resting = 0;
};

void AddBlock(const Value& block, bool own, PortsOfNode& out) {
  long first = std::strtol(CellText(block, "first").c_str(), nullptr, 10);
  std::string last = CellText(block, "last");
  bool finishing = own && CellText(block, "use") != "yes";
  std::string& ranges = finishing ? out.finishing : out.ranges;
  if (!finishing && first == out.next) {
    ranges.replace(ranges.rfind('-') + 1, std::string::npos, last);
  } else {
    ranges += (ranges.empty() ? "" : ", ") + std::to_string(first) + "-" + last;
  }
  if (!finishing) out.next = std::strtol(last.c_str(), nullptr, 10) + 1;
  out.live += std::strtoull(CellText(block, "live").c_str(), nullptr, 10);
  out.resting += std::strtoull(CellText(block, "resting").c_str(), nullptr, 10);
}

std::string RenderPorts(const Value& egress, const Terminal& terminal) {
  const std::string self = CellText(egress, "node");
  std::vector<std::vector<std::string>> rows;
  for (const Value& address : ItemsOf(egress, "addresses")) {
    std::map<std::string, PortsOfNode> nodes;
    for (const Value& block : ItemsOf(address, "blocks")) {
      std::string node = CellText(block, "node");
      AddBlock(block, node == self, nodes[node]);
    }
    for (const auto& [node, ports] : nodes) {
      bool own = node == self;
      rows.push_back({CellText(address, "ip"), node, ports.ranges, ports.finishing,
                      own ? std::to_string(ports.live) : "",
                      own ? std::to_string(ports.resting) : ""});
    }
  }
  if (rows.empty()) return "";
  return "\n" + RenderList({"PORTS OF", "NODE", "IN USE", "FINISHING", "FLOWS", "RESTING"}, rows,
                           terminal);
}

// Of addresses that this node is, or was, the gateway of.
std::string RenderForwarded(const Value& egress, const Terminal& terminal) {
  std::vector<std::vector<std::string>> rows;
  for (const Value& address : ItemsOf(egress, "addresses")) {
    const Value* forwarded = address.Find("forwarded");
    std::string strangers = CellText(address, "strangers"), foreign = CellText(address, "foreign");
    if (forwarded == nullptr) continue;
    std::vector<std::string> row = {CellText(address, "ip"),
                                    CellText(*forwarded, "out", "packets"),
                                    CellText(*forwarded, "in", "packets"),
                                    CellText(*forwarded, "out", "bytes"),
                                    CellText(*forwarded, "in", "bytes"),
                                    strangers,
                                    foreign};
    bool nothing = true;
    for (size_t i = 1; i < row.size(); ++i) nothing = nothing && row[i] == "0";
    if (!nothing || CellText(address, "held_here") == "yes") rows.push_back(std::move(row));
  }
  if (rows.empty()) return "";
  return "\n" + RenderList({"FORWARDED OF", "PACKETS OUT", "PACKETS IN", "BYTES OUT", "BYTES IN",
                            "STRANGERS", "FOREIGN"},
                           rows, terminal);
}

}  // namespace

std::vector<std::string> EgressTroubles(const Value& egress) {
  std::vector<std::string> out;
  for (const Value& address : ItemsOf(egress, "addresses")) {
    std::string ip = CellText(address, "ip"), nobody = CellText(address, "why_nobody");
    std::string exhausted = CellText(address, "exhausted");
    if (nobody.empty() && CellText(address, "holder").empty()) nobody = "not known here";
    if (!nobody.empty()) out.push_back("nobody holds " + ip + ": " + nobody);
    if (!exhausted.empty()) out.push_back(ip + " has no more ports for this node: " + exhausted);
  }
  return out;
}

std::string RenderEgress(const Value& egress, const Terminal& terminal) {
  std::string out =
      "node    " + CellText(egress, "node") + "\ntunnel  " + TunnelText(egress) + "\n";
  for (const std::string& trouble : EgressTroubles(egress)) {
    out += "  - " + terminal.Paint(Colour::kRed, trouble) + "\n";
  }
  const Value* addresses = egress.Find("addresses");
  static const Value kNone;
  out += "\n" + RenderAnswers(addresses == nullptr ? kNone : *addresses,
                              {Plain("EGRESS IP", "ip"),
                               Plain("GATEWAY", "gateway"),
                               {"HOLDER", HolderOf},
                               Plain("LEAVES BY", "via"),
                               Plain("PORTS", "ports"),
                               Plain("BUSIEST", "busiest"),
                               Plain("HEADROOM", "headroom"),
                               Plain("FLOWS", "live"),
                               Plain("REFUSED", "refused"),
                               {"LASTS", LastsFor}},
                              "no egress IPs", terminal);
  out += RenderPorts(egress, terminal) + RenderForwarded(egress, terminal);
  const Value* peers = egress.Find("peers");
  if (peers == nullptr || peers->items.empty()) return out;
  return out + "\n" +
         RenderAnswers(*peers,
                       {Plain("OTHER GATEWAY", "node"), Plain("ADDRESS", "address"),
                        Plain("HEARD MS AGO", "heard_ms_ago")},
                       "", terminal);
}

}  // namespace sallyport::cli
