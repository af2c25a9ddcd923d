// SPDX-License-Identifier: Apache-2.0
#include "cli/row.h"

#include "egress/explain.h"
#include "policy/explain.h"

namespace sallyport::cli {
namespace {

// Any port above the well-known ones: no rule looks at it.
constexpr uint16_t kSourcePort = 49152;

const char* kUnknownAddress = "(an address not known yet)";

void ReplaceAll(std::string& text, const std::string& what, const std::string& with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at)) {
    text.replace(at, what.size(), with);
    at += with.size();
  }
}

// Made-up addresses must not appear in what a near miss says.
void HideMadeUp(Row& row) {
  for (policy::DirectionVerdict* verdict : {&row.verdict.egress, &row.verdict.ingress}) {
    if (!verdict->near_miss) continue;
    std::string& lacked = verdict->near_miss->lacked;
    if (row.from.made_up) ReplaceAll(lacked, row.source.ToString(), kUnknownAddress);
    if (row.to.made_up) ReplaceAll(lacked, row.destination.ToString(), kUnknownAddress);
  }
}

Row AskOne(const World& world, const Side& from, const Side& to, const net::Address& source,
           const net::Address& destination, const Port& port) {
  net::FlowTuple flow{source, destination, probe::OnWire(port.protocol, destination), 0, 0};
  if (net::HasPorts(flow.protocol)) {
    flow.source_port = kSourcePort;
    flow.destination_port = port.number;
  }
  Row row{from, to, source, destination, port, {}, std::nullopt, std::nullopt, "", "", {}};
  row.verdict = policy::Evaluate(world.snapshot(), flow);
  row.pin = egress::PinOfFlow(world.snapshot(), from.pod.get(), flow);
  HideMadeUp(row);
  return row;
}

bool Wanted(const net::Address& address, Family family) {
  return family == Family::kBoth || (family == Family::kV4) == address.IsV4();
}

std::string Families(const Side& side) {
  bool v4 = side.AddressOf(true).has_value();
  bool v6 = side.AddressOf(false).has_value();
  return v4 && v6 ? "both" : v4 ? "IPv4 only" : "IPv6 only";
}

std::string Where(const Side& side, const net::Address& address) {
  if (side.pod) return side.name;
  return address.IsV4() ? address.ToString() : "[" + address.ToString() + "]";
}

}  // namespace

std::string Row::Title() const {
  std::string out = from.name + " -> " + Where(to, destination);
  out += net::HasPorts(port.protocol) ? ":" : "/";
  out += port.ToString();
  if (to.pod && !to.made_up) out += " (" + destination.ToString() + ")";
  return out;
}

bool Row::Allowed() const { return verdict.allowed && egress::MayLeave(pin); }

bool Row::Passed() const {
  if (!seen) return Allowed();
  return seen->outcome == probe::Outcome::kOpen || seen->outcome == probe::Outcome::kRefused;
}

bool Row::CouldNotTell() const { return seen && seen->outcome == probe::Outcome::kError; }

Result<std::vector<Row>> Ask(const World& world, const Side& from, const Side& to, const Port& port,
                             Family family) {
  std::vector<Row> rows;
  for (const net::Address& destination : to.addresses) {
    auto source = from.AddressOf(destination.IsV4());
    if (!source || !Wanted(destination, family)) continue;
    // With made-up addresses there is one answer, not one a family.
    if (to.made_up && !rows.empty()) continue;
    rows.push_back(AskOne(world, from, to, *source, destination, port));
  }
  if (!rows.empty()) return rows;
  return Error{from.name + " (" + Families(from) + ") and " + to.name + " (" + Families(to) +
               ") have no address of " +
               (family == Family::kBoth ? "one"
                : family == Family::kV4 ? "that (IPv4)"
                                        : "that (IPv6)") +
               " family in common"};
}

std::string InWords(const Row& row) {
  std::string outcome = row.Allowed() ? "allowed" : "denied";
  std::string behind = row.service.empty() ? "" : "\n  behind Service " + row.service;
  return row.Title() + ": " + outcome + behind + "\n  egress of " + row.from.name + ": " +
         policy::Explain(row.verdict.egress, policy::Direction::kEgress) + "\n  ingress of " +
         row.to.name + ": " + policy::Explain(row.verdict.ingress, policy::Direction::kIngress) +
         (row.pin ? "\n  outside: " + egress::Explain(*row.pin) : "") + "\n";
}

}  // namespace sallyport::cli
