// SPDX-License-Identifier: Apache-2.0
// sallyportd: the program.
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string>

#include "base/log.h"
#include "base/version.h"
#include "control/agent.h"
#include "control/config.h"
#include "dataplane/stand_by.h"
#include "kube/access.h"

namespace sallyport::control {
namespace {

constexpr int kUsage = 2;

Surroundings SurroundingsOf(int argc, char** argv) {
  Surroundings out;
  out.arguments.assign(argv + 1, argv + argc);
  for (char** variable = environ; *variable; ++variable) {
    std::string text = *variable;
    size_t equals = text.find('=');
    if (equals != std::string::npos) {
      out.environment[text.substr(0, equals)] = text.substr(equals + 1);
    }
  }
  out.in_cluster = kube::InCluster();
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) == 0) out.hostname = name;
  return out;
}

// Until SIGTERM or SIGINT. SIGHUP means nothing: files are followed as they change.
void WaitForTheEnd(const sigset_t& signals) {
  int signal = 0;
  while (sigwait(&signals, &signal) != 0 || signal == SIGHUP) {
    if (signal == SIGHUP) LogInfo("SIGHUP: nothing to reload, files are followed as they change");
  }
}

sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // inherited by every thread
  std::signal(SIGPIPE, SIG_IGN);
  return signals;
}

// False: ended meanwhile, or it could not take over.
bool StandBy(const Config& config, const sigset_t& signals, int* code) {
  auto pause = [&signals] {
    constexpr timespec kTime{0, 20'000'000};
    int signal = sigtimedwait(&signals, nullptr, &kTime);
    return signal < 0 || signal == SIGHUP;
  };
  Status status = dataplane::StandBy(config.dataplane.pins, pause);
  if (status.ok()) return true;
  bool ended = status.error().code == ECANCELED;
  ended ? LogInfo(status.error().message) : LogError(status.error().message);
  *code = ended ? 0 : 1;
  return false;
}

int Run(const Config& config) {
  sigset_t signals = BlockSignals();
  if (int code = 0; config.stand_by && !StandBy(config, signals, &code)) return code;
  auto agent = Agent::Start(config);
  if (!agent) {
    LogError(agent.error().message);
    return 1;
  }
  WaitForTheEnd(signals);
  LogInfo("ending; what is enforced stays in force");
  return 0;
}

int Detach(const Config& config) {
  sigset_t signals{};
  if (config.stay) signals = BlockSignals();
  auto removed = RemoveEnforcement(config);
  if (!removed) {
    LogError(removed.error().message);
    return 1;
  }
  printf("%s\n", removed->c_str());
  if (!config.stay) return 0;
  fflush(stdout);
  WaitForTheEnd(signals);
  return 0;
}

int Main(int argc, char** argv) {
  auto config = ReadConfig(SurroundingsOf(argc, argv));
  if (!config) {
    fprintf(stderr, "sallyportd: %s\n", config.error().message.c_str());
    return kUsage;
  }
  switch (config->command) {
    case Config::Command::kHelp:
      fputs(HelpText().c_str(), stdout);
      return 0;
    case Config::Command::kVersion:
      printf("sallyportd %s\n", kVersion);
      return 0;
    case Config::Command::kDetach:
    case Config::Command::kRun:
      break;
  }
  StartLog(config->log_level, config->log_format);
  for (const std::string& warning : config->warnings) LogWarning(warning);
  return config->command == Config::Command::kDetach ? Detach(*config) : Run(*config);
}

}  // namespace
}  // namespace sallyport::control

int main(int argc, char** argv) { return sallyport::control::Main(argc, argv); }
