// SPDX-License-Identifier: Apache-2.0
// The objects that a lab is made of, as the user wrote them: trees by kind and name.
//
//   files -> ReadObjects -> ObjectSet -> (workloads.h, schedule.h) -> plan.h
//
// AddDocuments is pure.
#pragma once

#include <compare>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "lab/tree.h"
#include "model/diagnostic.h"

namespace sallyport::lab {

struct ObjectKey {
  std::string kind;
  model::ObjectName name;  // without a namespace where the kind is cluster-scoped
  // "Pod shop/web"
  std::string ToString() const;
  friend auto operator<=>(const ObjectKey&, const ObjectKey&) = default;
};

struct Object {
  Value tree;  // metadata.namespace is always set where the kind has namespaces
  std::string file;
};

using ObjectSet = std::map<ObjectKey, Object>;

// Kubernetes kinds without a namespace, of those that manifests for a lab contain.
bool IsClusterScoped(std::string_view kind);
// "deploy", "Deployments", "netpol" and so on, as kubectl takes them; as given where unknown.
std::string CanonicalKind(const std::string& word);

// Adds documents, taking List objects apart. An object without kind or name, or one that is there
// already, is an error among the diagnostics and is not added.
void AddDocuments(const std::vector<model::Document>& documents, const std::string& file,
                  ObjectSet* objects, model::Diagnostics* diagnostics);

struct ReadObjectsResult {
  ObjectSet objects;
  model::Diagnostics diagnostics;
};

// Everything in the files and directories named; "-" is standard input.
Result<ReadObjectsResult> ReadObjects(const std::vector<std::string>& paths);

// One JSON text holding them all, and back.
std::string ToJson(const ObjectSet& objects);
Result<ObjectSet> ObjectsFromJson(std::string_view text, const std::string& file);

}  // namespace sallyport::lab
