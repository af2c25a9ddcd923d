// SPDX-License-Identifier: Apache-2.0
#include "cli/explain_command.h"

#include <algorithm>

#include "cli/agent_views.h"
#include "cli/backends.h"
#include "cli/matrix_run.h"
#include "cli/read_world.h"
#include "cli/unix_http.h"
#include "model/backends.h"

namespace sallyport::cli {
namespace {

// A Service: the verdict for each of its backends.
Result<std::vector<Row>> AskEach(const World& world, const Party& from,
                                 const ServiceBackends& service, Family family) {
  auto source = world.Resolve(from);
  if (!source) return std::move(source).error().Context("--from");
  std::vector<Row> out;
  Error unlike{""};  // of those with no address of the source's family: nobody is sent to them
  for (const auto& backend : service.backends) {
    auto rows = Ask(world, *source, backend.side, backend.port, family);
    if (!rows) {
      unlike = std::move(rows).error();
      continue;
    }
    for (Row& row : *rows) {
      row.service = service.service;
      out.push_back(std::move(row));
    }
  }
  if (out.empty()) return unlike;
  return out;
}

Result<std::vector<Row>> AskOneQuestion(const World& world, const ExplainOptions& options) {
  auto from = ParseParty(options.from);
  if (!from) return std::move(from).error().Context("--from");
  auto source = world.Resolve(*from);
  if (!source) return std::move(source).error().Context("--from");
  auto backends = BackendsOf(world, source->pod.get(), options.to);
  if (!backends) return std::move(backends).error().Context("--to");
  if (*backends) return AskEach(world, *from, **backends, options.family);
  auto to = ParseDestination(options.to);
  if (!to) return std::move(to).error().Context("--to");
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
      std::all_of(rows->begin(), rows->end(), [](const Row& row) { return row.Allowed(); });
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
  if (options.paths.empty()) {
    return Error{"name the manifests with -f PATH, or ask the running agent with --live"};
  }
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

// The agent's path for the question.
Result<std::string> LivePath(const ExplainOptions& options) {
  if (!options.paths.empty()) return Error{"give either --live, or manifests with -f"};
  if (options.from.empty() || options.to.empty() || options.matrix) {
    return Error{"--live goes with --from and --to; to try every path of a lab: probe matrix"};
  }
  auto from = ParseParty(options.from);
  if (!from) return std::move(from).error().Context("--from");
  bool service = options.to.starts_with(model::kServicePrefix);
  auto to =
      ParseDestination(service ? options.to.substr(model::kServicePrefix.size()) : options.to);
  if (!to) return std::move(to).error().Context("--to");
  std::string party = (service ? std::string(model::kServicePrefix) : "") + ToString(to->party);
  std::string port;
  if (const auto* number = std::get_if<uint16_t>(&to->port)) port = std::to_string(*number);
  if (const auto* name = std::get_if<std::string>(&to->port)) port = *name;
  return "/v1/explain?from=" + Encoded(ToString(*from)) + "&to=" + Encoded(party) +
         "&port=" + Encoded(port) + "&protocol=" + Encoded(net::ToString(to->protocol));
}

const std::string& TextOf(const model::Value& row, std::string_view key) {
  static const std::string kNothing;
  const model::Value* value = row.Find(key);
  return value == nullptr ? kNothing : value->text;
}

bool IsAllowed(const model::Value& row) {
  const model::Value* allowed = row.Find("allowed");
  return allowed != nullptr && allowed->boolean;
}

bool IsOfFamily(const model::Value& row, Family family) {
  bool v6 = TextOf(row, "address").find(':') != std::string::npos;
  return family == Family::kBoth || v6 == (family == Family::kV6);
}

// Answers in words, each with the nodes that give it, in the order they came.
class Answers {
 public:
  void Add(const std::string& words, const std::string& node) {
    for (auto& [text, nodes] : answers_) {
      if (text != words) continue;
      nodes.push_back(node);
      return;
    }
    answers_.push_back({words, {node}});
  }
  void Print(const Terminal& terminal) const {
    for (const auto& [words, nodes] : answers_) {
      if (answers_.size() > 1) {
        terminal.out << terminal.Paint(Colour::kBold, Joined(nodes)) << "\n";
      }
      terminal.out << words;
    }
  }

 private:
  std::vector<std::pair<std::string, std::vector<std::string>>> answers_;
};

}  // namespace

int RunExplainLive(const ExplainOptions& options, const std::vector<AgentPlace>& agents,
                   const Terminal& terminal) {
  auto path = LivePath(options);
  if (!path) return terminal.Fail(path.error().message);
  Answers answers;
  model::Value rows;
  rows.type = model::Value::Type::kSequence;
  std::vector<std::string> failures;
  bool allowed = true;
  for (const AgentPlace& agent : agents) {
    auto body = Get(agent.socket, *path);
    auto answer = body ? ParseAnswer(*body) : Result<model::Value>(std::move(body).error());
    if (!answer) {
      failures.push_back(Message(std::move(answer).error(), agent));
      terminal.Complain(failures.back());
      continue;
    }
    std::string words;
    for (model::Value& row : answer->items) {
      if (!IsOfFamily(row, options.family)) continue;
      words += TextOf(row, "words");
      allowed = allowed && IsAllowed(row);
      std::erase_if(row.members, [](const auto& member) { return member.first == "words"; });
      rows.items.push_back(WithNode(row, agent.node));
    }
    if (!words.empty()) answers.Add(words, agent.node);
  }
  if (rows.items.empty()) {
    if (failures.empty()) return terminal.Fail("they have no address of that family in common");
    terminal.AnswerError(Joined(failures));
    return kCouldNotTell;
  }
  if (terminal.format == Format::kJson) {
    terminal.out << RenderJson(rows);
  } else {
    answers.Print(terminal);
  }
  return !failures.empty() ? kCouldNotTell : allowed ? kYes : kNo;
}

int RunExplain(const ExplainOptions& options, const Terminal& terminal) {
  if (Status s = CheckUsage(options); !s) return terminal.Fail(s.error().message);
  auto world = ReadWorld(options.paths);
  if (!world) return terminal.Fail(world.error().message);
  return options.matrix ? ExplainMatrix(*world, options, terminal)
                        : ExplainOne(*world, options, terminal);
}

}  // namespace sallyport::cli
