// SPDX-License-Identifier: Apache-2.0
// What single changes touch in the image, and what they leave alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/compile.h"
#include "policy/explain.h"
#include "support/image_checks.h"
#include "support/questions.h"
#include "support/village.h"

namespace sallyport::test {
namespace {

using policy::Changes;
using policy::Compiler;
using policy::Image;

std::vector<model::Delta> DeltasOf(const model::Snapshot& snapshot) {
  std::vector<model::Delta> out;
  for (const auto& [name, object] : snapshot.namespaces) out.push_back(model::Delta::Set(object));
  for (const auto& [name, object] : snapshot.nodes) out.push_back(model::Delta::Set(object));
  for (const auto& [name, object] : snapshot.pods) out.push_back(model::Delta::Set(object));
  for (const auto& [name, object] : snapshot.policies) out.push_back(model::Delta::Set(object));
  return out;
}

// The image of n1, with shop/db open to the pods of shop, and to red namespaces on port 80.
class CompilerTest : public ::testing::Test {
 protected:
  CompilerTest() : compiler_("n1") {
    compiler_.Apply(DeltasOf(SnapshotOf(
        VillageWith("{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {}}]},"
                    " {from: [{namespaceSelector: {matchLabels: {team: red}}}],"
                    "  ports: [{port: 80}]}]}"))));
  }

  const model::Pod& Pod(const std::string& ns, const std::string& name) {
    return *compiler_.snapshot().pods.at({ns, name});
  }
  static model::Delta Set(const model::Pod& pod) {
    return model::Delta::Set(std::make_shared<const model::Pod>(pod));
  }
  static model::Delta Set(const model::NetworkPolicy& policy) {
    return model::Delta::Set(std::make_shared<const model::NetworkPolicy>(policy));
  }
  model::NetworkPolicy ThePolicy() { return *compiler_.snapshot().policies.begin()->second; }

