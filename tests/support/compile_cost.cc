// SPDX-License-Identifier: Apache-2.0
// What compiling a large cluster costs, in CPU time and memory:
//
//   compile_cost [SHAPE [PODS [POLICIES [NAMESPACES [CIDRS [NODE_PORTS]]]]]]
//
// Prints "name value unit" lines: compiling from nothing, single changes, sizes.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>

#include "policy/compile.h"
#include "support/cluster.h"

namespace sallyport::test {
namespace {

double CpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double StatusMiB(const char* field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(field, 0) == 0) return std::atof(line.c_str() + line.find(':') + 1) / 1024;
  }
  return 0;
}

void Print(const std::string& name, double value, const char* unit) {
  std::printf("%-44s %12.3f %s\n", name.c_str(), value, unit);
}

// The slowest of several changes there and back.
void Measure(const std::string& name, policy::Compiler& compiler,
             const std::function<model::Delta(int)>& there,
             const std::function<model::Delta(int)>& back) {
  double worst = 0;
  double sum = 0;
  constexpr int kTimes = 20;
  for (int i = 0; i < kTimes; ++i) {
    for (const model::Delta& delta : {there(i), back(i)}) {
      double start = CpuSeconds();
      compiler.Apply({delta});
      double took = CpuSeconds() - start;
      worst = std::max(worst, took);
      sum += took;
    }
  }
  Print(name + ", mean", sum / kTimes / 2 * 1e3, "ms");
  Print(name + ", worst", worst * 1e3, "ms");
}

template <typename Map>
const auto& Nth(const Map& map, size_t n) {
  auto it = map.begin();
  std::advance(it, static_cast<long>(n % map.size()));
  return it->second;
}

void MeasureChanges(policy::Compiler& compiler, const model::Snapshot& cluster) {
  std::vector<model::PodPtr> local, remote;
  for (const auto& [name, pod] : cluster.pods) {
    (pod->node == kClusterNode ? local : remote).push_back(pod);
  }
  auto gone = [](const model::PodPtr& pod) {
    return model::Delta::Remove(model::Kind::kPod, pod->name);
  };
  auto pick = [](const std::vector<model::PodPtr>& pods, int i) {
    return pods[static_cast<size_t>(i) * 977 % pods.size()];
  };
  Measure(
      "remote pod goes and comes", compiler, [&](int i) { return gone(pick(remote, i)); },
      [&](int i) { return model::Delta::Set(pick(remote, i)); });
  Measure(
      "local pod goes and comes", compiler, [&](int i) { return gone(pick(local, i)); },
      [&](int i) { return model::Delta::Set(pick(local, i)); });
  auto relabelled = [&](int i) {
    model::Pod pod = *pick(remote, i);
    pod.labels = pick(remote, i + 1)->labels;
    return model::Delta::Set(std::make_shared<const model::Pod>(std::move(pod)));
  };
  Measure("remote pod gets other labels", compiler, relabelled,
          [&](int i) { return model::Delta::Set(pick(remote, i)); });
  auto policy = [&](int i) { return Nth(cluster.policies, static_cast<size_t>(i) * 1499); };
  Measure(
      "policy goes and comes", compiler,
      [&](int i) { return model::Delta::Remove(model::Kind::kNetworkPolicy, policy(i)->name); },
      [&](int i) { return model::Delta::Set(policy(i)); });
  auto renamed = [&](int i) {
    model::Namespace ns = *Nth(cluster.namespaces, static_cast<size_t>(i) * 37);
    std::vector<model::Labels::Entry> labels = ns.labels.entries();
    labels.emplace_back("team", "team-x");
    ns.labels = model::Labels(std::move(labels));
    return model::Delta::Set(std::make_shared<const model::Namespace>(std::move(ns)));
  };
  Measure("namespace gets other labels", compiler, renamed, [&](int i) {
    return model::Delta::Set(Nth(cluster.namespaces, static_cast<size_t>(i) * 37));
  });
}

void MeasureNodePorts(policy::Compiler& compiler, const model::Snapshot& cluster) {
  auto slice = [&](int i) { return Nth(cluster.endpoint_slices, static_cast<size_t>(i) * 37); };
  auto changed = [&](int i, bool other_kind) {
    model::EndpointSlice out = *slice(i);
    if (other_kind) {
      out.endpoints.push_back(slice(i + 1)->endpoints.front());
    } else {
      out.endpoints.pop_back();
    }
    return model::Delta::Set(std::make_shared<const model::EndpointSlice>(std::move(out)));
  };
  auto back = [&](int i) { return model::Delta::Set(slice(i)); };
  Measure(
      "one of a NodePort's backends", compiler, [&](int i) { return changed(i, false); }, back);
  Measure(
      "a NodePort's backend of another kind", compiler, [&](int i) { return changed(i, true); },
      back);
}

void Run(const ClusterSize& size) {
  model::Snapshot cluster = MakeCluster(size);
  Print("memory before, resident", StatusMiB("VmRSS"), "MiB");
  policy::Compiler compiler(kClusterNode);
  {
    std::vector<model::Delta> deltas;
    for (const auto& [name, ns] : cluster.namespaces) deltas.push_back(model::Delta::Set(ns));
    for (const auto& [name, node] : cluster.nodes) deltas.push_back(model::Delta::Set(node));
    for (const auto& [name, pod] : cluster.pods) deltas.push_back(model::Delta::Set(pod));
    for (const auto& [name, policy] : cluster.policies) {
      deltas.push_back(model::Delta::Set(policy));
    }
    for (const auto& [name, service] : cluster.services) {
      deltas.push_back(model::Delta::Set(service));
    }
    for (const auto& [name, slice] : cluster.endpoint_slices) {
      deltas.push_back(model::Delta::Set(slice));
    }
    double start = CpuSeconds();
    compiler.Apply(deltas);
    Print("compile from nothing", (CpuSeconds() - start) * 1e3, "ms");
  }
  Print("memory after, resident", StatusMiB("VmRSS"), "MiB");
  Print("memory, most resident", StatusMiB("VmHWM"), "MiB");
  const policy::Image& image = compiler.image();
  size_t rules = 0;
  for (const auto& [id, set] : image.sets) rules += set.rules.size();
  Print("endpoints", static_cast<double>(image.endpoints.size()), "");
  Print("peers", static_cast<double>(image.peers.size()), "");
  Print("prefixes", static_cast<double>(image.prefixes.size()), "");
  Print("sets", static_cast<double>(image.sets.size()), "");
  Print("rules", static_cast<double>(rules), "");
  Print("port sets", static_cast<double>(image.port_sets.size()), "");
  MeasureChanges(compiler, cluster);
  if (!cluster.endpoint_slices.empty()) MeasureNodePorts(compiler, cluster);
  Print("memory at the end, resident", StatusMiB("VmRSS"), "MiB");
}

}  // namespace
}  // namespace sallyport::test

int main(int argc, char** argv) {
  sallyport::test::ClusterSize size;
  auto number = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
  if (argc > 1) {
    auto shape = sallyport::test::ParseClusterShape(argv[1]);
    if (!shape) {
      std::fprintf(stderr, "compile_cost: no shape is called %s\n", argv[1]);
      return 2;
    }
    size.shape = *shape;
  }
  size.pods = number(2, size.pods);
  size.policies = number(3, size.policies);
  size.namespaces = number(4, std::max(1, size.pods / 30));
  size.cidrs = number(5, size.cidrs);
  size.node_ports = number(6, size.node_ports);
  sallyport::test::Run(size);
  return 0;
}
