// SPDX-License-Identifier: Apache-2.0
// Which kinds of objects the API server has: the built-in ones, and those that
// CustomResourceDefinitions add.
#pragma once

#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/status.h"
#include "apiserver/tree.h"

namespace sallyport::apiserver {

// A column of `kubectl get`, of a custom kind.
struct PrinterColumn {
  std::string name;
  std::string type;  // "string", "integer", "number", "boolean", "date"
  std::string format;
  std::string description;
  int64_t priority = 0;
  std::string json_path;  // ".spec.replicas"
};

// What a custom kind brings along; built-in kinds have it in code and in schema_text.cc.
struct CustomKind {
  std::shared_ptr<const Value> schema;  // openAPIV3Schema; never null
  std::vector<PrinterColumn> columns;
  // JSON paths of the scale subresource, "" where there is none.
  std::string spec_replicas_path;
  std::string status_replicas_path;
  std::string selector_path;
};

// One kind in one version.
struct Kind {
  std::string group;  // "" for core
  std::string version;
  std::string plural;
  std::string singular;
  std::string kind;
  bool namespaced = false;
  bool status = false;  // has the subresource
  bool scale = false;
  std::vector<std::string> short_names;
  std::vector<std::string> categories;
  std::string storage_version;  // in which its objects are kept
  std::shared_ptr<const CustomKind> custom;

  ResourceName Resource() const { return {plural, group}; }
  // "deployments.apps": under which its objects are kept.
  std::string StoreKey() const { return Resource().ToString(); }
  // "apps/v1", "v1"
  std::string ApiVersion() const { return group.empty() ? version : group + "/" + version; }
};
using KindPtr = std::shared_ptr<const Kind>;

// Thread-safe.
class Kinds {
 public:
  Kinds();  // the built-in ones

  KindPtr Find(std::string_view group, std::string_view version, std::string_view plural) const;
  KindPtr FindKind(std::string_view group, std::string_view version, std::string_view kind) const;
  // The storage version of what is kept under "deployments.apps".
  KindPtr FindStored(std::string_view store_key) const;
  // In the order in which discovery tells them.
  std::vector<KindPtr> All() const;

  // The kinds that a CustomResourceDefinition (valid, with defaults) defines, in place of those
  // that one of that name defined before. Whether a served version is the built-in one's is for
  // validation to see.
  void Define(const Value& definition);
  void Undefine(const std::string& name);

 private:
  mutable std::shared_mutex mutex_;
  std::vector<KindPtr> built_in_;
  std::map<std::string, std::vector<KindPtr>, std::less<>> custom_;  // by definition
};

// The kinds that a definition defines: its served versions, the storage version among them or not.
std::vector<KindPtr> KindsOfDefinition(const Value& definition);

}  // namespace sallyport::apiserver
