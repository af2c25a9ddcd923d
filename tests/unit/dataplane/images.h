// SPDX-License-Identifier: Apache-2.0
// Random images and changes to them, with pods that have interfaces, and what the tables must say.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/dataplane.h"
#include "policy/image.h"
#include "support/random.h"
#include "support/table_twin.h"

namespace sallyport::test {

// Few numbers, addresses and ports, so that things meet. Numbers keep their meaning as a Compiler's
// do: policy sets may gain and lose rules, or be replaced by sets of the same content.
policy::Image RandomImage(test::Random& random);
// The image after some change, and what changed.
policy::Changes RandomChange(test::Random& random, policy::Image& image);
// Interfaces for most of the image's endpoints, and for pods that it does not know.
dataplane::Bindings RandomBindings(test::Random& random, const policy::Image& image);

struct Question {
  model::ObjectName pod;
  uint32_t ifindex;
  sp_direction direction;
  net::Address peer;
  net::Protocol protocol;
  uint16_t port;
  std::string ToString() const;
};
// About every pod, and peers at all edges.
std::vector<Question> RandomQuestions(test::Random& random, size_t count);

// What an image says: closed for pods without an endpoint or without a binding to the interface.
Judgement Answer(const policy::Image& image, const dataplane::Bindings& bindings,
                 const Question& question);

inline void ExpectOk(const Status& status) { EXPECT_TRUE(status.ok()) << status.error().message; }

inline dataplane::Surroundings Watching(std::function<void()> after_each_store) {
  dataplane::Surroundings out;
  out.pen = dataplane::Pen(std::move(after_each_store));
  return out;
}

}  // namespace sallyport::test
