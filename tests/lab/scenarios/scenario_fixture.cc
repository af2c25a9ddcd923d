// SPDX-License-Identifier: Apache-2.0
#include "lab/scenarios/scenario_fixture.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>

#include "support/places.h"

namespace sallyport::lab {
namespace {

using namespace std::chrono_literals;

std::vector<std::string> SplitLines(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) out.push_back(line);
  return out;
}

std::string WithoutEnd(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

std::string Scenario(const std::string& path) { return test::InSources("policies/" + path); }

Traffic::Traffic(const std::string& lab, const std::string& pod, const std::string& script,
                 const std::string& log)
    : log_(log) {
  Command command;
  command.argv = {Tool(), "lab", "exec", "--name", lab, pod, "--", "bash", "-c", script};
  command.env = EnvironmentWith({});
  command.log = log_;
  auto started = StartDaemon(command);
  EXPECT_TRUE(started) << started.error().message;
  if (started) pid_ = *started;
}

std::vector<std::string> Traffic::Lines() const {
  std::ifstream file(log_);
  std::vector<std::string> out;
  for (std::string line; std::getline(file, line);) out.push_back(line);
  return out;
}

size_t Traffic::Count(const std::string& line) const {
  std::vector<std::string> lines = Lines();
  return static_cast<size_t>(std::count(lines.begin(), lines.end(), line));
}

void Traffic::AwaitMore(size_t lines) const {
  size_t target = Lines().size() + lines;
  Await("traffic to go on, see " + log_, [&] { return Lines().size() >= target; });
}

void Traffic::Stop() {
  if (pid_ < 0) return;
  EXPECT_TRUE(EndProcesses({pid_}, SIGTERM, 10s));
  pid_ = -1;
}

void ScenarioTest::UpScenario(const std::vector<std::string>& paths,
                              const std::vector<std::string>& options, const std::string& lab) {
  std::vector<std::string> arguments = {"lab", "up", "--name", lab.empty() ? name() : lab};
  for (const std::string& path : paths) {
    arguments.push_back("-f");
    arguments.push_back(path);
  }
  arguments.insert(arguments.end(), options.begin(), options.end());
  ASSERT_EQ(Run(arguments).exit_code, 0);
}

void ScenarioTest::TearDown() {
  EndWatch();
  LabTest::TearDown();
}

void ScenarioTest::WatchOutside(const std::vector<std::string>& destinations,
                                const std::vector<std::string>& egress_ips) {
  auto parse = [](const std::vector<std::string>& texts) {
    std::set<net::Address> out;
    for (const std::string& text : texts) out.insert(net::Address::Parse(text).value());
    return out;
  };
  Capture::Rules rules;
  rules.reserved = parse(destinations);
  rules.egress_ips = parse(egress_ips);
  for (const char* pods : {"10.244.0.0/16", "fd00:10:244::/48"})
    rules.inner.push_back(net::Cidr::Parse(pods).value());
  capture_ = std::make_unique<Capture>(Read().outside_netns_path, "eth0", rules);
}

void ScenarioTest::EndWatch() {
  if (!capture_) return;
  EXPECT_EQ(capture_->Trouble(), "") << "seen outside, and not as an egress IP";
  capture_.reset();
}

Finished ScenarioTest::Kubectl(const std::vector<std::string>& arguments, const std::string& lab) {
  std::string file =
      WithoutEnd(Run({"lab", "kubeconfig", "--name", lab.empty() ? name() : lab}).output);
  const char* given = std::getenv("KUBECTL");
  Command command;
  command.argv = {given ? given : FindProgram("kubectl", kStandardPath), "--kubeconfig", file};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  command.env = EnvironmentWith({});
  auto finished = RunCommand(command);
  EXPECT_TRUE(finished) << finished.error().message;
  return finished ? *std::move(finished) : Finished{127, "", ""};
}

std::string ScenarioTest::Kube(const std::vector<std::string>& arguments, const std::string& lab) {
  Finished finished = Kubectl(arguments, lab);
  EXPECT_EQ(finished.exit_code, 0) << finished.errors;
  return WithoutEnd(finished.output);
}

Finished ScenarioTest::Sh(const std::string& pod, const std::string& script,
                          const std::string& lab) {
  return Run(
      {"lab", "exec", "--name", lab.empty() ? name() : lab, pod, "--", "bash", "-c", script});
}

std::string ScenarioTest::Reach(const std::string& pod, const std::string& host, int port,
                                const std::string& lab) {
  Finished tried =
      Sh(pod, "timeout 2 bash -c '</dev/tcp/" + host + "/" + std::to_string(port) + "' 2>&1", lab);
  if (tried.exit_code == 0) return "open";
  if (tried.exit_code == 124) return "blocked";
  if (tried.output.find("Connection refused") != std::string::npos) return "refused";
  return tried.output + tried.errors;
}

std::vector<std::string> ScenarioTest::PodsOf(const std::string& ns, const std::string& selector,
                                              const std::string& lab) {
  return SplitLines(Kube({"-n", ns, "get", "pods", "-l", selector, "-o",
                          "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{\"\\n\""
                          "}{end}"},
                         lab));
}

std::string ScenarioTest::AddressOf(const std::string& pod, const std::string& lab) {
  size_t slash = pod.find('/');
  return Kube({"-n", pod.substr(0, slash), "get", "pod", pod.substr(slash + 1), "-o",
               "jsonpath={.status.podIP}"},
              lab);
}

std::string ScenarioTest::DropsOf(const std::string& pod) {
  Finished endpoints = Run({"endpoints", "--lab", name(), "-o", "json"});
  EXPECT_EQ(endpoints.exit_code, 0) << endpoints.errors;
  for (const std::string& line : SplitLines(endpoints.output)) {
    size_t dropped = line.find("\"dropped\"");
    if (line.find("\"" + pod + "\"") != std::string::npos && dropped != std::string::npos)
      return line.substr(dropped, line.find('}', dropped) - dropped);
  }
  ADD_FAILURE() << "no endpoint of " << pod << " in " << endpoints.output;
  return "";
}

std::string ScenarioTest::TrafficLog() { return File("") + "." + std::to_string(++traffic_); }

}  // namespace sallyport::lab