  Compiler compiler_;
};

// Established connections stay if all policies that isolate for the direction say so.
TEST_F(CompilerTest, AllThatIsolateMustKeep) {
  auto db = [&] { return compiler_.image().endpoints.at({"shop", "db"}); };
  auto verdict = [&](policy::Direction direction) {
    return policy::Judge(compiler_.snapshot(), Pod("shop", "db"), direction,
                         *net::Address::Parse("203.0.113.1"), net::Protocol::kTcp, 80);
  };
  const policy::SetId set = db().ingress;
  EXPECT_FALSE(db().keep_ingress);
  model::NetworkPolicy first = ThePolicy(), second = first;
  first.keeps_established = true;
  EXPECT_EQ(ToString(compiler_.Apply({Set(first)})), " endpoint shop/db");
  EXPECT_TRUE(db().keep_ingress);
  EXPECT_FALSE(db().keep_egress);
  EXPECT_EQ(db().ingress, set);
  EXPECT_NE(Canonical(compiler_.image()).ToString().find(" keep"), std::string::npos);
  EXPECT_THAT(Explain(verdict(policy::Direction::kIngress), policy::Direction::kIngress),
              testing::EndsWith("were established before stay (sallyport.io/established: keep)"));
  second.name.name = "second";
  compiler_.Apply({Set(second)});
  EXPECT_FALSE(db().keep_ingress);
  EXPECT_THAT(Explain(verdict(policy::Direction::kIngress), policy::Direction::kIngress),
              testing::EndsWith("are cut: shop/second without sallyport.io/established: keep"));
  second.isolates_ingress = false;
  second.isolates_egress = true;
  compiler_.Apply({Set(second)});
  EXPECT_TRUE(db().keep_ingress);
  EXPECT_FALSE(db().keep_egress);
  EXPECT_FALSE(verdict(policy::Direction::kEgress).keeps);
  compiler_.Apply({model::Delta::Remove(model::Kind::kNetworkPolicy, first.name)});
  EXPECT_FALSE(db().keep_ingress);
}

TEST_F(CompilerTest, APeerLikeOthersTouchesItsAddressesOnly) {
  model::Pod pod = Pod("shop", "cache");
  pod.name.name = "cache-2";
  pod.addresses = {*net::Address::Parse("10.2.0.77")};
  Changes changes = compiler_.Apply({Set(pod)});
  EXPECT_EQ(ToString(changes), " peer 10.2.0.77");
  EXPECT_EQ(compiler_.image().IdentityOf(pod.addresses[0]),
            compiler_.image().IdentityOf(*net::Address::Parse("10.2.0.1")));
  EXPECT_EQ(ToString(compiler_.Apply({model::Delta::Remove(model::Kind::kPod, pod.name)})),
            " peer 10.2.0.77");
}

TEST_F(CompilerTest, APeerThatNoPolicyKnowsTouchesNothing) {
  model::Pod pod = Pod("bank", "web");
  pod.name.name = "web-2";
  pod.addresses = {*net::Address::Parse("10.2.0.78")};
  EXPECT_TRUE(compiler_.Apply({Set(pod)}).empty());
}

TEST_F(CompilerTest, LabelsThatNoPolicyAsksForTouchNothing) {
  model::Pod pod = Pod("shop", "cache");
  pod.labels = model::Labels({{"app", "cache"}, {"unique", "7f9c"}});
  EXPECT_TRUE(compiler_.Apply({Set(pod)}).empty());
}

TEST_F(CompilerTest, AnEndpointLikeOthersTouchesItselfAndItsAddresses) {
  model::Pod pod = Pod("shop", "db");
  pod.name.name = "db-2";
  pod.addresses = {*net::Address::Parse("10.1.0.79")};
  EXPECT_EQ(ToString(compiler_.Apply({Set(pod)})), " peer 10.1.0.79 endpoint shop/db-2");
  const Image& image = compiler_.image();
  EXPECT_EQ(image.endpoints.at(pod.name).ingress, image.endpoints.at({"shop", "db"}).ingress);
}

TEST_F(CompilerTest, ASecondPolicyOfEqualContentTouchesNothing) {
  model::NetworkPolicy policy = ThePolicy();
  policy.name.name = "again";
  EXPECT_TRUE(compiler_.Apply({Set(policy)}).empty());
  EXPECT_TRUE(
      compiler_.Apply({model::Delta::Remove(model::Kind::kNetworkPolicy, policy.name)}).empty());
}

TEST_F(CompilerTest, APolicyThatSelectsNobodyHereTouchesNothing) {
  model::NetworkPolicy policy = ThePolicy();
  policy.name = {"bank", "web"};
  policy.pods = model::Selector({{"app", model::Operator::kIn, {"web"}}});
  EXPECT_TRUE(compiler_.Apply({Set(policy)}).empty());
}

TEST_F(CompilerTest, AnotherPortGivesTheEndpointAnotherSet) {
  policy::SetId before = compiler_.image().endpoints.at({"shop", "db"}).ingress;
  model::NetworkPolicy policy = ThePolicy();
  policy.ingress[1].ports[0].port = net::PortRange{81, 81};
  Changes changes = compiler_.Apply({Set(policy)});
  policy::SetId after = compiler_.image().endpoints.at({"shop", "db"}).ingress;
  EXPECT_NE(before, after);
  EXPECT_EQ(changes.sets, (std::set<policy::SetId>{before, after}));
  EXPECT_TRUE(changes.peers.empty());
  EXPECT_TRUE(changes.rules.empty());
}

TEST_F(CompilerTest, APolicyThatGoesAndComesWithinOneChangeTouchesNothing) {
  model::NetworkPolicy policy = ThePolicy();
  EXPECT_TRUE(
      compiler_.Apply({model::Delta::Remove(model::Kind::kNetworkPolicy, policy.name), Set(policy)})
          .empty());
}

TEST_F(CompilerTest, ANamespacesLabelsMoveItsPods) {
  model::Namespace ns = *compiler_.snapshot().namespaces.at("bank");
  ns.labels = model::Labels(
      {{std::string(model::kNamespaceNameLabel), "bank"}, {"team", "red"}, {"x", "y"}});
  Changes changes = compiler_.Apply({model::Delta::Set(std::make_shared<model::Namespace>(ns))});
  EXPECT_EQ(changes.peers.size(), 4u);
  EXPECT_TRUE(changes.sets.empty());
  EXPECT_EQ(changes.rules.size(), 1u);  // a new identity in the old set
  ns.labels = model::Labels({{std::string(model::kNamespaceNameLabel), "bank"}, {"team", "red"}});
  EXPECT_TRUE(compiler_.Apply({model::Delta::Set(std::make_shared<model::Namespace>(ns))}).empty());
}

TEST_F(CompilerTest, ANamespaceThatIsToldAfterItsPodsOpensNothingBefore) {
  model::NetworkPolicy policy = ThePolicy();
  policy.ingress[1].peers = {model::PodPeer{
      model::Selector({{"team", model::Operator::kNotIn, {"green"}}}), std::nullopt}};
  compiler_.Apply({Set(policy)});
  const net::Address& bank_web = Pod("bank", "web").addresses[0];
  auto identity = [&] { return compiler_.image().IdentityOf(bank_web); };
  policy::IdentityId matching = identity();
  EXPECT_NE(matching, policy::kNoIdentity);

  model::NamespacePtr bank = compiler_.snapshot().namespaces.at("bank");
  compiler_.Apply({model::Delta::Remove(model::Kind::kNamespace, {"", "bank"})});
  EXPECT_EQ(identity(), matching) << "manifests may leave out namespaces";
  compiler_.Apply({model::Delta::Set(model::NamespacesListed{})});
  EXPECT_EQ(identity(), policy::kNoIdentity);
  compiler_.Apply({model::Delta::Set(bank)});
  EXPECT_NE(identity(), policy::kNoIdentity);
  compiler_.Apply({model::Delta::Remove(model::Kind::kNamespace, {"", "bank"})});
  EXPECT_EQ(identity(), policy::kNoIdentity);
}

TEST_F(CompilerTest, AnAddressThatMovesToAnotherPodMovesWithoutDetour) {
  // The pod that had it ends, another gets it, in either order.
  model::Pod old = Pod("shop", "cache");
  model::Pod next = Pod("bank", "web");
  next.addresses = old.addresses;
  old.phase = model::PodPhase::kSucceeded;
  for (bool old_first : {true, false}) {
    Compiler compiler("n1");
    compiler.Apply(DeltasOf(compiler_.snapshot()));
    net::Address address = next.addresses[0];
    EXPECT_NE(compiler.image().IdentityOf(address), policy::kNoIdentity);
    compiler.Apply({Set(old_first ? old : next)});
    EXPECT_EQ(compiler.image().IdentityOf(address), policy::kNoIdentity) << "deny in doubt";
    EXPECT_EQ(compiler.diagnostics().size(), old_first ? 0u : 2u);  // both families
    compiler.Apply({Set(old_first ? next : old)});
    EXPECT_EQ(compiler.image().IdentityOf(address), policy::kNoIdentity);
    EXPECT_TRUE(compiler.diagnostics().empty());
  }
}

TEST_F(CompilerTest, ASharedAddressIsReported) {
  model::Pod twin = Pod("bank", "web");
  twin.name.name = "twin";
  compiler_.Apply({Set(twin)});
  ASSERT_EQ(compiler_.diagnostics().size(), 2u);  // IPv4 and IPv6
  EXPECT_NE(compiler_.diagnostics()[0].message.find("10.2.0.2 is claimed by bank/twin, bank/web"),
            std::string::npos)
      << compiler_.diagnostics()[0].message;
}

TEST_F(CompilerTest, TheLastPolicyLeavesNothingBehind) {
  compiler_.Apply({model::Delta::Remove(model::Kind::kNetworkPolicy, ThePolicy().name)});
  const Image& image = compiler_.image();
  EXPECT_TRUE(image.peers.empty());
  EXPECT_TRUE(image.sets.empty());
  EXPECT_TRUE(image.port_sets.empty());
  EXPECT_TRUE(image.prefixes.empty());
}

TEST(Compiler, TakesObjectsInAnyOrder) {
  model::Snapshot village = SnapshotOf(VillageWith(
      "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {matchLabels:"
      " {team: blue}}}]}]}"));
  std::vector<model::Delta> deltas = DeltasOf(village);
  Compiler forward("n1");
  for (const model::Delta& delta : deltas) forward.Apply({delta});
  Compiler backward("n1");
  for (auto it = deltas.rbegin(); it != deltas.rend(); ++it) backward.Apply({*it});
  EXPECT_EQ(Canonical(forward.image()), Canonical(backward.image()));
  EXPECT_EQ(Canonical(forward.image()), Canonical(policy::Compile(village, "n1").image));
}

TEST(Compiler, ForANodeThatHasNothing) {
  policy::Compiled compiled = policy::Compile(SnapshotOf(VillageWith("{podSelector: {}}")), "n9");
  Image nothing;
  for (const char* address : {"192.168.0.1", "192.168.0.2", "fd00:a::1", "fd00:a::2"})
    nothing.other_nodes.insert(*net::Address::Parse(address));
  EXPECT_EQ(compiled.image.ToString(), nothing.ToString());
  EXPECT_TRUE(compiled.diagnostics.empty());
}

}  // namespace
}  // namespace sallyport::test
