// SPDX-License-Identifier: Apache-2.0
// soak: a lab in which everything changes at once, for as long as is asked. Every round some pods,
// labels and policies change, some agents are killed, the API server is restarted; then every pod
// is tried against every other, and compared with what the policies say. In the end the cluster is
// as it was at the beginning, and the agents must not hold more than they held then.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <random>
#include <stdexcept>

#include "lab/console.h"
#include "lab/layout.h"
#include "lab/process.h"
#include "soak/agents.h"
#include "soak/cluster.h"
#include "support/temporary.h"

namespace sallyport::soak {
namespace {

constexpr const char* kLab = "spt-soak";

struct Options {
  double minutes = 5;
  uint64_t seed = 0;
  size_t pods = 18;
  int nodes = 3;
  std::string cni = "ptp";
};

struct Totals {
  size_t rounds = 0, changes = 0, probes = 0, kills = 0, restarts = 0;
};

class Soak {
 public:
  explicit Soak(const Options& options)
      : options_(options),
        random_(options.seed + 1),
        cluster_(options.seed, options.pods, options.nodes) {
    for (int i = 1; i <= options.nodes; ++i) nodes_.push_back("node" + std::to_string(i));
  }
  ~Soak() { (void)Tool({"lab", "down", "--name", kLab}); }

  // 0: no difference, and nothing has grown.
  int Run();

 private:
  lab::Finished Command(std::vector<std::string> argv, std::string input = "") const {
    lab::Command command;
    command.argv = std::move(argv);
    command.env =
        lab::EnvironmentWith({"HOME=" + directory_.path()});  // kubectl keeps things there
    command.input = std::move(input);
    auto finished = lab::RunCommand(command);
    if (!finished) throw std::runtime_error(finished.error().message);
    return *finished;
  }
  lab::Finished Tool(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), SALLYPORT_TOOL);
    return Command(std::move(arguments));
  }
  static void Need(const lab::Finished& finished, const std::string& what) {
    if (finished.exit_code != 0)
      throw std::runtime_error(what + " failed:\n" + finished.output + finished.errors);
  }
  void Kubectl(std::vector<std::string> arguments, const std::string& input = "") const {
    std::vector<std::string> argv = {lab::FindProgram("kubectl", std::getenv("PATH")),
                                     "--kubeconfig", lab::Layout(kLab).kubeconfig()};
    if (argv.front().empty()) throw std::runtime_error("kubectl is not installed");
    std::string what = "kubectl " + arguments.front();
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    Need(Command(std::move(argv), input), what);
  }

  void Change(const Step& step);
  // Kills and restarts beside the changes; what it did is put right by Settle().
  void Disturb();
  void Settle();
  // Rows that differ from what the policies say, as text; "" for none.
  std::string Differences();
  void Tell(const std::string& line) const { std::cout << line << std::endl; }

  Options options_;
  test::Random random_;
  Cluster cluster_;
  std::vector<std::string> nodes_;
  std::vector<std::string> killed_;
  test::TemporaryDirectory directory_;
  Totals totals_;
};

void Soak::Change(const Step& step) {
  totals_.changes += step.changes;
  // Namespaces by the dozen, in one go each: kubectl names one namespace a call.
  for (const std::vector<std::string>& one : step.deletions) {
    std::vector<std::string> arguments = {"delete", "--wait=false"};
    arguments.insert(arguments.end(), one.begin(), one.end());
    Kubectl(std::move(arguments));
  }
  if (!step.apply.empty()) Kubectl({"apply", "-f", "-"}, step.apply);
}

void Soak::Disturb() {
  if (random_.Chance(30)) {
    killed_.push_back(random_.Pick(nodes_));
    ++totals_.kills;
    Need(Tool({"lab", "agent", random_.Chance(70) ? "kill" : "stop", "--node", killed_.back(),
               "--name", kLab}),
         "ending an agent");
  }
  if (random_.Chance(15)) {
    ++totals_.restarts;
    Need(Tool({"lab", "apiserver", "restart", "--name", kLab}), "restarting the API server");
  }
}

void Soak::Settle() {
  for (const std::string& node : std::exchange(killed_, {}))
    Need(Tool({"lab", "agent", "start", "--node", node, "--name", kLab}), "starting an agent");
  directory_.Write("nothing.yaml",
                   "{apiVersion: v1, kind: Namespace, metadata: {name: default}}\n");
  Need(Tool({"lab", "apply", "--name", kLab, "-f", directory_ / "nothing.yaml"}), "settling");
}

