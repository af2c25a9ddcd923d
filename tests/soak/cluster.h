// SPDX-License-Identifier: Apache-2.0
// A cluster that changes at random: pods come, go and change their labels, and so do namespaces and
// policies. What it is made of is text for kubectl. The same seed, the same cluster.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "support/random.h"

namespace sallyport::soak {

// What one step does: objects to apply, as YAML, and objects to delete, as kubectl names them.
struct Step {
  std::string apply;
  std::vector<std::vector<std::string>> deletions;  // {"pod", "-n", "s1", "p7"}
  size_t changes = 0;
};

class Cluster {
 public:
  // Of so many pods, more or less, on nodes called node1, node2, ...
  Cluster(uint64_t seed, size_t pods, int nodes);

  // All there is at the beginning.
  std::string Beginning() const;
  // From here to the next state, by about so many changes.
  Step Next(size_t changes);
  // From here to the beginning.
  Step Back();

 private:
  using Objects = std::map<std::string, std::string>;  // "namespace/name" to YAML

  struct State {
    std::vector<std::string> namespaces;  // YAML
    Objects pods, policies;
  };

  std::string Namespace(size_t number);
  std::string Pod(const std::string& name);
  std::string Policy(const std::string& name);
  std::string Peer();
  std::string Ports();
  void ChangeOne();
  void ChangePod();
  void ChangePolicy();
  Step StepFrom(const State& before) const;
  std::string NewName(const char* prefix);

  test::Random random_;
  size_t pods_wanted_;
  int nodes_;
  size_t numbers_ = 0;  // names are not used twice
  State now_, first_;
};

}  // namespace sallyport::soak
