// SPDX-License-Identifier: Apache-2.0
#include "lab/cluster.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <utility>

namespace sallyport::lab {
namespace {

const std::vector<KindInfo>& Kinds() {
  static const std::vector<KindInfo> kKinds = {
      {"Namespace", "v1", "namespaces", false},
      {"Node", "v1", "nodes", false},
      {"Pod", "v1", "pods"},
      {"Service", "v1", "services"},
      {"Endpoints", "v1", "endpoints"},
      {"ConfigMap", "v1", "configmaps"},
      {"Secret", "v1", "secrets"},
      {"ServiceAccount", "v1", "serviceaccounts"},
      {"ReplicationController", "v1", "replicationcontrollers"},
      {"Deployment", "apps/v1", "deployments"},
      {"ReplicaSet", "apps/v1", "replicasets"},
      {"StatefulSet", "apps/v1", "statefulsets"},
      {"DaemonSet", "apps/v1", "daemonsets"},
      {"Job", "batch/v1", "jobs"},
      {"CronJob", "batch/v1", "cronjobs"},
      {"NetworkPolicy", "networking.k8s.io/v1", "networkpolicies"},
      {"Ingress", "networking.k8s.io/v1", "ingresses"},
      {"EndpointSlice", "discovery.k8s.io/v1", "endpointslices"},
      {"EgressGateway", "sallyport.io/v1alpha1", "egressgateways", false},
      {"Role", "rbac.authorization.k8s.io/v1", "roles"},
      {"RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings"},
      {"ClusterRole", "rbac.authorization.k8s.io/v1", "clusterroles", false},
      {"ClusterRoleBinding", "rbac.authorization.k8s.io/v1", "clusterrolebindings", false},
  };
  return kKinds;
}

// The versions of one API server are numbers that grow; what is none is never the older one.
bool IsOlder(const std::string& version, const std::string& than) {
  uint64_t left = 0;
  uint64_t right = 0;
  auto [a, first] = std::from_chars(version.data(), version.data() + version.size(), left);
  auto [b, second] = std::from_chars(than.data(), than.data() + than.size(), right);
  return first == std::errc() && second == std::errc() && left < right;
}

bool IsNothing(const Value& value) {
  switch (value.type) {
    case Value::Type::kNull:
      return true;
    case Value::Type::kInteger:
      return value.integer == 0;
    case Value::Type::kString:
      return value.text.empty();
    case Value::Type::kBool:
      return !value.boolean;
    case Value::Type::kSequence:
      return value.items.empty();
    case Value::Type::kMapping:
      return std::all_of(value.members.begin(), value.members.end(),
                         [](const Value::Member& member) { return IsNothing(member.second); });
    default:
      return false;
  }
}

}  // namespace

const KindInfo* FindKind(std::string_view kind) {
  for (const KindInfo& info : Kinds())
    if (info.kind == kind) return &info;
  return nullptr;
}

std::string CollectionPath(const KindInfo& kind, const std::string& ns) {
  bool core = kind.api_version.find('/') == std::string::npos;
  std::string path = (core ? "/api/" : "/apis/") + kind.api_version;
  if (kind.namespaced && !ns.empty()) path += "/namespaces/" + ns;
  return path + "/" + kind.plural;
}

std::string ObjectPath(const KindInfo& kind, const model::ObjectName& name) {
  return CollectionPath(kind, name.ns) + "/" + name.name;
}

const Cluster::Objects& Cluster::Of(std::string_view kind) const {
  static const Objects kNone;
  auto found = kinds_.find(kind);
  return found == kinds_.end() ? kNone : found->second;
}

const Value* Cluster::Find(std::string_view kind, const model::ObjectName& name) const {
  const Objects& objects = Of(kind);
  auto found = objects.find(name);
  return found == objects.end() ? nullptr : found->second.get();
}

void Cluster::Set(const std::string& kind, Value object) {
  std::shared_ptr<const Value>& known = kinds_[kind][KeyOf(object, kind)];
  if (known && IsOlder(TextAt(object, {"metadata", "resourceVersion"}),
                       TextAt(*known, {"metadata", "resourceVersion"})))
    return;
  known = std::make_shared<const Value>(std::move(object));
}

void Cluster::Remove(const std::string& kind, const model::ObjectName& name,
                     const std::string& uid) {
  const Value* known = Find(kind, name);
  if (known && (uid.empty() || UidOf(*known) == uid)) kinds_.find(kind)->second.erase(name);
}

std::string Change::ToString() const {
  static constexpr std::array<const char*, 7> kVerbs = {
      "create", "replace", "patch", "patch status of", "delete", "forget", "bind"};
  return std::string(kVerbs[static_cast<size_t>(verb)]) + " " + kind + " " +
         (name.ns.empty() ? name.name : name.ToString());
}

std::vector<const Value*> All(const Cluster::Objects& objects) {
  std::vector<const Value*> out;
  for (const auto& [name, object] : objects) out.push_back(object.get());
  return out;
}

std::string UidOf(const Value& object) { return TextAt(object, {"metadata", "uid"}); }

model::ObjectName KeyOf(const Value& object, std::string_view kind) {
  model::ObjectName name = NameOf(object);
  const KindInfo* info = FindKind(kind);
  if (info && !info->namespaced) name.ns.clear();
  return name;
}

bool IsTerminating(const Value& object) {
  return !TextAt(object, {"metadata", "deletionTimestamp"}).empty();
}

bool Covers(const Value* have, const Value& want) {
  if (IsNothing(want)) return !have || IsNothing(*have);
  if (!have || have->type != want.type) return false;
  if (want.type == Value::Type::kMapping)
    return std::all_of(want.members.begin(), want.members.end(), [&](const Value::Member& member) {
      return Covers(have->Find(member.first), member.second);
    });
  if (want.type != Value::Type::kSequence) return SameContent(*have, want);
  return std::equal(have->items.begin(), have->items.end(), want.items.begin(), want.items.end(),
                    [](const Value& a, const Value& b) { return Covers(&a, b); });
}

bool ConditionIsTrue(const Value& object, std::string_view type) {
  for (const Value& condition : Items(At(object, {"status", "conditions"})))
    if (TextAt(condition, {"type"}) == type) return TextAt(condition, {"status"}) == "True";
  return false;
}

Value WithCondition(const Value* conditions, const std::string& type, bool status,
                    const std::string& reason, const std::string& message, WallTime now) {
  Value out = Sequence(Items(conditions));
  auto found = std::find_if(out.items.begin(), out.items.end(), [&](const Value& condition) {
    return TextAt(condition, {"type"}) == type;
  });
  if (found == out.items.end())
    found = out.items.insert(out.items.end(), Mapping({{"type", String(type)}}));
  std::string word = status ? "True" : "False";
  if (TextAt(*found, {"status"}) != word)
    Set(*found, "lastTransitionTime", String(FormatTime(now)));
  Set(*found, "status", String(word));
  for (const auto& [key, text] : {std::pair("reason", reason), std::pair("message", message)}) {
    Erase(*found, key);
    if (!text.empty()) Set(*found, key, String(text));
  }
  return out;
}

std::string FormatTime(WallTime time) {
  std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text;
  size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text.data(), length};
}

bool IsOver(const Value& pod) {
  std::string phase = TextAt(pod, {"status", "phase"});
  return phase == "Succeeded" || phase == "Failed";
}

bool IsReadyPod(const Value& pod) { return !IsTerminating(pod) && ConditionIsTrue(pod, "Ready"); }

}  // namespace sallyport::lab
