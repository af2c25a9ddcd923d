// SPDX-License-Identifier: Apache-2.0
// bench_compile: what compiling and programming a cluster's policy costs on one of its nodes, in
// processor time and memory. Each size in a process of its own, so that memory is its own. Root.
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/unique_fd.h"
#include "dataplane/dataplane.h"
#include "policy/compile.h"
#include "support/cluster.h"
#include "support/sandbox.h"

namespace sallyport::bench {
namespace {

struct Figures {
  double objects_mib = 0;     // the cluster's objects alone
  double compile_s = 0;       // from nothing
  double program_s = 0;       // the first Apply
  double resident_mib = 0;    // after it, tables included
  double pod_compile_us = 0;  // one pod's change, mean
  double pod_program_us = 0;
  double policy_us = 0;  // one policy's change, compiled and programmed, mean
};

double CpuSeconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double ResidentMib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stod(line.substr(6)) / 1024;
  return 0;
}

void Need(const Status& status) {
  if (!status) throw std::runtime_error(status.error().message);
}

// Each local pod behind an interface; the numbers stand for interfaces, nothing is attached.
dataplane::Bindings Bind(const policy::Image& image) {
  dataplane::Bindings bindings;
  uint32_t ifindex = 100;
  for (const auto& [name, endpoint] : image.endpoints)
    bindings[name] = {ifindex++, endpoint.addresses, true};
  return bindings;
}

// Applies each delta and takes the costs of compiling and programming apart.
struct Cost {
  double compile = 0, program = 0;
  int count = 0;
};

void Change(policy::Compiler& compiler, dataplane::Dataplane& dataplane,
            const dataplane::Bindings& bindings, const model::Delta& delta, Cost& cost) {
  double start = CpuSeconds();
  policy::Changes changes = compiler.Apply({delta});
  double compiled = CpuSeconds();
  Need(dataplane.Apply(compiler.image(), &changes, bindings));
  Need(dataplane.Settle());
  cost.compile += compiled - start;
  cost.program += CpuSeconds() - compiled;
  ++cost.count;
}

Figures Measure(int size, test::ClusterShape shape) {
  Figures f;
  test::ClusterSize cluster;
  cluster.pods = cluster.policies = size;
  cluster.namespaces = std::max(10, size / 30);
  cluster.shape = shape;
  double before = ResidentMib();
  auto snapshot = std::make_unique<model::Snapshot>(test::MakeCluster(cluster));
  f.objects_mib = ResidentMib() - before;

  dataplane::Options options;
  options.pins = test::EnterSandbox() + "/bench";
  auto opened = dataplane::Dataplane::Open(options);
  if (!opened) throw std::runtime_error(opened.error().message);
  auto& dataplane = **opened;

  std::vector<model::Delta> all;
  for (const auto& [name, o] : snapshot->namespaces) all.push_back(model::Delta::Set(o));
  for (const auto& [name, o] : snapshot->nodes) all.push_back(model::Delta::Set(o));
  for (const auto& [name, o] : snapshot->pods) all.push_back(model::Delta::Set(o));
  for (const auto& [name, o] : snapshot->policies) all.push_back(model::Delta::Set(o));
  snapshot.reset();

  policy::Compiler compiler(test::kClusterNode);
  double start = CpuSeconds();
  compiler.Apply(all);
  f.compile_s = CpuSeconds() - start;
  all.clear();
  dataplane::Bindings bindings = Bind(compiler.image());
  start = CpuSeconds();
  Need(dataplane.Apply(compiler.image(), nullptr, bindings));
  Need(dataplane.Settle());
  f.program_s = CpuSeconds() - start;
  f.resident_mib = ResidentMib();

  std::vector<model::PodPtr> pods;
  for (const auto& [name, pod] : compiler.snapshot().pods)
    if (pod->node != test::kClusterNode) pods.push_back(pod);
  Cost pod_cost, policy_cost;
  for (size_t i = 0; i < 50; ++i) {
    model::PodPtr pod = pods[i * 977 % pods.size()];
    Change(compiler, dataplane, bindings, model::Delta::Remove(model::Kind::kPod, pod->name),
           pod_cost);
    Change(compiler, dataplane, bindings, model::Delta::Set(pod), pod_cost);
  }
  std::vector<model::NetworkPolicyPtr> policies;
  for (const auto& [name, policy] : compiler.snapshot().policies) policies.push_back(policy);
  for (size_t i = 0; i < 25; ++i) {
    auto policy = policies[i * 1499 % policies.size()];
    Change(compiler, dataplane, bindings,
           model::Delta::Remove(model::Kind::kNetworkPolicy, policy->name), policy_cost);
    Change(compiler, dataplane, bindings, model::Delta::Set(policy), policy_cost);
  }
  f.pod_compile_us = pod_cost.compile / pod_cost.count * 1e6;
  f.pod_program_us = pod_cost.program / pod_cost.count * 1e6;
  f.policy_us = (policy_cost.compile + policy_cost.program) / policy_cost.count * 1e6;
  return f;
}

// In a child, which hands its figures back through a pipe.
Figures MeasureApart(int size, test::ClusterShape shape) {
  int pipe[2];
  if (::pipe(pipe) != 0) throw std::runtime_error("pipe");
  UniqueFd reader(pipe[0]), writer(pipe[1]);
  std::fflush(nullptr);  // else the child writes it again
  pid_t child = ::fork();
  if (child == 0) {
    int code = 2;
    try {
      Figures f = Measure(size, shape);
      code = ::write(writer.get(), &f, sizeof f) == sizeof f ? 0 : 2;
    } catch (const std::exception& e) {
      std::fprintf(stderr, "bench_compile: %s\n", e.what());
    }
    std::exit(code);  // the sandbox tidies up
  }
  Figures f;
  writer.reset();
  bool complete = ::read(reader.get(), &f, sizeof f) == sizeof f;
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!complete || status != 0) throw std::runtime_error("the measuring process failed");
  return f;
}

