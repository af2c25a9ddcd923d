// SPDX-License-Identifier: Apache-2.0
// Objects through their life: defaults, validation, conflicts, deletion, subresources, access.
#include <thread>

#include "unit/apiserver/fixture.h"

namespace sallyport::apiserver {
namespace {

class ObjectsTest : public ApiTest {
 protected:
  const std::string in_ = "/api/v1/namespaces/default/";
  const std::string apps_ = "/apis/apps/v1/namespaces/default/";
  const std::string net_ = "/apis/networking.k8s.io/v1/namespaces/default/";

  // Waits for what the collector does.
  void Await(const std::string& target, int code) {
    for (int i = 0; i < 2000 && Get(target).code != code; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_EQ(Get(target).code, code) << target;
  }
  static std::string Deployment(const std::string& name) {
    return R"({"metadata":{"name":")" + name +
           R"("},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":)"
           R"({"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})";
  }
};

TEST_F(ObjectsTest, CreatedWithWhatTheServerAdds) {
  Answer made = Post(in_ + "pods", Pod("a"));
  EXPECT_EQ(made.code, 201);
  for (const char* key : {"uid", "creationTimestamp", "resourceVersion", "namespace"})
    EXPECT_NE(TextAt(made.tree, {"metadata", key}), "") << key;
  EXPECT_EQ(TextAt(made.tree, {"spec", "dnsPolicy"}), "ClusterFirst");
  EXPECT_EQ(TextAt(made.tree, {"status", "phase"}), "Pending");
  Answer again = Post(in_ + "pods", Pod("a"));
  EXPECT_EQ(again.code, 409);
  EXPECT_EQ(again.Reason(), "AlreadyExists");
  EXPECT_EQ(again.Message(), "pods \"a\" already exists");
  Answer generated = Post(in_ + "pods", R"({"metadata":{"generateName":"x-"},"spec":{"containers":)"
                                        R"([{"name":"c","image":"i"}]}})");
  EXPECT_EQ(TextAt(generated.tree, {"metadata", "name"}).size(), 7u);
}

TEST_F(ObjectsTest, NamespacesCarryTheirName) {
  Answer made = Post("/api/v1/namespaces", R"({"metadata":{"name":"shop"}})");
  EXPECT_EQ(TextAt(made.tree, {"metadata", "labels", "kubernetes.io/metadata.name"}), "shop");
  Merge("/api/v1/namespaces/shop",
        R"({"metadata":{"labels":{"kubernetes.io/metadata.name":"other"}}})");
  EXPECT_EQ(TextAt(Get("/api/v1/namespaces/shop").tree,
                   {"metadata", "labels", "kubernetes.io/metadata.name"}),
            "shop");
}

TEST_F(ObjectsTest, UpdatesOfAnOldVersionConflict) {
  Answer made = Post(in_ + "configmaps", R"({"metadata":{"name":"c"},"data":{"a":"1"}})");
  Value changed = made.tree;
  Set(Child(changed, "data"), "a", String("2"));
  EXPECT_EQ(Call("PUT", in_ + "configmaps/c", ToJson(changed)).code, 200);
  Answer stale = Call("PUT", in_ + "configmaps/c", ToJson(changed));
  EXPECT_EQ(stale.code, 409);
  EXPECT_EQ(stale.Message(),
            "Operation cannot be fulfilled on configmaps \"c\": the object has been modified; "
            "please apply your changes to the latest version and try again");
  Erase(Child(changed, "metadata"), "resourceVersion");
  EXPECT_EQ(Call("PUT", in_ + "configmaps/c", ToJson(changed)).code, 200);
}

TEST_F(ObjectsTest, WhatChangesNothingHasNoNewVersion) {
  std::string version = Post(in_ + "pods", Pod("a")).Version();
  EXPECT_EQ(Merge(in_ + "pods/a", R"({"metadata":{"labels":{}}})").Version(), version);
  EXPECT_EQ(Call("PATCH", in_ + "pods/a?dryRun=All", R"({"metadata":{"labels":{"x":"y"}}})",
                 "application/merge-patch+json")
                .Version(),
            version);
  EXPECT_EQ(Get(in_ + "pods/a").Version(), version);
}

