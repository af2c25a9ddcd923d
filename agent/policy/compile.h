// SPDX-License-Identifier: Apache-2.0
// From the cluster's objects to the image of one node. Entry points: Compile, Compiler.
//
// Compile is total and deterministic: what cannot be expressed becomes deny and a diagnostic.
// Compiler keeps what it needs to do the same incrementally: a pod's coming or going touches that
// pod's identity, not the world. For any sequence of deltas its image equals (Canonical) that of
// Compile on the snapshot they lead to.
//
// Egress to a NodePort of another node is judged as what is behind it, see Judge (evaluate.h): the
// addresses of other nodes have identities of their own where a policy of this node may care.
//
// An address that several live pods claim has the intersection of what they match: deny in doubt.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/diagnostic.h"
#include "model/snapshot.h"
#include "policy/image.h"

namespace sallyport::policy {

struct Compiled {
  Image image;
  model::Diagnostics diagnostics;
};
Compiled Compile(const model::Snapshot& snapshot, const std::string& node);

class Compiler {
 public:
  explicit Compiler(std::string node);
  ~Compiler();
  Compiler(const Compiler&) = delete;
  Compiler& operator=(const Compiler&) = delete;

  // Takes the deltas over into the image, and says what changed in it. Deltas that change nothing
  // are free.
  Changes Apply(const std::vector<model::Delta>& deltas);

  const Image& image() const;
  const model::Snapshot& snapshot() const;
  // Of all objects now in force.
  const model::Diagnostics& diagnostics() const;

 private:
  friend Compiled Compile(const model::Snapshot& snapshot, const std::string& node);
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::policy
