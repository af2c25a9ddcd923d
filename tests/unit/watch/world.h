// SPDX-License-Identifier: Apache-2.0
// What a consumer of updates has in force, as a line of text.
#pragma once

#include <string>

#include "model/snapshot.h"
#include "watch/manifest_set.h"

namespace sallyport::watch {

// "ns=version" for a namespace with the label v.
inline std::string NamespaceText(const std::string& name, const std::string& version) {
  return "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + ", labels: {v: v" + version +
         "}}\n---\n";
}
inline std::string BrokenText(const std::string& name) {
  return "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + ", labels: {v: 1}}\n---\n";
}

class World {
 public:
  void Take(const Update& update) {
    for (const model::Delta& delta : update.deltas) snapshot_.Apply(delta);
    for (const model::Diagnostic& d : update.diagnostics) reports_ += d.ToString() + "\n";
    complete_ = update.complete;
    standing_ = update.standing;
  }
  // "a=v1 b=v2"
  std::string Text() const {
    std::string out;
    for (const auto& [name, object] : snapshot_.namespaces) {
      const std::string* version = object->labels.Find("v");
      out += (out.empty() ? "" : " ") + name + "=" + (version ? *version : "");
    }
    return out;
  }
  // What was reported since the last call.
  std::string TakeReports() { return std::exchange(reports_, {}); }
  bool complete() const { return complete_; }
  const model::Snapshot& snapshot() const { return snapshot_; }
  const model::Diagnostics& standing() const { return standing_; }

 private:
  model::Snapshot snapshot_;
  std::string reports_;
  model::Diagnostics standing_;
  bool complete_ = false;
};

}  // namespace sallyport::watch
