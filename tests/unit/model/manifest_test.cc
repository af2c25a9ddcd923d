// SPDX-License-Identifier: Apache-2.0
// What a manifest means: defaults, lists, kinds, and what is known of broken objects.
#include "model/manifest.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "support/places.h"

namespace sallyport::model {
namespace {

std::string Print(const Manifest& manifest) {
  std::string out;
  for (const Delta& d : manifest.objects) {
    out += ToString(d.kind) + " " + d.name.ToString() + "\n";
  }
  for (const auto& [kind, name] : manifest.broken) {
    out += "broken " + ToString(kind) + " " + name.ToString() + "\n";
  }
  for (const auto& [kind, count] : manifest.skipped) {
    out += "skipped " + kind + " " + std::to_string(count) + "\n";
  }
  for (const Diagnostic& d : manifest.diagnostics) out += d.ToString() + "\n";
  if (manifest.unreadable) out += "unreadable\n";
  return out;
}

std::string Read(std::string_view text) { return Print(ReadManifest(text, "f")); }

template <typename Ptr>
Ptr ReadOne(const std::string& text) {
  Manifest manifest = ReadManifest(text, "f");
  EXPECT_EQ(manifest.objects.size(), 1u) << Print(manifest);
  if (manifest.objects.size() != 1) return nullptr;
  return std::get<Ptr>(manifest.objects[0].object);
}

NetworkPolicyPtr ReadPolicy(const std::string& spec) {
  return ReadOne<NetworkPolicyPtr>(
      "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: " + spec);
}

TEST(PolicySemantics, MissingPolicyTypesIsIngressAndEgressIfItHasRules) {
  struct {
    const char* spec;
    bool ingress;
    bool egress;
  } cases[] = {
      {"{podSelector: {}}", true, false},
      {"{podSelector: {}, ingress: []}", true, false},
      {"{podSelector: {}, egress: []}", true, false},
      {"{podSelector: {}, egress: ~}", true, false},
      {"{podSelector: {}, egress: [{}]}", true, true},
      {"{podSelector: {}, egress: [{}], policyTypes: []}", true, true},
      {"{podSelector: {}, egress: [{}], policyTypes: ~}", true, true},
      {"{podSelector: {}, egress: [{}], policyTypes: [Ingress]}", true, false},
      {"{podSelector: {}, policyTypes: [Egress]}", false, true},
      {"{podSelector: {}, policyTypes: [Ingress, Egress]}", true, true},
  };
  for (const auto& c : cases) {
    auto policy = ReadPolicy(c.spec);
    EXPECT_EQ(policy->isolates_ingress, c.ingress) << c.spec;
    EXPECT_EQ(policy->isolates_egress, c.egress) << c.spec;
  }
}

TEST(PolicySemantics, EmptySelectorIsNotAnAbsentOne) {
  auto policy = ReadPolicy(
      "{podSelector: {}, ingress: [{from: [{podSelector: {}}, {namespaceSelector: {}}, "
      "{podSelector: {matchLabels: {}}, namespaceSelector: {matchExpressions: []}}]}]}");
  const auto& peers = policy->ingress.at(0).peers;
  ASSERT_EQ(peers.size(), 3u);
  EXPECT_EQ(std::get<PodPeer>(peers[0]), (PodPeer{std::nullopt, Selector()}));
  EXPECT_EQ(std::get<PodPeer>(peers[1]), (PodPeer{Selector(), std::nullopt}));
  EXPECT_EQ(std::get<PodPeer>(peers[2]), (PodPeer{Selector(), Selector()}));
}

TEST(PolicySemantics, EmptyRuleDiffersFromNoRule) {
  EXPECT_EQ(ReadPolicy("{podSelector: {}, ingress: [{}]}")->ingress.size(), 1u);
  EXPECT_EQ(ReadPolicy("{podSelector: {}, ingress: [{from: [], ports: ~}]}")->ingress.at(0),
            Rule{});
  EXPECT_TRUE(ReadPolicy("{podSelector: {}, ingress: []}")->ingress.empty());
}

TEST(PolicySemantics, PortsDefaultToTcpAndMayBeNames) {
  auto policy = ReadPolicy(
      "{podSelector: {}, ingress: [{ports: [{}, {port: 80}, {port: http, protocol: UDP}, {port: "
      "10, endPort: 20, protocol: SCTP}]}]}");
  std::vector<PolicyPort> want = {{net::Protocol::kTcp, {}},
                                  {net::Protocol::kTcp, net::PortRange{80, 80}},
                                  {net::Protocol::kUdp, "http"},
                                  {net::Protocol::kSctp, net::PortRange{10, 20}}};
  EXPECT_EQ(policy->ingress.at(0).ports, want);
}

TEST(PolicySemantics, MatchLabelsAndInWithOneValueAreTheSame) {
  EXPECT_EQ(ReadPolicy("{podSelector: {matchLabels: {app: web}}}")->pods,
            ReadPolicy("{podSelector: {matchExpressions: [{key: app, operator: In, values: "
                       "[web, web]}]}}")
                ->pods);
}

TEST(PolicySemantics, ExceptIsSortedAndHostBitsAreCleared) {
  auto policy = ReadPolicy(
      "{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.1.2.3/8, except: [10.2.0.0/16, "
      "10.1.0.0/16, 10.2.9.9/16]}}]}]}");
  EXPECT_EQ(std::get<IpBlock>(policy->egress.at(0).peers.at(0)).ToString(),
            "10.0.0.0/8 except 10.1.0.0/16,10.2.0.0/16");
}

TEST(PolicySemantics, RulesKnowTheirLine) {
  auto policy = ReadPolicy("\n  podSelector: {}\n  ingress:\n  - from: []\n\n  - ports: []\n");
  EXPECT_EQ(policy->ingress.at(0).line, 7);
  EXPECT_EQ(policy->ingress.at(1).line, 9);
  EXPECT_EQ(policy->place.ToString(), "f:1");
}

TEST(NamespaceSemantics, AlwaysHasItsNameLabel) {
  EXPECT_EQ(ReadOne<NamespacePtr>("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n"
                                  "  labels: {a: b, kubernetes.io/metadata.name: other}\n")
                ->labels.ToString(),
            "a=b,kubernetes.io/metadata.name=shop");
}

TEST(NodeSemantics, AddressesAndPodCidrs) {
  auto node = ReadOne<NodePtr>(
      "apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {zone: a}}\n"
      "spec: {podCIDR: 10.1.0.0/24, podCIDRs: [10.1.0.0/24, 'fd00:1::/64']}\n"
      "status:\n  addresses:\n  - {type: InternalIP, address: 192.0.2.1}\n"
      "  - {type: Hostname, address: n1}\n  - {type: ExternalIP, address: '2001:db8::1'}\n"
      "  - {type: ExternalIP, address: 192.0.2.1}\n");
  ASSERT_EQ(node->addresses.size(), 2u);
  EXPECT_EQ(node->addresses[0].ToString(), "192.0.2.1");
  EXPECT_EQ(node->addresses[1].ToString(), "2001:db8::1");
  ASSERT_EQ(node->pod_cidrs.size(), 2u);
  EXPECT_EQ(node->pod_cidrs[1].ToString(), "fd00:1::/64");
  EXPECT_EQ(node->labels.ToString(), "zone=a");
  ASSERT_EQ(node->internal_addresses.size(), 1u);
  EXPECT_EQ(node->internal_addresses[0].ToString(), "192.0.2.1");
  EXPECT_FALSE(node->ready || node->unschedulable) << "nobody says so";
  EXPECT_EQ(node->boot_id, "");
}

TEST(NodeSemantics, WhatAGatewayMustBe) {
  auto node = [](const std::string& status, const std::string& spec = "{}") {
    return *ReadOne<NodePtr>(
        "{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: " + spec +
        ", status: {conditions: [{type: DiskPressure, status: 'True'}, {type: Ready, status: " +
        status + ", lastHeartbeatTime: x}], nodeInfo: {bootID: b-1, osImage: Some}}}");
  };
  EXPECT_TRUE(node("'True'").ready);
  EXPECT_FALSE(node("'False'").ready);
  EXPECT_FALSE(node("Unknown").ready);
  EXPECT_EQ(node("'True'").boot_id, "b-1");
  EXPECT_FALSE(node("'True'").unschedulable);
  EXPECT_TRUE(node("'True'", "{unschedulable: true}").unschedulable);
  EXPECT_FALSE(node("'True'") == node("'False'"));
}

TEST(NodeSemantics, PodCidrAloneIsEnough) {
  auto node = ReadOne<NodePtr>(
      "{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDR: 10.1.0.0/24}}");
  ASSERT_EQ(node->pod_cidrs.size(), 1u);
}

TEST(PodSemantics, WhatIsRead) {
  auto pod = ReadOne<PodPtr>(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop, uid: u-1, labels: {a: "
      "b}}\nspec:\n  nodeName: n1\n  initContainers: [{name: i, ports: [{containerPort: 1}]}, "
      "{name: s, restartPolicy: Always, ports: [{name: admin, containerPort: 2}]}]\n"
      "  containers:\n  - name: a\n    ports: [{name: http, containerPort: 80}, {containerPort: "
      "53, protocol: UDP}]\n  - name: b\n    ports: [{name: x, containerPort: 9, protocol: SCTP}]\n"
      "status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}\n");
  EXPECT_EQ(pod->name.ToString(), "shop/web");
  EXPECT_EQ(pod->uid, "u-1");
  EXPECT_EQ(pod->node, "n1");
  EXPECT_EQ(pod->phase, PodPhase::kRunning);
  EXPECT_FALSE(pod->host_network);
  ASSERT_EQ(pod->addresses.size(), 2u);
  std::vector<ContainerPort> want = {{"http", net::Protocol::kTcp, 80},
                                     {"", net::Protocol::kUdp, 53},
                                     {"x", net::Protocol::kSctp, 9},
                                     {"admin", net::Protocol::kTcp, 2}};
  EXPECT_EQ(pod->ports, want);
}

TEST(PodSemantics, PodIpAloneAndWhereItDiffers) {
  auto read = [](const std::string& status) {
    auto pod = ReadOne<PodPtr>(
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c}]}, "
        "status: " +
        status + "}");
    std::string out;
    for (const auto& address : pod->addresses) out += address.ToString() + " ";
    return out;
  };
  EXPECT_EQ(read("{podIP: 10.0.0.1}"), "10.0.0.1 ");
  EXPECT_EQ(read("{podIPs: [{ip: 10.0.0.1}]}"), "10.0.0.1 ");
  EXPECT_EQ(read("{podIP: 10.0.0.2, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}"), "10.0.0.2 ");
  EXPECT_EQ(read("{podIP: '', podIPs: []}"), "");
  EXPECT_EQ(read("{}"), "");
}

