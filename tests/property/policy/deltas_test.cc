// SPDX-License-Identifier: Apache-2.0
// Over random sequences of changes: the image that a Compiler keeps is right after each of them,
// says truly what changed, and is in the end what Compile makes of where they lead.
#include <gtest/gtest.h>

#include <algorithm>

#include "policy/compile.h"
#include "support/image_checks.h"
#include "support/world.h"

namespace sallyport::test {
namespace {

using policy::Canonical;
using policy::Compile;
using policy::Compiler;
using policy::Image;

constexpr char kNode[] = "here";

// A sequence of changes, each the deltas of one Apply.
Steps RandomSteps(uint64_t seed, int count) {
  Random random(seed);
  model::Snapshot snapshot;
  Steps steps;
  for (int i = 0; i < count; ++i) {
    std::vector<model::Delta> deltas;
    int size = random.Chance(60) ? 1 : random.Between(0, 8);
    if (i == 0) size = 20;
    for (int j = 0; j < size; ++j) {
      deltas.push_back(RandomDelta(random, snapshot));
      snapshot.Apply(deltas.back());
    }
    steps.push_back(std::move(deltas));
  }
  return steps;
}

std::string Text(const Steps& steps) {
  std::string out;
  for (const std::vector<model::Delta>& deltas : steps) {
    out += "##### change\n";
    for (const model::Delta& delta : deltas) {
      model::Snapshot one;
      one.Apply(delta);
      bool gone = std::holds_alternative<std::monostate>(delta.object);
      out += gone ? "# remove " + ToString(delta.kind) + " " + delta.name.ToString() + "\n"
                  : World{0, one, kNode, {}}.ToString();
    }
  }
  return out;
}

// Runs every step and asks `check` after each; the first complaint, or "".
template <typename Check>
std::string Play(const Steps& steps, Check check) {
  Compiler compiler(kNode);
  for (const std::vector<model::Delta>& deltas : steps) {
    Image before = compiler.image();
    policy::Changes changes = compiler.Apply(deltas);
    std::string wrong = check(compiler, before, changes);
    if (!wrong.empty()) return wrong;
  }
  return "";
}

template <typename WhatFails>
void CheckSteps(int count, int length, WhatFails what_fails) {
  for (uint64_t seed : Seeds(count)) {
    Steps steps = RandomSteps(seed, length);
    if (what_fails(steps).empty()) continue;
    Steps smallest = Shrink(steps, [&](const Steps& s) { return !what_fails(s).empty(); });
    FAIL() << "SALLYPORT_SEED=" << seed << " SALLYPORT_WORLDS=1\n"
           << what_fails(smallest) << "\n"
           << Text(smallest);
  }
}

TEST(DeltasProperty, ChangesAreExactlyTheDifference) {
  CheckSteps(150, 25, [](const Steps& steps) {
    return Play(steps,
                [](const Compiler& compiler, const Image& before,
                   const policy::Changes& changes) -> std::string {
                  std::string difference = ToString(Difference(before, compiler.image()));
                  if (difference == ToString(changes)) return "";
                  return "says:     " + ToString(changes) + "\nis true: " + difference;
                });
  });
}

TEST(DeltasProperty, NumbersKeepTheirMeaning) {
  CheckSteps(150, 25, [](const Steps& steps) {
    return Play(steps, [](const Compiler& compiler, const Image& before, const policy::Changes&) {
      return Mutation(before, compiler.image());
    });
  });
}

TEST(DeltasProperty, NumbersAreNotUsedAgain) {
  CheckSteps(150, 25, [](const Steps& steps) {
    std::set<std::string> gone;
    return Play(steps, [&](const Compiler& compiler, const Image& before, const policy::Changes&) {
      auto names = [](const Image& image) {
        std::set<std::string> out;
        for (const auto& [id, set] : image.sets) out.insert("set " + std::to_string(id));
        for (const auto& [id, set] : image.port_sets) out.insert("ports " + std::to_string(id));
        for (const auto& [key, id] : image.peers) out.insert("identity " + std::to_string(id));
        for (const auto& [key, id] : image.prefixes) {
          if (id != policy::kNoIdentity) out.insert("identity " + std::to_string(id));
        }
        return out;
      };
      std::set<std::string> now = names(compiler.image());
      for (const std::string& name : names(before)) {
        if (now.count(name) == 0) gone.insert(name);
      }
      for (const std::string& name : now) {
        if (gone.count(name) > 0) return name + " is used again";
      }
      return std::string();
    });
  });
}

TEST(DeltasProperty, EveryStepEqualsCompilingAfresh) {
  CheckSteps(100, 25, [](const Steps& steps) {
    return Play(steps,
                [](const Compiler& compiler, const Image&, const policy::Changes&) -> std::string {
                  std::string wrong = Inconsistency(compiler.image());
                  if (!wrong.empty()) return wrong;
                  Image fresh = Compile(compiler.snapshot(), kNode).image;
                  if (Canonical(fresh) == Canonical(compiler.image())) return "";
                  return "incremental:\n" + Canonical(compiler.image()).ToString() + "afresh:\n" +
                         Canonical(fresh).ToString();
                });
  });
}

TEST(DeltasProperty, EveryStepJudgesAsTheApiText) {
  CheckSteps(150, 25, [](const Steps& steps) {
    Random random(steps.size());
    return Play(steps, [&](const Compiler& compiler, const Image&, const policy::Changes&) {
      World world{0, compiler.snapshot(), kNode, RandomFlows(random, compiler.snapshot(), 25)};
      return Disagreement(world, compiler.image());
    });
  });
}

TEST(DeltasProperty, DeltasThatChangeNothingChangeNothing) {
  CheckSteps(100, 25, [](const Steps& steps) {
    Compiler compiler(kNode);
    for (const std::vector<model::Delta>& deltas : steps) {
      compiler.Apply(deltas);
      std::vector<model::Delta> again;
      for (const auto& [name, object] : compiler.snapshot().pods) {
        again.push_back(model::Delta::Set(std::make_shared<const model::Pod>(*object)));
      }
      for (const auto& [name, object] : compiler.snapshot().policies) {
        again.push_back(model::Delta::Set(std::make_shared<const model::NetworkPolicy>(*object)));
      }
      for (const auto& [name, object] : compiler.snapshot().namespaces) {
        again.push_back(model::Delta::Set(std::make_shared<const model::Namespace>(*object)));
      }
      for (const auto& [name, object] : compiler.snapshot().nodes) {
        again.push_back(model::Delta::Set(std::make_shared<const model::Node>(*object)));
      }
      for (const auto& [name, object] : compiler.snapshot().services) {
        again.push_back(model::Delta::Set(std::make_shared<const model::Service>(*object)));
      }
      for (const auto& [name, object] : compiler.snapshot().endpoint_slices) {
        again.push_back(model::Delta::Set(std::make_shared<const model::EndpointSlice>(*object)));
      }
      policy::Changes changes = compiler.Apply(again);
      if (!changes.empty()) return "changed:" + ToString(changes);
    }
    return std::string();
  });
}

TEST(DeltasProperty, OrderDoublesAndDetoursDoNotMatter) {
  for (uint64_t seed : Seeds(300)) {
    Random random(seed);
    World world = RandomWorld(seed);
    // What leads to this world: each object set, some after another version of it, some removed
    // and set again.
    std::vector<model::Delta> final;
    for (const auto& [name, object] : world.snapshot.namespaces) {
      final.push_back(model::Delta::Set(object));
    }
    for (const auto& [name, object] : world.snapshot.nodes) {
      final.push_back(model::Delta::Set(object));
    }
    for (const auto& [name, object] : world.snapshot.pods) {
      final.push_back(model::Delta::Set(object));
    }
    for (const auto& [name, object] : world.snapshot.policies) {
      final.push_back(model::Delta::Set(object));
    }
    for (const auto& [name, object] : world.snapshot.services) {
      final.push_back(model::Delta::Set(object));
    }
    for (const auto& [name, object] : world.snapshot.endpoint_slices) {
      final.push_back(model::Delta::Set(object));
    }
    final.push_back(model::Delta::Set(world.snapshot.local_addresses));
    final.push_back(world.snapshot.namespaces_listed
                        ? model::Delta::Set(model::NamespacesListed{})
                        : model::Delta::Remove(model::Kind::kNamespacesListed, {}));
    for (size_t i = final.size(); i > 1; --i) std::swap(final[i - 1], final[random.Below(i)]);

    Compiler compiler(kNode);
    for (int i = 0; i < 10; ++i) compiler.Apply({RandomDelta(random, compiler.snapshot())});
    // Whatever the detours brought that is not in the world goes again, somewhere on the way.
    std::vector<model::Delta> deltas;
    for (const auto& [name, object] : compiler.snapshot().pods) {
      deltas.push_back(model::Delta::Remove(model::Kind::kPod, name));
    }
    for (const auto& [name, object] : compiler.snapshot().policies) {
      deltas.push_back(model::Delta::Remove(model::Kind::kNetworkPolicy, name));
    }
    for (const auto& [name, object] : compiler.snapshot().namespaces) {
      deltas.push_back(model::Delta::Remove(model::Kind::kNamespace, {"", name}));
    }
    for (const auto& [name, object] : compiler.snapshot().nodes) {
      deltas.push_back(model::Delta::Remove(model::Kind::kNode, {"", name}));
    }
    for (const auto& [name, object] : compiler.snapshot().services) {
      deltas.push_back(model::Delta::Remove(model::Kind::kService, name));
    }
    for (const auto& [name, object] : compiler.snapshot().endpoint_slices) {
      deltas.push_back(model::Delta::Remove(model::Kind::kEndpointSlice, name));
    }
    for (const model::Delta& delta : final) {
      deltas.push_back(delta);
      if (random.Chance(20)) deltas.push_back(model::Delta::Remove(delta.kind, delta.name));
      if (random.Chance(20) || std::holds_alternative<std::monostate>(deltas.back().object)) {
        deltas.push_back(delta);
      }
    }
    for (size_t i = 0; i < deltas.size();) {
      size_t next = std::min(deltas.size(), i + 1 + random.Below(6));
      compiler.Apply(
          {deltas.begin() + static_cast<long>(i), deltas.begin() + static_cast<long>(next)});
      i = next;
    }
    ASSERT_EQ(Canonical(compiler.image()).ToString(),
              Canonical(Compile(world.snapshot, kNode).image).ToString())
        << world.ToString();
  }
}

}  // namespace
}  // namespace sallyport::test
