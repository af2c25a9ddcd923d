// SPDX-License-Identifier: Apache-2.0
// What gateways ask of an API server: the kind EgressGateway as it is deployed, Leases that are
// claims, Events.
#include <gmock/gmock.h>

#include <fstream>
#include <iterator>

#include "model/document.h"
#include "support/places.h"
#include "unit/apiserver/fixture.h"

namespace sallyport::apiserver {
namespace {

using testing::HasSubstr;

class EgressGatewayTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    std::ifstream file(test::InSources("daemonset/egressgateways.yaml"));
    std::string text((std::istreambuf_iterator<char>(file)), {});
    model::ParsedText parsed = model::ParseText(text, "egressgateways.yaml");
    ASSERT_EQ(parsed.documents.size(), 1u);
    Answer made = Post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                       ToJson(parsed.documents[0]));
    ASSERT_EQ(made.code, 201) << made.text;
    EXPECT_EQ(made.warnings.size(), 0u);
  }

  // A good one with `members` in the place of what they say.
  std::string Gateway(const std::string& members = "", const std::string& name = "g") {
    Value spec = ParseJsonText(R"({"egressIPs":["203.0.113.10","2001:db8::10"],)"
                               R"("pods":{"podSelector":{"matchLabels":{"app":"a"}}},)"
                               R"("gateways":{"nodeSelector":{}}})");
    for (auto& [key, value] : ParseJsonText("{" + members + "}").members) {
      if (value.type == Value::Type::kNull) {
        Erase(spec, key);
      } else {
        Set(spec, key, value);
      }
    }
    return ToJson(Mapping({{"metadata", Mapping({{"name", String(name)}})}, {"spec", spec}}));
  }

  const std::string all_ = "/apis/sallyport.io/v1alpha1/egressgateways";
};

TEST_F(EgressGatewayTest, DefaultsAndPruning) {
  Answer made = Post(all_, Gateway(R"("odd":1)"));
  EXPECT_EQ(made.code, 201) << made.text;
  EXPECT_EQ(TextAt(made.tree, {"spec", "portBlockSize"}), "1024");
  EXPECT_EQ(At(made.tree, {"spec", "odd"}), nullptr);
  EXPECT_EQ(TextAt(made.tree, {"metadata", "generation"}), "1");
}

TEST_F(EgressGatewayTest, WhatTheSchemaRefuses) {
  for (auto [members, field] : {
           std::pair(R"("egressIPs":null)", "spec.egressIPs: Required"),
           std::pair(R"("egressIPs":[])", "spec.egressIPs"),
           std::pair(R"("egressIPs":["gateway"])", "spec.egressIPs[0]"),
           std::pair(R"("egressIPs":["192.0.2.0/24"])", "spec.egressIPs[0]"),
           std::pair(R"("egressIPs":["192.0.2.1","192.0.2.1"])", "spec.egressIPs[1]: Duplicate"),
           std::pair(R"("egressIPs":["1.0.0.1","1.0.0.2","1.0.0.3","1.0.0.4","1.0.0.5","1.0.0.6",)"
                     R"("1.0.0.7","1.0.0.8","1.0.0.9","1.0.1.1","1.0.1.2","1.0.1.3","1.0.1.4",)"
                     R"("1.0.1.5","1.0.1.6","1.0.1.7","1.0.1.8"])",
                     "spec.egressIPs: Too many"),
           std::pair(R"("pods":null)", "spec.pods: Required"),
           std::pair(R"("pods":{"podSelector":{"matchLabels":{"a":1}}})", "matchLabels.a"),
           std::pair(R"("pods":{"namespaceSelector":{"matchExpressions":[{"key":"a"}]}})",
                     "matchExpressions[0].operator: Required"),
           std::pair(R"("destinations":{"cidrs":["10.0.0.1"]})", "spec.destinations.cidrs[0]"),
           std::pair(R"("destinations":{"except":["x"]})", "spec.destinations.except[0]"),
           std::pair(R"("gateways":null)", "spec.gateways: Required"),
           std::pair(R"("gateways":{"interface":"a/b"})", "spec.gateways.interface"),
           std::pair(R"("gateways":{"interface":""})", "spec.gateways.interface"),
           std::pair(R"("gateways":{"interface":"abcdefghijklmnop"})", "spec.gateways.interface"),
           std::pair(R"("portBlockSize":100)", "spec.portBlockSize: Unsupported value"),
           std::pair(R"("portBlockSize":32)", "spec.portBlockSize: Unsupported value"),
           std::pair(R"("portBlockSize":32768)", "spec.portBlockSize: Unsupported value"),
       }) {
    Answer refused = Post(all_, Gateway(members));
    EXPECT_EQ(refused.code, 422) << members;
    EXPECT_THAT(refused.Message(), HasSubstr(field));
  }
  EXPECT_EQ(Post(all_, R"({"metadata":{"name":"g"}})").code, 422) << "no spec";
  for (const char* members :
       {R"("portBlockSize":64)", R"("portBlockSize":16384)", R"("gateways":{})",
        R"("destinations":{"cidrs":["10.0.0.0/8","2001:db8::/32"],"except":["10.1.0.0/16"]})",
        R"("gateways":{"nodeSelector":{"matchLabels":{"a":"b"}},"interface":"eth1.100"})"}) {
    Answer taken = Post(all_ + "?dryRun=All", Gateway(members));
    EXPECT_EQ(taken.code, 201) << members << taken.Message();
  }
}