TEST(PodSemantics, Phases) {
  for (auto [text, live] : {std::pair{"Pending", true},
                            {"Running", true},
                            {"Unknown", true},
                            {"Succeeded", false},
                            {"Failed", false}}) {
    auto pod = ReadOne<PodPtr>(
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c}]}, "
        "status: {phase: " +
        std::string(text) + "}}");
    EXPECT_EQ(pod->IsLive(), live) << text;
  }
}

// As kubectl and an API server give them.
TEST(Manifest, RealObjectsGiveNoWarnings) {
  const std::string folder = test::InSources("tests/unit/model/real");
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path());
    std::stringstream text;
    text << file.rdbuf();
    Manifest manifest = ReadManifest(text.str(), entry.path().filename());
    EXPECT_TRUE(manifest.diagnostics.empty()) << Print(manifest);
    EXPECT_FALSE(manifest.objects.empty()) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 4);
}

TEST(Manifest, NamespacedObjectsGetTheDefaultNamespace) {
  const char* text =
      "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, "
      "spec: {podSelector: {}}}";
  EXPECT_EQ(Read(text), "NetworkPolicy default/p\n");
  EXPECT_EQ(Print(ReadManifest(text, "f", "shop")), "NetworkPolicy shop/p\n");
}

TEST(Manifest, OtherKindsAreCounted) {
  EXPECT_EQ(
      Read("apiVersion: apps/v1\nkind: Deployment\n---\napiVersion: v1\nkind: ConfigMap\n---\n"
           "apiVersion: apps/v1\nkind: Deployment\nspec: 5\n---\n"
           "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\n---\n"
           "apiVersion: networking.k8s.io/v1\nkind: IngressList\nitems: []\n---\n"
           "apiVersion: v1\nkind: SomethingNew\n---\n"
           "apiVersion: egressgateway.spidernet.io/v1beta1\nkind: EgressGateway\n---\n"
           "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\n"),
      "skipped apps/v1 Deployment 2\n"
      "skipped egressgateway.spidernet.io/v1beta1 EgressGateway 1\n"
      "skipped networking.k8s.io/v1 IngressList 1\n"
      "skipped policy.networking.k8s.io/v1alpha1 AdminNetworkPolicy 1\n"
      "skipped projectcalico.org/v3 NetworkPolicy 1\nskipped v1 ConfigMap 1\n"
      "skipped v1 SomethingNew 1\n");
}

