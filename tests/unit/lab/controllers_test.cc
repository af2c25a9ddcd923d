// SPDX-License-Identifier: Apache-2.0
// The controllers against a cluster that carries out what they want, in one order and in another,
// all of it or one change at a time: it must come to rest in the same state.
#include "lab/controllers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "lab/apply.h"
#include "lab/pod_environment.h"
#include "lab/ready.h"
#include "unit/lab/make.h"

namespace sallyport::lab {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using testing::UnorderedElementsAre;

enum class Order { kForward, kBackward, kOneByOne };

// An API server and kubelets, as far as controllers can tell.
class World {
 public:
  explicit World(Order order = Order::kForward) : order_(order) {
    Put("{apiVersion: v1, kind: Namespace, metadata: {name: x}}");
    for (const char* node : {"n1", "n2", "n3"})
      Put("{apiVersion: v1, kind: Node, metadata: {name: " + std::string(node) +
          "}, status: {conditions: [{type: Ready, status: 'True'}]}}");
  }

  Cluster cluster;
  bool ready = true;  // whether pods become ready

  void Put(const std::string& yaml) { Store(MakeValue(yaml)); }

  void Store(Value object) {
    std::string kind = KindOf(object);
    const Value* old = cluster.Find(kind, KeyOf(object, kind));
    Value& metadata = Child(object, "metadata");
    Set(metadata, "uid", String(old ? UidOf(*old) : "uid-" + std::to_string(++uid_)));
    Set(metadata, "resourceVersion", String(std::to_string(++version_)));
    bool same = old && old->Find("spec") && object.Find("spec") &&
                SameContent(*old->Find("spec"), *object.Find("spec"));
    int64_t generation = old ? *IntegerAt(*old, {"metadata", "generation"}) : 0;
    Set(metadata, "generation", Integer(same ? generation : generation + 1));
    if (old && !object.Find("status") && old->Find("status"))
      Set(object, "status", *old->Find("status"));
    cluster.Set(kind, std::move(object));
  }

  // One round: what is wanted, carried out. False when nothing is wanted.
  bool Step() {
    std::vector<Change> changes = Reconcile(cluster, {});
    if (order_ == Order::kBackward) std::reverse(changes.begin(), changes.end());
    if (order_ == Order::kOneByOne && changes.size() > 1) changes.resize(1);
    for (const Change& change : changes) Carry(change);
    return Kubelets() || !changes.empty();
  }

  void Settle() {
    for (int i = 0; Step(); ++i) ASSERT_LT(i, 500) << "it does not come to rest";
  }

  std::vector<std::string> Pods() const {
    std::vector<std::string> names;
    for (const auto& [name, pod] : cluster.Of("Pod")) names.push_back(name.name);
    return names;
  }
  const Value& Pod(const std::string& name) const { return *cluster.Find("Pod", {"x", name}); }
  const Value& Of(const std::string& kind, const std::string& name) const {
    return *cluster.Find(kind, {"x", name});
  }
  int64_t Number(const std::string& kind, const std::string& name, const std::string& field) const {
    return IntegerAt(Of(kind, name), {"status", field}).value_or(0);
  }
  size_t ReadyPods() const {
    size_t count = 0;
    for (const auto& [name, pod] : cluster.Of("Pod")) count += IsReadyPod(*pod);
    return count;
  }

  void Carry(const Change& change) {
    const Value* found = cluster.Find(change.kind, change.name);
    std::optional<Value> old;
    if (found) old = *found;
    switch (change.verb) {
      case Change::Verb::kCreate:
        if (!old) Store(change.object);
        break;
      case Change::Verb::kReplace:
        Store(change.object);
        break;
      case Change::Verb::kPatch:
      case Change::Verb::kPatchStatus:
        if (old) Store(Merged(*old, change.object));
        break;
      case Change::Verb::kForget:
      case Change::Verb::kDelete:
        if (old) Delete(change, *old);
        break;
      case Change::Verb::kBind:
        if (!old) break;
        Set(Child(*old, "spec"), "nodeName", String(TextAt(change.object, {"target", "name"})));
        Store(*old);
    }
  }

  static Value Merged(Value base, const Value& patch) {
    for (const auto& [key, value] : patch.members) {
      const Value* have = base.Find(key);
      if (value.type == Value::Type::kNull)
        Erase(base, key);
      else if (value.type == Value::Type::kMapping)
        Set(base, key, Merged(have ? *have : Mapping(), value));
      else
        Set(base, key, value);
    }
    return base;
  }

