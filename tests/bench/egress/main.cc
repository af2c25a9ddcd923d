// SPDX-License-Identifier: Apache-2.0
// bench_egress: what it costs to be seen as an egress IP, as ratios to plain routing by the same
// nodes; and how many connections to one remote a few thousand ports carry (--ports).
//
// Each round goes through all ways and workloads, for a moment each (shared/table.h). "again" shows
// the noise that is left.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "egress/few_ports.h"
#include "egress/traffic.h"
#include "egress/ways.h"
#include "egress/workloads.h"
#include "shared/table.h"

namespace sallyport::bench {
namespace {

struct Settings {
  double seconds = 0.05;
  int rounds = 20;
  std::string workload, way, json;
  double ports = 0;
};

// Turned on, and seen to be what it is called.
void Begin(const Way& way) {
  way.on();
  // The kernel still frees what the way before had, in the background.
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  std::string seen = SeenAs(way.client);
  if (seen != way.seen_as)
    throw std::runtime_error(way.name + ": the outside sees " + (seen.empty() ? "nobody" : seen) +
                             ", not " + way.seen_as);
}

void Tell(const std::string& what) {
  if (::isatty(2)) std::fprintf(stderr, "\r%-70s", what.c_str());
}

// What ratios are to, and those that were asked for.
std::vector<Way> Chosen(const std::vector<Way>& all, const std::string& name) {
  std::vector<Way> ways = {all.front()};
  for (size_t i = 1; i < all.size(); ++i)
    if (all[i].name.find(name) != std::string::npos) ways.push_back(all[i]);
  return ways;
}

Table Compare(const std::string& title, const std::vector<Way>& all, const Settings& settings) {
  const std::vector<Way> ways = Chosen(all, settings.way);
  Table table;
  std::vector<const Workload*> workloads;
  for (const Workload& w : Workloads()) {
    if (w.name.find(settings.workload) == std::string::npos) continue;
    workloads.push_back(&w);
    table.workloads.push_back({title + ": " + w.name, w.unit});
  }
  for (const Way& way : ways) table.variants.push_back(way.name);
  for (int round = 0; round < settings.rounds; ++round) {
    for (size_t v = 0; v < ways.size(); ++v) {
      Begin(ways[v]);
      for (size_t w = 0; w < workloads.size(); ++w) {
        Tell(title + ", round " + std::to_string(round + 1) + "/" +
             std::to_string(settings.rounds) + " " + ways[v].name);
        table.samples[{w, v}].push_back(workloads[w]->run(ways[v].client, settings.seconds));
      }
      ways[v].off();
    }
  }
  Tell("");
  return table;
}

std::string FewPorts(const Ways& ways, double seconds) {
  nlohmann::json rows = nlohmann::json::array();
  std::printf("\nConnections of two pods to one remote port, %d ports of the egress IP\n",
              Ways::kPorts);
  std::printf("  %-20s %-20s %12s %16s %8s\n", "", "closes first", "connections/s", "waited 0.9 s",
              "failed");
  for (const Way& way : ways.few_ports()) {
    for (Closer first : {Closer::kPod, Closer::kOutside}) {
      std::string who = first == Closer::kPod ? "the pod" : "the outside";
      Tell(way.name + ", " + who);
      Begin(way);
      PortUse use = Exhaust(first, seconds);
      way.off();
      Tell("");
      std::printf("  %-20s %-20s %12.0f %15.2f%% %8llu\n", way.name.c_str(), who.c_str(),
                  use.per_second, use.waited * 100, static_cast<unsigned long long>(use.failed));
      std::fflush(stdout);
      rows.push_back({{"way", way.name},
                      {"closes_first", who},
                      {"connections_per_s", use.per_second},
                      {"waited", use.waited},
                      {"failed", use.failed}});
    }
  }
  return rows.dump(1);
}

bool Write(const std::string& path, const std::string& json) {
  FILE* f = std::fopen(path.c_str(), "w");
  if (!f) {
    std::fprintf(stderr, "bench_egress: cannot write %s\n", path.c_str());
    return false;
  }
  std::fputs(json.c_str(), f);
  std::fclose(f);
  return true;
}

int Main(int argc, char** argv) {
  Settings settings;
  CLI::App app("What it costs to be seen as an egress IP, as ratios to plain routing. Needs root.");
  app.add_option("--seconds", settings.seconds, "length of one measurement")->capture_default_str();
  app.add_option("--rounds", settings.rounds, "rounds over all ways and workloads")
      ->capture_default_str();
  app.add_option("--workload", settings.workload, "only workloads whose name contains this");
  app.add_option("--way", settings.way, "only ways whose name contains this, and the first");
  app.add_option("--ports", settings.ports,
                 "instead: so many seconds of connections to one remote for each way")
      ->check(CLI::PositiveNumber);
  app.add_option("--json", settings.json, "write the rows to this file, too");
  CLI11_PARSE(app, argc, argv);

  Site site;
  Ways ways(site);
  std::string json;
  if (settings.ports > 0) {
    json = FewPorts(ways, settings.ports);
  } else {
    Table far = Compare("two nodes", ways.two_nodes(), settings);
    far.Print();
    Table near = Compare("one node", ways.one_node(), settings);
    near.Print();
    json = "{\"two_nodes\": " + far.Json() + ", \"one_node\": " + near.Json() + "}";
  }
  return settings.json.empty() || Write(settings.json, json) ? 0 : 2;
}

}  // namespace
}  // namespace sallyport::bench

int main(int argc, char** argv) {
  try {
    return sallyport::bench::Main(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_egress: %s\n", e.what());
    return 2;
  }
}
