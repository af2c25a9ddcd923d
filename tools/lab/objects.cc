// SPDX-License-Identifier: Apache-2.0
#include "lab/objects.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace sallyport::lab {
namespace {

constexpr std::array<std::string_view, 14> kClusterScoped = {"APIService",
                                                             "ClusterRole",
                                                             "ClusterRoleBinding",
                                                             "CustomResourceDefinition",
                                                             "IngressClass",
                                                             "EgressGateway",
                                                             "Namespace",
                                                             "Node",
                                                             "MutatingWebhookConfiguration",
                                                             "PersistentVolume",
                                                             "PriorityClass",
                                                             "RuntimeClass",
                                                             "StorageClass",
                                                             "ValidatingWebhookConfiguration"};

struct KindWords {
  std::string_view kind;
  std::string_view brief;
};
constexpr std::array<KindWords, 14> kKindWords = {{{"ConfigMap", "cm"},
                                                   {"DaemonSet", "ds"},
                                                   {"Deployment", "deploy"},
                                                   {"EgressGateway", "egw"},
                                                   {"Job", "job"},
                                                   {"Namespace", "ns"},
                                                   {"NetworkPolicy", "netpol"},
                                                   {"Node", "no"},
                                                   {"Pod", "po"},
                                                   {"ReplicaSet", "rs"},
                                                   {"ReplicationController", "rc"},
                                                   {"Secret", "secret"},
                                                   {"Service", "svc"},
                                                   {"StatefulSet", "sts"}}};

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

void AddObject(const Value& tree, const std::string& file, ObjectSet* objects,
               model::Diagnostics* diagnostics) {
  auto complain = [&](const std::string& object, const std::string& field, std::string message) {
    diagnostics->push_back(
        {model::Severity::kError, {file, tree.line}, object, field, std::move(message)});
  };
  std::string kind = KindOf(tree);
  if (kind.empty()) return complain("", "kind", "missing; a Kubernetes object has a kind");
  if (kind.ends_with("List") && tree.Find("items")) {
    for (Value item : Items(tree.Find("items"))) {
      if (kind != "List" && KindOf(item).empty())  // a typed list says it for its items
        Set(item, "kind", String(kind.substr(0, kind.size() - std::string_view("List").size())));
      AddObject(item, file, objects, diagnostics);
    }
    return;
  }
  for (const char* field : {"namespace", "name"}) {
    const Value* value = At(tree, {"metadata", field});
    if (value && !value->IsString() && value->type != Value::Type::kNull)
      return complain(kind, std::string("metadata.") + field,
                      "must be a string; YAML reads it as something else, put it in quotes");
  }
  ObjectKey key{kind, NameOf(tree)};
  if (key.name.name.empty()) {
    bool generated = At(tree, {"metadata", "generateName"});
    return complain(
        kind, "metadata.name",
        generated ? "missing; generateName needs an API server, give it a name" : "missing");
  }
  Object object{tree, file};
  if (IsClusterScoped(kind)) {
    key.name.ns.clear();
  } else if (key.name.ns.empty()) {
    key.name.ns = "default";
    Set(Child(object.tree, "metadata"), "namespace", String("default"));
  }
  auto [old, added] = objects->try_emplace(key, std::move(object));
  if (!added) {
    model::Place first{old->second.file, old->second.tree.line};
    complain(key.ToString(), "", "given twice; first at " + first.ToString());
  }
}

}  // namespace

std::string ObjectKey::ToString() const { return kind + " " + name.ToString(); }

bool IsClusterScoped(std::string_view kind) {
  return std::find(kClusterScoped.begin(), kClusterScoped.end(), kind) != kClusterScoped.end();
}

std::string CanonicalKind(const std::string& word) {
  std::string lower = Lower(word);
  for (const KindWords& words : kKindWords) {
    std::string kind = Lower(words.kind);
    bool ies = kind.ends_with("y") && !kind.ends_with("ay");
    std::string plural = ies ? kind.substr(0, kind.size() - 1) + "ies" : kind + "s";
    if (lower == kind || lower == plural || lower == words.brief) return std::string(words.kind);
  }
  return word;
}

void AddDocuments(const std::vector<model::Document>& documents, const std::string& file,
                  ObjectSet* objects, model::Diagnostics* diagnostics) {
  for (const Value& tree : documents) AddObject(tree, file, objects, diagnostics);
}

std::string ToJson(const ObjectSet& objects) {
  Value list = Mapping({{"apiVersion", String("v1")}, {"kind", String("List")}});
  Value& items = Set(list, "items", Sequence());
  for (const auto& [key, object] : objects) items.items.push_back(object.tree);
  return ToJson(list);
}

Result<ObjectSet> ObjectsFromJson(std::string_view text, const std::string& file) {
  auto list = FromJson(text, file);
  if (!list) return std::move(list).error();
  ObjectSet objects;
  model::Diagnostics diagnostics;
  AddDocuments({*list}, file, &objects, &diagnostics);
  if (model::HasErrors(diagnostics)) return Error{diagnostics.front().ToString(), 0};
  return objects;
}

}  // namespace sallyport::lab
