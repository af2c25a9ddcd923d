// SPDX-License-Identifier: Apache-2.0
#include "cli/agent_command.h"

#include <cerrno>
#include <mutex>
#include <thread>

#include "cli/agent_views.h"
#include "cli/json.h"
#include "cli/unix_http.h"

namespace sallyport::cli {
namespace {

std::string PathOf(AgentQuestion question, const AgentOptions& options) {
  switch (question) {
    case AgentQuestion::kStatus:
      return "/v1/status";
    case AgentQuestion::kEndpoints:
      return "/v1/endpoints";
    case AgentQuestion::kPolicies:
      return "/v1/policies";
    case AgentQuestion::kFlows: {
      std::string path = "/v1/flows?limit=" + std::to_string(options.limit);
      return options.endpoint.empty() ? path : path + "&endpoint=" + Encoded(options.endpoint);
    }
    case AgentQuestion::kEgress:
      return "/v1/egress";
    case AgentQuestion::kEvents:
      return options.follow ? "/v1/events?follow=1" : "/v1/events";
  }
  return "/";
}

std::string Render(AgentQuestion question, const model::Value& answer, const Terminal& terminal) {
  switch (question) {
    case AgentQuestion::kStatus:
      return RenderStatus(answer, terminal);
    case AgentQuestion::kEndpoints:
      return RenderEndpoints(answer, terminal);
    case AgentQuestion::kPolicies:
      return RenderPolicies(answer, terminal);
    case AgentQuestion::kFlows:
      return RenderFlows(answer, terminal);
    case AgentQuestion::kEgress:
      return RenderEgress(answer, terminal);
    case AgentQuestion::kEvents: {
      std::string out;
      for (const model::Value& event : answer.items) out += RenderEvent(event, terminal);
      return out.empty() ? "no events yet\n" : out;
    }
  }
  return "";
}

// Lines as they come from one agent, until it or the reader ends. `output` keeps lines of several
// agents apart.
int Follow(const AgentPlace& agent, const AgentOptions& options, const Terminal& terminal,
           std::mutex& output) {
  Status done =
      GetLines(agent.socket, PathOf(AgentQuestion::kEvents, options), [&](std::string_view line) {
        auto event = ParseAnswer(line);
        std::lock_guard lock(output);
        if (!event) {
          terminal.Fail(event.error().message);
        } else if (terminal.format == Format::kJson) {
          terminal.out << Json(WithNode(*event, agent.node)) << std::endl;
        } else {
          if (!agent.node.empty()) terminal.out << terminal.Paint(Colour::kBold, agent.node) << " ";
          terminal.out << RenderEvent(*event, terminal) << std::flush;
        }
        return terminal.out.good();
      });
  std::lock_guard lock(output);
  if (!done) return terminal.Fail(Message(done.error(), agent));
  return terminal.Fail(Message(Error{"the agent ended the stream of events"}, agent));
}

int FollowAll(const std::vector<AgentPlace>& agents, const AgentOptions& options,
              const Terminal& terminal) {
  std::mutex output;
  std::vector<std::thread> threads;
  threads.reserve(agents.size());
  for (const AgentPlace& agent : agents) {
    threads.emplace_back([&] { Follow(agent, options, terminal, output); });
  }
  for (std::thread& thread : threads) thread.join();
  return kCouldNotTell;  // a stream of events has no end of its own
}

bool IsTrue(const model::Value& answer, std::string_view key) {
  const model::Value* value = answer.Find(key);
  return value != nullptr && value->boolean;
}

// What the agent says is well.
bool IsWell(AgentQuestion question, const AgentOptions& options, const model::Value& answer) {
  if (question == AgentQuestion::kEgress) return EgressTroubles(answer).empty();
  return question != AgentQuestion::kStatus || options.alive || IsTrue(answer, "ready");
}

Result<model::Value> AskOne(AgentQuestion question, const AgentPlace& agent,
                            const AgentOptions& options) {
  auto body = Get(agent.socket, PathOf(question, options));
  if (!body) return std::move(body).error();
  return ParseAnswer(*body);
}

// An endpoint that no agent has would look like one without flows. Agents that do not answer are
// left to the question itself.
Status CheckEndpoint(const std::vector<AgentPlace>& agents, const std::string& wanted) {
  if (wanted.empty()) return Ok();
  std::vector<std::string> known;
  for (const AgentPlace& agent : agents) {
    auto answer = AskOne(AgentQuestion::kEndpoints, agent, {});
    if (!answer) return Ok();
    for (const model::Value& endpoint : answer->items) {
      const model::Value* pod = endpoint.Find("pod");
      if (pod == nullptr) continue;
      if (pod->text == wanted) return Ok();
      known.push_back(pod->text);
    }
  }
  return Error{"there is no endpoint " + wanted +
               " here; there are: " + (known.empty() ? "none" : Joined(known))};
}

// The rows of several answers as one sequence.
void Gather(const model::Value& answer, const AgentPlace& agent, model::Value& rows) {
  if (answer.type != model::Value::Type::kSequence) {
    rows.items.push_back(WithNode(answer, agent.node));
    return;
  }
  for (const model::Value& item : answer.items) rows.items.push_back(WithNode(item, agent.node));
}

}  // namespace

model::Value WithNode(const model::Value& item, const std::string& node) {
  model::Value out = item;
  if (node.empty() || item.Find("node") != nullptr) return out;
  model::Value name;
  name.type = model::Value::Type::kString;
  name.text = node;
  out.members.insert(out.members.begin(), {"node", std::move(name)});
  return out;
}

std::string Joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : "; ") + text;
  return out;
}

