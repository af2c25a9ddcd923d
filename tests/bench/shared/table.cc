// SPDX-License-Identifier: Apache-2.0
#include "shared/table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace sallyport::bench {
namespace {

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

double Ratio(const Table& table, size_t workload, size_t variant, Figure figure) {
  return LeastDisturbed(table.samples.at({workload, variant}), figure) /
         LeastDisturbed(table.samples.at({workload, 0}), figure);
}

}  // namespace

void Table::Print() const {
  for (size_t w = 0; w < workloads.size(); ++w) {
    const auto& base = samples.at({w, 0});
    std::printf("\n%s (%s: %.0f ns CPU and %.0f %s/s)\n", workloads[w].name.c_str(),
                variants[0].c_str(), LeastDisturbed(base, CpuPerUnit) * 1e9,
                LeastDisturbed(base, Rate), workloads[w].unit.c_str());
    std::printf("  %-36s %10s %10s %10s\n", "", "CPU/unit", "rate", "latency us");
    for (size_t v = 0; v < variants.size(); ++v) {
      double latency = LeastDisturbed(samples.at({w, v}), Latency);
      std::printf("  %-36s %10.2f %10.2f", variants[v].c_str(), Ratio(*this, w, v, CpuPerUnit),
                  Ratio(*this, w, v, Rate));
      latency > 0 ? std::printf(" %10.1f\n", latency) : std::printf(" %10s\n", "");
    }
  }
}

std::string Table::Json() const {
  nlohmann::json rows = nlohmann::json::array();
  for (size_t w = 0; w < workloads.size(); ++w) {
    for (size_t v = 0; v < variants.size(); ++v) {
      const auto& s = samples.at({w, v});
      rows.push_back({{"workload", workloads[w].name},
                      {"unit", workloads[w].unit},
                      {"variant", variants[v]},
                      {"cpu_ns_per_unit", LeastDisturbed(s, CpuPerUnit) * 1e9},
                      {"rate_per_s", LeastDisturbed(s, Rate)},
                      {"cpu_ratio", Ratio(*this, w, v, CpuPerUnit)},
                      {"rate_ratio", Ratio(*this, w, v, Rate)},
                      {"latency_us", LeastDisturbed(s, Latency)}});
    }
  }
  return rows.dump(1);
}

}  // namespace sallyport::bench
