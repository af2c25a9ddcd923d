// SPDX-License-Identifier: Apache-2.0
// bench_api: the way from the API to the kernel.
//
//   latency  from the API server's answer to a change until the first packet that is judged by it
//   births   from a pod's CNI result to its first packet; from a new interface to a closed one
//   size     the agent on a cluster of many pods: time to be ready, memory, and what it costs while
//            pods change all the time
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "api/births.h"
#include "api/stream.h"
#include "api/world.h"

namespace sallyport::bench {
namespace {

constexpr const char* kPolicy = "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies/b";
constexpr const char* kWhoMay =
    R"({"spec":{"ingress":[{"from":[{"podSelector":{"matchLabels":{"may":"yes"}}}]}]}})";

double Quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1,
                         static_cast<size_t>(q * static_cast<double>(values.size())))];
}

// Opens or closes the way, and returns how long after the answer the kernel did.
double MeasureChange(Stream& stream, bool open, const std::function<void()>& change) {
  // Nothing arrives for so long: it is closed, and not just slow.
  constexpr double kSilence = 0.05, kForever = 30;
  stream.Mark();
  if (open && stream.first() != 0) throw std::runtime_error("open before it was opened");
  change();
  double answered = NowSeconds(), deadline = answered + kForever;
  if (open) {
    while (stream.first() == 0) {
      if (NowSeconds() > deadline) throw std::runtime_error("the change never opened the way");
      ::usleep(100);
    }
    return std::max(0.0, stream.first() - answered);
  }
  while (stream.sent() - stream.last() < kSilence) {
    if (NowSeconds() > deadline) throw std::runtime_error("the change never closed the way");
    ::usleep(1000);
  }
  return std::max(0.0, stream.last() - answered);
}

struct Latency {
  std::string what;
  std::vector<double> seconds;
};

void Print(const Latency& row, nlohmann::json& json) {
  double median = Quantile(row.seconds, 0.5) * 1e3, high = Quantile(row.seconds, 0.99) * 1e3,
         most = Quantile(row.seconds, 1) * 1e3;
  std::printf("%-26s %8zu %10.2f %10.2f %10.2f\n", row.what.c_str(), row.seconds.size(), median,
              high, most);
  json["latency_ms"].push_back(
      {{"what", row.what}, {"median", median}, {"p99", high}, {"most", most}});
}

// Pods a and b are open, and b is isolated: nobody may reach it.
void StartShop(World& world) {
  world.MakeShop();
  world.Post(
      "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies",
      R"({"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"b"},)"
      R"("spec":{"podSelector":{"matchLabels":{"app":"b"}},"policyTypes":["Ingress"],"ingress":[)"
      R"({"from":[{"podSelector":{"matchLabels":{"app":"nobody"}}}]}]}})");
  world.StartAgent();
  world.WaitForAgent("/v1/endpoints", [](const std::string& answer) {
    size_t open = 0;
    for (size_t at = answer.find("\"open\""); at != std::string::npos;
         at = answer.find("\"open\"", at + 1))
      ++open;
    return open == 2;
  });
}

std::vector<Latency> MeasureLatency(World& world, int changes) {
  Stream stream(world.a(), world.b());
  std::vector<Latency> out;
  auto measure = [&](const std::string& what, const std::function<void(bool)>& set) {
    Latency opened{what + ": opened", {}}, closed{what + ": closed", {}};
    for (int i = 0; i < changes; ++i) {
      opened.seconds.push_back(MeasureChange(stream, true, [&] { set(true); }));
      closed.seconds.push_back(MeasureChange(stream, false, [&] { set(false); }));
    }
    out.push_back(std::move(opened));
    out.push_back(std::move(closed));
  };
  measure("a policy's rule", [&](bool open) {
    world.MergePatch(kPolicy, std::string(R"({"spec":{"ingress":[{"from":[{"podSelector":)") +
                                  R"({"matchLabels":{"app":")" + (open ? "a" : "nobody") +
                                  R"("}}}]}]}})");
  });
  world.MergePatch(kPolicy, kWhoMay);
  measure("a pod's label", [&](bool open) {
    world.MergePatch(
        "/api/v1/namespaces/shop/pods/a",
        std::string(R"({"metadata":{"labels":{"may":")") + (open ? "yes" : "no") + R"("}}})");
  });
  return out;
}

struct Size {
  int pods = 0;
  double ready_s = 0, resident_mib = 0, peak_mib = 0, idle_share = 0, busy_share = 0;
  int changes_per_second = 0;
};

