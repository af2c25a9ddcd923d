// SPDX-License-Identifier: Apache-2.0
// What a cluster has from the start.
#include "apiserver/api.h"

namespace sallyport::apiserver {
namespace {

constexpr const char* kRbac = ".rbac.authorization.k8s.io";

// Source: Kubernetes, plugin/pkg/auth/authorizer/rbac/bootstrappolicy, as far as the lab needs it.
constexpr const char* kRoles = R"([
{"metadata":{"name":"cluster-admin"},"rules":[
  {"verbs":["*"],"apiGroups":["*"],"resources":["*"]},{"verbs":["*"],"nonResourceURLs":["*"]}]},
{"metadata":{"name":"system:basic-user"},"rules":[
  {"verbs":["create"],"apiGroups":["authorization.k8s.io"],
   "resources":["selfsubjectaccessreviews","selfsubjectrulesreviews"]},
  {"verbs":["create"],"apiGroups":["authentication.k8s.io"],"resources":["selfsubjectreviews"]}]},
{"metadata":{"name":"system:discovery"},"rules":[
  {"verbs":["get"],"nonResourceURLs":["/api","/api/*","/apis","/apis/*","/healthz","/livez",
   "/openapi","/openapi/*","/readyz","/version","/version/"]}]},
{"metadata":{"name":"system:public-info-viewer"},"rules":[
  {"verbs":["get"],"nonResourceURLs":["/healthz","/livez","/readyz","/version","/version/"]}]},
{"metadata":{"name":"view"},"rules":[
  {"verbs":["get","list","watch"],"apiGroups":["","apps","batch","discovery.k8s.io",
   "networking.k8s.io","policy"],"resources":["configmaps","controllerrevisions","cronjobs",
   "daemonsets","deployments","deployments/scale","endpoints","endpointslices","events",
   "ingresses","jobs","limitranges","namespaces","networkpolicies","persistentvolumeclaims",
   "poddisruptionbudgets","pods","pods/log","pods/status","replicasets","replicasets/scale",
   "replicationcontrollers","resourcequotas","serviceaccounts","services","statefulsets",
   "statefulsets/scale"]}]}
])";

constexpr const char* kBindings = R"([
{"metadata":{"name":"cluster-admin"},
 "roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},
 "subjects":[{"kind":"Group","name":"system:masters"}]},
{"metadata":{"name":"system:basic-user"},
 "roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"system:basic-user"},
 "subjects":[{"kind":"Group","name":"system:authenticated"}]},
{"metadata":{"name":"system:discovery"},
 "roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"system:discovery"},
 "subjects":[{"kind":"Group","name":"system:authenticated"}]},
{"metadata":{"name":"system:public-info-viewer"},
 "roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole",
            "name":"system:public-info-viewer"},
 "subjects":[{"kind":"Group","name":"system:authenticated"},
             {"kind":"Group","name":"system:unauthenticated"}]}
])";

Value Named(const std::string& ns, const std::string& name) {
  Value metadata = Mapping({{"name", String(name)}});
  if (!ns.empty()) Set(metadata, "namespace", String(ns));
  return Mapping({{"metadata", std::move(metadata)}});
}

Value Labels(std::initializer_list<std::pair<const char*, const char*>> labels) {
  Value out = Mapping();
  for (auto [key, value] : labels) Set(out, key, String(value));
  return out;
}

std::string Base(const net::Cidr& cidr) {
  net::Address::Bytes bytes = cidr.address().bytes();
  ++bytes.back();
  return net::Address(bytes).ToString();
}

Value HttpsPort(uint16_t port) {
  return Mapping({{"name", String("https")}, {"port", Integer(port)}, {"protocol", String("TCP")}});
}

Value KubernetesService(const net::Cidr& cidr, uint16_t port) {
  Value service = Named("default", "kubernetes");
  Set(Child(service, "metadata"), "labels",
      Labels({{"component", "apiserver"}, {"provider", "kubernetes"}}));
  Set(service, "spec",
      Mapping({{"type", String("ClusterIP")},
               {"clusterIP", String(Base(cidr))},
               {"sessionAffinity", String("None")},
               {"ports", Sequence({Mapping({{"name", String("https")},
                                            {"port", Integer(443)},
                                            {"protocol", String("TCP")},
                                            {"targetPort", Integer(port)}})})}}));
  return service;
}

}  // namespace

Status Api::Bootstrap(const std::vector<net::Address>& addresses, uint16_t port) {
  try {
    for (const char* name : {"default", "kube-system", "kube-public", "kube-node-lease"})
      writer_.Ensure("namespaces", Named("", name));
    for (Value& role : ParseJsonText(kRoles).items)
      writer_.Ensure(std::string("clusterroles") + kRbac, std::move(role));
    for (Value& binding : ParseJsonText(kBindings).items)
      writer_.Ensure(std::string("clusterrolebindings") + kRbac, std::move(binding));
    for (const char* name : {"system-cluster-critical", "system-node-critical"}) {
      Value priority = Named("", name);
      bool node = std::string_view(name) == "system-node-critical";
      Set(priority, "value", Integer(node ? 2'000'001'000 : 2'000'000'000));
      writer_.Ensure("priorityclasses.scheduling.k8s.io", std::move(priority));
    }
    writer_.Ensure("services", KubernetesService(options_.service_cidrs[0], port));
    // The addresses may be others than at the last start.
    Value endpoints = Named("default", "kubernetes");
    Value slice = Named("default", "kubernetes");
    Set(Child(slice, "metadata"), "labels", Labels({{"kubernetes.io/service-name", "kubernetes"}}));
    bool v4 = options_.service_cidrs[0].IsV4();
    Set(slice, "addressType", String(v4 ? "IPv4" : "IPv6"));
    Value list = Sequence();
    Value old_list = Sequence();
    for (const net::Address& address : addresses) {
      if (address.IsV4() != v4) continue;
      list.items.push_back(Mapping({{"addresses", Sequence({String(address.ToString())})},
                                    {"conditions", Mapping({{"ready", Boolean(true)}})}}));
      old_list.items.push_back(Mapping({{"ip", String(address.ToString())}}));
    }
    if (!old_list.items.empty())
      Set(endpoints, "subsets",
          Sequence({Mapping(
              {{"addresses", std::move(old_list)}, {"ports", Sequence({HttpsPort(port)})}})}));
    Set(slice, "endpoints", std::move(list));
    Set(slice, "ports", Sequence({HttpsPort(port)}));
    auto renew = [&](const char* key, Value object) {
      writer_.Ensure(key, object);
      writer_.Change(key, store_.Get(key, "default", "kubernetes"), [&](Value& tree) {
        Value before = tree;
        for (const char* field : {"subsets", "endpoints", "ports"})
          if (const Value* value = object.Find(field)) Set(tree, field, *value);
        return !SameContent(before, tree);
      });
    };
    renew("endpoints", std::move(endpoints));
    renew("endpointslices.discovery.k8s.io", std::move(slice));
  } catch (const Failure& failure) {
    return Error{"setting up the cluster: " + failure.message};
  }
  return Ok();
}

}  // namespace sallyport::apiserver
