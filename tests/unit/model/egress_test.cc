// SPDX-License-Identifier: Apache-2.0
// EgressGateway: what it means, and every rule with a valid and an invalid twin.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/model/manifest_cases.h"

namespace sallyport::model {
namespace {

using testing::ElementsAre;

std::string Gateway(const std::string& spec) {
  return "apiVersion: sallyport.io/v1alpha1\nkind: EgressGateway\nmetadata: {name: partner}\n"
         "spec:\n" +
         Indented(spec, 2);
}

// The spec of a good one, but for the line that says `key`, which is `line` instead.
std::string With(const std::string& key, const std::string& line) {
  std::string out;
  for (auto [name, good] : {std::pair("egressIPs", "egressIPs: [203.0.113.10, '2001:db8::10']"),
                            std::pair("pods", "pods: {podSelector: {}}"),
                            std::pair("destinations", "destinations: {cidrs: [198.51.100.0/24]}"),
                            std::pair("gateways", "gateways: {nodeSelector: {}}")}) {
    if (key != name) out += std::string(good) + "\n";
  }
  return out + line;
}

EgressGatewayPtr ReadGateway(const std::string& text) {
  Manifest manifest = ReadManifest(text, "f");
  EXPECT_EQ(Compare(manifest, {}), "") << text;
  if (manifest.objects.size() != 1) return std::make_shared<EgressGateway>();
  EXPECT_EQ(manifest.objects[0].kind, Kind::kEgressGateway);
  return std::get<EgressGatewayPtr>(manifest.objects[0].object);
}

std::vector<std::string> Texts(const auto& values) {
  std::vector<std::string> out;
  for (const auto& value : values) out.push_back(value.ToString());
  return out;
}

TEST(EgressGatewaySemantics, EveryField) {
  auto gateway = ReadGateway(R"(# as the API server gives it
apiVersion: sallyport.io/v1alpha1
kind: EgressGateway
metadata:
  name: partner-api
  uid: u-1
  creationTimestamp: "2026-01-02T03:04:05Z"
  generation: 7
spec:
  egressIPs: ["2001:db8::10", 203.0.113.10]
  pods:
    namespaceSelector: {matchLabels: {team: a}}
    podSelector: {matchExpressions: [{key: app, operator: In, values: [web, api]}]}
  destinations:
    cidrs: [198.51.100.0/24, "2001:db8:1::/48", 10.0.0.0/8]
    except: [198.51.100.128/25, 198.51.100.7/32]
  gateways:
    nodeSelector: {matchLabels: {egress: "yes"}}
    interface: eth1.100
  portBlockSize: 256
status: {conditions: [], whatever: 1}
)");
  EXPECT_EQ(gateway->name, "partner-api");
  EXPECT_EQ(gateway->uid, "u-1");
  EXPECT_EQ(gateway->created, "2026-01-02T03:04:05Z");
  EXPECT_EQ(gateway->generation, 7);
  EXPECT_THAT(Texts(gateway->egress_ips), ElementsAre("2001:db8::10", "203.0.113.10"));
  EXPECT_EQ(gateway->namespaces.value().ToString(), "team=a");
  EXPECT_EQ(gateway->pods.value().ToString(), "app in (api,web)");
  EXPECT_THAT(Texts(gateway->destinations),
              ElementsAre("10.0.0.0/8", "198.51.100.0/24", "2001:db8:1::/48"));
  EXPECT_THAT(Texts(gateway->except), ElementsAre("198.51.100.7/32", "198.51.100.128/25"));
  EXPECT_EQ(gateway->gateways.ToString(), "egress=yes");
  EXPECT_EQ(gateway->interface, "eth1.100");
  EXPECT_EQ(gateway->port_block_size, 256);
  EXPECT_EQ(gateway->place.ToString(), "f:2");
}

TEST(EgressGatewaySemantics, Defaults) {
  auto gateway = ReadGateway(Gateway(With("destinations", "")));
  EXPECT_EQ(gateway->created, "");
  EXPECT_EQ(gateway->generation, 0);
  EXPECT_FALSE(gateway->namespaces) << "every namespace";
  EXPECT_TRUE(gateway->pods.value().MatchesEverything());
  EXPECT_TRUE(gateway->destinations.empty()) << "all that is not the cluster";
  EXPECT_TRUE(gateway->gateways.MatchesEverything());
  EXPECT_EQ(gateway->interface, "");
  EXPECT_EQ(gateway->port_block_size, 1024);
  EXPECT_FALSE(ReadGateway(Gateway(With("pods", "pods: {namespaceSelector: {}}")))->pods);
}

TEST(EgressGatewaySemantics, ListsAndBrokenOnes) {
  Manifest manifest = ReadManifest(
      "apiVersion: sallyport.io/v1alpha1\nkind: EgressGatewayList\nitems:\n- metadata: {name: a}\n"
      "  spec: {egressIPs: [192.0.2.1], pods: {podSelector: {}}, gateways: {nodeSelector: {}}}\n"
      "- metadata: {name: b}\n  spec: {egressIPs: [192.0.2.1]}\n",
      "f");
  ASSERT_EQ(manifest.objects.size(), 1u);
  EXPECT_EQ(manifest.objects[0].name, (ObjectName{"", "a"}));
  ASSERT_EQ(manifest.broken.size(), 1u);
  EXPECT_EQ(manifest.broken[0].second, (ObjectName{"", "b"}));
  ASSERT_EQ(manifest.diagnostics.size(), 2u);
  EXPECT_EQ(manifest.diagnostics[0].ToString().substr(0, 57),
            "f:7: error: EgressGateway b: items[1].spec.pods: is requi");
}

class GatewayTest : public testing::TestWithParam<Case> {};

TEST_P(GatewayTest, Validates) {
  std::string text = Gateway(GetParam().text);
  Manifest manifest = ReadManifest(text, "f");
  EXPECT_EQ(Compare(manifest, GetParam().wants), "") << text;
  bool broken = WantsError(GetParam().wants);
  EXPECT_EQ(manifest.objects.size(), broken ? 0u : 1u) << text;
  EXPECT_EQ(manifest.broken.size(), broken ? 1u : 0u) << text;
}

Case Ips(const char* name, const std::string& list, std::vector<std::string> wants) {
  return {name, With("egressIPs", "egressIPs: " + list), std::move(wants)};
}

std::string Many(const std::string& prefix, int count, const std::string& suffix) {
  std::string out = "[";
  for (int i = 1; i <= count; ++i) {
    out += (i == 1 ? "" : ", ") + prefix + std::to_string(i / 256) + "." + std::to_string(i % 256) +
           suffix;
  }
  return out + "]";
}

INSTANTIATE_TEST_SUITE_P(
    EgressIps, GatewayTest,
    testing::Values(
        Ips("One", "[192.0.2.1]", {}), Ips("Private", "[10.0.0.1, 'fd00::1']", {}),
        Ips("Sixteen", Many("10.0.", 16, ""), {}),
        Ips("Seventeen", Many("10.0.", 17, ""),
            {"error: spec.egressIPs: must have no more than 16 addresses, but has 17"}),
        Ips("None", "[]", {"error: spec.egressIPs: must have at least one address"}),
        Case{"Missing", With("egressIPs", ""), {"error: spec.egressIPs: is required"}},
        Ips("NoList", "192.0.2.1", {"error: spec.egressIPs: must be a list"}),
        Ips("NoText", "[1]", {"error: spec.egressIPs[0]: must be a string"}),
        Ips("Twice", "[192.0.2.1, 192.0.2.1]",
            {"error: spec.egressIPs[1]: 192.0.2.1 is listed already"}),
        Ips("TwiceInOtherWords", "['2001:db8::1', '2001:DB8:0:0::1']",
            {"error: spec.egressIPs[1]: 2001:db8::1 is listed already"}),
        Ips("WithLength", "[192.0.2.0/24]",
            {"error: spec.egressIPs[0]: write one address, without a length"}),
        Ips("NoAddress", "[gateway.example.com]",
            {"error: spec.egressIPs[0]: is not an IPv4 or IPv6 address"}),
        Ips("Mapped", "['::ffff:192.0.2.1']",
            {"error: spec.egressIPs[0]: is an IPv4 address: write 192.0.2.1"}),
        Ips("Unspecified", "[0.0.0.0, '::']",
            {"error: spec.egressIPs[0]: unspecified", "error: spec.egressIPs[1]: unspecified"}),
        Ips("Loopback", "[127.0.0.1, '::1']",
            {"error: spec.egressIPs[0]: loopback", "error: spec.egressIPs[1]: loopback"}),
        Ips("LinkLocal", "[169.254.1.1, 'fe80::1']",
            {"error: spec.egressIPs[0]: link-local", "error: spec.egressIPs[1]: link-local"}),
        Ips("Multicast", "[224.0.0.1, 'ff02::1']",
            {"error: spec.egressIPs[0]: multicast", "error: spec.egressIPs[1]: multicast"}),
        Ips("Reserved", "[255.255.255.255]", {"error: spec.egressIPs[0]: reserved"})),
    CaseName<testing::TestParamInfo<Case>>);

Case Pods(const char* name, const std::string& pods, std::vector<std::string> wants) {
  return {name, With("pods", "pods: " + pods), std::move(wants)};
}

INSTANTIATE_TEST_SUITE_P(
    Pods, GatewayTest,
    testing::Values(
        Pods("Both", "{namespaceSelector: {matchLabels: {a: b}}, podSelector: {}}", {}),
        Pods("Empty", "{}", {"warning: spec.pods: it selects every pod of the cluster"}),
        Case{"NoPods", With("pods", ""), {"error: spec.pods: is required"}},
        Pods("Null", "", {"error: spec.pods: is required"}),
        Pods("NoMapping", "[a]", {"error: spec.pods: must be a mapping"}),
        Pods("Unknown", "{podSelektor: {}}",
             {"error: spec.pods.podSelektor: unknown field; did you mean podSelector?",
              "warning: spec.pods: it selects every pod"}),
        Pods("BadOperator",
             "{podSelector: {matchExpressions: [{key: a, operator: Like, values: [b]}]}}",
             {"error: spec.pods.podSelector.matchExpressions[0].operator: must be one of In"}),
        Pods("UnknownInSelector", "{podSelector: {matchLabel: {a: b}}}",
             {"error: spec.pods.podSelector.matchLabel: unknown field; did you mean matchLabels?"}),
        Pods("BadLabel", "{namespaceSelector: {matchLabels: {a: 'b c'}}}",
             {"error: spec.pods.namespaceSelector.matchLabels[a]: label value \"b c\""})),
    CaseName<testing::TestParamInfo<Case>>);

Case To(const char* name, const std::string& destinations, std::vector<std::string> wants) {
  return {name, With("destinations", "destinations: " + destinations), std::move(wants)};
}

INSTANTIATE_TEST_SUITE_P(
    Destinations, GatewayTest,
    testing::Values(
        To("Null", "", {}), To("Empty", "{}", {}), To("EmptyLists", "{cidrs: [], except: []}", {}),
        To("Everything", "{cidrs: [0.0.0.0/0, '::/0']}", {}),
        To("ExceptWithin", "{cidrs: [10.0.0.0/8, 192.0.2.0/24], except: [192.0.2.1/32]}", {}),
        To("ExceptOfAll", "{except: [10.0.0.0/8]}", {}),
        To("ExceptOutside", "{cidrs: [10.0.0.0/8], except: [11.0.0.0/9]}",
           {"error: spec.destinations.except[0]: 11.0.0.0/9 must lie within one of cidrs"}),
        To("ExceptAround", "{cidrs: [10.1.0.0/16], except: [10.0.0.0/8]}",
           {"error: spec.destinations.except[0]: 10.0.0.0/8 must lie within one of cidrs"}),
        To("ExceptTheSame", "{cidrs: [10.1.0.0/16], except: [10.1.0.0/16]}",
           {"warning: spec.destinations.except[0]: leaves nothing of 10.1.0.0/16"}),
        To("HostBits", "{cidrs: [10.1.2.3/8]}",
           {"warning: spec.destinations.cidrs[0]: it means 10.0.0.0/8"}),
        To("Twice", "{cidrs: [10.0.0.0/8, 10.0.0.0/8]}",
           {"warning: spec.destinations.cidrs[1]: 10.0.0.0/8 is listed already"}),
        To("NoCidr", "{cidrs: [10.0.0.1], except: [10.0.0.1/32]}",
           {"error: spec.destinations.cidrs[0]: for this one address write 10.0.0.1/32"}),
        To("BadExcept", "{except: [x]}", {"error: spec.destinations.except[0]: is not a CIDR"}),
        To("NoMapping", "[10.0.0.0/8]", {"error: spec.destinations: must be a mapping"}),
        To("Unknown", "{cidrs: [10.0.0.0/8], fqdns: [a.example]}",
           {"error: spec.destinations.fqdns: unknown field; known here: cidrs, except"}),
        To("TooMany", "{cidrs: " + Many("10.", 1025, ".0/24") + "}",
           {"error: spec.destinations.cidrs: must have no more than 1024 CIDRs, but has 1025"}),
        Case{"FamilyWithoutAddress",
             "egressIPs: [192.0.2.1]\npods: {podSelector: {}}\ngateways: {nodeSelector: {}}\n"
             "destinations: {cidrs: [10.0.0.0/8, '2001:db8::/32', '2001:db9::/32']}",
             {"warning: spec.egressIPs: has no IPv6 address: packets to 2001:db8::/32 are "
              "dropped"}}),
    CaseName<testing::TestParamInfo<Case>>);

Case Nodes(const char* name, const std::string& gateways, std::vector<std::string> wants) {
  return {name, With("gateways", "gateways: " + gateways), std::move(wants)};
}

INSTANTIATE_TEST_SUITE_P(
    Gateways, GatewayTest,
    testing::Values(
        Nodes("Some", "{nodeSelector: {matchLabels: {egress: 'true'}}, interface: bond0}", {}),
        Nodes("EveryNode", "{interface: eth1}",
              {"warning: spec.gateways.nodeSelector: is missing: every node may hold"}),
        Case{"NoGateways", With("gateways", ""), {"error: spec.gateways: is required"}},
        Nodes("NoMapping", "eth1", {"error: spec.gateways: must be a mapping"}),
        Nodes("SelectorIsNoMapping", "{nodeSelector: egress}",
              {"error: spec.gateways.nodeSelector: must be a mapping"}),
        Nodes("Unknown", "{nodeSelector: {}, interfaces: [eth1]}",
              {"error: spec.gateways.interfaces: unknown field; did you mean interface?"}),
        Nodes("LongestName", "{nodeSelector: {}, interface: abcdefghijklmno}", {}),
        Nodes("LongName", "{nodeSelector: {}, interface: abcdefghijklmnop}",
              {"error: spec.gateways.interface: 1 to 15 characters"}),
        Nodes("EmptyName", "{nodeSelector: {}, interface: ''}",
              {"error: spec.gateways.interface: \"\" is not the name of a network interface"}),
        Nodes("Slash", "{nodeSelector: {}, interface: a/b}", {"error: spec.gateways.interface: "}),
        Nodes("Space", "{nodeSelector: {}, interface: 'a b'}",
              {"error: spec.gateways.interface: "}),
        Nodes("Alias", "{nodeSelector: {}, interface: 'a:b'}",
              {"error: spec.gateways.interface: "}),
        Nodes("Dots", "{nodeSelector: {}, interface: '..'}", {"error: spec.gateways.interface: "})),
    CaseName<testing::TestParamInfo<Case>>);

Case Size(const char* name, const std::string& size, std::vector<std::string> wants) {
  return {name, With("", "portBlockSize: " + size), std::move(wants)};
}

INSTANTIATE_TEST_SUITE_P(
    PortBlockSize, GatewayTest,
    testing::Values(Size("Null", "", {}), Size("Least", "64", {}), Size("Most", "16384", {}),
                    Size("Below", "32", {"error: spec.portBlockSize: 32 must be a power of two"}),
                    Size("Above", "32768", {"error: spec.portBlockSize: 32768 must be a power"}),
                    Size("NoPower", "1000", {"error: spec.portBlockSize: 1000 must be a power"}),
                    Size("Zero", "0", {"error: spec.portBlockSize: 0 must be a power"}),
                    Size("Negative", "-64", {"error: spec.portBlockSize: -64 must be a power"}),
                    Size("Text", "'64'", {"error: spec.portBlockSize: must be an integer"}),
                    Case{"UnknownField",
                         With("", "egressIP: 192.0.2.1"),
                         {"error: spec.egressIP: unknown field; did you mean egressIPs?"}}),
    CaseName<testing::TestParamInfo<Case>>);

TEST(EgressGatewayValidation, AroundTheSpec) {
  auto check = [](const std::string& text, const std::vector<std::string>& wants) {
    EXPECT_EQ(Compare(ReadManifest(text, "f"), wants), "") << text;
  };
  const std::string head = "apiVersion: sallyport.io/v1alpha1\nkind: EgressGateway\n";
  check(head + "metadata: {name: a}\n", {"error: spec: is required"});
  check(head + "metadata: {name: a}\nspec: []\n", {"error: spec: must be a mapping"});
  std::string spec = "spec:\n" + Indented(With("", ""), 2);
  check(head + "metadata: {name: a, namespace: shop}\n" + spec, {"error: metadata.namespace: "});
  check(head + "metadata: {name: A_b}\n" + spec, {"error: metadata.name: "});
  check(head + "metadata: {name: a, generation: -1}\n" + spec, {"error: metadata.generation: "});
  check(head + "metadata: {name: a}\nextra: 1\n" + spec, {"warning: extra: unknown field"});
}

}  // namespace
}  // namespace sallyport::model
