// SPDX-License-Identifier: Apache-2.0
// networking/v1 validation: every rule with a valid and an invalid twin.
#include <gtest/gtest.h>

#include "unit/model/manifest_cases.h"

namespace sallyport::model {
namespace {

std::string Policy(const std::string& spec) {
  return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n" +
         Indented(spec, 2);
}

void CheckPolicy(const std::string& text, const std::vector<std::string>& wants) {
  Manifest manifest = ReadManifest(text, "f");
  EXPECT_EQ(Compare(manifest, wants), "") << text;
  bool broken = WantsError(wants);
  EXPECT_EQ(manifest.objects.size(), broken ? 0u : 1u) << text;
  EXPECT_EQ(manifest.broken.size(), broken ? 1u : 0u) << text;
  EXPECT_FALSE(manifest.unreadable);
}

class SpecTest : public testing::TestWithParam<Case> {};

TEST_P(SpecTest, Validates) { CheckPolicy(Policy(GetParam().text), GetParam().wants); }

INSTANTIATE_TEST_SUITE_P(
    PolicyTypes, SpecTest,
    testing::Values(Case{"Absent", "podSelector: {}", {}},
                    Case{"Null", "podSelector: {}\npolicyTypes:\ningress:\negress: null", {}},
                    Case{"None", "podSelector: {}\npolicyTypes: []", {}},
                    Case{"Both", "podSelector: {}\npolicyTypes: [Egress, Ingress]", {}},
                    Case{"Twice", "podSelector: {}\npolicyTypes: [Ingress, Ingress]", {}},
                    Case{"Unknown",
                         "podSelector: {}\npolicyTypes: [ingress]",
                         {"error: spec.policyTypes[0]: \"ingress\" must be Ingress or Egress"}},
                    Case{"Three",
                         "podSelector: {}\npolicyTypes: [Ingress, Egress, Ingress]",
                         {"error: spec.policyTypes: more than two"}},
                    Case{"NoList",
                         "podSelector: {}\npolicyTypes: Ingress",
                         {"error: spec.policyTypes: must be a list, but is \"Ingress\", a string"}},
                    Case{"WrongItem",
                         "podSelector: {}\npolicyTypes: [1]",
                         {"error: spec.policyTypes[0]: must be a string, but is \"1\", a number"}},
                    Case{"IdleEgress",
                         "podSelector: {}\npolicyTypes: [Ingress]\negress: [{}]",
                         {"warning: spec.egress: has no effect: policyTypes does not have Egress"}},
                    Case{"IdleIngress",
                         "podSelector: {}\npolicyTypes: [Egress]\ningress: [{}]",
                         {"warning: spec.ingress: has no effect"}}),
    CaseName<testing::TestParamInfo<Case>>);

INSTANTIATE_TEST_SUITE_P(
    Shape, SpecTest,
    testing::Values(
        Case{"NoSelector",
             "ingress: []",
             {"warning: spec.podSelector: selects every pod of its namespace"}},
        Case{"NullSelector", "podSelector:", {}},
        Case{"SelectorIsNoMapping",
             "podSelector: [a]",
             {"error: spec.podSelector: must be a mapping, but is a list"}},
        Case{"UnknownField",
             "podSelector: {}\nIngress: []",
             {"warning: spec.Ingress: unknown field, ignored; did you mean ingress?"}},
        Case{"FarUnknownField",
             "podSelector: {}\nfoo: []",
             {"warning: spec.foo: known here: podSelector, policyTypes, ingress, egress"}},
        Case{"RulesAreNoList",
             "podSelector: {}\ningress: {from: []}",
             {"error: spec.ingress: must be a list, but is a mapping"}},
        Case{"EmptyRule", "podSelector: {}\ningress:\n- {}", {}},
        Case{"NullRule", "podSelector: {}\ningress:\n-", {"error: spec.ingress[0]: is empty"}},
        Case{"RuleIsNoMapping",
             "podSelector: {}\negress: [all]",
             {"error: spec.egress[0]: must be a mapping, but is \"all\", a string"}},
        Case{"ToInIngress",
             "podSelector: {}\ningress:\n- to: []",
             {"warning: spec.ingress[0].to: known here: from, ports"}},
        Case{"PortTypo",
             "podSelector: {}\ningress:\n- port: []",
             {"warning: spec.ingress[0].port: did you mean ports?"}},
        Case{"SeveralErrors",
             "podSelector: {}\ningress:\n- from: x\n  ports: [{port: 0}]\n- ports: y",
             {"error: spec.ingress[0].from: must be a list",
              "error: spec.ingress[0].ports[0].port: 0 must be between",
              "error: spec.ingress[1].ports: must be a list"}}),
    CaseName<testing::TestParamInfo<Case>>);

class PortTest : public testing::TestWithParam<Case> {};

TEST_P(PortTest, Validates) {
  std::vector<std::string> wants;
  for (std::string want : GetParam().wants) {
    size_t colon = want.find(": ") + 2;
    wants.push_back(want.insert(colon, "spec.egress[0].ports[1]"));
  }
  CheckPolicy(Policy("podSelector: {}\negress:\n- ports:\n  - {}\n  - " + GetParam().text), wants);
}

INSTANTIATE_TEST_SUITE_P(
    All, PortTest,
    testing::Values(
        Case{"Empty", "{}", {}}, Case{"Lowest", "{port: 1}", {}},
        Case{"Highest", "{port: 65535}", {}}, Case{"Null", "{port: , protocol: ~, endPort: }", {}},
        Case{"Zero", "{port: 0}", {"error: .port: 0 must be between 1 and 65535"}},
        Case{"Negative", "{port: -1}", {"error: .port: -1 must be between 1 and 65535"}},
        Case{"TooHigh", "{port: 65536}", {"error: .port: 65536 must be between 1 and 65535"}},
        Case{"Huge", "{port: 99999999999}", {"error: .port: 99999999999 must be between"}},
        Case{"Named", "{port: http-2}", {}}, Case{"LongestName", "{port: a23456789012345}", {}},
        Case{"TooLongName", "{port: a234567890123456}", {"error: .port: no more than 15"}},
        Case{"QuotedNumber",
             "{port: \"80\"}",
             {"error: .port: \"80\" in quotes is a port's name, not its number"}},
        Case{"UpperCase", "{port: Http}", {"error: .port: lower case letters"}},
        Case{"NoLetter", "{port: \"8-0\"}", {"error: .port: at least one letter"}},
        Case{"TwoHyphens", "{port: a--b}", {"error: .port: must not contain \"--\""}},
        Case{"LeadingHyphen", "{port: -a}", {"error: .port: must not start or end with '-'"}},
        Case{"TrailingHyphen", "{port: a-}", {"error: .port: must not start or end with '-'"}},
        Case{"EmptyName", "{port: \"\"}", {"error: .port: lower case"}},
        Case{"Fraction", "{port: 80.5}", {"error: .port: must be a port number or the name"}},
        Case{"Boolean", "{port: yes}", {"error: .port: must be a port number or the name"}},
        Case{"List", "{port: [80]}", {"error: .port: must be a port number or the name"}},
        Case{"Tcp", "{protocol: TCP, port: 80}", {}}, Case{"Udp", "{protocol: UDP, port: 80}", {}},
        Case{"Sctp", "{protocol: SCTP}", {}},
        Case{"LowerCase", "{protocol: tcp}", {"error: .protocol: must be one of TCP, UDP, SCTP"}},
        Case{"Icmp", "{protocol: ICMP}", {"error: .protocol: must be one of TCP, UDP, SCTP"}},
        Case{"NoProtocol", "{protocol: \"\"}", {"error: .protocol: must be one of"}},
        Case{"ProtocolNumber", "{protocol: 6}", {"error: .protocol: must be a string"}},
        Case{"Range", "{port: 80, endPort: 90}", {}},
        Case{"RangeOfOne", "{port: 80, endPort: 80}", {}},
        Case{"RangeOfAll", "{port: 1, endPort: 65535}", {}},
        Case{"RangeBackwards",
             "{port: 80, endPort: 79}",
             {"error: .endPort: 79 must not be less than port, 80"}},
        Case{"EndTooHigh",
             "{port: 80, endPort: 65536}",
             {"error: .endPort: 65536 must be between 1 and 65535"}},
        Case{"EndOfName",
             "{port: http, endPort: 90}",
             {"error: .endPort: not allowed when port is a name"}},
        Case{"EndAlone", "{endPort: 90}", {"error: .endPort: not allowed without port"}},
        Case{"EndIsText",
             "{port: 80, endPort: \"90\"}",
             {"error: .endPort: must be an integer, but is \"90\", a string; leave the quotes"}},
        Case{"Typo",
             "{prot: TCP, Port: 1}",
             {"warning: .prot: unknown field", "warning: .Port: did you mean port?"}},
        Case{"NoMapping", "80", {"error: : must be a mapping, but is \"80\", a number"}}),
    CaseName<testing::TestParamInfo<Case>>);

class PeerTest : public testing::TestWithParam<Case> {};

TEST_P(PeerTest, Validates) {
  std::vector<std::string> wants;
  for (std::string want : GetParam().wants) {
    size_t colon = want.find(": ") + 2;
    wants.push_back(want.insert(colon, "spec.ingress[0].from[0]"));
  }
  CheckPolicy(Policy("podSelector: {}\ningress:\n- from:\n  - " + GetParam().text), wants);
}

INSTANTIATE_TEST_SUITE_P(
    All, PeerTest,
    testing::Values(
        Case{"Empty", "{}", {"error: : must have a podSelector, a namespaceSelector, both, or"}},
        Case{"Null", "", {"error: : is empty"}},
        Case{"NullSelectors",
             "{podSelector: , namespaceSelector: , ipBlock: }",
             {"error: : must have a podSelector"}},
        Case{"Pods", "{podSelector: {}}", {}}, Case{"Namespaces", "{namespaceSelector: {}}", {}},
        Case{"Both", "{podSelector: {}, namespaceSelector: {}}", {}},
        Case{"Block", "{ipBlock: {cidr: 10.0.0.0/8}}", {}},
        Case{"BlockAndPods",
             "{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}",
             {"error: : may not have both an ipBlock and a selector"}},
        Case{"Typo",
             "{podSelectors: {}}",
             {"warning: .podSelectors: did you mean podSelector?",
              "error: : must have a podSelector"}},
        Case{"NoMapping", "web", {"error: : must be a mapping"}},
        Case{"NoCidr", "{ipBlock: {}}", {"error: .ipBlock.cidr: is required"}},
        Case{"NullCidr", "{ipBlock: {cidr: }}", {"error: .ipBlock.cidr: is required"}},
        Case{"BlockIsText", "{ipBlock: 10.0.0.0/8}", {"error: .ipBlock: must be a mapping"}},
        Case{"Ipv6", "{ipBlock: {cidr: \"2001:db8::/32\", except: [\"2001:db8:1::/48\"]}}", {}},
        Case{"Everything", "{ipBlock: {cidr: 0.0.0.0/0, except: [0.0.0.0/1, 128.0.0.0/1]}}", {}},
        Case{"NoLength",
             "{ipBlock: {cidr: 10.0.0.1}}",
             {"error: .ipBlock.cidr: for this one address write 10.0.0.1/32"}},
        Case{"TooLong", "{ipBlock: {cidr: 10.0.0.0/33}}", {"error: .ipBlock.cidr: is not a CIDR"}},
        Case{"NoAddress", "{ipBlock: {cidr: 10.0.0/8}}", {"error: .ipBlock.cidr: is not a CIDR"}},
        Case{"LeadingZeros",
             "{ipBlock: {cidr: 010.020.0.0/08, except: [010.020.001.0/24]}}",
             {"warning: .ipBlock.cidr: means 10.0.0.0/8",
              "warning: .ipBlock.except[0]: means 10.20.1.0/24"}},
        Case{"TooManyZeros",
             "{ipBlock: {cidr: 10.0.0.0/0033}}",
             {"error: .ipBlock.cidr: is not a CIDR"}},
        Case{"Mapped",
             "{ipBlock: {cidr: \"::ffff:10.0.0.0/104\"}}",
             {"warning: .ipBlock.cidr: means 10.0.0.0/8"}},
        Case{"MappedTooShort",
             "{ipBlock: {cidr: \"::ffff:10.0.0.0/95\"}}",
             {"error: .ipBlock.cidr: is not a CIDR"}},
        Case{"NothingBeforeTheSlash",
             "{ipBlock: {cidr: /8}}",
             {"error: .ipBlock.cidr: is not a CIDR"}},
        Case{"CidrIsNumber", "{ipBlock: {cidr: 10}}", {"error: .ipBlock.cidr: must be a string"}},
        Case{"HostBits",
             "{ipBlock: {cidr: 10.1.2.3/8}}",
             {"warning: .ipBlock.cidr: it means 10.0.0.0/8"}},
        Case{"BadExcept",
             "{ipBlock: {cidr: 10.0.0.0/8, except: [x]}}",
             {"error: .ipBlock.except[0]: is not a CIDR"}},
        Case{"ExceptOutside",
             "{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 11.0.0.0/16]}}",
             {"error: .ipBlock.except[1]: 11.0.0.0/16 must lie within cidr 10.0.0.0/8"}},
        Case{"ExceptLarger",
             "{ipBlock: {cidr: 10.0.0.0/8, except: [0.0.0.0/0]}}",
             {"error: .ipBlock.except[0]: must lie within"}},
        Case{"ExceptEqual",
             "{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}",
             {"error: .ipBlock.except[0]: and be smaller than it"}},
        Case{"ExceptOtherFamily",
             "{ipBlock: {cidr: 10.0.0.0/8, except: [\"2001:db8::/32\"]}}",
             {"error: .ipBlock.except[0]: must lie within"}},
        Case{"ExceptTwice",
             "{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.1.0.0/16]}}",
             {"warning: .ipBlock.except[1]: is listed already"}},
        Case{"ExceptIsText",
             "{ipBlock: {cidr: 10.0.0.0/8, except: 10.1.0.0/16}}",
             {"error: .ipBlock.except: must be a list"}},
        Case{"ExceptNull", "{ipBlock: {cidr: 10.0.0.0/8, except: }}", {}},
        Case{"BlockTypo",
             "{ipBlock: {cidr: 10.0.0.0/8, excepts: []}}",
             {"warning: .ipBlock.excepts: did you mean except?"}}),
    CaseName<testing::TestParamInfo<Case>>);

class SelectorTest : public testing::TestWithParam<Case> {};

TEST_P(SelectorTest, Validates) {
  std::vector<std::string> wants;
  for (std::string want : GetParam().wants) {
    size_t colon = want.find(": ") + 2;
    wants.push_back(want.insert(colon, "spec.podSelector"));
  }
  CheckPolicy(Policy("podSelector: " + GetParam().text), wants);
}

INSTANTIATE_TEST_SUITE_P(
    All, SelectorTest,
    testing::Values(
        Case{"Labels", "{matchLabels: {app: web, example.com/tier: \"\"}}", {}},
        Case{"Nulls", "{matchLabels: , matchExpressions: }", {}},
        Case{"NumberValue",
             "{matchLabels: {app: 1}}",
             {"error: .matchLabels[app]: must be a string, but is \"1\", a number; put it in "
              "quotes: \"1\""}},
        Case{"BooleanValue",
             "{matchLabels: {app: yes}}",
             {"error: .matchLabels[app]: but is \"yes\", a boolean"}},
        Case{"BadValue",
             "{matchLabels: {app: a b}}",
             {"error: .matchLabels[app]: label value \"a b\" must be empty, or consist of"}},
        Case{"BadKey", "{matchLabels: {\"a b\": c}}", {"error: .matchLabels: label key \"a b\""}},
        Case{"LabelsAreList", "{matchLabels: [app]}", {"error: .matchLabels: must be a mapping"}},
        Case{"Typo",
             "{matchLabel: {app: web}}",
             {"warning: .matchLabel: did you mean matchLabels?"}},
        Case{"In", "{matchExpressions: [{key: a, operator: In, values: [x, \"\"]}]}", {}},
        Case{"NotIn", "{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}", {}},
        Case{"Exists", "{matchExpressions: [{key: a, operator: Exists, values: []}]}", {}},
        Case{"DoesNotExist", "{matchExpressions: [{key: a.b/c, operator: DoesNotExist}]}", {}},
        Case{"InWithout",
             "{matchExpressions: [{key: a, operator: In}]}",
             {"error: .matchExpressions[0].values: is required when operator is In or NotIn"}},
        Case{"NotInNone",
             "{matchExpressions: [{key: a, operator: NotIn, values: []}]}",
             {"error: .matchExpressions[0].values: is required"}},
        Case{"ExistsWith",
             "{matchExpressions: [{key: a, operator: Exists, values: [x]}]}",
             {"error: .matchExpressions[0].values: is not allowed when operator is Exists"}},
        Case{"DoesNotExistWith",
             "{matchExpressions: [{key: a, operator: DoesNotExist, values: [x]}]}",
             {"error: .matchExpressions[0].values: is not allowed"}},
        Case{"NoOperator",
             "{matchExpressions: [{key: a}]}",
             {"error: .matchExpressions[0].operator: is required: one of In, NotIn, Exists"}},
        Case{"BadOperator",
             "{matchExpressions: [{key: a, operator: in, values: [x]}]}",
             {"error: .matchExpressions[0].operator: \"in\" must be one of In, NotIn, Exists"}},
        Case{"NoKey",
             "{matchExpressions: [{operator: Exists}]}",
             {"error: .matchExpressions[0].key: is required"}},
        Case{"BadExpressionKey",
             "{matchExpressions: [{key: a/b/c, operator: Exists}]}",
             {"error: .matchExpressions[0].key: at most one '/'"}},
        Case{"BadExpressionValue",
             "{matchExpressions: [{key: a, operator: In, values: [x, -y]}]}",
             {"error: .matchExpressions[0].values[1]: \"-y\" must be empty, or consist"}},
        Case{"ValueIsNumber",
             "{matchExpressions: [{key: a, operator: In, values: [1]}]}",
             {"error: .matchExpressions[0].values[0]: must be a string"}},
        Case{"ValueIsNull",
             "{matchExpressions: [{key: a, operator: In, values: [~]}]}",
             {"error: .matchExpressions[0].values[0]: is empty"}},
        Case{"ValuesAreText",
             "{matchExpressions: [{key: a, operator: In, values: x}]}",
             {"error: .matchExpressions[0].values: must be a list"}},
        Case{"ExpressionTypo",
             "{matchExpressions: [{key: a, operator: Exists, value: x}]}",
             {"warning: .matchExpressions[0].value: did you mean values?"}},
        Case{"ExpressionsAreMapping",
             "{matchExpressions: {key: a}}",
             {"error: .matchExpressions: must be a list"}}),
    CaseName<testing::TestParamInfo<Case>>);

TEST(PolicyValidation, NamesTheLineOfTheField) {
  Manifest manifest = ReadManifest(
      "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: web\n"
      "  namespace: shop\nspec:\n  podSelector: {}\n  ingress:\n  - ports:\n    - port: 80\n"
      "    - port: 80\n      endPort: 70\n",
      "policies/web.yaml");
  ASSERT_EQ(manifest.diagnostics.size(), 1u);
  EXPECT_EQ(
      manifest.diagnostics[0].ToString(),
      "policies/web.yaml:13: error: NetworkPolicy shop/web: spec.ingress[0].ports[1].endPort: "
      "70 must not be less than port, 80");
}

TEST(PolicyValidation, WhatHasNoEffectOnEstablishedConnectionsIsSaid) {
  auto read = [](const std::string& annotations) {
    return ReadManifest(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, "
        "annotations: {" +
            annotations + "}}\nspec: {podSelector: {}}\n",
        "f");
  };
  struct {
    const char* annotations;
    bool keeps;
    size_t warnings;
  } const cases[] = {
      {"sallyport.io/established: keep", true, 0}, {"sallyport.io/established: Keep", false, 1},
      {"sallyport.io/established: ''", false, 1},  {"sallyport.io/establised: keep", false, 1},
      {"example.org/established: keep", false, 0},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.annotations);
    Manifest manifest = read(c.annotations);
    EXPECT_FALSE(HasErrors(manifest.diagnostics));
    EXPECT_EQ(manifest.diagnostics.size(), c.warnings);
    ASSERT_EQ(manifest.objects.size(), 1u);
    EXPECT_EQ(std::get<NetworkPolicyPtr>(manifest.objects[0].object)->keeps_established, c.keeps);
  }
}

TEST(PolicyValidation, PolicyWithoutSpecDeniesAllIngress) {
  Manifest manifest = ReadManifest(
      "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\n", "f");
  EXPECT_EQ(Compare(manifest, {"warning: spec: denies all ingress to every pod"}), "");
  ASSERT_EQ(manifest.objects.size(), 1u);
  auto policy = std::get<NetworkPolicyPtr>(manifest.objects[0].object);
  EXPECT_TRUE(policy->isolates_ingress);
  EXPECT_FALSE(policy->isolates_egress);
  EXPECT_TRUE(policy->pods.MatchesEverything());
}

}  // namespace
}  // namespace sallyport::model
