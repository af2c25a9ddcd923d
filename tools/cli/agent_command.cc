// SPDX-License-Identifier: Apache-2.0
#include "cli/agent_command.h"

#include <cerrno>

#include "cli/agent_views.h"
#include "cli/unix_http.h"

namespace sallyport::cli {
namespace {

// Percent-encoded for a query (RFC 3986 unreserved characters stay).
std::string Encoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 std::string_view("-._~").find(c) != std::string_view::npos;
    auto byte = static_cast<unsigned char>(c);
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

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
    case AgentQuestion::kEvents: {
      std::string out;
      for (const model::Value& event : answer.items) out += RenderEvent(event, terminal);
      return out.empty() ? "no events yet\n" : out;
    }
  }
  return "";
}

int Fail(Error error, const AgentOptions& options, const Terminal& terminal) {
  return terminal.Fail(WithAdvice(std::move(error), options.socket).message);
}

// Lines as they come, until the agent or the reader ends.
int Follow(const AgentOptions& options, const Terminal& terminal) {
  Status done =
      GetLines(options.socket, PathOf(AgentQuestion::kEvents, options), [&](std::string_view line) {
        if (options.format == Format::kJson) {
          terminal.out << line << std::endl;
        } else if (auto event = ParseAnswer(line)) {
          terminal.out << RenderEvent(*event, terminal) << std::flush;
        } else {
          terminal.Fail(event.error().message);
        }
        return terminal.out.good();
      });
  if (!done) return Fail(done.error(), options, terminal);
  return terminal.Fail("the agent ended the stream of events");
}

bool IsTrue(const model::Value& answer, std::string_view key) {
  const model::Value* value = answer.Find(key);
  return value != nullptr && value->boolean;
}

}  // namespace

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

int RunAgent(AgentQuestion question, const AgentOptions& options, const Terminal& terminal) {
  if (question == AgentQuestion::kEvents && options.follow) return Follow(options, terminal);
  auto body = Get(options.socket, PathOf(question, options));
  if (!body) return Fail(std::move(body).error(), options, terminal);
  auto answer = ParseAnswer(*body);
  if (!answer) return terminal.Fail(answer.error().message);
  terminal.out << (options.format == Format::kJson ? RenderJson(*answer)
                                                   : Render(question, *answer, terminal));
  bool unready = question == AgentQuestion::kStatus && !IsTrue(*answer, "ready");
  return unready ? kNo : kYes;
}

}  // namespace sallyport::cli
