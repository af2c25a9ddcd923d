// SPDX-License-Identifier: Apache-2.0
// bench_pods: what policy costs between two pods of one node, as ratios to no policy at all.
//
// Each round goes through all variants and workloads, for a moment each. What else runs on the
// machine only ever adds, so a figure is that of the moment that was disturbed least: the smallest
// processor time and latency, the highest rate. "nothing again" shows the noise that is left.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "pods/variants.h"
#include "pods/workloads.h"
#include "shared/table.h"

namespace sallyport::bench {
namespace {

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
  Table table;
  std::vector<const Workload*> workloads;
  for (const Workload& w : Workloads()) {
    if (w.name.find(only) == std::string::npos) continue;
    workloads.push_back(&w);
    table.workloads.push_back({w.name, w.unit});
  }
  for (const Variant& v : variants.all()) table.variants.push_back(v.name);
  for (int round = 0; round < rounds; ++round) {
    for (size_t v = 0; v < variants.all().size(); ++v) {
      const Variant& variant = variants.all()[v];
      if (::isatty(2))
        std::fprintf(stderr, "\rround %d/%d %-40s", round + 1, rounds, variant.name.c_str());
      variant.on();
      for (size_t w = 0; w < workloads.size(); ++w)
        table.samples[{w, v}].push_back(workloads[w]->run(seconds));
      variant.off();
    }
  }
  if (::isatty(2)) std::fprintf(stderr, "\r%60s\r", "");
  table.Print();
  if (!json_path.empty()) {
    if (FILE* f = std::fopen(json_path.c_str(), "w")) {
      std::fputs(table.Json().c_str(), f);
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
