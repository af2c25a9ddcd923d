// SPDX-License-Identifier: Apache-2.0
// Whatever the agent is told: every error has a line that says where, and what is accepted can be
// run with. Flags go before the environment, the environment before the file, however they are
// mixed.
//
// The input: arguments, one a line; an empty line; variables, "NAME=value" a line; an empty line;
// the file that --config names.
#include <bit>

#include "base/check.h"
#include "control/config.h"
#include "control/options.h"
#include "fuzz/input.h"

namespace sallyport::control {
namespace {

Surroundings Read(std::string_view text) {
  Surroundings out;
  for (std::string_view line; !(line = fuzz::TakeUntil(text, '\n')).empty();) {
    out.arguments.emplace_back(line);
  }
  for (std::string_view line; !(line = fuzz::TakeUntil(text, '\n')).empty();) {
    std::string name(fuzz::TakeUntil(line, '='));
    out.environment[name] = line;
  }
  out.hostname = "host";
  out.read_file = [file = std::string(text)](const std::string& path) -> Result<std::string> {
    if (path == "missing") return Error{"there is no such file"};
    return file;
  };
  return out;
}

void CheckConfig(const Config& config, const Surroundings& surroundings) {
  CHECK(!config.node.empty() && !config.cni_results.empty() && !config.socket.empty());
  CHECK(config.dataplane.pins.front() == '/');
  CHECK(std::popcount(config.dataplane.mark) == 1);
  if (config.command != Config::Command::kRun) return;
  CHECK(config.manifests.empty() || config.kubeconfig.empty());
  CHECK(surroundings.in_cluster || !config.manifests.empty() || !config.kubeconfig.empty());
}

void CheckErrors(const std::string& message) {
  CHECK(!message.empty());
  CHECK(message.find(": ") != std::string::npos) << message;
}

// One more value for the socket, at each place: which one counts?
void CheckOrder(const Surroundings& surroundings) {
  auto socket_of = [](const Surroundings& given) {
    auto config = ReadConfig(given);
    CHECK(config) << config.error().message;
    return config->socket;
  };
  bool in_environment = surroundings.environment.contains("SALLYPORT_SOCKET");
  Surroundings flag = surroundings;
  flag.arguments.emplace_back("--socket=/flag");
  CHECK(socket_of(flag) == "/flag");
  bool in_flags = false;
  for (const std::string& argument : surroundings.arguments) {
    in_flags |= argument.starts_with("--socket");
  }
  Surroundings variable = surroundings;
  variable.environment["SALLYPORT_SOCKET"] = "/variable";
  if (!in_flags) CHECK(socket_of(variable) == "/variable");
  if (!in_flags && !in_environment) return;
  Surroundings file = surroundings;
  file.read_file = [](const std::string&) { return std::string("socket: /file\n"); };
  auto config = ReadConfig(file);
  if (config) CHECK(config->socket != "/file" || socket_of(surroundings) == "/file");
}

}  // namespace
}  // namespace sallyport::control

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::control;
  Surroundings surroundings = Read(sallyport::fuzz::Text(data, size));
  surroundings.in_cluster = size % 2 == 1;
  auto config = ReadConfig(surroundings);
  if (config) {
    CheckConfig(*config, surroundings);
    CheckOrder(surroundings);
  } else {
    CheckErrors(config.error().message);
  }
  return 0;
}