TEST_F(ObjectsTest, GenerationCountsChangesOfTheSpec) {
  Post(apps_ + "deployments", Deployment("d"));
  auto generation = [&] {
    return TextAt(Get(apps_ + "deployments/d").tree, {"metadata", "generation"});
  };
  EXPECT_EQ(generation(), "1");
  Merge(apps_ + "deployments/d", R"({"metadata":{"labels":{"x":"y"}}})");
  Merge(apps_ + "deployments/d/status", R"({"status":{"replicas":3}})");
  EXPECT_EQ(generation(), "1");
  Merge(apps_ + "deployments/d", R"({"spec":{"replicas":3}})");
  EXPECT_EQ(generation(), "2");
}

TEST_F(ObjectsTest, StatusAndSpecHaveTheirOwnDoors) {
  Post(apps_ + "deployments", Deployment("d"));
  Merge(apps_ + "deployments/d", R"({"status":{"replicas":7}})");
  EXPECT_EQ(At(Get(apps_ + "deployments/d").tree, {"status", "replicas"}), nullptr);
  Merge(apps_ + "deployments/d/status", R"({"spec":{"replicas":7},"status":{"replicas":5}})");
  EXPECT_EQ(TextAt(Get(apps_ + "deployments/d").tree, {"status", "replicas"}), "5");
  EXPECT_EQ(TextAt(Get(apps_ + "deployments/d").tree, {"spec", "replicas"}), "1");
}

TEST_F(ObjectsTest, Scale) {
  Post(apps_ + "deployments", Deployment("d"));
  Answer scale = Get(apps_ + "deployments/d/scale");
  EXPECT_EQ(TextAt(scale.tree, {"kind"}), "Scale");
  EXPECT_EQ(TextAt(scale.tree, {"status", "selector"}), "a=b");
  EXPECT_EQ(Merge(apps_ + "deployments/d/scale", R"({"spec":{"replicas":4}})").code, 200);
  EXPECT_EQ(TextAt(Get(apps_ + "deployments/d").tree, {"spec", "replicas"}), "4");
  EXPECT_EQ(Merge(apps_ + "deployments/d/scale", R"({"spec":{"replicas":-1}})").code, 422);
  EXPECT_EQ(Get(apps_ + "daemonsets/d/scale").code, 404);
}

TEST_F(ObjectsTest, APodWithANodeEndsWhenItsKubeletSaysSo) {
  Post(in_ + "pods", Pod("a", "{}", R"(,"nodeName":"n1")"));
  Answer deleted = Call("DELETE", in_ + "pods/a");
  EXPECT_EQ(deleted.code, 200);
  EXPECT_NE(TextAt(deleted.tree, {"metadata", "deletionTimestamp"}), "");
  EXPECT_EQ(TextAt(deleted.tree, {"metadata", "deletionGracePeriodSeconds"}), "30");
  EXPECT_EQ(Get(in_ + "pods/a").code, 200);
  EXPECT_EQ(Call("DELETE", in_ + "pods/a", R"({"gracePeriodSeconds":0})").code, 200);
  EXPECT_EQ(Get(in_ + "pods/a").code, 404);
  Post(in_ + "pods", Pod("b"));
  Call("DELETE", in_ + "pods/b");
  EXPECT_EQ(Get(in_ + "pods/b").code, 404);
}

TEST_F(ObjectsTest, FinalizersHoldUntilTheyAreGone) {
  Post(in_ + "configmaps", R"({"metadata":{"name":"c","finalizers":["example.com/f"]}})");
  Call("DELETE", in_ + "configmaps/c");
  EXPECT_NE(TextAt(Get(in_ + "configmaps/c").tree, {"metadata", "deletionTimestamp"}), "");
  Merge(in_ + "configmaps/c", R"({"metadata":{"finalizers":null}})");
  EXPECT_EQ(Get(in_ + "configmaps/c").code, 404);
}