TEST(Manifest, MistakenKindsAreNotSkipped) {
  const std::pair<const char*, const char*> cases[] = {
      {"extensions/v1beta1, kind: NetworkPolicy", "write apiVersion: networking.k8s.io/v1"},
      {"networking.k8s.io/v1beta1, kind: NetworkPolicy", "write apiVersion: networking.k8s.io/v1"},
      {"networking/v1, kind: NetworkPolicy", "write apiVersion: networking.k8s.io/v1"},
      {"networking.k8s.oi/v1, kind: NetworkPolicy", "write apiVersion: networking.k8s.io/v1"},
      {"v1, kind: NetworkPolicy", "write apiVersion: networking.k8s.io/v1"},
      {"v1, kind: NetworkPolicyList", "write apiVersion: networking.k8s.io/v1"},
      {"networking.k8s.io/v1, kind: NetworkPolcy", "did you mean NetworkPolicy?"},
      {"networking.k8s.io/v1, kind: networkpolicy", "did you mean NetworkPolicy?"},
      {"networking.k8s.io/v1, kind: NetworkPolicies", "there is no kind \"NetworkPolicies\" in"},
      {"networking.k8s.io/v1, kind: Pod", "write apiVersion: v1"},
      {"apps/v1, kind: Pod", "write apiVersion: v1"},
      {"v1, kind: pod", "did you mean Pod?"},
      {"v1, kind: Pods", "did you mean Pod?"},
      {"v1beta1, kind: Node", "write apiVersion: v1"},
      {"sallyport.io/v1, kind: EgressGateway", "write apiVersion: sallyport.io/v1alpha1"},
      {"salyport.io/v1alpha1, kind: EgressGateway", "write apiVersion: sallyport.io/v1alpha1"},
      {"networking.k8s.io/v1, kind: EgressGateway", "write apiVersion: sallyport.io/v1alpha1"},
      {"v1, kind: EgressGatewayList", "write apiVersion: sallyport.io/v1alpha1"},
      {"sallyport.io/v1alpha1, kind: EgressGateways", "did you mean EgressGateway?"},
      {"sallyport.io/v1alpha1, kind: NetworkPolicy", "write apiVersion: networking.k8s.io/v1"},
  };
  for (auto [type, message] : cases) {
    std::string out = Read("{apiVersion: " + std::string(type) + ", metadata: {name: a}}");
    EXPECT_NE(out.find(message), std::string::npos) << type << ": " << out;
    EXPECT_NE(out.find("f:1: error: kind: "), std::string::npos) << out;
    EXPECT_NE(out.find("unreadable"), std::string::npos) << out;
  }
}

