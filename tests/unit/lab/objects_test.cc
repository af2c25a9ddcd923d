// SPDX-License-Identifier: Apache-2.0
#include "lab/objects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "lab/system_objects.h"
#include "support/places.h"
#include "unit/lab/make.h"

namespace sallyport::lab {
namespace {

using testing::HasSubstr;

model::Diagnostics DiagnosticsOf(const std::string& yaml) {
  model::ParsedText parsed = model::ParseText(yaml, "test.yaml");
  ObjectSet objects;
  model::Diagnostics diagnostics;
  AddDocuments(parsed.documents, "test.yaml", &objects, &diagnostics);
  return diagnostics;
}

TEST(Objects, ListsAreTakenApartAndNamespacesDefaulted) {
  ObjectSet objects = MakeObjects(R"(
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: a}}
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- apiVersion: v1
  kind: PodList
  items: [{metadata: {name: b, namespace: shop}}]
)");
  ASSERT_EQ(objects.size(), 3u);
  ASSERT_TRUE(objects.contains({"Pod", {"default", "a"}}));
  EXPECT_EQ(TextAt(objects.at({"Pod", {"default", "a"}}).tree, {"metadata", "namespace"}),
            "default");
  EXPECT_TRUE(objects.contains({"Namespace", {"", "shop"}}));
  EXPECT_TRUE(objects.contains({"Pod", {"shop", "b"}}));
}

TEST(Objects, AnObjectGivenTwiceIsAnErrorThatNamesBothPlaces) {
  auto diagnostics =
      DiagnosticsOf("{kind: Pod, metadata: {name: a}}\n---\n{kind: Pod, metadata: {name: a}}\n");
  ASSERT_EQ(diagnostics.size(), 1u);
  EXPECT_THAT(diagnostics[0].ToString(), HasSubstr("test.yaml:3"));
  EXPECT_THAT(diagnostics[0].message, HasSubstr("test.yaml:1"));
}

TEST(Objects, WhatHasNoNameIsAnError) {
  EXPECT_THAT(DiagnosticsOf("{metadata: {name: a}}").at(0).message, HasSubstr("kind"));
  EXPECT_EQ(DiagnosticsOf("{kind: Pod, metadata: {}}").at(0).field, "metadata.name");
  EXPECT_THAT(DiagnosticsOf("{kind: Pod, metadata: {generateName: a-}}").at(0).message,
              HasSubstr("generateName"));
}

// YAML 1.1 reads a bare y as true, as the API server would.
TEST(Objects, ANameThatYamlReadsAsABooleanIsAnError) {
  auto diagnostics = DiagnosticsOf("{kind: Pod, metadata: {name: a, namespace: y}}");
  ASSERT_EQ(diagnostics.size(), 1u);
  EXPECT_EQ(diagnostics[0].field, "metadata.namespace");
  EXPECT_THAT(diagnostics[0].message, HasSubstr("quotes"));
}

TEST(Objects, KindsAsKubectlTakesThem) {
  for (const char* word : {"netpol", "NetworkPolicy", "networkpolicies", "NETWORKPOLICY"})
    EXPECT_EQ(CanonicalKind(word), "NetworkPolicy") << word;
  for (const char* word : {"egw", "egressgateways", "EgressGateway"})
    EXPECT_EQ(CanonicalKind(word), "EgressGateway") << word;
  EXPECT_EQ(CanonicalKind("deploy"), "Deployment");
  EXPECT_EQ(CanonicalKind("pods"), "Pod");
  EXPECT_EQ(CanonicalKind("Widget"), "Widget");
}

TEST(Objects, SurviveBeingWrittenAndReadAgain) {
  ObjectSet objects = MakeObjects(R"(
kind: ConfigMap
metadata: {name: c, namespace: x}
data: {a: "quote \" backslash \\ newline \n tab \t umlaut ü bell \a", n: "1", b: "true"}
)");
  auto again = ObjectsFromJson(ToJson(objects), "state");
  ASSERT_TRUE(again) << again.error().message;
  ASSERT_EQ(again->size(), 1u);
  EXPECT_TRUE(SameContent(again->begin()->second.tree, objects.begin()->second.tree));
}

TEST(Tree, SameContentLooksAtNeitherOrderNorLines) {
  EXPECT_TRUE(SameContent(MakeValue("{a: 1, b: [x, {c: d}]}"), MakeValue("b:\n- x\n- c: d\na: 1")));
  EXPECT_FALSE(SameContent(MakeValue("{a: 1}"), MakeValue("{a: '1'}")));
  EXPECT_FALSE(SameContent(MakeValue("[a, b]"), MakeValue("[b, a]")));
  EXPECT_FALSE(SameContent(MakeValue("{a: 1}"), MakeValue("{a: 1, b: null}")));
}

// So the lab shows that what is deployed is enough.
TEST(SystemObjects, AgentsHaveTheRightsThatAreDeployed) {
  std::ifstream file(test::InSources("daemonset/rbac.yaml"));
  std::string text((std::istreambuf_iterator<char>(file)), {});
  model::ParsedText deployed = model::ParseText(text, "rbac.yaml");
  ASSERT_EQ(deployed.documents.size(), 7u);
  auto made = SystemObjects(LabState(), {});
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->size(), 9u);
  EXPECT_EQ(KindOf(made->front()), "Namespace");
  EXPECT_EQ(NameOf(made->front()).name, kAgentAccount.ns);
  EXPECT_EQ(NameOf(made->at(1)).name, "egressgateways.sallyport.io");
  for (size_t i = 0; i < deployed.documents.size(); ++i) {
    EXPECT_TRUE(SameContent(made->at(i + 2), deployed.documents[i])) << ToJson(made->at(i + 2));
  }
  EXPECT_EQ(NameOf(deployed.documents.front()), kAgentAccount);
}

}  // namespace
}  // namespace sallyport::lab