Error WithAdvice(Error error, const std::string& socket) {
  if (error.code == EACCES || error.code == EPERM) {
    error.message += "; the agent's socket is root's: run this as root";
  } else if (error.code == ENOENT || error.code == ECONNREFUSED || error.code == ENOTDIR) {
    error.message = "no agent answers on " + socket + " (" + error.message +
                    "); is sallyportd running on this node? Name its socket with --socket PATH, or "
                    "a lab's node with --lab NAME --node NODE";
  }
  return error;
}

std::string Message(Error error, const AgentPlace& agent) {
  error = WithAdvice(std::move(error), agent.socket);
  if (!agent.node.empty()) error = std::move(error).Context(agent.node);
  return error.message;
}

int RunAgent(AgentQuestion question, const std::vector<AgentPlace>& agents,
             const AgentOptions& options, const Terminal& terminal) {
  if (question == AgentQuestion::kEvents && options.follow) {
    return FollowAll(agents, options, terminal);
  }
  Status known = CheckEndpoint(agents, options.endpoint);
  if (!known) return terminal.Fail(known.error().message);
  int code = kYes;
  std::vector<std::string> failures;
  model::Value rows;
  rows.type = model::Value::Type::kSequence;
  for (const AgentPlace& agent : agents) {
    auto answer = AskOne(question, agent, options);
    if (!answer) {
      failures.push_back(Message(std::move(answer).error(), agent));
      terminal.Complain(failures.back());
      continue;
    }
    if (!IsWell(question, options, *answer)) code = kNo;
    if (terminal.format == Format::kTable) {
      if (agents.size() > 1) terminal.out << terminal.Paint(Colour::kBold, agent.node) << "\n";
      terminal.out << Render(question, *answer, terminal);
      if (&agent != &agents.back()) terminal.out << "\n";
    } else {
      Gather(*answer, agent, rows);
    }
  }
  if (!failures.empty()) code = kCouldNotTell;
  if (terminal.format == Format::kTable) return code;
  bool one_value = question == AgentQuestion::kStatus || question == AgentQuestion::kEgress;
  bool single = one_value && agents.size() == 1;
  if (failures.size() == agents.size()) {
    terminal.AnswerError(Joined(failures));
  } else {
    terminal.out << RenderJson(single ? rows.items.front() : rows);
  }
  return code;
}

}  // namespace sallyport::cli
