// SPDX-License-Identifier: Apache-2.0
#include "cli/explain_command.h"

#include <algorithm>

#include "cli/backends.h"
#include "cli/matrix_run.h"
#include "cli/read_world.h"

namespace sallyport::cli {
namespace {

// A Service: the verdict for each of its backends.
Result<std::vector<Row>> AskEach(const World& world, const Party& from,
                                 const std::vector<Backend>& backends, Family family) {
  auto source = world.Resolve(from);
  if (!source) return std::move(source).error().Context("--from");
  std::vector<Row> out;
  for (const Backend& backend : backends) {
    auto rows = Ask(world, *source, backend.side, backend.port, family);
    if (!rows) return std::move(rows).error();
    out.insert(out.end(), rows->begin(), rows->end());
  }
  return out;
}

Result<std::vector<Row>> AskOneQuestion(const World& world, const ExplainOptions& options) {
  auto from = ParseParty(options.from);
  if (!from) return std::move(from).error().Context("--from");
  auto backends = BackendsOf(world, options.to);
  if (!backends) return std::move(backends).error().Context("--to");
  if (*backends) return AskEach(world, *from, **backends, options.family);
  auto to = ParseDestination(options.to);
  if (!to) return std::move(to).error().Context("--to");
  auto source = world.Resolve(*from);
  if (!source) return std::move(source).error().Context("--from");
  auto destination = world.Resolve(to->party);
  if (!destination) return std::move(destination).error().Context("--to");
  auto port = world.ResolvePort(*destination, *to);
  if (!port) return std::move(port).error().Context("--to");
  return Ask(world, *source, *destination, *port, options.family);
}

int ExplainOne(const World& world, const ExplainOptions& options, const Terminal& terminal) {
  auto rows = AskOneQuestion(world, options);
  if (!rows) return terminal.Fail(rows.error().message);
  if (terminal.format == Format::kJson) {
    terminal.out << ToJson(*rows);
  } else {
    for (const Row& row : *rows) terminal.out << InWords(row);
  }
  bool allowed =
      std::all_of(rows->begin(), rows->end(), [](const Row& row) { return row.verdict.allowed; });
  return allowed ? kYes : kNo;
}

int ExplainMatrix(const World& world, const ExplainOptions& options, const Terminal& terminal) {
  auto plan = PlanMatrix(world, {options.ports, options.outside, options.expect, options.family});
  if (!plan) return terminal.Fail(plan.error().message);
  std::vector<Row> rows = AskAll(world, plan->question);
  if (rows.empty()) {
    return terminal.Fail("nothing to ask: no pod declares a port; name some with --ports 80/TCP");
  }
  Expect(*plan, rows);
  return PrintMatrix(rows, Unexpected(rows), plan->expectations.has_value(), terminal);
}

Status CheckUsage(const ExplainOptions& options) {
  if (options.paths.empty()) return Error{"name the manifests with -f PATH"};
  bool question = !options.from.empty() || !options.to.empty();
  if (options.matrix && question) return Error{"give either --matrix, or --from and --to"};
  if (options.matrix) return Ok();
  if (options.from.empty() || options.to.empty()) {
    return Error{"give --from and --to for one question, or --matrix for all"};
  }
  if (!options.ports.empty() || !options.outside.empty() || !options.expect.empty()) {
    return Error{
        "--ports, --outside and --expect go with --matrix; the port of one question is part of "
        "--to"};
  }
  return Ok();
}

}  // namespace

int RunExplain(const ExplainOptions& options, const Terminal& terminal) {
  if (Status s = CheckUsage(options); !s) return terminal.Fail(s.error().message);
  auto world = ReadWorld(options.paths);
  if (!world) return terminal.Fail(world.error().message);
  return options.matrix ? ExplainMatrix(*world, options, terminal)
                        : ExplainOne(*world, options, terminal);
}

}  // namespace sallyport::cli
