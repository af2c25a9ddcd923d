// SPDX-License-Identifier: Apache-2.0
// Manifests on disk: which files of the given paths are read, for the tools. (The agent watches a
// directory instead: manifest_directory.h.)
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/document.h"
#include "model/manifest.h"

namespace sallyport::watch {

struct TextFile {
  std::string path;
  std::string text;
};

// "web.yaml", "web.yml", "web.json"; not ".web.yaml", "web.yaml~", "web.yaml.swp".
bool IsManifestName(std::string_view name);

// At most 32 MiB and one byte: more than the parser takes, so that it says so.
Result<std::string> ReadTextFile(const std::string& path);

// Files as named; directories with all their *.yaml, *.yml and *.json below, sorted, hidden ones
// left out, and so are expect.yaml and kustomization.yaml, which are no manifests; "-" is standard
// input. A file that is named twice is read once.
Result<std::vector<TextFile>> ReadTextFiles(const std::vector<std::string>& paths);

struct ManifestFiles {
  model::Snapshot snapshot;
  model::Manifest manifest;  // everything of all files, joined; an object given twice is an error
};
ManifestFiles ReadManifests(const std::vector<TextFile>& files);
Result<ManifestFiles> ReadManifestFiles(const std::vector<std::string>& paths);

}  // namespace sallyport::watch