TEST(Manifest, DocumentsThatAreNoObjects) {
  const std::string must =
      "is not a Kubernetes object: it must be a mapping with apiVersion, kind "
      "and metadata\nunreadable\n";
  EXPECT_EQ(Read("this is no manifest\n"), "f:1: error: " + must);
  EXPECT_EQ(Read("[1, 2]\n"), "f:1: error: " + must);
  EXPECT_EQ(Read("a: b\n"),
            "f:1: error: apiVersion: is required, such as v1 or networking.k8s.io/v1\n"
            "f:1: error: kind: is required, such as Pod or NetworkPolicy\nunreadable\n");
  EXPECT_EQ(Read("apiVersion: 1\nkind: Pod\n"),
            "f:1: error: apiVersion: must be a string, but is \"1\", a number; put it in quotes: "
            "\"1\"\nunreadable\n");
  EXPECT_EQ(Read("# nothing\n---\n\n"), "");
}

TEST(Manifest, Lists) {
  EXPECT_EQ(Read("apiVersion: v1\nkind: List\nmetadata: {resourceVersion: ''}\nitems:\n"
                 "- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n"
                 "- {apiVersion: v1, kind: Secret}\n"
                 "- {apiVersion: v1, kind: Namespace, metadata: {name: A}}\n"
                 "- {apiVersion: v1, kind: Node, metadata: {name: b}, spec: 1}\n"
                 "- 5\n"),
            "Namespace a\nbroken Node b\nskipped v1 Secret 1\n"
            "f:7: error: Namespace: items[2].metadata.name: \"A\" must consist of lower case "
            "letters, digits and '-', and start and end with a letter or digit (such as my-name)\n"
            "f:8: error: Node b: items[3].spec: must be a mapping, but is \"1\", a number\n"
            "f:9: error: items[4]: is not a Kubernetes object: it must be a mapping with "
            "apiVersion, kind and metadata\nunreadable\n");
  EXPECT_EQ(Read("apiVersion: v1\nkind: List\nitems: []\n"), "");
  EXPECT_EQ(Read("apiVersion: v1\nkind: List\nitems:\n"), "");
  EXPECT_EQ(Read("apiVersion: v1\nkind: List\nitems: {}\n"),
            "f:3: error: items: must be a list, but is a mapping\nunreadable\n");
}