TEST_F(ObjectsTest, PreconditionsOfDeletion) {
  Post(in_ + "configmaps", R"({"metadata":{"name":"c"}})");
  EXPECT_EQ(Call("DELETE", in_ + "configmaps/c", R"({"preconditions":{"uid":"other"}})").code, 409);
  EXPECT_EQ(Get(in_ + "configmaps/c").code, 200);
}

TEST_F(ObjectsTest, DependentsFollowTheirOwner) {
  std::string uid = TextAt(Post(apps_ + "deployments", Deployment("d")).tree, {"metadata", "uid"});
  auto owned = [&](const std::string& name) {
    return R"({"metadata":{"name":")" + name +
           R"(","ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"d","uid":")" +
           uid + R"(","blockOwnerDeletion":true}]}})";
  };
  Post(in_ + "configmaps", owned("one"));
  Call("DELETE", apps_ + "deployments/d", R"({"propagationPolicy":"Background"})");
  Await(in_ + "configmaps/one", 404);
  // An owner that is not there any more.
  Post(in_ + "configmaps", owned("two"));
  Await(in_ + "configmaps/two", 404);
}

TEST_F(ObjectsTest, ForegroundWaitsForDependentsAndOrphanLeavesThem) {
  for (const char* policy : {"Foreground", "Orphan"}) {
    std::string uid =
        TextAt(Post(apps_ + "deployments", Deployment("d")).tree, {"metadata", "uid"});
    Post(in_ + "configmaps",
         R"({"metadata":{"name":"one","finalizers":["example.com/f"],"ownerReferences":)"
         R"([{"apiVersion":"apps/v1","kind":"Deployment","name":"d","uid":")" +
             uid + R"("}]}})");
    Call("DELETE", apps_ + "deployments/d",
         std::string(R"({"propagationPolicy":")") + policy + "\"}");
    if (std::string(policy) == "Foreground") {
      EXPECT_EQ(Get(apps_ + "deployments/d").code, 200);
      Merge(in_ + "configmaps/one", R"({"metadata":{"finalizers":null}})");
      Await(in_ + "configmaps/one", 404);
    }
    Await(apps_ + "deployments/d", 404);
  }
  EXPECT_EQ(At(Get(in_ + "configmaps/one").tree, {"metadata", "ownerReferences"}), nullptr);
}

TEST_F(ObjectsTest, ANamespaceTakesItsContentAlong) {
  Post("/api/v1/namespaces", R"({"metadata":{"name":"shop"}})");
  Post("/api/v1/namespaces/shop/configmaps", R"({"metadata":{"name":"c","finalizers":["x.y/z"]}})");
  Answer ending = Call("DELETE", "/api/v1/namespaces/shop");
  EXPECT_EQ(TextAt(ending.tree, {"status", "phase"}), "Terminating");
  Answer late = Post("/api/v1/namespaces/shop/configmaps", R"({"metadata":{"name":"d"}})");
  EXPECT_EQ(late.code, 403);
  EXPECT_EQ(late.Message(),
            "configmaps \"d\" is forbidden: unable to create new content in "
            "namespace shop because it is being terminated");
  Restart();
  Merge("/api/v1/namespaces/shop/configmaps/c", R"({"metadata":{"finalizers":null}})");
  Await("/api/v1/namespaces/shop", 404);
  EXPECT_EQ(Post("/api/v1/namespaces/gone/pods", Pod("a")).Message(),
            "namespaces \"gone\" not found");
}

