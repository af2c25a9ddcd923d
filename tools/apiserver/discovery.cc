// SPDX-License-Identifier: Apache-2.0
#include "apiserver/discovery.h"

#include <algorithm>
#include <map>

namespace sallyport::apiserver {
namespace {

constexpr const char* kAggregated = "g=apidiscovery.k8s.io;v=";

// Kinds that are asked and answered, and never kept.
struct Review {
  const char* group;
  const char* plural;
  const char* kind;
  bool namespaced;
};
constexpr Review kReviews[] = {
    {"authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview", false},
    {"authentication.k8s.io", "tokenreviews", "TokenReview", false},
    {"authorization.k8s.io", "localsubjectaccessreviews", "LocalSubjectAccessReview", true},
    {"authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", false},
    {"authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview", false},
    {"authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview", false},
};

Value Strings(const std::vector<std::string>& texts) { return lab::Strings(texts); }

const std::vector<std::string> kVerbs = {"create", "delete", "deletecollection", "get",
                                         "list",   "patch",  "update",           "watch"};

struct Subresource {
  std::string name;
  std::string group;
  std::string version;
  std::string kind;
  std::vector<std::string> verbs;
};

std::vector<Subresource> SubresourcesOf(const Kind& kind) {
  std::vector<Subresource> out;
  if (kind.StoreKey() == "namespaces") out.push_back({"finalize", "", "v1", kind.kind, {"update"}});
  if (kind.StoreKey() == "pods") {
    out.push_back({"binding", "", "v1", "Binding", {"create"}});
    out.push_back({"eviction", "policy", "v1", "Eviction", {"create"}});
  }
  if (kind.scale)
    out.push_back({"scale", "autoscaling", "v1", "Scale", {"get", "patch", "update"}});
  if (kind.status)
    out.push_back({"status", kind.group, kind.version, kind.kind, {"get", "patch", "update"}});
  if (kind.StoreKey() == "serviceaccounts")
    out.push_back({"token", "authentication.k8s.io", "v1", "TokenRequest", {"create"}});
  return out;
}

using Groups = std::map<std::string, std::map<std::string, std::vector<KindPtr>>>;

Groups GroupsOf(const Kinds& kinds) {
  Groups out;
  for (const KindPtr& kind : kinds.All()) out[kind->group][kind->version].push_back(kind);
  for (const Review& review : kReviews) out[review.group]["v1"];
  return out;
}

// Preferred first: stable versions, the newest first.
std::vector<std::string> VersionsOf(const std::map<std::string, std::vector<KindPtr>>& versions) {
  std::vector<std::string> out;
  for (const auto& [version, kinds] : versions) out.push_back(version);
  auto rank = [](const std::string& version) {
    if (version.find("alpha") != version.npos) return 0;
    return version.find("beta") != version.npos ? 1 : 2;
  };
  std::stable_sort(out.begin(), out.end(), [&](const std::string& a, const std::string& b) {
    return rank(a) != rank(b) ? rank(a) > rank(b) : a > b;
  });
  return out;
}

// ---- the older form

Value ResourceTree(const Kind& kind) {
  Value out = Mapping({{"name", String(kind.plural)},
                       {"singularName", String(kind.singular)},
                       {"namespaced", Boolean(kind.namespaced)},
                       {"kind", String(kind.kind)},
                       {"verbs", Strings(kVerbs)}});
  if (!kind.short_names.empty()) Set(out, "shortNames", Strings(kind.short_names));
  if (!kind.categories.empty()) Set(out, "categories", Strings(kind.categories));
  return out;
}

Value ResourceList(const std::string& group, const std::string& version,
                   const std::vector<KindPtr>& kinds) {
  Value resources = Sequence();
  for (const KindPtr& kind : kinds) {
    resources.items.push_back(ResourceTree(*kind));
    for (const Subresource& sub : SubresourcesOf(*kind)) {
      Value one = Mapping({{"name", String(kind->plural + "/" + sub.name)},
                           {"singularName", String("")},
                           {"namespaced", Boolean(kind->namespaced)},
                           {"kind", String(sub.kind)},
                           {"verbs", Strings(sub.verbs)}});
      if (sub.group != group || sub.version != version) {
        Set(one, "group", String(sub.group));
        Set(one, "version", String(sub.version));
      }
      resources.items.push_back(std::move(one));
    }
  }
  for (const Review& review : kReviews) {
    if (group != review.group) continue;
    resources.items.push_back(Mapping({{"name", String(review.plural)},
                                       {"singularName", String("")},
                                       {"namespaced", Boolean(review.namespaced)},
                                       {"kind", String(review.kind)},
                                       {"verbs", Strings({"create"})}}));
  }
  return Mapping({{"kind", String("APIResourceList")},
                  {"apiVersion", String("v1")},
                  {"groupVersion", String(group.empty() ? version : group + "/" + version)},
                  {"resources", std::move(resources)}});
}

Value GroupTree(const std::string& group, const std::vector<std::string>& versions) {
  Value list = Sequence();
  for (const std::string& version : versions)
    list.items.push_back(
        Mapping({{"groupVersion", String(group + "/" + version)}, {"version", String(version)}}));
  Value preferred = list.items.front();
  return Mapping({{"name", String(group)},
                  {"versions", std::move(list)},
                  {"preferredVersion", std::move(preferred)}});
}

// ---- the aggregated form

Value Gvk(const std::string& group, const std::string& version, const std::string& kind) {
  return Mapping({{"group", String(group)}, {"version", String(version)}, {"kind", String(kind)}});
}

Value AggregatedResource(const Kind& kind) {
  Value out = Mapping({{"resource", String(kind.plural)},
                       {"responseKind", Gvk(kind.group, kind.version, kind.kind)},
                       {"scope", String(kind.namespaced ? "Namespaced" : "Cluster")},
                       {"singularResource", String(kind.singular)},
                       {"verbs", Strings(kVerbs)}});
  if (!kind.short_names.empty()) Set(out, "shortNames", Strings(kind.short_names));
  if (!kind.categories.empty()) Set(out, "categories", Strings(kind.categories));
  Value subresources = Sequence();
  for (const Subresource& sub : SubresourcesOf(kind))
    subresources.items.push_back(Mapping({{"subresource", String(sub.name)},
                                          {"responseKind", Gvk(sub.group, sub.version, sub.kind)},
                                          {"verbs", Strings(sub.verbs)}}));
  if (!subresources.items.empty()) Set(out, "subresources", std::move(subresources));
  return out;
}

Value AggregatedGroup(const std::string& group,
                      const std::map<std::string, std::vector<KindPtr>>& versions) {
  Value list = Sequence();
  for (const std::string& version : VersionsOf(versions)) {
    Value resources = Sequence();
    for (const KindPtr& kind : versions.at(version))
      resources.items.push_back(AggregatedResource(*kind));
    for (const Review& review : kReviews) {
      if (group != review.group) continue;
      resources.items.push_back(
          Mapping({{"resource", String(review.plural)},
                   {"responseKind", Gvk(group, version, review.kind)},
                   {"scope", String(review.namespaced ? "Namespaced" : "Cluster")},
                   {"singularResource", String("")},
                   {"verbs", Strings({"create"})}}));
    }
    list.items.push_back(Mapping({{"version", String(version)},
                                  {"resources", std::move(resources)},
                                  {"freshness", String("Current")}}));
  }
  Value metadata = Mapping({{"creationTimestamp", Value()}});
  if (!group.empty()) Set(metadata, "name", String(group));
  return Mapping({{"metadata", std::move(metadata)}, {"versions", std::move(list)}});
}

// The version of the aggregated form that the client takes: "v2", "v2beta1", or "".
std::string AggregatedVersion(const std::string& accept) {
  size_t at = accept.find(kAggregated);
  if (at == accept.npos) return "";
  at += std::string_view(kAggregated).size();
  return accept.substr(at, accept.find_first_of(";,", at) - at);
}

Response Aggregated(const Groups& groups, bool core, const std::string& version) {
  Value items = Sequence();
  for (const auto& [group, versions] : groups)
    if (group.empty() == core) items.items.push_back(AggregatedGroup(group, versions));
  Response out =
      JsonResponse(ToJson(Mapping({{"kind", String("APIGroupDiscoveryList")},
                                   {"apiVersion", String("apidiscovery.k8s.io/" + version)},
                                   {"metadata", Mapping()},
                                   {"items", std::move(items)}})));
  out.content_type =
      "application/json;g=apidiscovery.k8s.io;v=" + version + ";as=APIGroupDiscoveryList";
  return out;
}

Response OldCore() {
  return JsonResponse(
      R"({"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[]})");
}

Response OldGroups(const Groups& groups) {
  Value list = Sequence();
  for (const auto& [group, versions] : groups)
    if (!group.empty()) list.items.push_back(GroupTree(group, VersionsOf(versions)));
  return JsonResponse(ToJson(Mapping({{"kind", String("APIGroupList")},
                                      {"apiVersion", String("v1")},
                                      {"groups", std::move(list)}})));
}

}  // namespace

