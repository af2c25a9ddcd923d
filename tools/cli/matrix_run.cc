// SPDX-License-Identifier: Apache-2.0
#include "cli/matrix_run.h"

#include <algorithm>

#include "watch/manifest_files.h"

namespace sallyport::cli {
namespace {

Result<Expectations> ReadExpectations(const std::string& path, const World& world) {
  auto files = watch::ReadTextFiles({path});
  if (!files) return std::move(files).error();
  if (files->size() != 1) return Error{path + " is a directory; name one file"};
  auto out = Expectations::Parse(files->front().text, files->front().path);
  if (!out) return out;
  if (Status s = out->Bind(world); !s) return s.error();
  return out;
}

Status AddOutside(const World& world, const net::Address& address, std::vector<Side>& sides) {
  auto side = world.Resolve(Party(address));
  if (!side) return std::move(side).error();
  bool known = std::any_of(sides.begin(), sides.end(),
                           [&](const Side& other) { return other.name == side->name; });
  if (!known) sides.push_back(std::move(*side));
  return Ok();
}

// The ports to ask about: those that were named, else what a pod declares (for an address outside:
// what any pod does), and what the expect file says about it.
std::vector<Port> PortsFor(const Side& side, const std::vector<Port>& named,
                           const std::vector<Port>& declared, const MatrixPlan& plan) {
  if (!named.empty()) return named;
  std::vector<Port> ports = side.pod ? DeclaredPorts(side) : declared;
  if (!plan.expectations) return ports;
  for (const Port& port : plan.expectations->PortsOf(side)) {
    if (std::find(ports.begin(), ports.end(), port) == ports.end()) ports.push_back(port);
  }
  return ports;
}

// What is asked about besides pods.
Status AddAddresses(const World& world, const MatrixOptions& options, const MatrixPlan& plan,
                    std::vector<Side>& sources, std::vector<Side>& targets) {
  std::vector<net::Address> from, to;
  for (const std::string& text : options.outside) {
    auto address = net::Address::Parse(text);
    if (!address) return std::move(address).error().Context("--outside");
    from.push_back(*address);
  }
  if (plan.expectations && options.reach &&
      plan.expectations->NamesOutside(options.reach->outside)) {
    from.insert(from.end(), options.reach->outside.begin(), options.reach->outside.end());
  }
  to = from;
  if (plan.expectations) {
    for (const net::Address& address : plan.expectations->Sources()) from.push_back(address);
    for (const net::Address& address : plan.expectations->Destinations()) to.push_back(address);
  }
  for (const net::Address& address : from) {
    if (Status s = AddOutside(world, address, sources); !s) return s;
  }
  for (const net::Address& address : to) {
    if (Status s = AddOutside(world, address, targets); !s) return s;
  }
  return Ok();
}

Status CheckExpectations(const World& world, const Expectations& expectations,
                         const std::vector<Port>& named, const std::optional<Reach>& reach) {
  if (!named.empty()) {
    if (Status s = expectations.CheckPorts(named, world); !s) return s;
  }
  return reach ? expectations.CheckAddresses(reach->outside, reach->nodes) : Ok();
}

}  // namespace

Result<MatrixPlan> PlanMatrix(const World& world, const MatrixOptions& options) {
  MatrixPlan plan;
  plan.question.family = options.family;
  std::vector<Port> named;
  if (!options.ports.empty()) {
    auto ports = probe::ParsePorts(options.ports);
    if (!ports) return std::move(ports).error().Context("--ports");
    named = std::move(*ports);
  }
  std::vector<Side> sides = world.LivePods();
  if (sides.empty()) return Error{"there are no pods: a matrix needs Pod manifests"};
  std::vector<Port> declared = AllDeclaredPorts(sides);
  if (!options.expect.empty()) {
    auto expectations = ReadExpectations(options.expect, world);
    if (!expectations) return std::move(expectations).error();
    plan.expectations = std::move(*expectations);
    if (Status s = CheckExpectations(world, *plan.expectations, named, options.reach); !s)
      return s.error();
  }
  std::vector<Side> targets = sides;
  if (Status s = AddAddresses(world, options, plan, sides, targets); !s) return s.error();
  plan.question.from = std::move(sides);
  for (Side& side : targets) {
    std::vector<Port> ports = PortsFor(side, named, declared, plan);
    plan.question.to.push_back({std::move(side), std::move(ports)});
  }
  return plan;
}

void Expect(const MatrixPlan& plan, std::vector<Row>& rows) {
  if (!plan.expectations) return;
  for (Row& row : rows) row.expected = plan.expectations->Of(row);
}

int PrintMatrix(const std::vector<Row>& rows, const std::vector<Difference>& differences,
                bool compared, const Terminal& terminal) {
  if (terminal.format == Format::kJson) {
    terminal.out << ToJson(rows);
  } else {
    terminal.out << RenderRows(rows, differences, terminal);
    if (compared) {
      terminal.out << "\n" << RenderDifferences(differences, rows.size(), terminal);
    }
  }
  terminal.out.flush();
  return differences.empty() ? kYes : kNo;
}

}  // namespace sallyport::cli
