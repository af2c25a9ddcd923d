// SPDX-License-Identifier: Apache-2.0
// What must be true of an image, of two in a row, and of an image against Evaluate. Each returns
// what is wrong, in words; "" if nothing is.
#pragma once

#include <string>

#include "model/snapshot.h"
#include "policy/compile.h"
#include "support/world.h"

namespace sallyport::test {

// The kernel's question, answered by the image. Requires that the endpoint is in the image.
bool ImageAllows(const policy::Image& image, const model::ObjectName& endpoint,
                 policy::Direction direction, const net::Address& peer, net::Protocol protocol,
                 uint16_t port);

// Everything referred to exists, everything that exists is referred to, nothing says nothing.
std::string Inconsistency(const policy::Image& image);
// The image judges each flow, at each of its endpoints, as the API text says.
std::string Disagreement(const World& world, const policy::Image& image);
// Numbers keep their meaning: rules, any-peer entries and port sets of two successive images.
std::string Mutation(const policy::Image& before, const policy::Image& after);

// The keys in which two successive images differ.
policy::Changes Difference(const policy::Image& before, const policy::Image& after);
std::string ToString(const policy::Changes& changes);

}  // namespace sallyport::test
