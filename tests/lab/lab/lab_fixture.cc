// SPDX-License-Identifier: Apache-2.0
#include "lab/lab/lab_fixture.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>

#include "lab/files.h"
#include "lab/layout.h"
#include "lab/netns.h"
#include "lab/sweep.h"
#include "support/places.h"

namespace sallyport::lab {
namespace {

using namespace std::chrono_literals;

}  // namespace

std::string Tool() {
  const char* given = std::getenv("SALLYPORT");
  return given ? given : test::InBuild("tools/cli/sallyport");
}

void Await(const std::string& what, const std::function<bool()>& condition) {
  auto deadline = std::chrono::steady_clock::now() + 60s;
  while (!condition()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "waited in vain for " << what;
    std::this_thread::sleep_for(5ms);
  }
}

void LabTest::SetUp() {
  ASSERT_EQ(geteuid(), 0u) << "tests of the lab need root";
  const testing::TestInfo* info = testing::UnitTest::GetInstance()->current_test_info();
  const std::string test = info->name();
  name_ = given_.empty() ? "spt-" : given_;
  for (char c : test)
    if (name_.size() < 23 && c != '/' && c != '_')
      name_.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  // Programs run side by side, and two may have a test of the same name.
  char unlike[6];
  std::snprintf(unlike, sizeof unlike, "-%04zx",
                std::hash<std::string>{}(info->test_suite_name() + test) & 0xffff);
  name_ += unlike;
}

void LabTest::TearDown() {
  if (HasFailure()) std::cerr << said_;
  for (const std::string& lab : {name_, SecondName()}) {
    EXPECT_EQ(Run({"lab", "down", "--name", lab}).exit_code, 0);
    EXPECT_FALSE(AnythingLeft(lab));
    EXPECT_NE(access(Layout(lab).lock().c_str(), F_OK), 0);
    EXPECT_TRUE(FindProcesses({}, std::string(kMarker) + "=" + lab).empty());
  }
}

Finished LabTest::Kubectl(const std::vector<std::string>& arguments) {
  Command command;
  command.argv = {FindProgram("kubectl", getenv("PATH")), "--kubeconfig",
                  Layout(name_).kubeconfig()};
  return RunAndNote("kubectl", command, arguments);
}

std::string LabTest::Kube(const std::vector<std::string>& arguments) {
  Finished finished = Kubectl(arguments);
  EXPECT_EQ(finished.exit_code, 0) << finished.errors;
  while (finished.output.ends_with('\n')) finished.output.pop_back();
  return finished.output;
}

Finished LabTest::Run(const std::vector<std::string>& arguments) {
  Command command;
  command.argv = {Tool()};
  return RunAndNote("sallyport", command, arguments);
}

Finished LabTest::RunAndNote(const std::string& program, Command command,
                             const std::vector<std::string>& arguments) {
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  command.env = EnvironmentWith({});
  auto finished = RunCommand(command);
  EXPECT_TRUE(finished) << finished.error().message;
  if (!finished) return {127, "", ""};
  said_ += "$ " + program;
  for (const std::string& argument : arguments) said_ += " " + argument;
  said_ += "\n" + finished->output + finished->errors;
  return *finished;
}

std::string LabTest::File(const std::string& yaml) {
  std::string path = folder_ / std::to_string(files_++) + ".yaml";
  EXPECT_TRUE(WriteFile(path, yaml, 0644));
  return path;
}

void LabTest::Up(const std::string& yaml, const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"lab",    "up",  "--no-agent", "--no-dns",
                                        "--name", name_, "-f",         File(yaml)};
  arguments.insert(arguments.end(), more.begin(), more.end());
  ASSERT_EQ(Run(arguments).exit_code, 0);
}

Finished LabTest::Exec(const std::string& pod, const std::vector<std::string>& command) {
  std::vector<std::string> arguments = {"lab", "exec", "--name", name_, pod, "--"};
  arguments.insert(arguments.end(), command.begin(), command.end());
  return Run(arguments);
}

std::string LabTest::Said(const std::string& pod, const std::vector<std::string>& command) {
  std::string output = Exec(pod, command).output;
  while (output.ends_with('\n')) output.pop_back();
  return output;
}

Inventory LabTest::Read(const std::string& lab) {
  auto inventory = ReadInventory(lab.empty() ? name_ : lab);
  EXPECT_TRUE(inventory) << inventory.error().message;
  return inventory ? *std::move(inventory) : Inventory{};
}

PodPlace LabTest::Pod(const std::string& ns, const std::string& pod) {
  for (const PodPlace& place : Read().pods)
    if (place.pod == model::ObjectName{ns, pod}) return place;
  ADD_FAILURE() << "no pod " << ns << "/" << pod;
  return {};
}

PodState LabTest::State(const std::string& ns, const std::string& pod) {
  for (PodState& state : PodStates(Layout(name_)))
    if (state.pod == model::ObjectName{ns, pod}) return std::move(state);
  return {};
}

std::string StandIn(const std::string& ns, const std::string& name, const std::string& ports,
                    const std::string& spec) {
  return "---\n{apiVersion: v1, kind: Pod, metadata: {name: " + name + ", namespace: " + ns +
         ", labels: {app: " + name + "}}, spec: {" + spec + (spec.empty() ? "" : ", ") +
         "containers: [{name: c, image: none, ports: [" + ports + "]}]}}\n";
}

}  // namespace sallyport::lab
