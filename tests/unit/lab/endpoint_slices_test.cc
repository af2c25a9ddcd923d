// SPDX-License-Identifier: Apache-2.0
#include "lab/endpoint_slices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "unit/lab/make.h"

namespace sallyport::lab {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::UnorderedElementsAre;

std::string Ready(bool ready) {
  return std::string("conditions: [{type: Ready, status: \"") + (ready ? "True" : "False") + "\"}]";
}

// A cluster as the controller sees it; slices are kept from one Reconcile to the next.
struct Cluster {
  Value service;
  std::deque<Value> pods;
  std::deque<Value> nodes;
  std::vector<Value> slices;

  explicit Cluster(const std::string& spec, const std::string& meta = "")
      : service(MakeValue("{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop, "
                          "uid: u1" +
                          meta + "}, spec: {selector: {app: web}, " + spec + "}}")) {}

  Value& Add(const std::string& name, const std::string& ip, const std::string& status,
             const std::string& spec = "", const std::string& meta = "") {
    pods.push_back(
        MakeValue("{kind: Pod, metadata: {name: " + name + ", namespace: shop, uid: uid-" + name +
                  ", labels: {app: web}" + meta + "}, spec: {nodeName: n1" + spec +
                  "}, status: {phase: Running, podIP: \"" + ip + "\", " + status + "}}"));
    return pods.back();
  }

