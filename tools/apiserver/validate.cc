// SPDX-License-Identifier: Apache-2.0
#include "apiserver/validate.h"

#include <algorithm>
#include <map>

#include "apiserver/checks.h"
#include "apiserver/custom.h"
#include "model/validate_names.h"
#include "net/address.h"

namespace sallyport::apiserver {
namespace {

using Causes = std::vector<Cause>;
void CheckData(const Value& object, const Value* old, Causes* out) {
  for (const char* key : {"data", "binaryData"}) {
    for (const auto& [name, value] : Members(object.Find(key))) {
      bool good =
          !name.empty() && name.size() <= 253 && name != "." && name != ".." &&
          std::all_of(name.begin(), name.end(), [](char c) {
            return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
          });
      if (!good)
        out->push_back(BadValue(std::string(key) + "[" + name + "]", name,
                                "a valid config key must consist of alphanumeric characters, "
                                "'-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
                                "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"));
    }
  }
  if (!old || !IsTrue(old->Find("immutable"))) return;
  if (!IsTrue(object.Find("immutable")))
    out->push_back(Prohibited("immutable", "field is immutable when `immutable` is set"));
  for (const char* key : {"data", "binaryData"})
    if (!Same(object.Find(key), old->Find(key)))
      out->push_back(Prohibited(key, "field is immutable when `immutable` is set"));
}

void CheckSecret(const Value& secret, const Value* old, Causes* out) {
  CheckData(secret, old, out);
  CheckImmutable(secret, old, {"type"}, "type", out);
}

void CheckRole(const Value& role, const Value*, Causes* out) {
  const std::vector<Value>& rules = Items(role.Find("rules"));
  for (size_t i = 0; i < rules.size(); ++i) {
    std::string at = Index("rules", i);
    if (Items(rules[i].Find("verbs")).empty())
      out->push_back(Required(at + ".verbs", "verbs must contain at least one value"));
    if (!Items(rules[i].Find("nonResourceURLs")).empty()) continue;
    if (Items(rules[i].Find("apiGroups")).empty())
      out->push_back(
          Required(at + ".apiGroups", "resource rules must supply at least one api group"));
    if (Items(rules[i].Find("resources")).empty())
      out->push_back(
          Required(at + ".resources", "resource rules must supply at least one resource"));
  }
}

void CheckRoleBinding(const Value& binding, const Value* old, Causes* out) {
  std::string kind = TextAt(binding, {"roleRef", "kind"});
  if (kind != "Role" && kind != "ClusterRole")
    out->push_back(Unsupported("roleRef.kind", kind, {"ClusterRole", "Role"}));
  if (TextAt(binding, {"roleRef", "name"}).empty()) out->push_back(Required("roleRef.name"));
  if (old && !Same(binding.Find("roleRef"), old->Find("roleRef")))
    out->push_back(BadValue("roleRef", *binding.Find("roleRef"), "cannot change roleRef"));
  const std::vector<Value>& subjects = Items(binding.Find("subjects"));
  for (size_t i = 0; i < subjects.size(); ++i)
    if (TextAt(subjects[i], {"kind"}) == "ServiceAccount" &&
        TextAt(subjects[i], {"namespace"}).empty())
      out->push_back(Required(Index("subjects", i) + ".namespace"));
}

void CheckNode(const Value& node, const Value* old, Causes* out) {
  std::vector<std::string> cidrs = Texts(At(node, {"spec", "podCIDRs"}));
  for (size_t i = 0; i < cidrs.size(); ++i)
    if (!net::Cidr::Parse(cidrs[i]))
      out->push_back(BadValue(Index("spec.podCIDRs", i), cidrs[i],
                              "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"));
  if (old && At(*old, {"spec", "podCIDRs"}) &&
      !Same(At(node, {"spec", "podCIDRs"}), At(*old, {"spec", "podCIDRs"})))
    out->push_back(Prohibited("spec.podCIDRs",
                              "node updates may not change podCIDR except from "
                              "\"\" to valid"));
}

void CheckDefinition(const Value& definition, const Value* old, Causes* out) {
  Causes causes = ValidateDefinition(definition, old);
  out->insert(out->end(), causes.begin(), causes.end());
}

Check* CheckOf(const std::string& store_key) {
  static const std::map<std::string, Check*> all = {
      {"pods", CheckPod},
      {"nodes", CheckNode},
      {"services", CheckService},
      {"configmaps", CheckData},
      {"secrets", CheckSecret},
      {"replicationcontrollers", CheckReplicationController},
      {"deployments.apps", CheckWorkload},
      {"replicasets.apps", CheckWorkload},
      {"daemonsets.apps", CheckWorkload},
      {"statefulsets.apps", CheckStatefulSet},
      {"jobs.batch", CheckJob},
      {"cronjobs.batch", CheckCronJob},
      {"networkpolicies.networking.k8s.io", CheckNetworkPolicy},
      {"endpointslices.discovery.k8s.io", CheckEndpointSlice},
      {"leases.coordination.k8s.io", CheckLease},
      {"events", CheckEvent},
      {"roles.rbac.authorization.k8s.io", CheckRole},
      {"clusterroles.rbac.authorization.k8s.io", CheckRole},
      {"rolebindings.rbac.authorization.k8s.io", CheckRoleBinding},
      {"clusterrolebindings.rbac.authorization.k8s.io", CheckRoleBinding},
      {"customresourcedefinitions.apiextensions.k8s.io", CheckDefinition},
  };
  auto found = all.find(store_key);
  return found == all.end() ? nullptr : found->second;
}

// RFC 1035: names of Services begin with a letter.
std::string CheckServiceName(std::string_view name) {
  bool good = !name.empty() && name.size() <= 63 && name.front() >= 'a' && name.front() <= 'z' &&
              name.back() != '-' && std::all_of(name.begin(), name.end(), [](char c) {
                return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
              });
  if (good) return "";
  return "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with "
         "an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or "
         "'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
}

std::string CheckPathSegment(std::string_view name) {
  if (name == "." || name == ".." || name.find_first_of("/%") != name.npos)
    return "may not be '.' or '..', or contain '/' or '%'";
  return "";
}

std::string CheckName(const Kind& kind, std::string_view name) {
  if (kind.StoreKey() == "services") return CheckServiceName(name);
  if (kind.StoreKey() == "namespaces") return model::CheckDnsLabel(name);
  if (kind.group == "rbac.authorization.k8s.io") return CheckPathSegment(name);
  return model::CheckDnsSubdomain(name);
}

}  // namespace

std::vector<Cause> ValidateMetadata(const Kind& kind, const Value& object, const Value*) {
  Causes out;
  std::string name = TextAt(object, {"metadata", "name"});
  if (name.empty()) {
    out.push_back(Required("metadata.name", "name or generateName is required"));
  } else if (std::string wrong = CheckName(kind, name); !wrong.empty()) {
    out.push_back(BadValue("metadata.name", name, wrong));
  }
  CheckLabels(At(object, {"metadata", "labels"}), "metadata.labels", &out);
  size_t total = 0;
  for (const auto& [key, value] : Members(At(object, {"metadata", "annotations"}))) {
    if (std::string wrong = model::CheckQualifiedName(key); !wrong.empty())
      out.push_back(BadValue("metadata.annotations", key, "name part " + wrong));
    total += key.size() + Text(&value).size();
  }
  if (total > 256 * 1024)
    out.push_back(
        {"FieldValueTooLong", "Too long: must have at most 262144 bytes", "metadata.annotations"});
  std::vector<std::string> finalizers = Texts(At(object, {"metadata", "finalizers"}));
  for (size_t i = 0; i < finalizers.size(); ++i)
    if (std::string wrong = model::CheckQualifiedName(finalizers[i]); !wrong.empty())
      out.push_back(BadValue("metadata.finalizers", finalizers[i], wrong));
  return out;
}

std::vector<Cause> Validate(const Kind& kind, const Value& object, const Value* old) {
  Causes out = ValidateMetadata(kind, object, old);
  Check* check = CheckOf(kind.StoreKey());
  if (!check) return out;
  if (object.Find("spec")) {
    check(object, old, &out);
    return out;
  }
  // Without a spec the checks would have nothing to stand on.
  Value whole = object;
  Set(whole, "spec", Mapping());
  check(whole, old, &out);
  return out;
}

}  // namespace sallyport::apiserver