TEST_F(ObjectsTest, ServicesGetAddressesAndPorts) {
  Answer made =
      Post(in_ + "services", R"({"metadata":{"name":"s"},"spec":{"type":"NodePort",)"
                             R"("ipFamilyPolicy":"PreferDualStack","ports":[{"port":80}]}})");
  ASSERT_EQ(made.code, 201) << made.text;
  EXPECT_TRUE(TextAt(made.tree, {"spec", "clusterIP"}).starts_with("10.96."));
  EXPECT_TRUE(Texts(At(made.tree, {"spec", "clusterIPs"}))[1].starts_with("fd00:10:96::"));
  auto node_port = IntegerAt(Items(At(made.tree, {"spec", "ports"}))[0], {"nodePort"});
  EXPECT_TRUE(node_port && *node_port >= 30'000 && *node_port <= 32'767);
  // What an update does not mention stays.
  Answer kept =
      Call("PUT", in_ + "services/s",
           R"({"metadata":{"name":"s"},"spec":{"type":"NodePort","ports":[{"port":80}]}})");
  EXPECT_EQ(ToJson(*At(kept.tree, {"spec"})->Find("clusterIPs")),
            ToJson(*At(made.tree, {"spec"})->Find("clusterIPs")));
  EXPECT_EQ(IntegerAt(Items(At(kept.tree, {"spec", "ports"}))[0], {"nodePort"}), node_port);
  Answer moved = Merge(in_ + "services/s", R"({"spec":{"clusterIP":"10.96.1.1"}})");
  EXPECT_EQ(moved.code, 422);
  EXPECT_NE(moved.Message().find("may not change once set"), std::string::npos);
  // Headless: none.
  Answer headless =
      Post(in_ + "services", R"({"metadata":{"name":"h"},"spec":{"clusterIP":"None"}})");
  EXPECT_EQ(Texts(At(headless.tree, {"spec", "clusterIPs"})), std::vector<std::string>{"None"});
  // The API server's own.
  EXPECT_EQ(TextAt(Get(in_ + "services/kubernetes").tree, {"spec", "clusterIP"}), "10.96.0.1");
}

TEST_F(ObjectsTest, WhatUsersGetWrongIsTold) {
  auto message = [&](const std::string& path, const std::string& body) {
    Answer answer = Post(path, body);
    EXPECT_EQ(answer.code, 422) << answer.text;
    EXPECT_EQ(answer.Reason(), "Invalid");
    return answer.Message();
  };
  EXPECT_EQ(message(net_ + "networkpolicies",
                    R"({"metadata":{"name":"p"},"spec":{"podSelector":{},"ingress":[{"ports":)"
                    R"([{"port":80,"endPort":70}]}]}})"),
            "NetworkPolicy.networking.k8s.io \"p\" is invalid: spec.ingress[0].ports[0].endPort: "
            "Invalid value: 70: must be greater than or equal to `port`");
  EXPECT_EQ(message(net_ + "networkpolicies",
                    R"({"metadata":{"name":"p"},"spec":{"podSelector":{},"egress":[{"to":[)"
                    R"({"ipBlock":{"cidr":"10.0.0.0/8","except":["11.0.0.0/16"]}}]}]}})"),
            "NetworkPolicy.networking.k8s.io \"p\" is invalid: spec.egress[0].to[0].ipBlock.except"
            "[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`");
  EXPECT_EQ(message(in_ + "pods", R"({"metadata":{"name":"p"},"spec":{}})"),
            "Pod \"p\" is invalid: spec.containers: Required value");
  EXPECT_NE(message(in_ + "pods", Pod("Big")).find("metadata.name: Invalid value: \"Big\""),
            std::string::npos);
  EXPECT_EQ(message(in_ + "services", R"({"metadata":{"name":"s"},"spec":{}})"),
            "Service \"s\" is invalid: spec.ports: Required value");
  EXPECT_NE(message(apps_ + "deployments",
                    R"({"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},)"
                    R"("template":{"metadata":{"labels":{"a":"c"}},"spec":{"containers":)"
                    R"([{"name":"c","image":"i"}]}}}})")
                .find("`selector` does not match template `labels`"),
            std::string::npos);
}

