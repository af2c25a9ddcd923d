// SPDX-License-Identifier: Apache-2.0
#include "model/kinds.h"

#include <algorithm>
#include <array>
#include <vector>

#include "model/cursor.h"
#include "model/suggest.h"

namespace sallyport::model {
namespace {

using What = Classified::What;

constexpr std::string_view kNetworking = "networking.k8s.io";
constexpr std::string_view kDiscovery = "discovery.k8s.io";
constexpr std::string_view kSallyport = "sallyport.io";
constexpr std::array<Kind, 7> kOurs = {Kind::kNamespace,     Kind::kNode,    Kind::kPod,
                                       Kind::kNetworkPolicy, Kind::kService, Kind::kEndpointSlice,
                                       Kind::kEgressGateway};

// The kinds of the groups that ours are in.
const std::vector<std::string_view> kCoreKinds = {"Binding",
                                                  "ComponentStatus",
                                                  "ConfigMap",
                                                  "Endpoints",
                                                  "Event",
                                                  "Eviction",
                                                  "LimitRange",
                                                  "List",
                                                  "Namespace",
                                                  "Node",
                                                  "PersistentVolume",
                                                  "PersistentVolumeClaim",
                                                  "Pod",
                                                  "PodTemplate",
                                                  "ReplicationController",
                                                  "ResourceQuota",
                                                  "Secret",
                                                  "ServiceAccount",
                                                  "Status"};
const std::vector<std::string_view> kDiscoveryKinds = {"EndpointSlice"};
const std::vector<std::string_view> kNetworkingKinds = {"Ingress", "IngressClass", "IPAddress",
                                                        "NetworkPolicy", "ServiceCIDR"};
const std::vector<std::string_view> kSallyportKinds = {"EgressGateway"};

std::string_view WithoutList(std::string_view kind) {
  constexpr std::string_view kList = "List";
  bool list = kind.size() > kList.size() && kind.substr(kind.size() - kList.size()) == kList;
  return list ? kind.substr(0, kind.size() - kList.size()) : kind;
}

std::optional<Kind> OurKind(std::string_view name) {
  for (Kind kind : kOurs) {
    if (ToString(kind) == name) return kind;
  }
  return std::nullopt;
}

// Kubernetes' own or ours, as against another's: those have a dot, and another domain.
bool IsGroupOfOurs(std::string_view group) {
  constexpr std::string_view kDomain = ".k8s.io";
  if (group.find('.') == std::string_view::npos) return true;
  for (std::string_view known : {kNetworking, kDiscovery, kSallyport}) {
    if (EditDistance(group, known) <= 3) return true;
  }
  return group.size() > kDomain.size() && group.substr(group.size() - kDomain.size()) == kDomain;
}

// nullptr: a group that none of ours is in.
const std::vector<std::string_view>* KindsOf(std::string_view api_version, std::string_view group) {
  if (api_version == "v1") return &kCoreKinds;
  if (group == kNetworking) return &kNetworkingKinds;
  if (group == kDiscovery) return &kDiscoveryKinds;
  return group == kSallyport ? &kSallyportKinds : nullptr;
}

Classified Mistake(std::string message) { return {What::kMistake, {}, std::move(message)}; }

Classified WrongVersion(std::string_view api_version, std::string_view name, Kind kind) {
  return Mistake(std::string(name) + " is not in apiVersion " + Quoted(api_version) +
                 ": write apiVersion: " + std::string(ApiVersionOf(kind)));
}

// A kind that these groups do not have, as far as we know: one of ours with a typo, or a new one.
Classified UnknownKind(std::string_view api_version, std::string_view name) {
  static const std::vector<std::string_view> ours = {"Namespace",     "Node",    "Pod",
                                                     "NetworkPolicy", "Service", "EndpointSlice",
                                                     "EgressGateway", "List"};
  std::string_view near = Nearest(name, ours);
  if (near.empty()) near = Nearest(WithoutList(name), ours);
  if (near.empty()) return {What::kSkipped, {}, ""};
  return Mistake("there is no kind " + Quoted(name) + " in " + std::string(api_version) +
                 "; did you mean " + std::string(near) + "?");
}

}  // namespace

std::string_view ApiVersionOf(Kind kind) {
  switch (kind) {
    case Kind::kNetworkPolicy:
      return "networking.k8s.io/v1";
    case Kind::kEndpointSlice:
      return "discovery.k8s.io/v1";
    case Kind::kEgressGateway:
      return "sallyport.io/v1alpha1";
    default:
      return "v1";
  }
}

Classified Classify(std::string_view api_version, std::string_view name) {
  if (api_version == "v1" && name == "List") return {What::kList, {}, ""};
  size_t slash = api_version.find('/');
  bool has_group = slash != std::string_view::npos;
  std::string_view group = has_group ? api_version.substr(0, slash) : "";
  std::string_view singular = WithoutList(name);
  if (std::optional<Kind> kind = OurKind(singular)) {
    if (api_version == ApiVersionOf(*kind)) {
      return {singular == name ? What::kObject : What::kList, kind, ""};
    }
    if (IsGroupOfOurs(group)) return WrongVersion(api_version, name, *kind);
    return {What::kSkipped, {}, ""};
  }
  const std::vector<std::string_view>* known = KindsOf(api_version, group);
  if (!known) return {What::kSkipped, {}, ""};
  bool exists = std::find(known->begin(), known->end(), singular) != known->end();
  return exists ? Classified{What::kSkipped, {}, ""} : UnknownKind(api_version, name);
}

}  // namespace sallyport::model