  EndpointObjects Make() const {
    std::vector<const Value*> pod_list;
    for (const Value& pod : pods) pod_list.push_back(&pod);
    std::map<std::string, const Value*> by_name;
    for (const Value& node : nodes) by_name[NameOf(node).name] = &node;
    std::vector<const Value*> old;
    for (const Value& slice : slices) old.push_back(&slice);
    return MakeEndpointSlices(service, pod_list, by_name, old);
  }
  // Writes what is made, as an API server keeps it.
  EndpointObjects Reconcile() {
    EndpointObjects made = Make();
    std::erase_if(slices, [](const Value& slice) {
      return TextAt(slice, {"metadata", "labels", kManagedByLabel}) == kSliceManager;
    });
    for (const Value& slice : made.slices) {
      slices.push_back(slice);
      if (TextAt(slice, {"metadata", "uid"}).empty())
        Set(Child(slices.back(), "metadata"), "uid", String("uid-" + NameOf(slice).name));
    }
    return made;
  }
};

// "address ready serving terminating" of each endpoint.
std::vector<std::string> Endpoints(const std::vector<Value>& slices) {
  std::vector<std::string> out;
  for (const Value& slice : slices)
    for (const Value& endpoint : Items(slice.Find("endpoints")))
      out.push_back(Texts(endpoint.Find("addresses")).at(0) + " " +
                    TextAt(endpoint, {"conditions", "ready"}) + " " +
                    TextAt(endpoint, {"conditions", "serving"}) + " " +
                    TextAt(endpoint, {"conditions", "terminating"}));
  return out;
}

std::vector<std::string> Names(const std::vector<Value>& slices) {
  std::vector<std::string> out;
  for (const Value& slice : slices) out.push_back(NameOf(slice).name);
  return out;
}

constexpr const char* kPort80 = "ports: [{port: 80, targetPort: 8080}]";

TEST(EndpointSlices, AReadyPodIsAnEndpointAndTheSliceSaysWhose) {
  Cluster cluster(kPort80, ", labels: {team: a}");
  cluster.nodes.push_back(
      MakeValue("{kind: Node, metadata: {name: n1, labels: {topology.kubernetes.io/zone: z1}}}"));
  cluster.Add("a", "10.0.0.1", Ready(true));
  EndpointObjects made = cluster.Make();
  ASSERT_TRUE(made.managed);
  ASSERT_THAT(made.slices, SizeIs(1));
  const Value& slice = made.slices[0];
  std::string name = NameOf(slice).name;
  EXPECT_TRUE(name.starts_with("web-") && name.size() == 9) << name;
  EXPECT_EQ(
      ToJson(slice),
      R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":")" + name +
          R"(","generateName":"web-","namespace":"shop","ownerReferences":[{"apiVersion":"v1",)"
          R"("kind":"Service","name":"web","uid":"u1","controller":true,)"
          R"("blockOwnerDeletion":true}],"labels":{"team":"a","kubernetes.io/service-name":"web",)"
          R"("endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io"}},)"
          R"("addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"],"conditions":)"
          R"({"ready":true,"serving":true,"terminating":false},"targetRef":{"kind":"Pod",)"
          R"("namespace":"shop","name":"a","uid":"uid-a"},"nodeName":"n1","zone":"z1"}],)"
          R"("ports":[{"name":"","protocol":"TCP","port":8080}]})");
  EXPECT_EQ(
      ToJson(*At(*made.endpoints, {"subsets"})),
      R"([{"addresses":[{"ip":"10.0.0.1","targetRef":{"kind":"Pod","namespace":"shop",)"
      R"("name":"a","uid":"uid-a"},"nodeName":"n1"}],"ports":[{"protocol":"TCP","port":8080}]}])");
}

TEST(EndpointSlices, ReadinessTerminationAndPodsThatAreNone) {
  Cluster cluster(kPort80);
  cluster.Add("a", "10.0.0.1", Ready(false));
  cluster.Add("b", "10.0.0.2", Ready(true), "", ", deletionTimestamp: \"2026-01-01T00:00:00Z\"");
  cluster.Add("c", "", Ready(true));
  Set(Child(cluster.Add("d", "10.0.0.4", Ready(true)), "status"), "phase", String("Failed"));
  Set(Child(cluster.Add("e", "10.0.0.5", Ready(true)), "metadata"), "labels",
      MakeValue("{app: other}"));
  Set(Child(cluster.Add("f", "10.0.0.6", Ready(true)), "metadata"), "namespace", String("bar"));
  EndpointObjects made = cluster.Make();
  EXPECT_THAT(Endpoints(made.slices), ElementsAre("10.0.0.1 false false false",  //
                                                  "10.0.0.2 false true true"));
  const Value& subset = Items(At(*made.endpoints, {"subsets"})).at(0);
  EXPECT_EQ(subset.Find("addresses"), nullptr);
  EXPECT_THAT(Items(subset.Find("notReadyAddresses")), SizeIs(1));  // not the one that goes
}

TEST(EndpointSlices, PublishNotReadyAddressesMakesAllReady) {
  Cluster cluster(std::string("publishNotReadyAddresses: true, ") + kPort80);
  cluster.Add("a", "10.0.0.1", Ready(false));
  cluster.Add("b", "10.0.0.2", Ready(true), "", ", deletionTimestamp: \"2026-01-01T00:00:00Z\"");
  EndpointObjects made = cluster.Make();
  EXPECT_THAT(Endpoints(made.slices), ElementsAre("10.0.0.1 true false false",  //
                                                  "10.0.0.2 true true true"));
  EXPECT_THAT(Items(At(Items(At(*made.endpoints, {"subsets"})).at(0), {"addresses"})), SizeIs(2));
}

TEST(EndpointSlices, ANamedPortIsLookedUpInEachPod) {
  Cluster cluster(
      "ports: [{name: http, port: 80, targetPort: web}, {name: dns, port: 53, "
      "protocol: UDP, targetPort: web}]");
  auto with = [](const std::string& ports) {
    return ", containers: [{name: c, ports: [" + ports + "]}]";
  };
  cluster.Add("a", "10.0.0.1", Ready(true), with("{name: web, containerPort: 8080}"));
  cluster.Add("b", "10.0.0.2", Ready(true), with("{name: web, containerPort: 9090}"));
  cluster.Add("c", "10.0.0.3", Ready(true),
              with("{name: web, containerPort: 5353, protocol: UDP}, "
                   "{name: web, containerPort: 8080}"));
  cluster.Add("d", "10.0.0.4", Ready(true),
              ", initContainers: [{name: s, restartPolicy: Always, ports: [{name: web, "
              "containerPort: 8080}]}]");
  cluster.Add("e", "10.0.0.5", Ready(true));
  EndpointObjects made = cluster.Make();
  std::vector<std::string> found;
  for (const Value& slice : made.slices) {
    std::string text;
    for (const Value& port : Items(slice.Find("ports")))
      text += TextAt(port, {"name"}) + "=" + TextAt(port, {"port"}) + " ";
    for (const Value& endpoint : Items(slice.Find("endpoints")))
      text += TextAt(endpoint, {"targetRef", "name"});
    found.push_back(text);
  }
  EXPECT_THAT(found,
              UnorderedElementsAre("http=8080 ad", "http=9090 b", "http=8080 dns=5353 c", "e"));
  EXPECT_THAT(Items(At(*made.endpoints, {"subsets"})), SizeIs(3));  // a pod without ports is none
}

TEST(EndpointSlices, OneSetOfSlicesForEachFamily) {
  Cluster cluster(std::string("ipFamilies: [IPv6, IPv4], ") + kPort80);
  Value& pod = cluster.Add("a", "10.0.0.1", Ready(true));
  Set(Child(pod, "status"), "podIPs", MakeValue("[{ip: 10.0.0.1}, {ip: \"fd00::1\"}]"));
  EndpointObjects made = cluster.Make();
  EXPECT_THAT(Endpoints(made.slices), ElementsAre("fd00::1 true true false",  //
                                                  "10.0.0.1 true true false"));
  EXPECT_EQ(TextAt(made.slices[0], {"addressType"}), "IPv6");
  // The Endpoints object is of the first family.
  EXPECT_EQ(
      TextAt(Items(At(Items(At(*made.endpoints, {"subsets"})).at(0), {"addresses"})).at(0), {"ip"}),
      "fd00::1");
}

TEST(EndpointSlices, WithoutPodsASliceSaysSoAndItStaysWhenTheyCome) {
  Cluster cluster(kPort80);
  EndpointObjects none = cluster.Reconcile();
  ASSERT_THAT(none.slices, SizeIs(1));
  EXPECT_THAT(Items(none.slices[0].Find("endpoints")), IsEmpty());
  EXPECT_EQ(none.endpoints->Find("subsets"), nullptr);
  cluster.Add("a", "10.0.0.1", Ready(true));
  EndpointObjects some = cluster.Reconcile();
  EXPECT_THAT(some.slices, SizeIs(1));
  EXPECT_THAT(some.stale, ElementsAre(NameOf(none.slices[0]).name));  // it had no ports
}

TEST(EndpointSlices, EndpointsStayWhereTheyAreAndSlicesAreFilledUp) {
  Cluster cluster(kPort80);
  auto add = [&](int i) {
    cluster.Add("p" + std::to_string(1000 + i),
                "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1), Ready(true));
  };
  for (int i = 0; i < 250; ++i) add(i);
  std::vector<Value> first = cluster.Reconcile().slices;
  ASSERT_THAT(first, SizeIs(3));
  EXPECT_THAT(cluster.Make().stale, IsEmpty());
  std::vector<Value> same = cluster.Reconcile().slices;
  ASSERT_EQ(Names(same).size(), 3u);
  EXPECT_THAT(Names(same), UnorderedElementsAre(NameOf(first[0]).name, NameOf(first[1]).name,
                                                NameOf(first[2]).name));
  cluster.pods.erase(cluster.pods.begin(), cluster.pods.begin() + 30);
  for (int i = 300; i < 310; ++i) add(i);
  std::vector<Value> later = cluster.Reconcile().slices;
  EXPECT_THAT(later, SizeIs(3));
  size_t total = 0;
  for (const Value& slice : later) {
    size_t count = Items(slice.Find("endpoints")).size();
    EXPECT_LE(count, kMostEndpointsInSlice);
    EXPECT_THAT(TextAt(slice, {"metadata", "uid"}), Not(IsEmpty()));  // all are old ones
    total += count;
  }
  EXPECT_EQ(total, 230u);
  cluster.pods.erase(cluster.pods.begin() + 1, cluster.pods.end());
  EndpointObjects little = cluster.Make();
  EXPECT_THAT(little.slices, SizeIs(1));
  EXPECT_THAT(little.stale, SizeIs(2));
}

TEST(EndpointSlices, HostnamesAreThoseOfThisSubdomain) {
  Cluster cluster("clusterIP: None, ports: []");
  cluster.Add("web-0", "10.0.0.1", Ready(true), ", hostname: web-0, subdomain: web");
  cluster.Add("web-1", "10.0.0.2", Ready(true), ", hostname: web-1, subdomain: other");
  EndpointObjects made = cluster.Make();
  ASSERT_THAT(made.slices, SizeIs(1));
  const auto& endpoints = Items(made.slices[0].Find("endpoints"));
  EXPECT_EQ(TextAt(endpoints.at(0), {"hostname"}), "web-0");
  EXPECT_EQ(TextAt(endpoints.at(1), {"hostname"}), "");
  EXPECT_NE(At(made.slices[0], {"metadata", "labels", "service.kubernetes.io/headless"}), nullptr);
}

TEST(EndpointSlices, WhatIsNotOursIsLeftAlone) {
  Cluster cluster(kPort80);
  cluster.slices.push_back(MakeValue(
      "{kind: EndpointSlice, metadata: {name: mine, namespace: shop, labels: "
      "{kubernetes.io/service-name: web}}, addressType: IPv4, endpoints: [], ports: []}"));
  EXPECT_THAT(cluster.Make().stale, IsEmpty());
  Erase(Child(cluster.service, "spec"), "selector");
  EndpointObjects made = cluster.Make();
  EXPECT_FALSE(made.managed);
  EXPECT_THAT(made.slices, IsEmpty());
  EXPECT_FALSE(made.endpoints.has_value());
}

TEST(EndpointSlices, AnEndpointsObjectIsCutAndSaysSo) {
  Cluster cluster(kPort80);
  for (int i = 0; i < 1001; ++i)
    cluster.Add("p" + std::to_string(i),
                "10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1), Ready(true));
  EndpointObjects made = cluster.Make();
  EXPECT_THAT(Items(At(Items(At(*made.endpoints, {"subsets"})).at(0), {"addresses"})),
              SizeIs(kMostEndpointsInObject));
  EXPECT_EQ(
      TextAt(*made.endpoints, {"metadata", "annotations", "endpoints.kubernetes.io/over-capacity"}),
      "truncated");
  EXPECT_THAT(made.slices, SizeIs(11));
}

}  // namespace
}  // namespace sallyport::lab
