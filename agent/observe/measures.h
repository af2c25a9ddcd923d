// SPDX-License-Identifier: Apache-2.0
// What the agent measures about itself, as values. Pure but for the process's own figures.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "dataplane/dataplane.h"
#include "observe/views.h"

namespace sallyport::observe {

// How often something took how long: cumulative buckets, as Prometheus has them.
class Histogram {
 public:
  // Upper ends of the buckets, in seconds; one above the last has the rest.
  static constexpr std::array kBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                         0.05,   0.1,     0.25,   0.5,   1.0,    2.5,   10.0};

  void Observe(Duration took);
  // How many took no longer than kBounds[i].
  uint64_t UpTo(size_t i) const;
  uint64_t count() const { return UpTo(kBounds.size()); }
  double sum() const { return sum_; }  // seconds

 private:
  std::array<uint64_t, kBounds.size() + 1> counts_{};
  double sum_ = 0;
};

// The node's packets since this agent's start. The kernel counts per endpoint, and forgets what it
// counted with the endpoint; a total must never fall.
class Traffic {
 public:
  // By ifindex, as the kernel counts now. The first time, all of it is taken over.
  void Take(const std::map<uint32_t, dataplane::Counters>& now);

  // [egress, ingress]
  const uint64_t (&packets() const)[2] { return total_.packets; }
  const uint64_t (&bytes() const)[2] { return total_.bytes; }
  const std::map<std::string, uint64_t> (&dropped() const)[2] { return total_.dropped; }
  uint64_t events_suppressed() const { return total_.events_suppressed; }

 private:
  std::map<uint32_t, dataplane::Counters> last_;
  dataplane::Counters total_;
};

// From what is told to what is in force.
struct Timings {
  Histogram compile;  // changed objects into a changed image
  Histogram apply;    // an image into the kernel's tables
  Histogram delay;    // from the first news of a change to its being in force
  uint64_t failures = 0;
};

struct MetricsView {
  bool ready = false;
  std::vector<std::string> reasons;  // why it is not, a line each
  uint32_t generation = 0;
  std::vector<TableView> tables;
  size_t diagnostics = 0;
  size_t open = 0, closed = 0, unclaimed = 0;  // endpoints; unclaimed: guarded, but nobody's
  std::map<std::string, uint64_t> objects;     // known, by kind
  uint64_t linux_nodes = 0;                    // those of them that an agent can run on
  Traffic traffic;
  uint64_t flows_kept = 0;
  uint64_t events = 0, events_lost = 0;  // drops that were reported; that were too many to be
  Timings timings;
  Duration waiting{};                                     // the oldest change, to come into force
  uint64_t missing_put_back = 0, displaced_put_back = 0;  // programs, since this agent's start
  uint64_t disturbed = 0;  // interfaces where ours are not, or not first, now
  std::vector<WatchView> watches;
  EgressView egress;
};

// This process, by /proc. What cannot be read is 0.
struct ProcessView {
  double cpu_seconds = 0;
  uint64_t resident_bytes = 0, virtual_bytes = 0;
  uint64_t open_files = 0, most_files = 0, threads = 0;
  double start = 0;  // seconds since 1970
};
ProcessView ReadProcess();

// What is wrong with the watches, for a person: resources of which the news may be missing. One
// that nothing was heard of for some seconds is among them, whether something failed or is only
// awaited.
std::vector<std::string> WatchReasons(const std::vector<WatchView>& watches, WallTime now);

// Prometheus' text format, version 0.0.4. Without `view`, only what needs no reconciler;
// `responding`: it answered lately, and `view` is not an old one. Label values are from fixed sets
// or the configuration (tables, reasons, kinds, resources, egress IPs): never names of pods.
std::string MetricsText(const MetricsView* view, bool responding, const ProcessView& process);

}  // namespace sallyport::observe
