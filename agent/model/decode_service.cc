// SPDX-License-Identifier: Apache-2.0
// Service and EndpointSlice: which addresses are translated, and to whom.
#include <algorithm>
#include <array>
#include <set>

#include "model/decode.h"
#include "model/validate_names.h"

namespace sallyport::model {
namespace {

const std::vector<std::string_view> kServiceFields = {"apiVersion", "kind", "metadata", "spec",
                                                      "status"};
const std::vector<std::string_view> kServiceSpecFields = {"allocateLoadBalancerNodePorts",
                                                          "clusterIP",
                                                          "clusterIPs",
                                                          "externalIPs",
                                                          "externalName",
                                                          "externalTrafficPolicy",
                                                          "healthCheckNodePort",
                                                          "internalTrafficPolicy",
                                                          "ipFamilies",
                                                          "ipFamilyPolicy",
                                                          "ipFamily",
                                                          "loadBalancerClass",
                                                          "loadBalancerIP",
                                                          "loadBalancerSourceRanges",
                                                          "ports",
                                                          "publishNotReadyAddresses",
                                                          "selector",
                                                          "sessionAffinity",
                                                          "sessionAffinityConfig",
                                                          "topologyKeys",
                                                          "trafficDistribution",
                                                          "type"};
const std::vector<std::string_view> kServicePortFields = {"appProtocol", "name",     "nodePort",
                                                          "port",        "protocol", "targetPort"};
const std::vector<std::string_view> kSliceFields = {"addressType", "apiVersion", "endpoints",
                                                    "kind",        "metadata",   "ports"};
const std::vector<std::string_view> kEndpointFields = {
    "addresses", "conditions", "deprecatedTopology", "hints",
    "hostname",  "nodeName",   "targetRef",          "zone"};
const std::vector<std::string_view> kSlicePortFields = {"appProtocol", "name", "port", "protocol"};
constexpr std::string_view kServiceLabel = "kubernetes.io/service-name";

// The place of the string in `names`; the first if there is none or it is empty; reported, and
// nullopt, if it is something else.
template <size_t N>
std::optional<size_t> OneOf(const Cursor& parent, std::string_view key,
                            const std::array<std::string_view, N>& names) {
  const std::string* text = parent.String(key);
  if (!text) return parent.Child(key) ? std::nullopt : std::optional<size_t>(0);
  if (text->empty()) return 0;
  auto it = std::find(names.begin(), names.end(), *text);
  if (it != names.end()) return static_cast<size_t>(it - names.begin());
  std::string wants;
  for (std::string_view name : names) wants.append(wants.empty() ? "" : ", ").append(name);
  parent.ErrorAt(key, Quoted(*text) + " must be one of " + wants);
  return std::nullopt;
}

bool HoldsAt(const Cursor& parent, std::string_view key,
             const std::array<std::string_view, 2>& names) {
  return OneOf(parent, key, names).value_or(0) == 1;
}

void AddAddress(const Cursor& at, std::vector<net::Address>& out) {
  if (!at.IsString()) return;
  auto address = net::Address::Parse(at.text());
  if (!address) {
    at.Error(address.error().message);
  } else if (std::find(out.begin(), out.end(), *address) == out.end()) {
    out.push_back(*address);
  }
}

// The port's name, unique among its neighbours; `required` where there are several.
std::string DecodePortName(const Cursor& item, bool required, std::set<std::string>& names) {
  const std::string* name = item.String("name");
  bool none = name ? name->empty() : !item.Child("name");
  if (none && required) item.ErrorAt("name", "is required where there are several ports");
  if (!name || name->empty()) return "";
  if (std::string wrong = CheckDnsLabel(*name); !wrong.empty()) {
    item.ErrorAt("name", Quoted(*name) + " " + wrong);
  } else if (!names.insert(*name).second) {
    item.ErrorAt("name", Quoted(*name) + " is the name of another port already");
  }
  return *name;
}

net::Protocol ProtocolOf(const Cursor& item) {
  auto protocol = item.Child("protocol");
  if (!protocol || (protocol->value().IsString() && protocol->text().empty())) {
    return net::Protocol::kTcp;
  }
  return DecodeProtocol(*protocol);
}

std::variant<uint16_t, std::string> DecodeTargetPort(const Cursor& item, uint16_t port) {
  auto target = item.Child("targetPort");
  if (!target) return port;
  if (target->value().type == Value::Type::kInteger) {
    int64_t number = target->value().integer;
    return number == 0 ? port : CheckPort(*target, number);
  }
  if (!target->IsString() || target->text().empty()) return port;
  if (std::string wrong = CheckPortName(target->text()); !wrong.empty()) {
    target->Error(Quoted(target->text()) + " " + wrong);
  }
  return target->text();
}

ServicePort DecodeServicePort(const Cursor& item, bool several, std::set<std::string>& names) {
  ServicePort out;
  if (!item.IsMapping()) return out;
  item.Known(kServicePortFields);
  out.name = DecodePortName(item, several, names);
  out.protocol = ProtocolOf(item);
  if (auto port = item.Integer("port")) {
    out.port = CheckPort(*item.Child("port"), *port);
  } else if (!item.Child("port")) {
    item.ErrorAt("port", "is required: a number between 1 and 65535");
  }
  out.target_port = DecodeTargetPort(item, out.port);
  if (int64_t node_port = item.Integer("nodePort").value_or(0); node_port != 0) {
    out.node_port = CheckPort(*item.Child("nodePort"), node_port);
  }
  return out;
}

void DecodeServicePorts(const Cursor& spec, Service& service) {
  auto list = spec.Sequence("ports");
  bool several = list && list->value().items.size() > 1;
  std::set<std::string> names;
  std::set<std::pair<net::Protocol, uint16_t>> seen;
  spec.Each("ports", [&](const Cursor& item) {
    ServicePort port = DecodeServicePort(item, several, names);
    if (port.port != 0 && !seen.insert({port.protocol, port.port}).second) {
      item.Error("another port has this number and protocol already");
    }
    service.ports.push_back(std::move(port));
  });
  bool without = service.headless || service.type == ServiceType::kExternalName;
  if (service.ports.empty() && !without && (list || !spec.Child("ports"))) {
    spec.ErrorAt("ports", "is required: at least one");
  }
}

// spec.clusterIP is the first of spec.clusterIPs; "None" in it makes the Service headless.
void DecodeClusterIps(const Cursor& spec, Service& service) {
  auto add = [&](const Cursor& at) {
    if (at.value().IsString() && at.text() == "None") {
      service.headless = true;
    } else if (!at.value().IsString() || !at.text().empty()) {
      AddAddress(at, service.cluster_ips);
    }
  };
  if (auto single = spec.Child("clusterIP")) add(*single);
  spec.Each("clusterIPs", add);
  if (service.headless && !service.cluster_ips.empty()) {
    spec.ErrorAt("clusterIPs", "may not have addresses beside None");
  } else if (!OnePerFamily(service.cluster_ips)) {
    spec.ErrorAt("clusterIPs", "may have no more than one address for each IP family");
  }
}

void DecodeServiceSpec(const Cursor& spec, Service& service) {
  constexpr std::array<std::string_view, 4> kTypes = {"ClusterIP", "NodePort", "LoadBalancer",
                                                      "ExternalName"};
  spec.Known(kServiceSpecFields);
  service.type = static_cast<ServiceType>(OneOf(spec, "type", kTypes).value_or(0));
  if (service.type == ServiceType::kExternalName) {
    const std::string* name = spec.String("externalName");
    if (name) service.external_name = *name;
    if (name ? name->empty() : !spec.Child("externalName")) {
      spec.ErrorAt("externalName", "is required for type ExternalName");
    }
  } else {
    DecodeClusterIps(spec, service);
  }
  spec.Each("externalIPs", [&](const Cursor& item) { AddAddress(item, service.external_ips); });
  DecodeServicePorts(spec, service);
  service.selector = DecodeLabels(spec, "selector");
  service.external_local = HoldsAt(spec, "externalTrafficPolicy", {"Cluster", "Local"});
  service.internal_local = HoldsAt(spec, "internalTrafficPolicy", {"Cluster", "Local"});
  service.session_affinity = HoldsAt(spec, "sessionAffinity", {"None", "ClientIP"});
  service.publish_not_ready = spec.Bool("publishNotReadyAddresses").value_or(false);
}

// An ingress point of mode "Proxy" gets packets that name the node or a pod: nothing to translate.
void DecodeIngress(const Cursor& item, Service& service) {
  if (!item.IsMapping()) return;
  const std::string* mode = item.String("ipMode");
  if (mode && *mode == "Proxy") return;
  auto ip = item.Child("ip");
  if (ip && !(ip->value().IsString() && ip->text().empty())) {
    AddAddress(*ip, service.load_balancer_ips);
  }
}

void DecodeConditions(const Cursor& item, SliceEndpoint& out) {
  auto conditions = item.Mapping("conditions");
  if (!conditions) return;
  out.ready = conditions->Bool("ready").value_or(true);
  out.serving = conditions->Bool("serving").value_or(out.ready);
  out.terminating = conditions->Bool("terminating").value_or(false);
}

ObjectName DecodeTarget(const Cursor& item, const std::string& ns) {
  auto target = item.Mapping("targetRef");
  const std::string* kind = target ? target->String("kind") : nullptr;
  const std::string* name = target ? target->String("name") : nullptr;
  if (!kind || *kind != "Pod" || !name) return {};
  const std::string* own = target->String("namespace");
  return {own && !own->empty() ? *own : ns, *name};
}

void DecodeEndpoint(const Cursor& item, std::optional<bool> v4, EndpointSlice& slice) {
  if (!item.IsMapping()) return;
  item.Known(kEndpointFields);
  SliceEndpoint out;
  if (v4) item.Each("addresses", [&](const Cursor& at) { AddAddress(at, out.addresses); });
  for (const net::Address& address : out.addresses) {
    if (address.IsV4() == *v4) continue;
    item.ErrorAt("addresses", address.ToString() + " is not of the slice's addressType");
  }
  if (v4 && out.addresses.empty() && !item.Child("addresses")) {
    item.ErrorAt("addresses", "is required: at least one");
  }
  DecodeConditions(item, out);
  if (const std::string* node = item.String("nodeName")) out.node = *node;
  out.pod = DecodeTarget(item, slice.name.ns);
  slice.endpoints.push_back(std::move(out));
}

void DecodeSlicePort(const Cursor& item, std::set<std::string>& names, EndpointSlice& slice) {
  if (!item.IsMapping()) return;
  item.Known(kSlicePortFields);
  SlicePort out;
  out.name = DecodePortName(item, /*required=*/false, names);
  out.protocol = ProtocolOf(item);
  if (auto port = item.Integer("port")) out.port = CheckPort(*item.Child("port"), *port);
  slice.ports.push_back(std::move(out));
}

}  // namespace

ServicePtr DecodeService(const Cursor& object, Meta meta) {
  object.Known(kServiceFields);
  auto out = std::make_shared<Service>();
  out->name = std::move(meta.name);
  out->place = PlaceOf(object);
  if (auto spec = object.Mapping("spec")) {
    DecodeServiceSpec(*spec, *out);
  } else if (!object.Child("spec")) {
    object.ErrorAt("spec", "is required, with its ports");
  }
  if (auto status = object.Mapping("status")) {
    if (auto balancer = status->Mapping("loadBalancer")) {
      balancer->Each("ingress", [&](const Cursor& item) { DecodeIngress(item, *out); });
    }
  }
  return out;
}

EndpointSlicePtr DecodeEndpointSlice(const Cursor& object, Meta meta) {
  constexpr std::array<std::string_view, 3> kTypes = {"IPv4", "IPv6", "FQDN"};
  object.Known(kSliceFields);
  auto out = std::make_shared<EndpointSlice>();
  out->name = std::move(meta.name);
  out->place = PlaceOf(object);
  if (const std::string* service = meta.labels.Find(kServiceLabel)) out->service = *service;
  const std::string* type = object.String("addressType");
  if (type ? type->empty() : !object.Child("addressType")) {
    object.ErrorAt("addressType", "is required: IPv4, IPv6 or FQDN");
  }
  size_t number = OneOf(object, "addressType", kTypes).value_or(2);
  std::optional<bool> v4;
  if (number < 2) v4 = number == 0;
  object.Each("endpoints", [&](const Cursor& item) { DecodeEndpoint(item, v4, *out); });
  std::set<std::string> names;
  object.Each("ports", [&](const Cursor& item) { DecodeSlicePort(item, names, *out); });
  return out;
}

}  // namespace sallyport::model