TEST(Manifest, TypedListsGiveTheirItemsTheirKind) {
  EXPECT_EQ(Read("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicyList\nitems:\n"
                 "- metadata: {name: a}\n  spec: {podSelector: {}}\n"
                 "- {apiVersion: v1, kind: Namespace, metadata: {name: b}}\n"),
            "NetworkPolicy default/a\nNamespace b\n");
  EXPECT_EQ(Read("{\"apiVersion\":\"v1\",\"kind\":\"NamespaceList\",\"items\":[{\"metadata\":"
                 "{\"name\":\"a\"}}]}"),
            "Namespace a\n");
}

TEST(Manifest, RepeatedKeyBreaksItsObjectOnly) {
  EXPECT_EQ(Read("apiVersion: v1\nkind: List\nitems:\n"
                 "- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n"
                 "- {apiVersion: v1, kind: Namespace, metadata: {name: b, labels: {x: v, x: w}}}\n"
                 "---\napiVersion: v1\nkind: Secret\nspec: {a: 1, a: 2}\n"),
            "Namespace a\nbroken Namespace b\nskipped v1 Secret 1\n"
            "f:5: error: key \"x\" is given twice in one mapping: keep one\n"
            "f:9: error: key \"a\" is given twice in one mapping: keep one\n");
}

TEST(Manifest, SyntaxErrorKeepsWhatWasBefore) {
  EXPECT_EQ(Read("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\nkind: [\n"),
            "Namespace a\n"
            "f:5: error: not valid YAML: quotes or brackets that are opened here or below are not "
            "closed before the document ends\nunreadable\n");
}

TEST(Manifest, JsonAndYamlMeanTheSame) {
  const std::string json =
      R"({"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"p",)"
      R"("namespace":"shop"},"spec":{"podSelector":{"matchLabels":{"app":"w\u0065b"}},"egress":)"
      R"([{"to":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.0.0/16"]}}],"ports":[{"port":)"
      R"(80,"endPort":90,"protocol":"UDP"}]}]}})";
  const std::string yaml =
      "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: p\n"
      "  namespace: shop\nspec:\n  podSelector:\n    matchLabels: {app: web}\n  egress:\n"
      "  - to:\n    - ipBlock:\n        cidr: 10.0.0.0/8\n        except:\n        - 10.1.0.0/16\n"
      "    ports:\n    - port: 80\n      endPort: 90\n      protocol: UDP\n";
  EXPECT_EQ(*ReadOne<NetworkPolicyPtr>(json), *ReadOne<NetworkPolicyPtr>(yaml));
}

TEST(Manifest, MessagesCarryNoControlCharacters) {
  std::string out = Read(
      "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\\n\\u0001"
      "\\\"b\"},\"spec\":{\"containers\":[{\"name\":\"c\"}]}}");
  EXPECT_NE(out.find(R"("a\x0a\x01\"b" must consist)"), std::string::npos) << out;
}

}  // namespace
}  // namespace sallyport::model
