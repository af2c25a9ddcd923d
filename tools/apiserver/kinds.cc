// SPDX-License-Identifier: Apache-2.0
#include "apiserver/kinds.h"

#include <algorithm>
#include <mutex>
#include <sstream>
#include <utility>

namespace sallyport::apiserver {
namespace {

// group ("-" core), version, plural, kind, N(amespaced) or C(luster), subresources, short names,
// categories; "-" for none.
constexpr const char* kBuiltIn = R"(
- v1 configmaps ConfigMap N - cm -
- v1 endpoints Endpoints N - ep -
- v1 events Event N - ev -
- v1 limitranges LimitRange N - limits -
- v1 namespaces Namespace C status ns -
- v1 nodes Node C status no -
- v1 persistentvolumeclaims PersistentVolumeClaim N status pvc -
- v1 persistentvolumes PersistentVolume C status pv -
- v1 pods Pod N status po all
- v1 podtemplates PodTemplate N - - -
- v1 replicationcontrollers ReplicationController N status,scale rc all
- v1 resourcequotas ResourceQuota N status quota -
- v1 secrets Secret N - - -
- v1 serviceaccounts ServiceAccount N - sa -
- v1 services Service N status svc all
apiextensions.k8s.io v1 customresourcedefinitions CustomResourceDefinition C status crd,crds api-extensions
apps v1 controllerrevisions ControllerRevision N - - -
apps v1 daemonsets DaemonSet N status ds all
apps v1 deployments Deployment N status,scale deploy all
apps v1 replicasets ReplicaSet N status,scale rs all
apps v1 statefulsets StatefulSet N status,scale sts all
batch v1 cronjobs CronJob N status cj all
batch v1 jobs Job N status - all
coordination.k8s.io v1 leases Lease N - - -
discovery.k8s.io v1 endpointslices EndpointSlice N - - -
networking.k8s.io v1 ingressclasses IngressClass C - - -
networking.k8s.io v1 ingresses Ingress N status ing -
networking.k8s.io v1 networkpolicies NetworkPolicy N - netpol -
policy v1 poddisruptionbudgets PodDisruptionBudget N status pdb -
rbac.authorization.k8s.io v1 clusterrolebindings ClusterRoleBinding C - - -
rbac.authorization.k8s.io v1 clusterroles ClusterRole C - - -
rbac.authorization.k8s.io v1 rolebindings RoleBinding N - - -
rbac.authorization.k8s.io v1 roles Role N - - -
scheduling.k8s.io v1 priorityclasses PriorityClass C - pc -
storage.k8s.io v1 storageclasses StorageClass C - sc -
)";

std::vector<std::string> Words(const std::string& list) {
  std::vector<std::string> out;
  if (list == "-") return out;
  std::stringstream in(list);
  for (std::string word; std::getline(in, word, ',');) out.push_back(word);
  return out;
}

bool Has(const std::vector<std::string>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::vector<KindPtr> BuiltIn() {
  std::vector<KindPtr> out;
  std::stringstream table(kBuiltIn);
  std::string group, version, plural, kind, scope, subresources, short_names, categories;
  while (table >> group >> version >> plural >> kind >> scope >> subresources >> short_names >>
         categories) {
    Kind made{.group = group == "-" ? "" : group,
              .version = version,
              .plural = plural,
              .singular = kind,
              .kind = kind,
              .namespaced = scope == "N",
              .status = Has(Words(subresources), "status"),
              .scale = Has(Words(subresources), "scale"),
              .short_names = Words(short_names),
              .categories = Words(categories),
              .storage_version = version,
              .custom = nullptr};
    for (char& c : made.singular) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    out.push_back(std::make_shared<const Kind>(std::move(made)));
  }
  return out;
}

std::shared_ptr<const CustomKind> CustomOf(const Value& version) {
  CustomKind custom;
  const Value* schema = At(version, {"schema", "openAPIV3Schema"});
  custom.schema = std::make_shared<const Value>(schema ? *schema : Mapping());
  for (const Value& column : Items(version.Find("additionalPrinterColumns"))) {
    custom.columns.push_back({TextAt(column, {"name"}), TextAt(column, {"type"}),
                              TextAt(column, {"format"}), TextAt(column, {"description"}),
                              IntegerAt(column, {"priority"}).value_or(0),
                              TextAt(column, {"jsonPath"})});
  }
  if (custom.columns.empty())
    custom.columns.push_back({"Age", "date", "", "", 0, ".metadata.creationTimestamp"});
  custom.spec_replicas_path = TextAt(version, {"subresources", "scale", "specReplicasPath"});
  custom.status_replicas_path = TextAt(version, {"subresources", "scale", "statusReplicasPath"});
  custom.selector_path = TextAt(version, {"subresources", "scale", "labelSelectorPath"});
  return std::make_shared<const CustomKind>(std::move(custom));
}

}  // namespace

std::vector<KindPtr> KindsOfDefinition(const Value& definition) {
  std::vector<KindPtr> out;
  const Value* spec = definition.Find("spec");
  if (!spec) return out;
  std::string storage;
  for (const Value& version : Items(spec->Find("versions")))
    if (IsTrue(version.Find("storage"))) storage = TextAt(version, {"name"});
  for (const Value& version : Items(spec->Find("versions"))) {
    if (!IsTrue(version.Find("served"))) continue;
    Kind made{.group = TextAt(*spec, {"group"}),
              .version = TextAt(version, {"name"}),
              .plural = TextAt(*spec, {"names", "plural"}),
              .singular = TextAt(*spec, {"names", "singular"}),
              .kind = TextAt(*spec, {"names", "kind"}),
              .namespaced = TextAt(*spec, {"scope"}) == "Namespaced",
              .status = At(version, {"subresources", "status"}) != nullptr,
              .scale = At(version, {"subresources", "scale"}) != nullptr,
              .short_names = Texts(At(*spec, {"names", "shortNames"})),
              .categories = Texts(At(*spec, {"names", "categories"})),
              .storage_version = storage,
              .custom = CustomOf(version)};
    out.push_back(std::make_shared<const Kind>(std::move(made)));
  }
  return out;
}

Kinds::Kinds() : built_in_(BuiltIn()) {}

std::vector<KindPtr> Kinds::All() const {
  std::shared_lock lock(mutex_);
  std::vector<KindPtr> out = built_in_;
  for (const auto& [name, kinds] : custom_) out.insert(out.end(), kinds.begin(), kinds.end());
  return out;
}

KindPtr Kinds::Find(std::string_view group, std::string_view version,
                    std::string_view plural) const {
  for (const KindPtr& kind : All())
    if (kind->group == group && kind->version == version && kind->plural == plural) return kind;
  return nullptr;
}

KindPtr Kinds::FindKind(std::string_view group, std::string_view version,
                        std::string_view name) const {
  for (const KindPtr& kind : All())
    if (kind->group == group && kind->version == version && kind->kind == name) return kind;
  return nullptr;
}

KindPtr Kinds::FindStored(std::string_view store_key) const {
  KindPtr any;
  for (const KindPtr& kind : All()) {
    if (kind->StoreKey() != store_key) continue;
    if (kind->version == kind->storage_version) return kind;
    any = kind;
  }
  return any;
}

void Kinds::Define(const Value& definition) {
  std::vector<KindPtr> kinds = KindsOfDefinition(definition);
  std::unique_lock lock(mutex_);
  custom_[TextAt(definition, {"metadata", "name"})] = std::move(kinds);
}

void Kinds::Undefine(const std::string& name) {
  std::unique_lock lock(mutex_);
  custom_.erase(name);
}

}  // namespace sallyport::apiserver