int Main(int argc, char** argv) {
  std::vector<int> sizes = {1000, 10000, 30000};
  std::string json_path, shape_name = "typical";
  CLI::App app("What compiling and programming policy costs. Needs root.");
  app.add_option("--sizes", sizes, "pods, and as many policies")
      ->capture_default_str()
      ->delimiter(',');
  app.add_option("--shape", shape_name,
                 "typical, cidr-heavy, policies-on-one, unique-labels or every-namespace")
      ->capture_default_str();
  app.add_option("--json", json_path, "write the rows to this file, too");
  CLI11_PARSE(app, argc, argv);
  auto shape = test::ParseClusterShape(shape_name);
  if (!shape) throw std::runtime_error("no shape \"" + shape_name + "\": see --help");

  nlohmann::json rows = nlohmann::json::array();
  std::printf("%8s %10s %10s %10s %12s | %s\n", "pods and", "objects", "compile", "program",
              "resident", "one change, us of CPU");
  std::printf("%8s %10s %10s %10s %12s | %12s %12s %12s\n", "policies", "MiB", "s", "s", "MiB",
              "pod: compile", "program", "policy: both");
  for (int size : sizes) {
    Figures f = MeasureApart(size, *shape);
    std::printf("%8d %10.1f %10.3f %10.3f %12.1f | %12.0f %12.0f %12.0f\n", size, f.objects_mib,
                f.compile_s, f.program_s, f.resident_mib, f.pod_compile_us, f.pod_program_us,
                f.policy_us);
    rows.push_back({{"size", size},
                    {"shape", shape_name},
                    {"objects_mib", f.objects_mib},
                    {"compile_s", f.compile_s},
                    {"program_s", f.program_s},
                    {"resident_mib", f.resident_mib},
                    {"pod_compile_us", f.pod_compile_us},
                    {"pod_program_us", f.pod_program_us},
                    {"policy_us", f.policy_us}});
  }
  if (!json_path.empty()) std::ofstream(json_path) << rows.dump(1) << "\n";
  return 0;
}

}  // namespace
}  // namespace sallyport::bench

int main(int argc, char** argv) {
  try {
    return sallyport::bench::Main(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_compile: %s\n", e.what());
    return 2;
  }
}
