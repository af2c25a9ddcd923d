// SPDX-License-Identifier: Apache-2.0
// Random worlds: small clusters full of what is often got wrong, and flows to try in them.
//
// The vocabulary is small on purpose (a few labels, ports and addresses), so that things meet. A
// world has selectors of every form, expressions, ipBlocks with exceptions of every length, named
// ports, ranges, all protocols, both families; pods on the host's network, ended, without address,
// unscheduled, on other nodes, in unknown namespaces, with an address that another has too.
//
//   for (uint64_t seed : test::Seeds(300)) {
//     World world = test::RandomWorld(seed);
//     if (Fails(world)) FAIL() << test::Shrink(world, Fails).ToString();
//   }
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/snapshot.h"
#include "net/flow.h"
#include "support/random.h"

namespace sallyport::test {

struct World {
  uint64_t seed = 0;
  model::Snapshot snapshot;
  std::string node;  // whose image is compiled
  std::vector<net::FlowTuple> flows;

  // The seed, manifests that could be read back, and the flows.
  std::string ToString() const;
};

struct WorldSize {
  int pods = 12;
  int policies = 8;
  int flows = 60;
};

// Every flow has two addresses of one family.
World RandomWorld(uint64_t seed, const WorldSize& size = {});

// A change to such a world: some object comes, changes, goes, or stays as it is.
model::Delta RandomDelta(Random& random, const model::Snapshot& snapshot);

// What leads from nothing to the snapshot.
std::vector<model::Delta> AllOf(const model::Snapshot& snapshot);

// Flows between addresses of pods, of nodes, of the outside and at the edges of ipBlocks; to ports
// that policies and containers name, those beside them, and others.
std::vector<net::FlowTuple> RandomFlows(Random& random, const model::Snapshot& snapshot,
                                        size_t count);

// A smaller world that still fails: objects, rules, peers, ports and flows are left out one by one
// until none can be spared.
World Shrink(World world, const std::function<bool(const World&)>& fails);
// The same for a sequence of changes.
using Steps = std::vector<std::vector<model::Delta>>;
Steps Shrink(Steps steps, const std::function<bool(const Steps&)>& fails);

// The seeds to try: SALLYPORT_WORLDS of them (or `count`), from SALLYPORT_SEED (or a random one)
// on. A failure must print its seed: SALLYPORT_SEED=n SALLYPORT_WORLDS=1 repeats it.
std::vector<uint64_t> Seeds(int count);

}  // namespace sallyport::test