std::optional<Response> Discover(const Kinds& kinds, const Request& request) {
  std::string path = request.path;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (path != "/api" && !path.starts_with("/api/") && path != "/apis" &&
      !path.starts_with("/apis/"))
    return std::nullopt;
  Groups groups = GroupsOf(kinds);
  std::string aggregated = AggregatedVersion(request.accept);
  if (path == "/api") return aggregated.empty() ? OldCore() : Aggregated(groups, true, aggregated);
  if (path == "/apis")
    return aggregated.empty() ? OldGroups(groups) : Aggregated(groups, false, aggregated);
  std::string group;
  std::string version;
  if (path.starts_with("/apis/")) {
    std::string rest = path.substr(6);
    size_t slash = rest.find('/');
    group = rest.substr(0, slash);
    if (slash != rest.npos) version = rest.substr(slash + 1);
  } else {
    version = path.substr(5);
  }
  auto found = groups.find(group);
  if (found == groups.end()) return std::nullopt;
  if (version.empty()) {
    Value out = Mapping({{"kind", String("APIGroup")}, {"apiVersion", String("v1")}});
    for (Value::Member& member : GroupTree(group, VersionsOf(found->second)).members)
      out.members.push_back(std::move(member));
    return JsonResponse(ToJson(out));
  }
  auto kinds_found = found->second.find(version);
  if (kinds_found == found->second.end()) return std::nullopt;
  return JsonResponse(ToJson(ResourceList(group, version, kinds_found->second)));
}

}  // namespace sallyport::apiserver
