// SPDX-License-Identifier: Apache-2.0
// Policies for what is here, one after another, and first packets that tell them apart.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/dataplane.h"
#include "model/snapshot.h"
#include "net/flow.h"
#include "policy/image.h"
#include "support/random.h"

namespace sallyport::test {

struct Question {
  uint32_t from, to;  // interfaces; 0: not here
  net::FlowTuple flow;
  std::string ToString() const {
    return flow.ToString() + ", interface " + std::to_string(from) + " to " + std::to_string(to);
  }
};
using Questions = std::vector<Question>;
using Answers = std::vector<bool>;

// A policy for all that is here.
struct Moment {
  model::Snapshot snapshot;
  policy::Image image;
  dataplane::Bindings bindings;
  bool defer = true;

  bool Allows(const Question& q) const;
  Answers AllowsEach(const Questions& questions) const;

 private:
  bool AllowsAt(uint32_t ifindex, policy::Direction direction, const net::Address& own,
                const net::Address& peer, const net::FlowTuple& flow) const;
};

// Other interfaces for the second moment: they come and go, and change addresses and pods.
dataplane::Bindings ChangedBindings(Random& random, const Moment& before, const Moment& after);

// The addresses of some interface change from one moment to the next.
bool IsReaddressed(const Moment& before, const Moment& after);

// Those first that the policies answer differently, then those that both allow.
Questions TellingQuestions(Random& random, const Moment& before, const Moment& after);

}  // namespace sallyport::test
