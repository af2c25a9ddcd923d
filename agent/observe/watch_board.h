// SPDX-License-Identifier: Apache-2.0
// Where the watches of the API server stand, for whoever wants to know. Thread-safe: each watch
// writes its own view as it changes, readers get copies; neither waits for the reconciler.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "observe/views.h"

namespace sallyport::observe {

class WatchBoard {
 public:
  // Calls `change(WatchView&)` on the view of `resource`, which is there from then on. Short: other
  // watches and readers wait meanwhile.
  template <typename Change>
  void Update(const std::string& resource, Change change) {
    std::lock_guard lock(mutex_);
    WatchView& view = views_[resource];
    view.resource = resource;
    change(view);
  }

  // By resource.
  std::vector<WatchView> Read() const {
    std::lock_guard lock(mutex_);
    std::vector<WatchView> out;
    for (const auto& [resource, view] : views_) out.push_back(view);
    return out;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, WatchView> views_;
};

}  // namespace sallyport::observe
