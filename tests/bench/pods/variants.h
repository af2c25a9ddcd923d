// SPDX-License-Identifier: Apache-2.0
// What stands between the two pods while something is measured.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pods/arena.h"

namespace sallyport::bench {

struct Variant {
  std::string name;
  std::function<void()> on;   // from nothing to this
  std::function<void()> off;  // and back
};

// The variants on an arena, "nothing" first and, as the measure of noise, second again. They allow
// client to server but for kDeniedPort. Keeps the state they need.
class Variants {
 public:
  explicit Variants(const Arena& arena);
  ~Variants();
  const std::vector<Variant>& all() const { return all_; }

 private:
  class Agent;
  std::unique_ptr<Agent> agent_;
  std::vector<Variant> all_;
};

}  // namespace sallyport::bench