TEST_F(ObjectsTest, AStatefulSetsPodsMayMountItsClaims) {
  auto set = [](const std::string& mount) {
    return R"({"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":")" + mount +
           R"("},"spec":{"serviceName":"s","selector":{"matchLabels":{"a":"b"}},"template":{)"
           R"("metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i",)"
           R"("volumeMounts":[{"name":")" +
           mount +
           R"(","mountPath":"/data"}]}]}},"volumeClaimTemplates":[{"metadata":{"name":"data"},)"
           R"("spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}]}})";
  };
  EXPECT_EQ(Post(apps_ + "statefulsets", set("data")).code, 201);
  EXPECT_EQ(Post(apps_ + "statefulsets", set("other")).code, 422);
}

TEST_F(ObjectsTest, FieldsThatDoNotExist) {
  std::string body = R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i",)"
                     R"("portz":[]}]}})";
  Answer strict = Post(in_ + "pods?fieldValidation=Strict", body);
  EXPECT_EQ(strict.code, 400);
  EXPECT_EQ(strict.Message(),
            "Pod in version \"v1\" cannot be handled as a Pod: strict decoding "
            "error: unknown field \"spec.containers[0].portz\"");
  Answer warned = Post(in_ + "pods?fieldValidation=Warn", body);
  EXPECT_EQ(warned.code, 201);
  EXPECT_EQ(warned.warnings,
            std::vector<std::string>{"unknown field \"spec.containers[0].portz\""});
  EXPECT_EQ(warned.text.find("portz"), std::string::npos);
  EXPECT_EQ(Post(in_ + "pods", R"({"metadata":{"name":"q"},"spec":{"containers":5}})").Message(),
            "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal number into "
            "Go struct field PodSpec.containers of type []Container");
}

TEST_F(ObjectsTest, HostileInput) {
  EXPECT_EQ(Post(in_ + "pods", "").code, 400);
  EXPECT_EQ(Post(in_ + "pods", "{").code, 400);
  EXPECT_EQ(Post(in_ + "pods", "[]").code, 400);
  EXPECT_EQ(Post(in_ + "pods", "null").code, 400);
  EXPECT_EQ(Post(in_ + "pods", R"({"metadata":7})").code, 400);
  EXPECT_EQ(Post(in_ + "pods", "{\"metadata\":{\"name\":\"\xff\"}}").code, 400);
  EXPECT_EQ(Post(in_ + "pods", R"({"metadata":{"name":"a"},"metadata":{}})").code, 400);
  std::string deep(100'000, '[');
  EXPECT_EQ(Post(in_ + "pods", R"({"spec":)" + deep).code, 400);
  EXPECT_EQ(Merge(in_ + "pods/none", "[]").code, 400);
  Post(in_ + "pods", Pod("a"));
  EXPECT_EQ(Merge(in_ + "pods/a", R"({"metadata":null})").code, 400);
  EXPECT_EQ(Merge(in_ + "pods/a", R"({"kind":"Node"})").code, 400);
  EXPECT_EQ(Merge(in_ + "pods/a", R"({"metadata":{"name":"b"}})").code, 400);
  EXPECT_EQ(Call("PATCH", in_ + "pods/a", "{}", "application/apply-patch+yaml").code, 415);
  EXPECT_EQ(Call("PATCH", in_ + "pods/a", "{}", "text/plain").code, 415);
  EXPECT_EQ(Call("GET", in_ + "pods/a", "", "", "text/html").code, 406);
  EXPECT_EQ(Get("/api/v1/namespaces/default/dogs").code, 404);
  EXPECT_EQ(Get("/nothing").code, 404);
  EXPECT_EQ(Call("PUT", in_ + "pods", "{}").code, 405);
  EXPECT_EQ(Get(in_ + "pods/a/log").code, 501);
}

constexpr const char* kDefinition = R"({
  "metadata":{"name":"gates.example.com"},
  "spec":{"group":"example.com","scope":"Namespaced",
    "names":{"plural":"gates","singular":"gate","kind":"Gate","shortNames":["gt"]},
    "versions":[{"name":"v1","served":true,"storage":true,
      "additionalPrinterColumns":[{"name":"Size","type":"integer","jsonPath":".spec.size"}],
      "subresources":{"status":{},"scale":{"specReplicasPath":".spec.size",
                                           "statusReplicasPath":".status.size"}},
      "schema":{"openAPIV3Schema":{"type":"object","properties":{
        "spec":{"type":"object","required":["size"],"properties":{
          "size":{"type":"integer","minimum":1,"maximum":9},
          "color":{"type":"string","default":"red","enum":["red","green"]},
          "cidr":{"type":"string","pattern":"^[0-9./]+$"},
          "free":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}},
        "status":{"type":"object","properties":{"size":{"type":"integer"}}}}}}}]}})";

