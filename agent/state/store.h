// SPDX-License-Identifier: Apache-2.0
// All objects there are, from all sources: deltas in, snapshot out.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "model/snapshot.h"

namespace sallyport::state {

class Store {
 public:
  // The sources that must have been read completely before the snapshot is: until then objects may
  // be missing from it, and nothing that an older state enforces may be taken away.
  explicit Store(std::set<std::string> sources) : waiting_for_(std::move(sources)) {}

  // Returns those deltas that changed something, in order.
  std::vector<model::Delta> Apply(std::vector<model::Delta> deltas);

  // The source has been read completely once. Again, or of an unknown source: no effect.
  void SetComplete(const std::string& source) { waiting_for_.erase(source); }
  bool complete() const { return waiting_for_.empty(); }
  // Those that have not been read completely.
  const std::set<std::string>& waiting_for() const { return waiting_for_; }

  const model::Snapshot& snapshot() const { return snapshot_; }

 private:
  model::Snapshot snapshot_;
  std::set<std::string> waiting_for_;
};

}  // namespace sallyport::state
