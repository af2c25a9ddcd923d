// SPDX-License-Identifier: Apache-2.0
// bench_failover: how long an established stream through an egress IP is without packets when its
// gateway dies or is drained, and how many of the connections open meanwhile are lost.
//
// A stream of datagrams each way, a packet every two milliseconds, and 50 connections of TCP and
// UDP that never rest, from a pod to the outside, by way of real agents in a lab. Round after round
// the address goes from one gateway to the other; the time from packet to packet is measured where
// they arrive.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <vector>

#include "failover/cluster.h"
#include "failover/stream.h"
#include "lab/egress/crowd.h"

namespace sallyport::bench {
namespace {

constexpr size_t kConnections = 50;
constexpr uint16_t kCrowdPort = 9000;

struct Kind {
  const char* name;
  void (Cluster::*happens)(const std::string&);
};
constexpr Kind kKinds[] = {
    {"killed", &Cluster::Kill},
    {"drained: cordoned", &Cluster::Cordon},
    {"drained: stopped", &Cluster::Stop},
};

struct Outcome {
  std::vector<double> gaps_ms;
  size_t lost = 0;
};

void OpenAll(lab::Crowd& crowd, Cluster& cluster) {
  for (bool tcp : {true, false})
    if (crowd.Open(cluster.pod(), Cluster::Partner(), tcp, kConnections / 2) != kConnections / 2)
      throw std::runtime_error("connections do not come about");
  if (std::string trouble = crowd.AwaitPasses(2); !trouble.empty())
    throw std::runtime_error(trouble);
}

void Round(Cluster& cluster, Stream& stream, lab::Crowd& crowd, const Kind& kind, Outcome& out) {
  std::string victim = cluster.Holder();
  stream.AwaitBothWays();
  stream.LongestGap();
  (cluster.*kind.happens)(victim);
  cluster.AwaitOtherHolder(victim);
  stream.AwaitBothWays();
  out.gaps_ms.push_back(stream.LongestGap().count());
  // Each goes on, or is lost.
  std::string trouble = crowd.AwaitPasses(3);
  out.lost += static_cast<size_t>(std::count(trouble.begin(), trouble.end(), '\n'));
  if (!trouble.empty()) std::fprintf(stderr, "%s: %s", kind.name, trouble.c_str());
  cluster.Revive(victim);
}

Outcome Measure(Cluster& cluster, const Kind& kind, int rounds) {
  Outcome out;
  Stream stream(cluster.pod(), cluster.outside(), Cluster::Partner(), Cluster::EgressIp());
  for (int round = 0; round < rounds;) {
    lab::Crowd crowd(cluster.outside(), {Cluster::Partner()}, kCrowdPort);
    OpenAll(crowd, cluster);
    // With the same connections, until one of them is lost.
    for (size_t lost = out.lost; round < rounds && out.lost == lost; ++round)
      Round(cluster, stream, crowd, kind, out);
  }
  if (stream.strange() > 0)
    throw std::runtime_error("packets were seen with another address than the egress IP");
  return out;
}

void Print(const Kind& kind, Outcome outcome, nlohmann::json& json) {
  std::vector<double>& gaps = outcome.gaps_ms;
  std::sort(gaps.begin(), gaps.end());
  double median = gaps[gaps.size() / 2];
  std::printf("%-20s %8zu %10.0f %10.0f %10.0f %14zu\n", kind.name, gaps.size(), gaps.front(),
              median, gaps.back(), outcome.lost);
  json.push_back({{"gateway", kind.name},
                  {"rounds", gaps.size()},
                  {"connections", kConnections},
                  {"least_ms", gaps.front()},
                  {"median_ms", median},
                  {"worst_ms", gaps.back()},
                  {"gaps_ms", gaps},
                  {"lost", outcome.lost}});
}

int Main(int argc, char** argv) {
  int rounds = 20;
  std::string only, json_path;
  CLI::App app("Time without packets when a gateway goes. Needs root.");
  app.add_option("--rounds", rounds, "of each kind")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--kind", only, "only kinds whose name contains this");
  app.add_option("--json", json_path, "write the figures to this file, too");
  CLI11_PARSE(app, argc, argv);

  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  nlohmann::json json = nlohmann::json::array();
  Cluster cluster;
  std::printf("%-20s %8s %10s %10s %10s %14s   (ms without packets)\n", "the gateway is", "rounds",
              "least", "median", "worst", "lost, of 50");
  for (const Kind& kind : kKinds)
    if (std::string(kind.name).find(only) != std::string::npos)
      Print(kind, Measure(cluster, kind, rounds), json);
  if (!json_path.empty()) std::ofstream(json_path) << json.dump(1) << "\n";
  return 0;
}

}  // namespace
}  // namespace sallyport::bench

int main(int argc, char** argv) {
  try {
    return sallyport::bench::Main(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_failover: %s\n", e.what());
    return 2;
  }
}
