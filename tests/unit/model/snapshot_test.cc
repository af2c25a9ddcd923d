// SPDX-License-Identifier: Apache-2.0
#include "model/snapshot.h"

#include <gtest/gtest.h>

#include "model/diagnostic.h"

namespace sallyport::model {
namespace {

PodPtr MakePod(const std::string& name, Labels labels, int line = 0) {
  Pod pod;
  pod.name = {"shop", name};
  pod.labels = std::move(labels);
  pod.place = {"pods.yaml", line};
  return std::make_shared<Pod>(std::move(pod));
}

TEST(Snapshot, ApplySetsReplacesAndRemoves) {
  Snapshot s;
  EXPECT_TRUE(s.Apply(Delta::Set(MakePod("a", {}))));
  EXPECT_FALSE(s.Apply(Delta::Set(MakePod("a", {}))));
  EXPECT_TRUE(s.Apply(Delta::Set(MakePod("a", Labels({{"x", "1"}})))));
  EXPECT_TRUE(s.Apply(Delta::Remove(Kind::kPod, {"shop", "a"})));
  EXPECT_FALSE(s.Apply(Delta::Remove(Kind::kPod, {"shop", "a"})));
  EXPECT_TRUE(s.pods.empty());
}

TEST(Snapshot, ObjectThatOnlyMovedIsNoChangeButItsPlaceFollows) {
  Snapshot s;
  s.Apply(Delta::Set(MakePod("a", {}, 3)));
  EXPECT_FALSE(s.Apply(Delta::Set(MakePod("a", {}, 30))));
  EXPECT_EQ(s.pods.at({"shop", "a"})->place.line, 30);
}

TEST(Snapshot, KeepsKindsApart) {
  Snapshot s;
  Namespace ns;
  ns.name = "x";
  Node node;
  node.name = "x";
  NetworkPolicy policy;
  policy.name = {"x", "x"};
  EXPECT_TRUE(s.Apply(Delta::Set(std::make_shared<const Namespace>(ns))));
  EXPECT_TRUE(s.Apply(Delta::Set(std::make_shared<const Node>(node))));
  EXPECT_TRUE(s.Apply(Delta::Set(std::make_shared<const NetworkPolicy>(policy))));
  Service service;
  service.name = {"x", "x"};
  EndpointSlice slice;
  slice.name = {"x", "x"};
  EXPECT_TRUE(s.Apply(Delta::Set(std::make_shared<const Service>(service))));
  EXPECT_TRUE(s.Apply(Delta::Set(std::make_shared<const EndpointSlice>(slice))));
  EgressGateway gateway;
  gateway.name = "x";
  EXPECT_TRUE(s.Apply(Delta::Set(std::make_shared<const EgressGateway>(gateway))));
  EXPECT_FALSE(s.Apply(Delta::Set(std::make_shared<const EgressGateway>(gateway))));
  EXPECT_TRUE(s.Apply(Delta::Remove(Kind::kEgressGateway, {"", "x"})));
  EXPECT_TRUE(s.egress_gateways.empty());
  EXPECT_TRUE(s.Apply(Delta::Remove(Kind::kService, {"x", "x"})));
  EXPECT_TRUE(s.services.empty());
  EXPECT_EQ(s.endpoint_slices.size(), 1u);
  EXPECT_TRUE(s.Apply(Delta::Remove(Kind::kEndpointSlice, {"x", "x"})));
  EXPECT_TRUE(s.endpoint_slices.empty());
  EXPECT_TRUE(s.Apply(Delta::Remove(Kind::kNode, {"", "x"})));
  EXPECT_EQ(s.namespaces.size(), 1u);
  EXPECT_EQ(s.policies.size(), 1u);
  EXPECT_TRUE(s.nodes.empty());
}

TEST(Snapshot, LocalAddresses) {
  Snapshot s;
  LocalAddresses some = {net::Address::V4(0x0a000001)};
  EXPECT_FALSE(s.Apply(Delta::Set(LocalAddresses{})));
  EXPECT_TRUE(s.Apply(Delta::Set(some)));
  EXPECT_EQ(s.local_addresses, some);
  EXPECT_TRUE(s.Apply(Delta::Remove(Kind::kLocalAddresses, {})));
  EXPECT_TRUE(s.local_addresses.empty());
}

TEST(Snapshot, UnknownNamespaceHasItsNameLabelOnly) {
  EXPECT_EQ(Snapshot().NamespaceLabels("shop").ToString(), "kubernetes.io/metadata.name=shop");
}

TEST(Snapshot, OnceNamespacesAreListedAMissingOneMayHaveAnyLabels) {
  Selector everything;
  Selector by_name({{std::string(kNamespaceNameLabel), Operator::kIn, {"evil"}}});
  Selector by_other_name({{std::string(kNamespaceNameLabel), Operator::kNotIn, {"evil"}}});
  Selector not_in({{"env", Operator::kNotIn, {"untrusted"}}});
  Selector absent({{"env", Operator::kDoesNotExist, {}}});
  Selector mixed({{std::string(kNamespaceNameLabel), Operator::kIn, {"evil"}},
                  {"env", Operator::kDoesNotExist, {}}});
  Snapshot s;
  for (const Selector& selector : {everything, by_name, not_in, absent, mixed}) {
    EXPECT_TRUE(s.NamespaceMatches(selector, "evil")) << selector.ToString();
  }
  EXPECT_TRUE(s.KnowsLabelsOf("evil"));

  EXPECT_TRUE(s.Apply(Delta::Set(NamespacesListed{})));
  EXPECT_FALSE(s.Apply(Delta::Set(NamespacesListed{})));
  EXPECT_FALSE(s.KnowsLabelsOf("evil"));
  EXPECT_TRUE(s.NamespaceMatches(everything, "evil"));
  EXPECT_TRUE(s.NamespaceMatches(by_name, "evil"));
  EXPECT_FALSE(s.NamespaceMatches(by_other_name, "evil"));
  for (const Selector& selector : {not_in, absent, mixed}) {
    EXPECT_FALSE(s.NamespaceMatches(selector, "evil")) << selector.ToString();
  }

  auto known = std::make_shared<Namespace>();
  known->name = "evil";
  known->labels = Labels({{"env", "trusted"}});
  s.Apply(Delta::Set(NamespacePtr(known)));
  EXPECT_TRUE(s.KnowsLabelsOf("evil"));
  EXPECT_TRUE(s.NamespaceMatches(not_in, "evil"));
  EXPECT_FALSE(s.NamespaceMatches(absent, "evil"));
  EXPECT_TRUE(s.Apply(Delta::Remove(Kind::kNamespacesListed, {})));
}

TEST(Snapshot, CopyIsAValue) {
  Snapshot a;
  a.Apply(Delta::Set(MakePod("a", {})));
  Snapshot b = a;
  b.Apply(Delta::Remove(Kind::kPod, {"shop", "a"}));
  EXPECT_EQ(a.pods.size(), 1u);
}

TEST(IpBlock, ExceptNarrowsItsOwnBlock) {
  IpBlock block{*net::Cidr::Parse("10.0.0.0/8"), {*net::Cidr::Parse("10.1.0.0/16")}};
  EXPECT_TRUE(block.Contains(*net::Address::Parse("10.2.0.1")));
  EXPECT_FALSE(block.Contains(*net::Address::Parse("10.1.0.1")));
  EXPECT_FALSE(block.Contains(*net::Address::Parse("11.0.0.1")));
  EXPECT_EQ(block.ToString(), "10.0.0.0/8 except 10.1.0.0/16");
}

TEST(Diagnostic, PrintsWhatItKnows) {
  Diagnostic d{Severity::kError, {"a.yaml", 12}, "Pod shop/web", "spec", "must be a mapping"};
  EXPECT_EQ(d.ToString(), "a.yaml:12: error: Pod shop/web: spec: must be a mapping");
  EXPECT_TRUE(HasErrors({d}));
  d = {Severity::kWarning, {"a.yaml", 0}, "", "", "is empty"};
  EXPECT_EQ(d.ToString(), "a.yaml: warning: is empty");
  EXPECT_FALSE(HasErrors({d}));
}

}  // namespace
}  // namespace sallyport::model