TEST_F(EgressGatewayTest, StatusHasItsOwnDoor) {
  Answer made = Post(all_, Gateway());
  const std::string status =
      R"({"metadata":{"labels":{"a":"b"}},"spec":{"portBlockSize":64},"status":{)"
      R"("observedGeneration":1,"conditions":[{"type":"Ready","status":"False","reason":"NoNode",)"
      R"("message":"no node is ready","lastTransitionTime":"2026-01-02T03:04:05Z"}],"addresses":[)"
      R"({"ip":"203.0.113.10","node":"n1","since":"2026-01-02T03:04:05Z"},{"ip":"2001:db8::10"}]}})";
  Answer told = Merge(all_ + "/g/status", status);
  EXPECT_EQ(told.code, 200) << told.text;
  EXPECT_EQ(TextAt(told.tree, {"metadata", "generation"}), "1");
  EXPECT_NE(told.Version(), made.Version());
  EXPECT_TRUE(SameContent(*told.tree.Find("spec"), *made.tree.Find("spec")));
  EXPECT_EQ(At(told.tree, {"metadata", "labels"}), nullptr);
  EXPECT_EQ(Items(At(told.tree, {"status", "addresses"})).size(), 2u);
  Answer changed = Merge(all_ + "/g", R"({"spec":{"portBlockSize":128},"status":null})");
  EXPECT_EQ(TextAt(changed.tree, {"metadata", "generation"}), "2");
  EXPECT_EQ(TextAt(changed.tree, {"status", "observedGeneration"}), "1");
  EXPECT_EQ(Merge(all_ + "/g/status", R"({"status":{"conditions":[{"type":"Ready"}]}})").code, 422);
  EXPECT_EQ(Merge(all_ + "/g/status",
                  R"({"status":{"addresses":[{"ip":"192.0.2.1"},{"ip":"192.0.2.1"}]}})")
                .code,
            422);
  Answer table = Call("GET", all_, "", "", "application/json;as=Table;v=v1;g=meta.k8s.io");
  const Value& row = Items(table.tree.Find("rows"))[0];
  std::string cells = ToJson(*row.Find("cells"));
  EXPECT_THAT(cells, HasSubstr(R"(["g","[\"203.0.113.10\",\"2001:db8::10\"]","False","n1",)"));
}

class LeaseTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    Post("/api/v1/namespaces", R"({"metadata":{"name":"sallyport-system"}})");
  }
  static std::string Lease(const std::string& name, const std::string& holder,
                           const std::string& labels = "{}") {
    return R"({"metadata":{"name":")" + name + R"(","labels":)" + labels +
           R"(},"spec":{"holderIdentity":")" + holder +
           R"(","leaseDurationSeconds":60,"leaseTransitions":0,)"
           R"("acquireTime":"2026-01-02T03:04:05.000000Z",)"
           R"("renewTime":"2026-01-02T03:04:05.000006Z"}})";
  }
  const std::string all_ = "/apis/coordination.k8s.io/v1/namespaces/sallyport-system/leases";
};

TEST_F(LeaseTest, CreatingOneIsTheClaim) {
  Answer made = Post(all_, Lease("block", "n1"));
  EXPECT_EQ(made.code, 201) << made.text;
  Answer late = Post(all_, Lease("block", "n2"));
  EXPECT_EQ(late.code, 409);
  EXPECT_EQ(late.Reason(), "AlreadyExists");
  EXPECT_EQ(TextAt(Get(all_ + "/block").tree, {"spec", "holderIdentity"}), "n1");
}

