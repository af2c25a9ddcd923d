// SPDX-License-Identifier: Apache-2.0
#include "watch/manifest_set.h"

#include <algorithm>
#include <functional>

namespace sallyport::watch {
namespace {

using model::Delta;
using model::Diagnostic;
using model::Manifest;
using model::Severity;

std::string Describe(const std::pair<model::Kind, model::ObjectName>& key) {
  return model::ToString(key.first) + " " + key.second.ToString();
}

// Whether a reader could tell the two apart: by value or by the places that messages name.
bool SameRules(const std::vector<model::Rule>& a, const std::vector<model::Rule>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x == y && x.line == y.line; });
}

bool SameObject(const Delta& a, const Delta& b) {
  auto same = [](const auto& x, const auto& y) {
    using Left = std::decay_t<decltype(x)>;
    if constexpr (!std::is_same_v<Left, std::decay_t<decltype(y)>>) {
      return false;
    } else if constexpr (requires { x->place; }) {
      bool equal = *x == *y && x->place.file == y->place.file && x->place.line == y->place.line;
      if constexpr (requires { x->ingress; }) {
        equal = equal && SameRules(x->ingress, y->ingress) && SameRules(x->egress, y->egress);
      }
      return equal;
    } else {
      return x == y;
    }
  };
  return std::visit(same, a.object, b.object);
}

}  // namespace

Update ManifestSet::ApplyAll(Files files) {
  for (const auto& [path, file] : files_) {
    files.try_emplace(path, FileContent{FileContent::State::kGone, ""});
  }
  scanned_ = true;
  return Apply(files);
}

Update ManifestSet::Apply(const Files& changes) {
  Update update;
  std::set<Key> touched;
  for (const auto& [path, content] : changes) ApplyFile(path, content, touched, update);
  for (const Key& key : touched) Resolve(key, update);
  for (const auto& [path, content] : changes) {
    if (content.state == FileContent::State::kGone) files_.erase(path);
  }
  Finish(update);
  return update;
}

void ManifestSet::ApplyFile(const std::string& path, const FileContent& content,
                            std::set<Key>& touched, Update& update) {
  if (content.state == FileContent::State::kGone && files_.count(path) == 0) return;
  auto [it, is_new] = files_.try_emplace(path);
  File& file = it->second;
  file.path = path;
  FileContent::State state = content.state;
  if (state == FileContent::State::kText && content.text.empty())
    state = FileContent::State::kPending;
  size_t digest = std::hash<std::string>()(content.text) + content.text.size();
  if (!is_new && state == file.state && digest == file.digest) return;
  file.state = state;
  file.digest = digest;
  file.diagnostics.clear();
  troubled_.erase(path);
  unsettled_ = true;
  file.readable = state == FileContent::State::kText || state == FileContent::State::kGone;
  if (state == FileContent::State::kText) ReadText(file, content.text, touched, update);
  if (state == FileContent::State::kGone) SetClaims(file, {}, touched);
  if (state == FileContent::State::kFailed) {
    Report(
        file,
        {Severity::kError, {path, 0}, "", "", content.text + "; what it had before stays in force"},
        update);
  }
  if (file.readable) {
    suspects_.erase(path);
  } else {
    suspects_.insert(path);
  }
}

void ManifestSet::ReadText(File& file, const std::string& text, std::set<Key>& touched,
                           Update& update) {
  Manifest manifest = model::ReadManifest(text, file.path);
  file.readable = !manifest.unreadable;
  Claims claims;
  for (const Delta& delta : manifest.objects) {
    auto [first, is_new] = claims.try_emplace({delta.kind, delta.name}, delta);
    if (is_new) continue;
    manifest.diagnostics.push_back(
        {Severity::kError, delta.place(), Describe(first->first), "",
         "is given already at " + first->second->place().ToString() + ": keep one of them"});
  }
  for (const Key& key : manifest.broken) {
    auto before = file.claims.find(key);
    claims.try_emplace(key, before == file.claims.end() ? std::nullopt : before->second);
  }
  if (manifest.unreadable) claims.insert(file.claims.begin(), file.claims.end());
  SetClaims(file, std::move(claims), touched);
  for (Diagnostic& d : manifest.diagnostics) Report(file, std::move(d), update);
  for (const auto& [kind, count] : manifest.skipped) update.skipped[kind] += count;
}

void ManifestSet::SetClaims(File& file, Claims claims, std::set<Key>& touched) {
  for (const auto& [key, object] : file.claims) {
    if (claims.count(key) > 0) continue;
    std::vector<const File*>& claimants = objects_[key].claimants;
    claimants.erase(std::remove(claimants.begin(), claimants.end(), &file), claimants.end());
    touched.insert(key);
  }
  for (const auto& [key, object] : claims) {
    AddClaimant(file, key);
    touched.insert(key);
  }
  file.claims = std::move(claims);
}

