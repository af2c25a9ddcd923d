// SPDX-License-Identifier: Apache-2.0
#include "cli/probe_command.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "cli/agent_views.h"
#include "cli/lab_world.h"
#include "cli/matrix_run.h"

namespace sallyport::cli {
namespace {

using probe::Outcome;

constexpr auto kGreetingWait = std::chrono::milliseconds(500);

Result<std::vector<Row>> AskOne(const LabWorld& lab, const ProbeRunOptions& options) {
  const World& world = lab.world();
  auto from = ParseParty(options.from);
  if (!from) return std::move(from).error().Context("--from");
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

void PrintRun(const Row& row, const Terminal& terminal) {
  bool open = row.seen->outcome == Outcome::kOpen;
  std::string words = InWords(row);
  terminal.out << row.Title() << ": "
               << terminal.Paint(open ? Colour::kGreen : Colour::kRed, SeenInWords(row)) << "\n"
               << "  by the manifests: " << (row.Allowed() ? "allowed" : "denied") << "\n"
               << words.substr(words.find('\n') + 1);
  if (row.agent.empty()) return;
  if (auto event = ParseAnswer(row.agent)) {
    terminal.out << "  the agent: " << RenderEvent(*event, terminal);
  }
}

// "324 probes in 2.1 s: 100 open, 224 blocked"
std::string Summary(const std::vector<Row>& rows, Duration took) {
  std::map<Outcome, size_t> counts;
  for (const Row& row : rows) ++counts[row.seen->outcome];
  char head[64];
  std::snprintf(head, sizeof head, "%zu probes in %.1f s", rows.size(),
                std::chrono::duration<double>(took).count());
  std::string out = head;
  const char* separator = ": ";
  for (const auto& [outcome, count] : counts) {
    out += separator + std::to_string(count) + " " + probe::ToString(outcome);
    separator = ", ";
  }
  return out;
}

// Each row once, with everything that it contradicts.
std::vector<Difference> Joined(std::vector<Difference> a, const std::vector<Difference>& b) {
  for (const Difference& difference : b) {
    auto same = std::find_if(a.begin(), a.end(),
                             [&](const Difference& d) { return d.row == difference.row; });
    if (same == a.end()) {
      a.push_back(difference);
    } else {
      same->expected += "; " + difference.expected;
    }
  }
  std::sort(a.begin(), a.end(),
            [](const Difference& x, const Difference& y) { return x.row < y.row; });
  return a;
}

}  // namespace

Result<probe::Options> ToProbeOptions(const ProbeOptions& options) {
  if (!(options.timeout_seconds > 0 && options.timeout_seconds <= 3600)) {
    return Error{"--timeout: use seconds, above 0 and at most 3600"};
  }
  probe::Options out;
  out.timeout =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options.timeout_seconds));
  return out;
}

int RunProbe(const ProbeRunOptions& options, const Terminal& terminal) {
  auto probe_options = ToProbeOptions(options);
  if (!probe_options) return terminal.Fail(probe_options.error().message);
  probe_options->greeting = kGreetingWait;
  auto lab = LabWorld::Open(options.lab);
  if (!lab) return terminal.Fail(lab.error().message);
  auto rows = AskOne(*lab, options);
  if (!rows) return terminal.Fail(rows.error().message);
  WallTime start = SystemClock().WallNow();
  if (Status s = lab->Probe(*rows, *probe_options); !s) return terminal.Fail(s.error().message);
  lab->AskAgents(*rows, start);
  if (terminal.format == Format::kJson) {
    terminal.out << ToJson(*rows);
  } else {
    for (const Row& row : *rows) PrintRun(row, terminal);
  }
  auto all = [&](auto holds) { return std::all_of(rows->begin(), rows->end(), holds); };
  if (!all([](const Row& row) { return !row.CouldNotTell(); })) return kCouldNotTell;
  return all([](const Row& row) { return row.seen->outcome == Outcome::kOpen; }) ? kYes : kNo;
}

int RunProbeMatrix(const ProbeMatrixOptions& options, const Terminal& terminal) {
  auto probe_options = ToProbeOptions(options);
  if (!probe_options) return terminal.Fail(probe_options.error().message);
  auto lab = LabWorld::Open(options.lab);
  if (!lab) return terminal.Fail(lab.error().message);
  MatrixOptions wanted{options.ports, {}, options.expect, options.family, lab->InReach()};
  if (options.outside) {
    for (const net::Address& a : wanted.reach->outside) wanted.outside.push_back(a.ToString());
  }
  auto plan = PlanMatrix(lab->world(), wanted);
  if (!plan) return terminal.Fail(plan.error().message);
  std::vector<Row> rows = AskAll(lab->world(), plan->question);
  if (rows.empty()) {
    return terminal.Fail("nothing to probe: no pod declares a port; name some with --ports 80/TCP");
  }
  probe_options->progress = [&](size_t done, size_t total) {
    terminal.Progress("probing " + std::to_string(done) + "/" + std::to_string(total));
  };
  MonotonicTime begun = SystemClock().Now();
  WallTime start = SystemClock().WallNow();
  Status probed = lab->Probe(rows, *probe_options);
  terminal.Progress("");
  if (!probed) return terminal.Fail(probed.error().message);
  Duration took = SystemClock().Now() - begun;
  lab->AskAgents(rows, start);
  Expect(*plan, rows);
  std::vector<Difference> differences = Unexpected(rows);
  if (options.compare) differences = Joined(std::move(differences), Contradictions(rows));
  bool compared = options.compare || plan->expectations.has_value();
  int code = PrintMatrix(rows, differences, compared, terminal);
  if (terminal.format == Format::kTable) terminal.out << Summary(rows, took) << "\n";
  return code;
}

}  // namespace sallyport::cli
