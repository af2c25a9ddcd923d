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

}  // namespace

Result<MatrixPlan> PlanMatrix(const World& world, const MatrixOptions& options, bool add_expected) {
  MatrixPlan plan;
  std::vector<Side> sides = world.LivePods();
  if (sides.empty()) return Error{"there are no pods: a matrix needs Pod manifests"};
  for (const std::string& text : options.outside) {
    auto address = net::Address::Parse(text);
    if (!address) return std::move(address).error().Context("--outside");
    if (Status s = AddOutside(world, *address, sides); !s) return s.error();
  }
  if (!options.expect.empty()) {
    auto expectations = ReadExpectations(options.expect, world);
    if (!expectations) return std::move(expectations).error();
    plan.expectations = std::move(*expectations);
    plan.question.extra_ports = plan.expectations->Ports();
  }
  if (!options.ports.empty()) {
    auto ports = probe::ParsePorts(options.ports);
    if (!ports) return std::move(ports).error().Context("--ports");
    plan.question.ports = std::move(*ports);
  }
  plan.question.from = sides;
  plan.question.to = std::move(sides);
  if (add_expected && plan.expectations) {
    for (const net::Address& address : plan.expectations->Sources()) {
      if (Status s = AddOutside(world, address, plan.question.from); !s) return s.error();
    }
    for (const net::Address& address : plan.expectations->Destinations()) {
      if (Status s = AddOutside(world, address, plan.question.to); !s) return s.error();
    }
  }
  plan.question.family = options.family;
  return plan;
}

void Expect(const MatrixPlan& plan, std::vector<Row>& rows) {
  if (!plan.expectations) return;
  for (Row& row : rows) row.expected = plan.expectations->Of(row);
}

int PrintMatrix(const std::vector<Row>& rows, const std::vector<Difference>& differences,
                bool compared, Format format, const Terminal& terminal) {
  if (format == Format::kJson) {
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