TEST_F(LeaseTest, ChangesAreOfTheVersionThatWasRead) {
  Answer made = Post(all_, Lease("block", "n1"));
  Value renewed = made.tree;
  Set(Child(renewed, "spec"), "renewTime", String("2026-01-02T03:04:06.000000Z"));
  EXPECT_EQ(Call("PUT", all_ + "/block", ToJson(renewed)).code, 200);
  Answer stale = Call("PUT", all_ + "/block", ToJson(renewed));
  EXPECT_EQ(stale.code, 409);
  EXPECT_EQ(stale.Reason(), "Conflict");
  Answer blind = Call("PUT", all_ + "/block", Lease("block", "n2"));
  EXPECT_EQ(blind.code, 422) << "no version";
  EXPECT_THAT(blind.Message(), HasSubstr("must be specified for an update"));
  EXPECT_EQ(Merge(all_ + "/block", R"({"metadata":{"resourceVersion":"1"},"spec":{}})").code, 409);
  Call("DELETE", all_ + "/block");
  EXPECT_EQ(Call("PUT", all_ + "/block", ToJson(renewed)).code, 409) << "it was another";
  EXPECT_EQ(Call("PUT", all_ + "/block", Lease("block", "n2")).code, 201);
}

TEST_F(LeaseTest, OnlyTheOneThatIsMeantIsDeleted) {
  Answer made = Post(all_, Lease("block", "n1"));
  auto remove = [&](const std::string& preconditions) {
    return Call("DELETE", all_ + "/block", R"({"preconditions":)" + preconditions + "}").code;
  };
  EXPECT_EQ(remove(R"({"uid":"other"})"), 409);
  EXPECT_EQ(remove(R"({"resourceVersion":"1"})"), 409);
  std::string uid = TextAt(made.tree, {"metadata", "uid"});
  EXPECT_EQ(remove(R"({"uid":")" + uid + R"(","resourceVersion":"1"})"), 409);
  EXPECT_EQ(Get(all_ + "/block").code, 200);
  EXPECT_EQ(remove(R"({"uid":")" + uid + R"(","resourceVersion":")" + made.Version() + R"("})"),
            200);
  EXPECT_EQ(Get(all_ + "/block").code, 404);
}

TEST_F(LeaseTest, ListedAndWatchedByLabel) {
  const std::string ours = R"({"sallyport.io/kind":"block"})";
  Post("/apis/coordination.k8s.io/v1/namespaces/default/leases", Lease("c", "n1", ours));
  Post(all_, Lease("a", "n1", ours));
  Post(all_, Lease("b", "n1"));
  const std::string query = "?labelSelector=sallyport.io/kind=block";
  Answer list = Get(all_ + query);
  ASSERT_EQ(Items(list.tree.Find("items")).size(), 1u) << list.text;
  Answer watch = Get(all_ + query + "&watch=true&resourceVersion=" + list.Version());
  ASSERT_TRUE(watch.stream);
  Post(all_, Lease("d", "n2"));
  Post(all_, Lease("e", "n2", ours));
  Call("DELETE", all_ + "/a");
  EXPECT_EQ(Brief(NextEvent(watch)), "ADDED e");
  EXPECT_EQ(Brief(NextEvent(watch)), "DELETED a");
}

TEST_F(LeaseTest, WhatProgramsGetWrong) {
  auto refused = [&](const std::string& spec) {
    Answer answer = Post(all_, R"({"metadata":{"name":"x"},"spec":)" + spec + "}");
    EXPECT_EQ(answer.code, 422) << spec;
    return answer.Message();
  };
  EXPECT_THAT(refused(R"({"renewTime":"2026-01-02T03:04:05Z"})"), HasSubstr("spec.renewTime"));
  EXPECT_THAT(refused(R"({"acquireTime":"2026-01-02T03:04:05.000Z"})"), HasSubstr("six digits"));
  EXPECT_THAT(refused(R"({"leaseDurationSeconds":0})"), HasSubstr("must be greater than 0"));
  EXPECT_THAT(refused(R"({"leaseTransitions":-1})"), HasSubstr("spec.leaseTransitions"));
}

TEST_F(ApiTest, EventsAboutObjectsOfTheClusterAreInDefault) {
  const std::string event =
      R"({"metadata":{"name":"g.1"},"involvedObject":{"kind":"EgressGateway","name":"g",)"
      R"("apiVersion":"sallyport.io/v1alpha1","uid":"u"},"reason":"TakenOver","message":"m",)"
      R"("type":"Normal","count":1,"source":{"component":"sallyport","host":"n1"},)"
      R"("firstTimestamp":"2026-01-02T03:04:05Z","lastTimestamp":"2026-01-02T03:04:05Z"})";
  EXPECT_EQ(Post("/api/v1/namespaces/default/events", event).code, 201);
  Answer again = Merge("/api/v1/namespaces/default/events/g.1", R"({"count":2})");
  EXPECT_EQ(TextAt(again.tree, {"count"}), "2");
  Answer elsewhere = Post("/api/v1/namespaces/kube-system/events", event);
  EXPECT_EQ(elsewhere.code, 422);
  EXPECT_THAT(elsewhere.Message(), HasSubstr("does not match event.namespace"));
}

}  // namespace
}  // namespace sallyport::apiserver
