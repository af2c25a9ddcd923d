// SPDX-License-Identifier: Apache-2.0
// Manifests: text (YAML or JSON, several documents, List objects) to objects and diagnostics.
//
// Entry point: ReadManifest. Pure; reading files is manifest_files.h's. An object with an error is
// not among the objects; it is in `broken`, so that a caller can keep what it had before.
// Validation is that of the Kubernetes API for the fields read (apimachinery validation,
// core/v1 and networking/v1 validation). Unknown fields are warnings. Kinds that do not concern
// policy are counted in `skipped`.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/diagnostic.h"
#include "model/document.h"
#include "model/snapshot.h"

namespace sallyport::model {

struct Manifest {
  std::vector<Delta> objects;  // Set deltas only, in the order of the text
  std::vector<std::pair<Kind, ObjectName>> broken;
  std::map<std::string, int> skipped;  // "apps/v1 Deployment" -> how many
  Diagnostics diagnostics;
  // Something in the text could not be told to be which object: a syntax error (what follows it is
  // unknown), or a document without a valid kind or name. Whatever was read from this file before
  // may be meant by it.
  bool unreadable = false;
};

// `file` is used in places only. Objects of namespaced kinds without a namespace get
// `default_namespace`.
Manifest ReadManifest(std::string_view text, const std::string& file,
                      const std::string& default_namespace = "default");

// The same for documents that are parsed already (the lab expands workloads between the two steps).
Manifest DecodeDocuments(const std::vector<Document>& documents, const std::string& file,
                         const std::string& default_namespace = "default");

}  // namespace sallyport::model
