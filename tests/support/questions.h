// SPDX-License-Identifier: Apache-2.0
// Questions to both halves of the engine, from manifests: what Evaluate says, and what the compiled
// image says, must be the answer expected.
#pragma once

#include <string>

#include "model/snapshot.h"
#include "net/flow.h"

namespace sallyport::test {

// The objects of manifests. Fails the running test if there is an error in them.
model::Snapshot SnapshotOf(const std::string& yaml);

// "shop/a -> shop/b:80/TCP", "10.0.0.9 -> shop/b:53/UDP", "shop/a -> [2001:db8::1]:443/TCP",
// "shop/a -> shop/b ICMP". Pods stand for their first address; "shop/a#1" for the second.
net::FlowTuple FlowOf(const model::Snapshot& snapshot, const std::string& question);

// "allowed" or "denied"; anything else says how Evaluate and the images differ. Images are compiled
// for the nodes of both ends.
std::string Answer(const model::Snapshot& snapshot, const net::FlowTuple& flow);
std::string Answer(const model::Snapshot& snapshot, const std::string& question);

}  // namespace sallyport::test

#define EXPECT_ALLOWED(snapshot, question) \
  EXPECT_EQ(::sallyport::test::Answer(snapshot, question), "allowed") << (question)
#define EXPECT_DENIED(snapshot, question) \
  EXPECT_EQ(::sallyport::test::Answer(snapshot, question), "denied") << (question)
