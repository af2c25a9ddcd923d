// SPDX-License-Identifier: Apache-2.0
// bench_pods: what policy costs between two pods of one node, as ratios to no policy at all.
//
// Each round goes through all variants and workloads, for a moment each. What else runs on the
// machine only ever adds, so a figure is that of the moment that was disturbed least: the smallest
// processor time and latency, the highest rate. "nothing again" shows the noise that is left.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "pods/variants.h"
#include "pods/workloads.h"

namespace sallyport::bench {
namespace {

using Key = std::pair<size_t, size_t>;  // workload, variant
using Samples = std::map<Key, std::vector<Sample>>;

using Figure = double (*)(const Sample&);
double CpuPerUnit(const Sample& s) { return s.cpu_seconds / s.units; }
double Rate(const Sample& s) { return s.units / s.wall_seconds; }
double Latency(const Sample& s) { return s.latency_us; }

// The smallest processor time or latency, the highest rate; nan where there are no samples.
double LeastDisturbed(const std::vector<Sample>& samples, Figure figure) {
  double best = std::nan("");
  for (const Sample& s : samples) {
    double value = figure(s);
    if (!std::isfinite(value)) continue;
    best = std::isnan(best) ? value
           : figure == Rate ? std::max(best, value)
                            : std::min(best, value);
  }
  return best;
}

// Against the first variant.
double Ratio(const Samples& samples, Key key, Figure figure) {
  return LeastDisturbed(samples.at(key), figure) /
         LeastDisturbed(samples.at({key.first, 0}), figure);
}

void PrintTable(const Samples& samples, const std::vector<Variant>& variants,
                const std::vector<size_t>& workloads) {
  for (size_t w : workloads) {
    const Workload& workload = Workloads()[w];
    const auto& base = samples.at({w, 0});
    std::printf("\n%s (nothing: %.0f ns CPU and %.0f %s/s)\n", workload.name.c_str(),
                LeastDisturbed(base, CpuPerUnit) * 1e9, LeastDisturbed(base, Rate),
                workload.unit.c_str());
    std::printf("  %-36s %10s %10s %10s\n", "", "CPU/unit", "rate", "latency us");
    for (size_t v = 0; v < variants.size(); ++v) {
      double latency = LeastDisturbed(samples.at({w, v}), Latency);
      std::printf("  %-36s %10.2f %10.2f", variants[v].name.c_str(),
                  Ratio(samples, {w, v}, CpuPerUnit), Ratio(samples, {w, v}, Rate));
      latency > 0 ? std::printf(" %10.1f\n", latency) : std::printf(" %10s\n", "");
    }
  }
}

nlohmann::json Json(const Samples& samples, const std::vector<Variant>& variants,
                    const std::vector<size_t>& workloads) {
  nlohmann::json rows = nlohmann::json::array();
  for (size_t w : workloads) {
    for (size_t v = 0; v < variants.size(); ++v) {
      const auto& s = samples.at({w, v});
      rows.push_back({{"workload", Workloads()[w].name},
                      {"unit", Workloads()[w].unit},
                      {"variant", variants[v].name},
                      {"cpu_ns_per_unit", LeastDisturbed(s, CpuPerUnit) * 1e9},
                      {"rate_per_s", LeastDisturbed(s, Rate)},
                      {"cpu_ratio", Ratio(samples, {w, v}, CpuPerUnit)},
                      {"rate_ratio", Ratio(samples, {w, v}, Rate)},
                      {"latency_us", LeastDisturbed(s, Latency)}});
    }
  }
  return rows;
}

int Main(int argc, char** argv) {
  double seconds = 0.05;
  int rounds = 30;
  std::string json_path, only;
  CLI::App app(
      "What policy costs between two pods of one node, as ratios to no policy. Needs root.");
  app.add_option("--seconds", seconds, "length of one measurement")->capture_default_str();
  app.add_option("--rounds", rounds, "rounds over all variants and workloads")
      ->capture_default_str();
  app.add_option("--workload", only, "only workloads whose name contains this");
  app.add_option("--json", json_path, "write the rows to this file, too");
  CLI11_PARSE(app, argc, argv);

  Arena arena;
  Variants variants(arena);
  std::vector<size_t> workloads;
  for (size_t w = 0; w < Workloads().size(); ++w) {
    if (Workloads()[w].name.find(only) != std::string::npos) workloads.push_back(w);
  }
  Samples samples;
  for (int round = 0; round < rounds; ++round) {
    for (size_t v = 0; v < variants.all().size(); ++v) {
      const Variant& variant = variants.all()[v];
      if (::isatty(2))
        std::fprintf(stderr, "\rround %d/%d %-40s", round + 1, rounds, variant.name.c_str());
      variant.on();
      for (size_t w : workloads) samples[{w, v}].push_back(Workloads()[w].run(arena, seconds));
      variant.off();
    }
  }
  if (::isatty(2)) std::fprintf(stderr, "\r%60s\r", "");
  PrintTable(samples, variants.all(), workloads);
  if (!json_path.empty()) {
    if (FILE* f = std::fopen(json_path.c_str(), "w")) {
      std::fputs(Json(samples, variants.all(), workloads).dump(1).c_str(), f);
      std::fclose(f);
    } else {
      std::fprintf(stderr, "bench_pods: cannot write %s\n", json_path.c_str());
      return 2;
    }
  }
  return 0;
}

}  // namespace
}  // namespace sallyport::bench

int main(int argc, char** argv) {
  try {
    return sallyport::bench::Main(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_pods: %s\n", e.what());
    return 2;
  }
}