// Changes labels of pods elsewhere at that rate; returns the agent's share of one processor.
double ShareOfProcessor(World& world, int per_second, double seconds) {
  double cpu = world.agent().CpuSeconds(), start = NowSeconds();
  for (int i = 0; NowSeconds() - start < seconds; ++i) {
    if (per_second == 0) {
      ::usleep(100'000);
      continue;
    }
    int pod = (i * 7919) % world.pods();
    world.MergePatch("/api/v1/namespaces/ns" + std::to_string(pod / 500) + "/pods/app" +
                         std::to_string(pod % 40) + "-6d4cf56db6-" + std::to_string(pod),
                     R"({"metadata":{"labels":{"turn":"t)" + std::to_string(i) + "\"}}}");
    double due = start + (i + 1) / static_cast<double>(per_second);
    if (double wait = due - NowSeconds(); wait > 0) ::usleep(static_cast<useconds_t>(wait * 1e6));
  }
  return (world.agent().CpuSeconds() - cpu) / (NowSeconds() - start);
}

Size MeasureSize(World& world, int changes_per_second, double seconds) {
  Size size;
  size.pods = world.pods();
  size.changes_per_second = changes_per_second;
  world.StartAgent();
  size.ready_s = world.ready_after();
  size.resident_mib = world.agent().ResidentMib();
  size.idle_share = ShareOfProcessor(world, 0, seconds / 4);
  size.busy_share = ShareOfProcessor(world, changes_per_second, seconds);
  size.peak_mib = world.agent().PeakMib();
  return size;
}

int Main(int argc, char** argv) {
  int known = 10'000, many = 100'000, changes = 200, rate = 200, born = 200, burst = 100;
  double seconds = 20;
  std::string part = "all", json_path;
  CLI::App app("The way from the API server to the kernel. Needs root.");
  app.add_option("part", part, "What to measure")
      ->check(CLI::IsMember({"latency", "births", "size", "all"}))
      ->capture_default_str();
  app.add_option("--known", known, "latency, births: pods that are known")->capture_default_str();
  app.add_option("--changes", changes, "latency: of each kind")->capture_default_str();
  app.add_option("--births", born, "births: pods, one after the other")
      ->check(CLI::Range(1, 240))
      ->capture_default_str();
  app.add_option("--burst", burst, "births: interfaces at once")->capture_default_str();
  app.add_option("--pods", many, "size: pods on the API server")->capture_default_str();
  app.add_option("--rate", rate, "size: pods changed a second")->capture_default_str();
  app.add_option("--seconds", seconds, "size: for how long")->capture_default_str();
  app.add_option("--json", json_path, "write the figures to this file, too");
  CLI11_PARSE(app, argc, argv);

  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // each row as it is there, in a pipe, too
  nlohmann::json json;
  World world;
  auto wanted = [&](const char* name) { return part == "all" || part == name; };
  if (wanted("latency") || wanted("births")) {
    world.FillWithPods(known);
    StartShop(world);
    std::printf("%-26s %8s %10s %10s %10s   (ms, %d pods known)\n", "until the first packet", "of",
                "median", "99 %", "most", known);
  }
  if (wanted("latency")) {
    for (const Latency& row : MeasureLatency(world, changes)) Print(row, json);
  }
  if (wanted("births")) {
    world.MergePatch(kPolicy, kWhoMay);
    Births births = MeasureBirths(world, born, burst);
    Print({"a pod's result", births.first_packet}, json);
    Print({"an interface is closed", births.closed}, json);
  }
  if (wanted("size")) {
    world.FillWithPods(many);
    Size size = MeasureSize(world, rate, seconds);
    std::printf("%10s %10s %14s %12s %12s   (share of one processor)\n", "pods", "ready, s",
                "resident, MiB", "peak, MiB", "");
    std::printf("%10d %10.2f %14.1f %12.1f   idle %.3f, %d changes a second %.3f\n", size.pods,
                size.ready_s, size.resident_mib, size.peak_mib, size.idle_share,
                size.changes_per_second, size.busy_share);
    json["size"] = {{"pods", size.pods},
                    {"ready_s", size.ready_s},
                    {"resident_mib", size.resident_mib},
                    {"peak_mib", size.peak_mib},
                    {"idle_share", size.idle_share},
                    {"changes_per_second", size.changes_per_second},
                    {"busy_share", size.busy_share}};
  }
  if (!json_path.empty()) std::ofstream(json_path) << json.dump(1) << "\n";
  return 0;
}

}  // namespace
}  // namespace sallyport::bench

int main(int argc, char** argv) {
  try {
    return sallyport::bench::Main(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_api: %s\n", e.what());
    return 2;
  }
}