class CustomTest : public ObjectsTest {
 protected:
  void SetUp() override {
    ObjectsTest::SetUp();
    Answer made = Post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", kDefinition);
    ASSERT_EQ(made.code, 201) << made.text;
  }
  const std::string gates_ = "/apis/example.com/v1/namespaces/default/gates";
};

TEST_F(CustomTest, SchemaPrunesFillsAndChecks) {
  Answer made =
      Post(gates_, R"({"metadata":{"name":"g"},"spec":{"size":3,"odd":1,"free":{"x":1}}})");
  EXPECT_EQ(made.code, 201) << made.text;
  EXPECT_EQ(ToJson(*made.tree.Find("spec")), R"({"size":3,"free":{"x":1},"color":"red"})");
  EXPECT_EQ(Post(gates_, R"({"metadata":{"name":"h"},"spec":{}})").Message(),
            "Gate.example.com \"h\" is invalid: spec.size: Required value");
  EXPECT_EQ(Post(gates_, R"({"metadata":{"name":"h"},"spec":{"size":"3"}})").Message(),
            "Gate.example.com \"h\" is invalid: spec.size: Invalid value: \"string\": spec.size in "
            "body must be of type integer: \"string\"");
  EXPECT_EQ(Post(gates_, R"({"metadata":{"name":"h"},"spec":{"size":1,"color":"blue"}})").Message(),
            "Gate.example.com \"h\" is invalid: spec.color: Unsupported value: \"blue\": supported "
            "values: \"green\", \"red\"");
  EXPECT_EQ(Post(gates_, R"({"metadata":{"name":"h"},"spec":{"size":10}})").code, 422);
  EXPECT_EQ(Post(gates_, R"({"metadata":{"name":"h"},"spec":{"size":1,"cidr":"x"}})").code, 422);
  EXPECT_EQ(Post(gates_ + "?fieldValidation=Strict",
                 R"({"metadata":{"name":"h"},"spec":{"size":1,"odd":1}})")
                .code,
            400);
}

TEST_F(CustomTest, SubresourcesTablesAndRestart) {
  Post(gates_, R"({"metadata":{"name":"g"},"spec":{"size":3},"status":{"size":9}})");
  EXPECT_EQ(Get(gates_ + "/g").tree.Find("status"), nullptr);
  Merge(gates_ + "/g/status", R"({"status":{"size":2}})");
  EXPECT_EQ(TextAt(Get(gates_ + "/g/scale").tree, {"status", "replicas"}), "2");
  Merge(gates_ + "/g/scale", R"({"spec":{"replicas":5}})");
  Restart();
  Answer table = Call("GET", gates_, "", "", "application/json;as=Table;v=v1;g=meta.k8s.io");
  EXPECT_EQ(ToJson(*Items(table.tree.Find("rows"))[0].Find("cells")), R"(["g",5])");
  EXPECT_EQ(Strategic(gates_ + "/g", "{}").code, 415);
  EXPECT_EQ(Call("PUT", gates_ + "/g", R"({"metadata":{"name":"g"},"spec":{"size":1}})").code, 422);
}