void ManifestSet::AddClaimant(const File& file, const Key& key) {
  std::vector<const File*>& claimants = objects_[key].claimants;
  auto by_path = [](const File* a, const File* b) { return a->path < b->path; };
  auto at = std::lower_bound(claimants.begin(), claimants.end(), &file, by_path);
  if (at == claimants.end() || *at != &file) claimants.insert(at, &file);
}

// Who owns the object now, and what that makes of it.
void ManifestSet::Resolve(const Key& key, Update& update) {
  Object& object = objects_[key];
  auto claims = [&](const File* file) {
    return file && std::count(object.claimants.begin(), object.claimants.end(), file) > 0;
  };
  if (object.claimants.empty()) {
    contested_.erase(key);
    object.owner = nullptr;
    if (object.in_force) {
      orphans_.insert(key);
    } else {
      objects_.erase(key);
    }
    return;
  }
  orphans_.erase(key);
  bool owned = claims(object.owner) && object.in_force;
  if (!owned) {
    auto good = std::find_if(object.claimants.begin(), object.claimants.end(),
                             [&](const File* file) { return file->claims.at(key).has_value(); });
    object.owner = good == object.claimants.end() ? object.claimants.front() : *good;
  }
  const std::optional<Delta>& claim = object.owner->claims.at(key);
  if (claim && !(object.in_force && SameObject(*claim, *object.in_force))) {
    object.in_force = claim;
    update.deltas.push_back(*claim);
  }
  if (object.claimants.size() > 1) {
    contested_.insert(key);
    ReportRivals(key, object, update.diagnostics);
  } else {
    contested_.erase(key);
  }
}

void ManifestSet::ReportRivals(const Key& key, const Object& object,
                               model::Diagnostics& out) const {
  auto place = [&](const File* file) {
    const std::optional<Delta>& claim = file->claims.at(key);
    return claim ? claim->place() : model::Place{file->path, 0};
  };
  for (const File* file : object.claimants) {
    // A file that cannot be read holds on to what it had; that is no second version.
    if (file == object.owner || !file->readable) continue;
    out.push_back({Severity::kError, place(file), Describe(key), "",
                   "is in " + place(object.owner).ToString() +
                       " too, and that one is in force: keep one of them"});
  }
}

Update ManifestSet::Settle() {
  Update update;
  std::vector<File*> suspects;
  for (const std::string& path : suspects_) {
    File& file = files_.at(path);
    suspects.push_back(&file);
    if (file.state != FileContent::State::kPending) continue;
    Report(file,
           {Severity::kWarning,
            {path, 0},
            "",
            "",
            "is empty: it counts as half-written, and what it had before stays in force, until it "
            "is filled or deleted"},
           update);
  }
  suspects_.clear();
  if (!suspects.empty()) {
    HoldOrphans(suspects, update);
  } else {
    for (const Key& key : orphans_) {
      update.deltas.push_back(Delta::Remove(key.first, key.second));
      objects_.erase(key);
    }
  }
  orphans_.clear();
  unsettled_ = false;
  Finish(update);
  return update;
}

void ManifestSet::HoldOrphans(const std::vector<File*>& suspects, Update& update) {
  for (const Key& key : orphans_) {
    Object& object = objects_[key];
    for (File* file : suspects) {
      file->claims.try_emplace(key, std::nullopt);
      AddClaimant(*file, key);
    }
    object.owner = suspects.front();
    update.diagnostics.push_back({Severity::kWarning, object.in_force->place(), Describe(key), "",
                                  "is not there any more, but may be in " + suspects.front()->path +
                                      ", which cannot be read: it stays in force until it can"});
  }
}

void ManifestSet::Report(File& file, Diagnostic diagnostic, Update& update) {
  troubled_.insert(file.path);
  file.diagnostics.push_back(diagnostic);
  update.diagnostics.push_back(std::move(diagnostic));
}

model::Diagnostics ManifestSet::Standing() const {
  model::Diagnostics out;
  for (const std::string& path : troubled_) {
    const model::Diagnostics& own = files_.at(path).diagnostics;
    out.insert(out.end(), own.begin(), own.end());
  }
  for (const Key& key : contested_) ReportRivals(key, objects_.at(key), out);
  return out;
}

// Says whether everything has been understood.
void ManifestSet::Finish(Update& update) {
  if (!complete_ && scanned_) {
    complete_ = std::all_of(files_.begin(), files_.end(),
                            [](const auto& entry) { return entry.second.readable; }) &&
                std::all_of(objects_.begin(), objects_.end(),
                            [](const auto& entry) { return entry.second.in_force.has_value(); });
  }
  update.complete = complete_;
}

}  // namespace sallyport::watch
