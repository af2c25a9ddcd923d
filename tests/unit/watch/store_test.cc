// SPDX-License-Identifier: Apache-2.0
#include "state/store.h"

#include <gtest/gtest.h>

namespace sallyport::state {
namespace {

using model::Delta;

Delta Node(const std::string& name, model::Labels labels = {}) {
  model::Node node;
  node.name = name;
  node.labels = std::move(labels);
  return Delta::Set(std::make_shared<const model::Node>(std::move(node)));
}

TEST(Store, PassesOnWhatChanges) {
  Store store({});
  EXPECT_EQ(store.Apply({Node("a"), Node("b"), Node("a")}).size(), 2u);
  auto changed =
      store.Apply({Node("b"), Node("a", {{"x", "1"}}), Delta::Remove(model::Kind::kNode, {"", "c"}),
                   Delta::Remove(model::Kind::kNode, {"", "b"})});
  ASSERT_EQ(changed.size(), 2u);
  EXPECT_EQ(changed[0].name.name, "a");
  EXPECT_EQ(changed[1].name.name, "b");
  EXPECT_EQ(store.snapshot().nodes.size(), 1u);
}

TEST(Store, IsCompleteWhenAllSourcesAre) {
  EXPECT_TRUE(Store({}).complete());
  Store store({"manifests", "addresses"});
  EXPECT_FALSE(store.complete());
  store.SetComplete("manifests");
  store.SetComplete("manifests");
  store.SetComplete("unknown");
  EXPECT_EQ(store.waiting_for(), std::set<std::string>{"addresses"});
  store.SetComplete("addresses");
  EXPECT_TRUE(store.complete());
}

}  // namespace
}  // namespace sallyport::state
