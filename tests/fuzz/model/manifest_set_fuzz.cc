// SPDX-License-Identifier: Apache-2.0
// A directory that anything may be written into: it removes nothing while a file that changed since
// the last rest cannot be read, and if all files are well it ends where a fresh scan of them would.
//
// The input: steps, each a byte that says what (file, kind of change) and a text up to a 0 byte.
#include <map>
#include <set>

#include "base/check.h"
#include "fuzz/input.h"
#include "watch/manifest_set.h"

namespace {

using sallyport::model::Delta;
using sallyport::model::Snapshot;
using sallyport::watch::FileContent;
using sallyport::watch::ManifestSet;
using sallyport::watch::Update;

bool IsKnown(const FileContent& content) {
  if (content.state == FileContent::State::kGone) return true;
  if (content.state != FileContent::State::kText || content.text.empty()) return false;
  return !sallyport::model::ReadManifest(content.text, "f").unreadable;
}

bool IsWell(const FileContent& content) {
  return IsKnown(content) && !sallyport::model::HasErrors(
                                 sallyport::model::ReadManifest(content.text, "f").diagnostics);
}

bool Same(const FileContent& a, const FileContent& b) {
  return a.state == b.state && a.text == b.text;
}

bool Removes(const Update& update) {
  for (const Delta& delta : update.deltas) {
    if (std::holds_alternative<std::monostate>(delta.object)) return true;
  }
  return false;
}

void Take(const Update& update, Snapshot& snapshot) {
  for (const Delta& delta : update.deltas) snapshot.Apply(delta);
}

size_t Count(const Snapshot& s) {
  return s.namespaces.size() + s.nodes.size() + s.pods.size() + s.policies.size();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text = sallyport::fuzz::Text(data, size);
  ManifestSet set;
  Snapshot snapshot;
  std::map<std::string, FileContent> files;
  Take(set.ApplyAll({}), snapshot);
  std::set<std::string> unknown;  // what changed since the last rest, and cannot be read
  while (!text.empty()) {
    auto what = static_cast<unsigned char>(text[0]);
    text.remove_prefix(1);
    std::string path(1, static_cast<char>('a' + what % 3));
    FileContent content;
    content.state = static_cast<FileContent::State>(what / 3 % 4);
    content.text = sallyport::fuzz::TakeUntil(text, '\0');
    if (content.state == FileContent::State::kText && content.text.empty()) {
      content.state = FileContent::State::kPending;
    }
    Update update = set.Apply({{path, content}});
    CHECK(!Removes(update));
    Take(update, snapshot);
    bool changed = files.count(path) == 0 || !Same(files[path], content);
    if (IsKnown(content)) {
      unknown.erase(path);
    } else if (changed) {
      unknown.insert(path);
    }
    files[path] = content;
    if (content.state == FileContent::State::kGone) files.erase(path);
    if (what & 0x80) {
      update = set.Settle();
      CHECK(unknown.empty() || !Removes(update));
      Take(update, snapshot);
      unknown.clear();
    }
  }
  Take(set.Settle(), snapshot);

  for (const auto& [path, content] : files) {
    if (!IsWell(content)) return 0;
  }
  Snapshot fresh;
  Take(ManifestSet().ApplyAll(files), fresh);
  // Of an object in several files, history decides which one counts: compare how many there are.
  CHECK(Count(snapshot) == Count(fresh));
  return 0;
}