  void Delete(const Change& change, Value old) {
    bool runs = !TextAt(old, {"spec", "nodeName"}).empty();
    if (change.kind == "Pod" && runs && change.verb == Change::Verb::kDelete) {
      Set(Child(old, "metadata"), "deletionTimestamp", String("2026-01-01T00:00:00Z"));
      Store(std::move(old));
    } else {
      cluster.Remove(change.kind, change.name, change.uid);
    }
  }

  // Pods that have a node become ready, those on their way out go.
  bool Kubelets() {
    std::vector<Value> pods;
    for (const auto& [name, pod] : cluster.Of("Pod"))
      if (!TextAt(*pod, {"spec", "nodeName"}).empty()) pods.push_back(*pod);
    bool any = false;
    for (Value& pod : pods) {
      if (IsTerminating(pod)) {
        cluster.Remove("Pod", NameOf(pod), UidOf(pod));
        any = true;
      } else if (ready && !IsReadyPod(pod) && !IsOver(pod)) {
        Set(pod, "status",
            MakeValue("{phase: Running, conditions: [{type: Ready, status: 'True'}],"
                      " podIP: 10.0.0.1}"));
        Store(std::move(pod));
        any = true;
      }
    }
    return any;
  }

 private:
  Order order_;
  int uid_ = 0;
  int version_ = 0;
};

std::string Workload(const std::string& kind, const std::string& spec,
                     const std::string& image = "i") {
  return "{apiVersion: apps/v1, kind: " + kind + ", metadata: {name: web, namespace: x}, spec: {" +
         spec + (spec.empty() ? "" : ", ") +
         "selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: "
         "{containers: [{name: c, image: " +
         image + "}]}}}}";
}

class Controllers : public testing::TestWithParam<Order> {
 protected:
  World world{GetParam()};
};

TEST_P(Controllers, NamespacesGetTheirAccount) {
  world.Settle();
  EXPECT_TRUE(world.cluster.Find("ServiceAccount", {"x", "default"}));
  EXPECT_FALSE(world.cluster.Find("ConfigMap", {"x", "kube-root-ca.crt"}));
  std::vector<Change> changes = Reconcile(world.cluster, {{}, "PEM"});
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(TextAt(changes[0].object, {"data", "ca.crt"}), "PEM");
}

TEST_P(Controllers, ADeploymentHasItsPodsAndSaysSo) {
  world.Put(Workload("Deployment", "replicas: 3"));
  world.Settle();
  EXPECT_EQ(world.Pods().size(), 3u);
  for (const auto& [name, pod] : world.cluster.Of("Pod")) {
    EXPECT_FALSE(TextAt(*pod, {"metadata", "labels", "pod-template-hash"}).empty());
    EXPECT_THAT(name.name, StartsWith("web-"));
  }
  for (const char* field : {"replicas", "readyReplicas", "updatedReplicas", "availableReplicas"})
    EXPECT_EQ(world.Number("Deployment", "web", field), 3) << field;
  EXPECT_EQ(world.Number("Deployment", "web", "observedGeneration"), 1);
  EXPECT_TRUE(ConditionIsTrue(world.Of("Deployment", "web"), "Available"));
  EXPECT_EQ(StillToCome(world.cluster, {"n1", "n2", "n3"}, true), "");
  EXPECT_EQ(StillToCome(world.cluster, {"n1", "n2", "n3"}, false), "");
}

TEST_P(Controllers, ScalingKeepsTheOthers) {
  world.Put(Workload("Deployment", "replicas: 3"));
  world.Settle();
  std::vector<std::string> before = world.Pods();
  world.Put(Workload("Deployment", "replicas: 5"));
  EXPECT_NE(StillToCome(world.cluster, {"n1", "n2", "n3"}, true), "");
  world.Settle();
  EXPECT_THAT(world.Pods(), testing::IsSupersetOf(before));
  EXPECT_EQ(world.Pods().size(), 5u);
  world.Put(Workload("Deployment", "replicas: 0"));
  world.Settle();
  EXPECT_THAT(world.Pods(), IsEmpty());
}

// Never fewer ready than may be missing, never more pods than may be too many.
TEST_P(Controllers, ARolloutKeepsEnoughReady) {
  world.Put(Workload("Deployment", "replicas: 4"));
  world.Settle();
  std::vector<std::string> before = world.Pods();
  world.Put(Workload("Deployment",
                     "replicas: 4, strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 1}}",
                     "other"));
  for (int i = 0; world.Step(); ++i) {
    ASSERT_LT(i, 500);
    EXPECT_GE(world.ReadyPods(), 3u);
    size_t staying = 0;
    for (const auto& [name, pod] : world.cluster.Of("Pod")) staying += !IsTerminating(*pod);
    EXPECT_LE(staying, 5u);
  }
  for (const std::string& pod : before)
    EXPECT_THAT(world.Pods(), testing::Not(testing::Contains(pod)));
  EXPECT_EQ(world.Pods().size(), 4u);
  EXPECT_EQ(world.Number("Deployment", "web", "updatedReplicas"), 4);
  EXPECT_EQ(world.cluster.Of("ReplicaSet").size(), 2u) << "the old one stays, for an undo";
}

TEST_P(Controllers, ARolloutOfPodsThatDoNotBecomeReadyStops) {
  world.Put(Workload("Deployment", "replicas: 4"));
  world.Settle();
  world.ready = false;
  world.Put(Workload("Deployment", "replicas: 4", "broken"));
  world.Settle();
  EXPECT_EQ(world.ReadyPods(), 3u) << "25% of 4 may be missing";
  world.ready = true;
  world.Put(Workload("Deployment", "replicas: 4"));
  world.Settle();
  EXPECT_EQ(world.ReadyPods(), 4u);
  EXPECT_EQ(world.Number("Deployment", "web", "updatedReplicas"), 4);
}

TEST_P(Controllers, RecreateEndsTheOldPodsFirst) {
  std::string spec = "replicas: 2, strategy: {type: Recreate}";
  world.Put(Workload("Deployment", spec));
  world.Settle();
  world.Put(Workload("Deployment", spec, "other"));
  while (world.Step()) EXPECT_LE(world.Pods().size(), 2u);
  EXPECT_EQ(world.Number("Deployment", "web", "updatedReplicas"), 2);
}

TEST_P(Controllers, APodThatIsDeletedComesBackAsAnother) {
  world.Put(Workload("ReplicaSet", "replicas: 2"));
  world.Settle();
  std::string victim = world.Pods().front();
  std::string uid = UidOf(world.Pod(victim));
  world.Carry({Change::Verb::kDelete, "Pod", {"x", victim}, Value(), uid});
  world.Settle();
  EXPECT_EQ(world.Pods().size(), 2u);
  for (const auto& [name, pod] : world.cluster.Of("Pod")) EXPECT_NE(UidOf(*pod), uid);
}

// A label that takes a pod out of the selector takes it out of the set, and it goes on; one that
// brings it in makes one too many.
TEST_P(Controllers, LabelsTakePodsOutAndIn) {
  world.Put(Workload("ReplicaSet", "replicas: 2"));
  world.Settle();
  std::string name = world.Pods().front();
  Value pod = world.Pod(name);
  Set(Child(Child(pod, "metadata"), "labels"), "app", String("debug"));
  world.Store(pod);
  world.Settle();
  EXPECT_EQ(world.Pods().size(), 3u);
  EXPECT_FALSE(At(world.Pod(name), {"metadata", "ownerReferences"}));
  pod = world.Pod(name);
  Set(Child(Child(pod, "metadata"), "labels"), "app", String("web"));
  world.Store(pod);
  world.Settle();
  EXPECT_EQ(world.Pods().size(), 2u);
}

TEST_P(Controllers, AStatefulSetGrowsAndShrinksInOrder) {
  world.Put(Workload("StatefulSet", "replicas: 3, serviceName: peers"));
  world.ready = false;
  world.Settle();
  EXPECT_THAT(world.Pods(), ElementsAre("web-0"));
  world.ready = true;
  world.Settle();
  EXPECT_THAT(world.Pods(), ElementsAre("web-0", "web-1", "web-2"));
  EXPECT_EQ(TextAt(world.Pod("web-1"), {"spec", "hostname"}), "web-1");
  EXPECT_EQ(TextAt(world.Pod("web-1"), {"spec", "subdomain"}), "peers");
  std::string second = UidOf(world.Pod("web-1"));
  world.Put(Workload("StatefulSet", "replicas: 2, serviceName: peers", "other"));
  world.Settle();
  EXPECT_THAT(world.Pods(), ElementsAre("web-0", "web-1"));
  EXPECT_NE(UidOf(world.Pod("web-1")), second);
  const Value& set = world.Of("StatefulSet", "web");
  EXPECT_EQ(TextAt(set, {"status", "currentRevision"}), TextAt(set, {"status", "updateRevision"}));
  EXPECT_EQ(world.Number("StatefulSet", "web", "updatedReplicas"), 2);
}

TEST_P(Controllers, ADaemonSetCoversTheNodesThatItMay) {
  world.Put(
      "{apiVersion: v1, kind: Node, metadata: {name: n3}, spec: {taints: [{key: gpu, effect: "
      "NoSchedule}]}, status: {conditions: [{type: Ready, status: 'True'}]}}");
  world.Put(
      "{apiVersion: v1, kind: Node, metadata: {name: n2}, spec: {unschedulable: true}, status: "
      "{conditions: [{type: Ready, status: 'False'}]}}");
  world.Put(Workload("DaemonSet", ""));
  world.Settle();
  std::vector<std::string> nodes;
  for (const auto& [name, pod] : world.cluster.Of("Pod"))
    nodes.push_back(TextAt(*pod, {"spec", "nodeName"}));
  EXPECT_THAT(nodes, UnorderedElementsAre("n1", "n2"));
  EXPECT_EQ(world.Number("DaemonSet", "web", "numberReady"), 2);
  world.Put(Workload("DaemonSet", "", "other"));
  world.Settle();
  EXPECT_EQ(world.Number("DaemonSet", "web", "updatedNumberScheduled"), 2);
}

TEST_P(Controllers, AJobRunsItsPodsToTheEnd) {
  world.ready = false;
  world.Put(
      "{apiVersion: batch/v1, kind: Job, metadata: {name: web, namespace: x}, spec: {completions: "
      "3, parallelism: 2, template: {spec: {containers: [{name: c, image: i}]}}}}");
  for (int round = 0; round < 6; ++round) {
    world.Settle();
    for (const std::string& name : world.Pods()) {
      Value pod = world.Pod(name);
      if (IsOver(pod)) continue;
      Set(pod, "status", MakeValue("{phase: Succeeded}"));
      world.Store(pod);
      break;
    }
  }
  world.Settle();
  EXPECT_EQ(world.Pods().size(), 3u);
  EXPECT_TRUE(ConditionIsTrue(world.Of("Job", "web"), "Complete"));
  EXPECT_EQ(world.Number("Job", "web", "succeeded"), 3);
}

TEST_P(Controllers, WhatFitsNowhereSaysWhy) {
  world.Put(
      "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: x}, spec: {nodeSelector: {disk: "
      "ssd}, containers: [{name: c, image: i}]}}");
  world.Settle();
  EXPECT_THAT(ReasonOf(world.Pod("p")), HasSubstr("nodeSelector"));
  world.Put(
      "{apiVersion: v1, kind: Node, metadata: {name: n2, labels: {disk: ssd}}, status: "
      "{conditions: [{type: Ready, status: 'True'}]}}");
  world.Settle();
  EXPECT_EQ(TextAt(world.Pod("p"), {"spec", "nodeName"}), "n2");
}

TEST_P(Controllers, PodsOfANodeThatIsGoneAreForgotten) {
  world.Put(
      "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: x, deletionTimestamp: t}, spec: "
      "{nodeName: gone, containers: [{name: c, image: i}]}}");
  EXPECT_THAT(Reconcile(world.cluster, {}),
              testing::Contains(testing::Field(&Change::verb, Change::Verb::kForget)));
}

TEST_P(Controllers, ServicesGetTheirEndpoints) {
  world.Put(Workload("ReplicaSet", "replicas: 2"));
  world.Put(
      "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: x}, spec: {selector: {app: "
      "web}, clusterIP: 10.96.0.7, clusterIPs: [10.96.0.7], ipFamilies: [IPv4], ports: [{port: "
      "80, protocol: TCP}]}}");
  world.Settle();
  ASSERT_EQ(world.cluster.Of("EndpointSlice").size(), 1u);
  EXPECT_EQ(Items(world.cluster.Of("EndpointSlice").begin()->second->Find("endpoints")).size(), 2u);
  world.cluster.Remove("Service", {"x", "web"}, "");
  world.Settle();
  EXPECT_FALSE(world.cluster.Find("Endpoints", {"x", "web"}));
}

INSTANTIATE_TEST_SUITE_P(Orders, Controllers,
                         testing::Values(Order::kForward, Order::kBackward, Order::kOneByOne),
                         [](const auto& order) {
                           switch (order.param) {
                             case Order::kForward:
                               return "Forward";
                             case Order::kBackward:
                               return "Backward";
                             default:
                               return "OneByOne";
                           }
                         });

TEST(Cluster, AnOlderVersionDoesNotReplaceANewerOne) {
  Cluster cluster;
  auto pod = [](const char* version) {
    return MakeValue("{metadata: {name: p, namespace: x, resourceVersion: '" +
                     std::string(version) + "'}}");
  };
  cluster.Set("Pod", pod("10"));
  cluster.Set("Pod", pod("9"));
  EXPECT_EQ(TextAt(*cluster.Find("Pod", {"x", "p"}), {"metadata", "resourceVersion"}), "10");
  cluster.Set("Pod", pod("11"));
  EXPECT_EQ(TextAt(*cluster.Find("Pod", {"x", "p"}), {"metadata", "resourceVersion"}), "11");
}

TEST(Patch, AddsChangesAndTakesOut) {
  Value live = MakeValue(
      "{metadata: {name: d, uid: u, labels: {a: '1', old: x, others: y}}, spec: {replicas: 3, "
      "ports: [{port: 80, protocol: TCP}], set: by-server}}");
  Value last = MakeValue("{metadata: {name: d, labels: {a: '1', old: x}}, spec: {replicas: 3}}");
  Value same = MakeValue(
      "{metadata: {name: d, labels: {a: '1', old: x}}, spec: {replicas: 3, "
      "ports: [{port: 80}]}}");
  EXPECT_EQ(ToJson(MakePatch(live, last, same, true)), "{}");
  Value wanted = MakeValue(
      "{metadata: {name: d, labels: {a: '2'}}, spec: {replicas: 0, ports: [{port: 81}]}}");
  EXPECT_EQ(ToJson(MakePatch(live, last, wanted, true)),
            R"({"metadata":{"labels":{"a":"2","old":null}},)"
            R"("spec":{"replicas":0,"ports":[{"port":81},{"$patch":"replace"}]}})");
  EXPECT_EQ(ToJson(*MakePatch(live, last, wanted, false).Find("spec")->Find("ports")),
            R"([{"port":81}])");
}

TEST(PodEnvironment, NamesAreResolvedAsThePodAsks) {
  ClusterFacts cluster{"10.96.0.1", {"10.96.0.10", "fd00:10:96::a"}, "cluster.local"};
  auto etc = [&](const std::string& spec) {
    return EtcFiles(MakeValue("{metadata: {name: p, namespace: x}, spec: {" + spec + "}}"), "p",
                    {"10.244.1.2"}, cluster);
  };
  EXPECT_EQ(etc("")["resolv.conf"],
            "nameserver 10.96.0.10\nnameserver fd00:10:96::a\n"
            "search x.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n");
  EXPECT_EQ(etc("hostNetwork: true")["resolv.conf"], "");
  EXPECT_EQ(etc("dnsPolicy: None, dnsConfig: {nameservers: [192.0.2.1], searches: [s], options: "
                "[{name: ndots, value: '2'}, {name: rotate}]}")["resolv.conf"],
            "nameserver 192.0.2.1\nsearch s\noptions ndots:2 rotate\n");
  EXPECT_THAT(etc("subdomain: peers, hostAliases: [{ip: 192.0.2.7, hostnames: [a, b]}]")["hosts"],
              testing::AllOf(HasSubstr("10.244.1.2\tp.peers.x.svc.cluster.local\tp\n"),
                             HasSubstr("192.0.2.7\ta\tb\n")));
}

TEST(PodEnvironment, TheTokenIsMountedUnlessItIsNotWanted) {
  Value pod = MakeValue(
      "{metadata: {name: p, namespace: x}, spec: {containers: [{name: a}, {name: b, volumeMounts: "
      "[{name: own, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]}]}}");
  Value with = WithServiceAccount(pod, nullptr);
  EXPECT_TRUE(WantsToken(with));
  const std::vector<Value>& containers = Items(At(with, {"spec", "containers"}));
  EXPECT_EQ(Items(containers[0].Find("volumeMounts")).size(), 1u);
  EXPECT_TRUE(SameContent(containers[1], Items(At(pod, {"spec", "containers"}))[1]));
  Value account = MakeValue("{automountServiceAccountToken: false}");
  EXPECT_FALSE(WantsToken(WithServiceAccount(pod, &account)));
  Set(Child(pod, "spec"), "automountServiceAccountToken", Boolean(true));
  EXPECT_TRUE(WantsToken(WithServiceAccount(pod, &account)));
}

}  // namespace
}  // namespace sallyport::lab