std::string Soak::Differences() {
  lab::Finished matrix = Tool({"probe", "matrix", "--lab", kLab, "--compare", "-o", "json"});
  if (matrix.exit_code != 0 && matrix.exit_code != 1) Need(matrix, "probe matrix");
  for (size_t at = 0; (at = matrix.output.find("\"outcome\"", at)) != std::string::npos; ++at)
    ++totals_.probes;
  if (matrix.exit_code == 0) return "";
  return Tool({"probe", "matrix", "--lab", kLab, "--compare"}).output + matrix.errors;
}

int Soak::Run() {
  directory_.Write("beginning.yaml", cluster_.Beginning());
  Need(Tool({"lab", "up", "--name", kLab, "--no-dns", "--cni", options_.cni, "--nodes",
             std::to_string(options_.nodes), "-f", directory_ / "beginning.yaml"}),
       "lab up");
  auto round = [&](const Step& step, bool disturb) {
    if (disturb) Disturb();
    Change(step);
    Settle();
    ++totals_.rounds;
    std::string differences = Differences();
    if (!differences.empty())
      throw std::runtime_error("seed " + std::to_string(options_.seed) + ", round " +
                               std::to_string(totals_.rounds) + ": not as the policies say:\n" +
                               differences);
  };
  // Buffers and the like are as large as they get.
  for (int i = 0; i < 3; ++i) round(cluster_.Next(20), false);
  for (const std::string& node : nodes_)
    Need(Tool({"lab", "agent", "restart", "--node", node, "--name", kLab}), "restarting an agent");
  for (int i = 0; i < 2; ++i) round(cluster_.Next(20), false);
  round(cluster_.Back(), false);
  auto before = Holdings(kLab, nodes_);

  auto start = std::chrono::steady_clock::now();
  auto end = start + std::chrono::duration<double>(options_.minutes * 60);
  lab::Console console = lab::ProcessConsole();
  while (std::chrono::steady_clock::now() < end) {
    console.Progress("round " + std::to_string(totals_.rounds) + ", " +
                     std::to_string(totals_.changes) + " changes, " +
                     std::to_string(totals_.probes) + " probes");
    round(cluster_.Next(1 + random_.Below(30)), true);
  }
  console.Progress("");
  round(cluster_.Back(), false);
  auto after = Holdings(kLab, nodes_);

  std::vector<std::vector<std::string>> rows = {
      {"node", "resident KiB, before", "after", "open files", "after", "pins", "after"}};
  for (const auto& [node, was] : before) {
    const Holding& is = after.at(node);
    rows.push_back({node, std::to_string(was.resident), std::to_string(is.resident),
                    std::to_string(was.files), std::to_string(is.files), std::to_string(was.pins),
                    std::to_string(is.pins)});
  }
  std::cout << lab::AlignedTable(rows);
  std::vector<std::string> grown = Grown(before, after);
  for (const std::string& line : grown) Tell("has grown: " + line);
  Tell(std::to_string(totals_.rounds) + " matrices compared, " + std::to_string(totals_.probes) +
       " probes, 0 differences; " + std::to_string(totals_.changes) + " changes, " +
       std::to_string(totals_.kills) + " agents ended, " + std::to_string(totals_.restarts) +
       " restarts of the API server");
  return grown.empty() ? 0 : 1;
}

}  // namespace
}  // namespace sallyport::soak

int main(int argc, char** argv) {
  using namespace sallyport::soak;
  CLI::App app("A lab in which everything changes at once, compared with its policies throughout");
  Options options;
  options.seed = std::random_device{}();
  app.add_option("--minutes", options.minutes, "How long (default 5)");
  app.add_option("--seed", options.seed, "For the same changes again (default: another each time)");
  app.add_option("--pods", options.pods, "About so many pods (default 18)");
  app.add_option("--nodes", options.nodes, "So many nodes (default 3)");
  app.add_option("--cni", options.cni, "ptp or bridge")->check(CLI::IsMember({"ptp", "bridge"}));
  CLI11_PARSE(app, argc, argv);
  if (::geteuid() != 0) {
    std::cerr << "soak: needs root\n";
    return 2;
  }
  std::cout << "seed " << options.seed << std::endl;
  try {
    return Soak(options).Run();
  } catch (const std::exception& error) {
    std::cerr << "soak: " << error.what() << "\n";
    return 1;
  }
}