TEST_F(CustomTest, ADefinitionTakesItsObjectsAlong) {
  Post(gates_, R"({"metadata":{"name":"g"},"spec":{"size":3}})");
  Call("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gates.example.com");
  Await(gates_, 404);
  Post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", kDefinition);
  EXPECT_EQ(Get(gates_ + "/g").code, 404);
}

class AccessTest : public ObjectsTest {
 protected:
  std::string TokenOf(const std::string& account) {
    auto token = api_->TokenFor("default", account);
    EXPECT_TRUE(token);
    return token ? *token : "";
  }
};

TEST_F(AccessTest, RulesAreEnforcedForServiceAccounts) {
  auto user = api_->Authenticate(TokenOf("bot"));
  ASSERT_TRUE(user);
  EXPECT_EQ(user->name, "system:serviceaccount:default:bot");
  User admin = user_;
  user_ = *user;
  Answer refused = Get(in_ + "pods");
  EXPECT_EQ(refused.code, 403);
  EXPECT_EQ(refused.Message(),
            "pods is forbidden: User \"system:serviceaccount:default:bot\" cannot list resource "
            "\"pods\" in API group \"\" in the namespace \"default\"");
  user_ = admin;
  Post("/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
       R"({"metadata":{"name":"r"},"rules":[{"apiGroups":[""],"resources":["pods"],)"
       R"("verbs":["list","get"]},{"apiGroups":[""],"resources":["configmaps"],)"
       R"("resourceNames":["one"],"verbs":["get"]}]})");
  Post("/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
       R"({"metadata":{"name":"b"},"roleRef":{"kind":"Role","name":"r"},)"
       R"("subjects":[{"kind":"ServiceAccount","name":"bot","namespace":"default"}]})");
  user_ = *user;
  EXPECT_EQ(Get(in_ + "pods").code, 200);
  EXPECT_EQ(Get(in_ + "pods?watch=true").code, 403);
  EXPECT_EQ(Get("/api/v1/pods").code, 403);
  EXPECT_EQ(Get(in_ + "configmaps/one").code, 404);
  EXPECT_EQ(Get(in_ + "configmaps/two").code, 403);
  EXPECT_EQ(Get("/version").code, 200);
  EXPECT_EQ(Get("/metrics").code, 403);
  Answer review = Post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                       R"({"spec":{"resourceAttributes":{"verb":"list","resource":"pods",)"
                       R"("namespace":"default"}}})");
  EXPECT_EQ(TextAt(review.tree, {"status", "allowed"}), "true") << review.text;
}

TEST_F(AccessTest, TokensEndWithTheirAccount) {
  std::string token = TokenOf("bot");
  EXPECT_FALSE(api_->Authenticate(token + "x"));
  EXPECT_FALSE(api_->Authenticate("a.b.c"));
  Restart();
  EXPECT_TRUE(api_->Authenticate(token));
  Call("DELETE", in_ + "serviceaccounts/bot");
  EXPECT_FALSE(api_->Authenticate(token));
  TokenOf("bot");
  EXPECT_FALSE(api_->Authenticate(token));
}

TEST_F(AccessTest, TokensBoundToAPodEndWithIt) {
  TokenOf("bot");
  Post(in_ + "pods", Pod("a"));
  Answer made = Post(in_ + "serviceaccounts/bot/token",
                     R"({"spec":{"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"a"}}})");
  EXPECT_EQ(made.code, 201) << made.text;
  std::string token = TextAt(made.tree, {"status", "token"});
  EXPECT_TRUE(api_->Authenticate(token));
  Call("DELETE", in_ + "pods/a");
  EXPECT_FALSE(api_->Authenticate(token));
}

TEST_F(AccessTest, Anonymous) {
  user_ = {"system:anonymous", "", {"system:unauthenticated"}};
  EXPECT_EQ(Get("/readyz").code, 200);
  EXPECT_EQ(Get("/version").code, 200);
  EXPECT_EQ(Get("/api").code, 403);
  EXPECT_EQ(Get(in_ + "pods").code, 403);
}

}  // namespace
}  // namespace sallyport::apiserver
