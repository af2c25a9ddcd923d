// SPDX-License-Identifier: Apache-2.0
#include "observe/measures.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "observe/json.h"

namespace sallyport::observe {
namespace {

// A watch that ended in good order is open again by then.
constexpr auto kBetweenWatches = std::chrono::seconds(10);

// What was added since `last`; all of it where the count began anew.
uint64_t Added(uint64_t now, uint64_t last) { return now >= last ? now - last : now; }

// The part after the command's name, which may hold anything: fields 3 on of proc(5)'s stat.
std::vector<std::string> StatFields() {
  std::ifstream file("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  size_t end = text.rfind(')');
  std::vector<std::string> out;
  if (end == std::string::npos) return out;
  std::istringstream fields(text.substr(end + 1));
  for (std::string field; fields >> field;) out.push_back(std::move(field));
  return out;
}

double BootTime() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("btime ")) return std::strtod(line.c_str() + 6, nullptr);
  }
  return 0;
}

uint64_t CountOpenFiles() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  uint64_t count = 0;
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count < 3 ? 0 : count - 3;  // ".", "..", and the directory itself
}

}  // namespace

void Histogram::Observe(Duration took) {
  double seconds = std::chrono::duration<double>(took).count();
  size_t bucket = 0;
  while (bucket < kBounds.size() && seconds > kBounds[bucket]) ++bucket;
  ++counts_[bucket];
  sum_ += seconds;
}

uint64_t Histogram::UpTo(size_t i) const {
  uint64_t out = 0;
  for (size_t bucket = 0; bucket <= i; ++bucket) out += counts_[bucket];
  return out;
}

void Traffic::Take(const std::map<uint32_t, dataplane::Counters>& now) {
  for (const auto& [ifindex, counters] : now) {
    const dataplane::Counters& last = last_[ifindex];
    for (int direction : {0, 1}) {
      total_.packets[direction] += Added(counters.packets[direction], last.packets[direction]);
      total_.bytes[direction] += Added(counters.bytes[direction], last.bytes[direction]);
      for (const auto& [reason, count] : counters.dropped[direction]) {
        auto before = last.dropped[direction].find(reason);
        bool counted = before != last.dropped[direction].end();
        total_.dropped[direction][reason] += Added(count, counted ? before->second : 0);
      }
    }
    total_.events_suppressed += Added(counters.events_suppressed, last.events_suppressed);
  }
  last_ = now;
}

ProcessView ReadProcess() {
  ProcessView out;
  auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  std::vector<std::string> fields = StatFields();
  if (fields.size() > 21 && ticks > 0) {
    auto number = [&fields](size_t field) {
      return std::strtoull(fields[field - 3].c_str(), nullptr, 10);
    };
    out.cpu_seconds = static_cast<double>(number(14) + number(15)) / ticks;
    out.threads = number(20);
    out.start = BootTime() + static_cast<double>(number(22)) / ticks;
    out.virtual_bytes = number(23);
    out.resident_bytes = number(24) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  }
  out.open_files = CountOpenFiles();
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) out.most_files = files.rlim_cur;
  return out;
}

std::vector<std::string> WatchReasons(const std::vector<WatchView>& watches, WallTime now) {
  std::vector<std::string> out;
  for (const WatchView& watch : watches) {
    bool long_lost = watch.lost_since && now - *watch.lost_since >= kBetweenWatches;
    bool well = watch.connected || (watch.last_error.empty() && !long_lost);
    if (!watch.installed || well) continue;
    out.push_back(
        watch.resource +
        (watch.synced ? " are not followed at the moment: " : " could not be listed yet: ") +
        (watch.last_error.empty() ? "no answer yet" : watch.last_error) +
        (watch.lost_since ? ", since " + ToString(*watch.lost_since) : "") +
        (watch.synced && watch.lost_since ? "; what was known stays in force" : ""));
  }
  return out;
}

}  // namespace sallyport::observe
