// SPDX-License-Identifier: Apache-2.0
// Validation of metadata, Namespace, Node and Pod: every rule with a valid and an invalid twin.
#include <gtest/gtest.h>

#include "unit/model/manifest_cases.h"

namespace sallyport::model {
namespace {

using testing::Values;

// Broken, but known by name: whatever it was before is kept. `anonymous`: not even that.
void CheckObject(const std::string& text, const std::vector<std::string>& wants,
                 bool anonymous = false) {
  Manifest manifest = ReadManifest(text, "f");
  EXPECT_EQ(Compare(manifest, wants), "") << text;
  bool broken = WantsError(wants);
  EXPECT_EQ(manifest.objects.size(), broken ? 0u : 1u) << text;
  EXPECT_EQ(manifest.broken.size(), broken && !anonymous ? 1u : 0u) << text;
  EXPECT_EQ(manifest.unreadable, anonymous) << text;
}

const std::string kLong63(63, 'a');
const std::string kLong253 = kLong63 + "." + kLong63 + "." + kLong63 + "." + std::string(61, 'a');

class NameTest : public testing::TestWithParam<Case> {};

TEST_P(NameTest, Validates) {
  CheckObject("apiVersion: v1\nkind: Pod\nmetadata: " + GetParam().text +
                  "\nspec: {containers: [{name: c}]}\n",
              GetParam().wants, /*anonymous=*/WantsError(GetParam().wants));
}

INSTANTIATE_TEST_SUITE_P(
    Pod, NameTest,
    Values(Case{"Simple", "{name: web-1}", {}}, Case{"Subdomain", "{name: web.1.x-y}", {}},
           Case{"Longest", "{name: " + kLong253 + "}", {}},
           Case{"TooLong", "{name: " + kLong253 + "a}", {"error: metadata.name: more than 253"}},
           Case{"None", "{}", {"error: metadata.name: is required"}},
           Case{"Null", "{name: }", {"error: metadata.name: is required"}},
           Case{"Empty", "{name: \"\"}", {"error: metadata.name: is required"}},
           Case{"Number", "{name: 5}", {"error: metadata.name: must be a string, but is \"5\""}},
           Case{"UpperCase", "{name: Web}", {"error: metadata.name: \"Web\" must consist of"}},
           Case{"Underscore", "{name: a_b}", {"error: metadata.name: must consist of"}},
           Case{"LeadingHyphen", "{name: -a}", {"error: metadata.name: must consist of"}},
           Case{"TrailingDot", "{name: a.}", {"error: metadata.name: must consist of"}},
           Case{"TwoDots", "{name: a..b}", {"error: metadata.name: must consist of"}},
           Case{"HyphenBeforeDot", "{name: a-.b}", {"error: metadata.name: must consist of"}},
           Case{
               "GenerateNameOnly",
               "{generateName: web-}",
               {"error: metadata.name: is required (a generateName is completed by an API server"}},
           Case{"BadGenerateName",
                "{generateName: Web-}",
                {"error: metadata.generateName: must consist of", "error: metadata.name: is req"}},
           Case{"GenerateNameAndName", "{generateName: web-, name: web-x}", {}},
           Case{"Namespace", "{name: a, namespace: shop}", {}},
           Case{"NullNamespace", "{name: a, namespace: }", {}},
           Case{"NamespaceIsLabel",
                "{name: a, namespace: a.b}",
                {"error: metadata.namespace: \"a.b\" must consist of lower case"}},
           Case{"LongNamespace",
                "{name: a, namespace: " + kLong63 + "a}",
                {"error: metadata.namespace: no more than 63"}},
           Case{"NumberNamespace",
                "{name: a, namespace: 1}",
                {"error: metadata.namespace: must be a string"}}),
    CaseName<testing::TestParamInfo<Case>>);

class MetaTest : public testing::TestWithParam<Case> {};

TEST_P(MetaTest, Validates) {
  CheckObject("apiVersion: v1\nkind: Node\nmetadata:\n  name: a\n" + Indented(GetParam().text, 2),
              GetParam().wants);
}

INSTANTIATE_TEST_SUITE_P(
    All, MetaTest,
    Values(
        Case{"Labels", "labels: {app: web, example.com/a_b.C: \"1\", x: \"\", y: ~}", {}},
        Case{"NullLabels", "labels:", {}},
        Case{"LongestKeyAndValue",
             "labels: {" + kLong253 + "/" + kLong63 + ": " + kLong63 + "}",
             {}},
        Case{"NumberValue",
             "labels: {app: 1}",
             {"error: metadata.labels[app]: must be a string, but is \"1\", a number"}},
        Case{"TrueValue", "labels: {app: true}", {"error: metadata.labels[app]: a boolean"}},
        Case{"OnValue", "labels: {app: on}", {"error: metadata.labels[app]: \"on\", a boolean"}},
        Case{"ListValue", "labels: {app: [x]}", {"error: metadata.labels[app]: but is a list"}},
        Case{"LongValue",
             "labels: {app: " + kLong63 + "a}",
             {"error: metadata.labels[app]: must be no more than 63"}},
        Case{"ValueEnds", "labels: {app: a.}", {"error: metadata.labels[app]: start and end with"}},
        Case{
            "ValueSlash", "labels: {app: a/b}", {"error: metadata.labels[app]: must be empty, or"}},
        Case{"LongKey",
             "labels: {" + kLong63 + "a: x}",
             {"error: metadata.labels: the name part must be no more than 63"}},
        Case{"LongPrefix",
             "labels: {" + kLong253 + "a/b: x}",
             {"error: metadata.labels: the part before '/' must be no more than 253"}},
        Case{"EmptyPrefix", "labels: {/a: x}", {"error: metadata.labels: before '/' must not be"}},
        Case{"EmptyKeyName", "labels: {a/: x}", {"error: metadata.labels: name part must not be"}},
        Case{"EmptyKey", "labels: {\"\": x}", {"error: metadata.labels: name part must not be"}},
        Case{"TwoSlashes", "labels: {a/b/c: x}", {"error: metadata.labels: at most one '/'"}},
        Case{"UpperPrefix", "labels: {Ex.com/b: x}", {"error: metadata.labels: the part before"}},
        Case{"KeyStarts", "labels: {_a: x}", {"error: metadata.labels: label key \"_a\""}},
        Case{"LabelsAreList", "labels: [a]", {"error: metadata.labels: must be a mapping"}},
        Case{"Annotations", "annotations: {Ex.com/b: \"any text: 1\", c: ~}", {}},
        Case{"AnnotationNumber",
             "annotations: {a: 1}",
             {"error: metadata.annotations[a]: must be a string"}},
        Case{"AnnotationKey",
             "annotations: {a b: x}",
             {"error: metadata.annotations[a b]: annotation key \"a b\""}},
        Case{"AnnotationsTooLarge",
             "annotations: {a: " + std::string(262144, 'x') + "}",
             {"error: metadata.annotations: must not be larger than 256 KiB"}},
        Case{"ServerFields",
             "creationTimestamp: null\nuid: x\nresourceVersion: \"1\"\ngeneration: 2\n"
             "selfLink: \"\"\nmanagedFields: [{manager: x}]\ndeletionTimestamp: 2024-01-01\n"
             "deletionGracePeriodSeconds: 30",
             {}},
        Case{"NumberVersion",
             "resourceVersion: 1",
             {"error: metadata.resourceVersion: must be a string"}},
        Case{"Generation", "generation: -1", {"error: metadata.generation: not be negative"}},
        Case{"UidNumber", "uid: 7", {"error: metadata.uid: must be a string"}},
        Case{"Finalizers", "finalizers: [example.com/x]", {}},
        Case{"BadFinalizer", "finalizers: [a b]", {"error: metadata.finalizers[0]: \"a b\""}},
        Case{"Owner",
             "ownerReferences: [{apiVersion: apps/v1, kind: X, name: a, uid: b, controller: true}]",
             {}},
        Case{"OwnerWithoutUid",
             "ownerReferences: [{apiVersion: apps/v1, kind: X, name: a}]",
             {"error: metadata.ownerReferences[0].uid: is required"}},
        Case{"TwoControllers",
             "ownerReferences:\n- {apiVersion: v1, kind: X, name: a, uid: b, controller: true}\n"
             "- {apiVersion: v1, kind: X, name: c, uid: d, controller: true}",
             {"error: metadata.ownerReferences[1].controller: only one"}},
        Case{"Unknown",
             "label: {a: b}",
             {"warning: metadata.label: unknown field, ignored; did you mean labels?"}},
        Case{"ClusterScoped",
             "namespace: shop",
             {"error: metadata.namespace: the kind is cluster-scoped"}}),
    CaseName<testing::TestParamInfo<Case>>);

TEST(MetaValidation, Metadata) {
  const std::string pod = "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: c}]}\n";
  CheckObject(pod, {"error: metadata: is required, with a name"}, true);
  CheckObject(pod + "metadata:", {"error: metadata: is required, with a name"}, true);
  CheckObject(pod + "metadata: web", {"error: metadata: must be a mapping"}, true);
}

TEST(MetaValidation, NamespaceNameIsALabel) {
  CheckObject("apiVersion: v1\nkind: Namespace\nmetadata: {name: " + kLong63 + "}\n", {});
  CheckObject("apiVersion: v1\nkind: Namespace\nmetadata: {name: a.b}\n",
              {"error: metadata.name: \"a.b\" must consist of lower case"}, true);
}

class NamespaceTest : public testing::TestWithParam<Case> {};

TEST_P(NamespaceTest, Validates) {
  CheckObject("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n" + GetParam().text,
              GetParam().wants);
}

INSTANTIATE_TEST_SUITE_P(
    All, NamespaceTest,
    Values(Case{"Plain", "", {}},
           Case{"AsOnTheServer", "spec: {finalizers: [kubernetes]}\nstatus: {phase: Active}", {}},
           Case{"OwnNameLabel", "  labels: {kubernetes.io/metadata.name: shop}", {}},
           Case{"OtherNameLabel",
                "  labels: {kubernetes.io/metadata.name: bank}",
                {"warning: metadata.labels: is always the namespace's name, not \"bank\""}},
           Case{"Unknown", "specs: {}", {"warning: specs: did you mean spec?"}},
           Case{"SpecIsText", "spec: x", {"error: spec: must be a mapping"}}),
    CaseName<testing::TestParamInfo<Case>>);

class NodeTest : public testing::TestWithParam<Case> {};

TEST_P(NodeTest, Validates) {
  CheckObject("apiVersion: v1\nkind: Node\nmetadata: {name: n.example.com}\n" + GetParam().text,
              GetParam().wants);
}

INSTANTIATE_TEST_SUITE_P(
    All, NodeTest,
    Values(Case{"Plain", "", {}},
           Case{"Addresses",
                "status:\n  addresses:\n  - {type: InternalIP, address: 10.0.0.1}\n"
                "  - {type: InternalIP, address: \"fd00::1\"}\n  - {type: Hostname, address: n1}\n"
                "  - {type: ExternalDNS, address: n.example.com}",
                {}},
           Case{"BadAddress",
                "status: {addresses: [{type: InternalIP, address: n1}]}",
                {"error: status.addresses[0].address: \"n1\" is not an IPv4 or IPv6 address"}},
           Case{"NoAddress",
                "status: {addresses: [{type: InternalIP}]}",
                {"error: status.addresses[0].address: is required"}},
           Case{"NoType",
                "status: {addresses: [{address: 10.0.0.1}]}",
                {"error: status.addresses[0].type: is required"}},
           Case{"UnknownType",
                "status: {addresses: [{type: internalIP, address: 10.0.0.1}]}",
                {"warning: status.addresses[0].type: \"internalIP\" is not known"}},
           Case{"AddressIsText",
                "status: {addresses: [10.0.0.1]}",
                {"error: status.addresses[0]: must be a mapping"}},
           Case{"PodCidrs",
                "spec: {podCIDR: 10.1.0.0/24, podCIDRs: [10.1.0.0/24, \"fd00::/64\"]}",
                {}},
           Case{"BadPodCidr",
                "spec: {podCIDR: x, podCIDRs: [z]}",
                {"error: spec.podCIDRs[0]: is not a CIDR", "error: spec.podCIDR: is not a CIDR"}},
           Case{"TwoOfAFamily",
                "spec: {podCIDRs: [10.1.0.0/24, 10.2.0.0/24]}",
                {"error: spec.podCIDRs: no more than one CIDR for each IP family"}},
           Case{"PodCidrDiffers",
                "spec: {podCIDR: 10.9.0.0/24, podCIDRs: [10.1.0.0/24]}",
                {"warning: spec.podCIDR: is not the first of podCIDRs"}},
           Case{"Unknown",
                "spec: {podCidrs: []}",
                {"warning: spec.podCidrs: did you mean podCIDRs?"}}),
    CaseName<testing::TestParamInfo<Case>>);

class PodTest : public testing::TestWithParam<Case> {};

TEST_P(PodTest, Validates) {
  CheckObject("apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n" + GetParam().text,
              GetParam().wants);
}

INSTANTIATE_TEST_SUITE_P(
    Spec, PodTest,
    Values(Case{"Plain", "spec: {containers: [{name: c, image: x}]}", {}},
           Case{"NoSpec", "", {"error: spec: is required, with its containers"}},
           Case{"NoContainers", "spec: {}", {"error: spec.containers: at least one"}},
           Case{"EmptyContainers", "spec: {containers: []}", {"error: spec.containers: at least"}},
           Case{"ContainersAreMapping",
                "spec: {containers: {name: c}}",
                {"error: spec.containers: must be a list, but is a mapping"}},
           Case{"NullContainer",
                "spec: {containers: [~]}",
                {"error: spec.containers[0]: is empty", "error: spec.containers: at least one"}},
           Case{"NoContainerName",
                "spec: {containers: [{image: x}]}",
                {"error: spec.containers[0].name: is required"}},
           Case{"ContainerName",
                "spec: {containers: [{name: a.b}]}",
                {"error: spec.containers[0].name: \"a.b\" must consist of"}},
           Case{"ContainerTwice",
                "spec: {containers: [{name: c}, {name: c}]}",
                {"error: spec.containers[1].name: \"c\" is the name of another container"}},
           Case{"NodeName", "spec: {nodeName: n1.x, containers: [{name: c}]}", {}},
           Case{"BadNodeName",
                "spec: {nodeName: N1, containers: [{name: c}]}",
                {"error: spec.nodeName: \"N1\" must consist of"}},
           Case{"HostNetworkIsText",
                "spec: {hostNetwork: \"true\", containers: [{name: c}]}",
                {"error: spec.hostNetwork: must be a boolean, but is \"true\", a string"}},
           Case{"Typo",
                "spec: {hostNetworks: true, containers: [{name: c, port: []}]}",
                {"warning: spec.hostNetworks: did you mean hostNetwork?",
                 "warning: spec.containers[0].port: did you mean ports?"}}),
    CaseName<testing::TestParamInfo<Case>>);

INSTANTIATE_TEST_SUITE_P(
    Status, PodTest,
    Values(
        Case{"Running",
             "spec: {containers: [{name: c}]}\nstatus: {phase: Running, podIP: 10.0.0.1, podIPs: "
             "[{ip: 10.0.0.1}, {ip: \"fd00::1\"}]}",
             {}},
        Case{"NoPhase", "spec: {containers: [{name: c}]}\nstatus: {podIP: \"\"}", {}},
        Case{"BadPhase",
             "spec: {containers: [{name: c}]}\nstatus: {phase: running}",
             {"error: status.phase: \"running\" must be one of Pending, Running, Succeeded"}},
        Case{"BadPodIp",
             "spec: {containers: [{name: c}]}\nstatus: {podIP: 10.0.0, podIPs: [{ip: x}]}",
             {"error: status.podIPs[0].ip: \"x\" is not an IPv4 or IPv6 address",
              "error: status.podIP: \"10.0.0\" is not an IPv4 or IPv6 address"}},
        Case{"PodIpsTwice",
             "spec: {containers: [{name: c}]}\nstatus: {podIPs: [{ip: 10.0.0.1}, {ip: "
             "10.0.0.1}]}",
             {"error: status.podIPs[1].ip: 10.0.0.1 is listed already"}},
        Case{"TwoOfAFamily",
             "spec: {containers: [{name: c}]}\nstatus: {podIPs: [{ip: 10.0.0.1}, {ip: "
             "10.0.0.2}]}",
             {"error: status.podIPs: no more than one address for each IP family"}},
        Case{"Three",
             "spec: {containers: [{name: c}]}\nstatus: {podIPs: [{ip: 10.0.0.1}, {ip: "
             "\"fd00::1\"}, {ip: \"fd00::2\"}]}",
             {"error: status.podIPs: no more than one address for each IP family"}},
        Case{"PodIpDiffers",
             "spec: {containers: [{name: c}]}\nstatus: {podIP: 10.0.0.2, podIPs: [{ip: "
             "10.0.0.1}]}",
             {"warning: status.podIP: is not the first of podIPs: podIP is used alone"}},
        Case{"IpsAreTexts",
             "spec: {containers: [{name: c}]}\nstatus: {podIPs: [10.0.0.1]}",
             {"error: status.podIPs[0]: must be a mapping"}},
        Case{"NoIp",
             "spec: {containers: [{name: c}]}\nstatus: {podIPs: [{}]}",
             {"error: status.podIPs[0].ip: is required"}},
        Case{"Typo",
             "spec: {containers: [{name: c}]}\nstatus: {podIps: []}",
             {"warning: status.podIps: did you mean podIPs?"}}),
    CaseName<testing::TestParamInfo<Case>>);

class PodPortTest : public testing::TestWithParam<Case> {};

TEST_P(PodPortTest, Validates) {
  std::vector<std::string> wants;
  for (std::string want : GetParam().wants) {
    size_t colon = want.find(": ") + 2;
    wants.push_back(want.insert(colon, "spec.containers[0].ports[0]"));
  }
  CheckObject(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - name: c\n"
      "    ports:\n    - " +
          GetParam().text,
      wants);
}

INSTANTIATE_TEST_SUITE_P(
    All, PodPortTest,
    Values(
        Case{"Plain", "containerPort: 80", {}},
        Case{"Full",
             "{name: http, containerPort: 80, hostPort: 8080, protocol: TCP, hostIP: 1.2.3.4}",
             {}},
        Case{"EmptyNameAndProtocol", "{name: \"\", containerPort: 80, protocol: \"\"}", {}},
        Case{"NoPort", "name: http", {"error: .containerPort: is required: a number"}},
        Case{"Zero", "containerPort: 0", {"error: .containerPort: is required: a number"}},
        Case{"TooHigh", "containerPort: 65536", {"error: .containerPort: 65536 must be between"}},
        Case{"Text",
             "containerPort: \"80\"",
             {"error: .containerPort: must be an integer, but is \"80\", a string; leave the"}},
        Case{"HostPort",
             "{containerPort: 80, hostPort: 70000}",
             {"error: .hostPort: 70000 must be"}},
        Case{"Protocol",
             "{containerPort: 80, protocol: tcp}",
             {"error: .protocol: \"tcp\" must be"}},
        Case{"Name", "{containerPort: 80, name: HTTP}", {"error: .name: \"HTTP\" must consist of"}},
        Case{"LongName", "{containerPort: 80, name: a234567890123456}", {"error: .name: 15"}},
        Case{"Typo",
             "{containerPort: 80, prot: UDP}",
             {"warning: .prot: known here: containerPort"}},
        Case{"NoMapping", "80", {"error: : must be a mapping"}}),
    CaseName<testing::TestParamInfo<Case>>);

TEST(PodValidation, PortNamesAreUniqueInTheirContainer) {
  const std::string pod =
      "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n";
  const std::string http = "{name: http, containerPort: 80}";
  CheckObject(pod + "  - {name: a, ports: [" + http + "]}\n  - {name: b, ports: [" + http + "]}\n",
              {});
  CheckObject(pod + "  - {name: a, ports: [" + http + ", " + http + "]}\n",
              {"error: spec.containers[0].ports[1].name: \"http\" is the name of another port"});
}

TEST(PodValidation, InitContainersAreContainers) {
  const std::string pod =
      "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers: [{name: a}]\n"
      "  initContainers:\n";
  CheckObject(pod + "  - {name: b}\n", {});
  CheckObject(pod + "  - {name: a}\n",
              {"error: spec.initContainers[0].name: \"a\" is the name of"});
  CheckObject(pod + "  - {name: b, ports: [{containerPort: 70000}]}\n",
              {"error: spec.initContainers[0].ports[0].containerPort: 70000 must be"});
}

TEST(PodValidation, HostNetworkPortsAreHostPorts) {
  auto pod = [](const std::string& port) {
    return "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  hostNetwork: true\n"
           "  containers: [{name: c, ports: [" +
           port + "]}]\n";
  };
  CheckObject(pod("{containerPort: 80}"), {});
  CheckObject(pod("{containerPort: 80, hostPort: 80}"), {});
  CheckObject(pod("{containerPort: 80, hostPort: 81}"),
              {"error: spec.containers[0].ports[0].containerPort: must be the hostPort"});
}

}  // namespace
}  // namespace sallyport::model
