// SPDX-License-Identifier: Apache-2.0
#include "cli/read_world.h"

#include <algorithm>

#include "cli/expect.h"
#include "lab/workloads.h"
#include "model/manifest.h"

namespace sallyport::cli {
namespace {

// A DaemonSet has a pod on each node; where no Node is given, on one.
constexpr const char* kSomeNode = "node";

class Reader {
 public:
  void Add(const watch::TextFile& file) {
    model::ParsedText parsed = model::ParseText(file.text, file.path);
    Complain(parsed.diagnostics);
    Take(model::DecodeDocuments(parsed.documents, file.path));
    lab::AddDocuments(parsed.documents, file.path, &objects_, &object_errors_);
  }

  Result<World> Finish() {
    // What is wrong with an object by itself was said already; this adds objects given twice.
    if (errors_.empty()) Complain(object_errors_);
    std::vector<lab::ExpandedPod> pods = Expand();
    for (const lab::ExpandedPod& pod : pods) Take(model::DecodeDocuments({pod.tree}, pod.file));
    if (!errors_.empty()) return Error{"the manifests have errors:" + errors_};
    return World(std::move(snapshot_));
  }

 private:
  void Complain(const model::Diagnostics& diagnostics) {
    for (const model::Diagnostic& d : diagnostics) {
      if (d.severity == model::Severity::kError) errors_ += "\n" + d.ToString();
    }
  }

  void Take(const model::Manifest& manifest) {
    Complain(manifest.diagnostics);
    for (const model::Delta& delta : manifest.objects) snapshot_.Apply(delta);
  }

  bool HasPods(const model::ObjectName& workload) const {
    return std::any_of(snapshot_.pods.begin(), snapshot_.pods.end(), [&](const auto& entry) {
      return entry.first.ns == workload.ns && IsOwnedName(workload.name, entry.first.name);
    });
  }

  std::vector<lab::ExpandedPod> Expand() {
    std::vector<std::string> nodes;
    for (const auto& [name, node] : snapshot_.nodes) nodes.push_back(name);
    if (nodes.empty()) nodes.push_back(kSomeNode);
    std::vector<lab::ExpandedPod> out;
    for (const auto& [key, object] : objects_) {
      bool owned = lab::At(object.tree, {"metadata", "ownerReferences"}) != nullptr;
      if (!lab::IsWorkload(key.kind) || owned || HasPods(key.name)) continue;
      model::Diagnostics diagnostics;
      std::vector<lab::ExpandedPod> pods = lab::ExpandWorkload(key, object, nodes, &diagnostics);
      Complain(diagnostics);
      std::move(pods.begin(), pods.end(), std::back_inserter(out));
    }
    return out;
  }

  model::Snapshot snapshot_;
  lab::ObjectSet objects_;
  model::Diagnostics object_errors_;
  std::string errors_;
};

}  // namespace

Result<World> WorldOf(const std::vector<watch::TextFile>& files) {
  Reader reader;
  for (const watch::TextFile& file : files) reader.Add(file);
  return reader.Finish();
}

Result<World> ReadWorld(const std::vector<std::string>& paths) {
  auto files = watch::ReadTextFiles(paths);
  if (!files) return std::move(files).error();
  return WorldOf(*files);
}

}  // namespace sallyport::cli
