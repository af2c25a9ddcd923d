// SPDX-License-Identifier: Apache-2.0
// What a set of manifest files says, as it changes: file contents in, deltas out. Pure.
//
// The rules, all to one end: bad input removes nothing.
// - An object that is broken now keeps its last good version, from whichever file that came.
// - A file with something in it that cannot be told to be which object (a syntax error, say) keeps
//   all that it had; what can be read of it still counts.
// - A file of no length is half-written: it changes nothing until it is filled or deleted.
// - What no file has any more is removed by Settle(), not before: an object that moves from one
//   file to another in the meantime is never gone. Nor is it removed if a file that changed in the
//   meantime cannot be read: it may be in there.
// - Of an object in several files the one that was first in force counts; the others are errors.
// - Each problem is reported once for each change of the content that has it.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "model/manifest.h"

namespace sallyport::watch {

struct FileContent {
  enum class State {
    kText,     // `text` is all there is in it
    kPending,  // it exists, and is being written
    kFailed,   // it could not be read; `text` says why
    kGone,
  };
  State state = State::kText;
  std::string text;
};

struct Update {
  std::vector<model::Delta> deltas;
  model::Diagnostics diagnostics;      // new ones
  model::Diagnostics standing;         // of all files as they are now, the new ones included
  std::map<std::string, int> skipped;  // of the files that changed: model::Manifest::skipped
  // Since some update all files there are have been understood, each object at least once. Until
  // then objects may be missing: whoever enforces an older state must not take anything away.
  bool complete = false;

  bool empty() const { return deltas.empty() && diagnostics.empty() && skipped.empty(); }
};

class ManifestSet {
 public:
  using Files = std::map<std::string, FileContent>;  // by path

  // Some files as they are now.
  Update Apply(const Files& changes);
  // All files there are: those that are not listed are gone.
  Update ApplyAll(Files files);
  // To be called when the files have not changed for a moment, while unsettled().
  Update Settle();

  // What is wrong with the files as they are now.
  model::Diagnostics Standing() const;

  bool unsettled() const { return unsettled_; }
  bool complete() const { return complete_; }

 private:
  using Key = std::pair<model::Kind, model::ObjectName>;
  // What one file says of an object: a good version of it, or (nullopt) that it should stay what it
  // is, because the file has it but not well.
  using Claims = std::map<Key, std::optional<model::Delta>>;

  struct File {
    std::string path;
    FileContent::State state = FileContent::State::kPending;
    size_t digest = 0;      // of the content last seen
    bool readable = false;  // each object in it is known, if not understood
    Claims claims;
    model::Diagnostics diagnostics;  // of its content
  };
  struct Object {
    std::optional<model::Delta> in_force;
    const File* owner = nullptr;         // whose claim is in force
    std::vector<const File*> claimants;  // by path
  };

  void ApplyFile(const std::string& path, const FileContent& content, std::set<Key>& touched,
                 Update& update);
  void ReadText(File& file, const std::string& text, std::set<Key>& touched, Update& update);
  void SetClaims(File& file, Claims claims, std::set<Key>& touched);
  void AddClaimant(const File& file, const Key& key);
  void Resolve(const Key& key, Update& update);
  void ReportRivals(const Key& key, const Object& object, model::Diagnostics& out) const;
  void HoldOrphans(const std::vector<File*>& suspects, Update& update);
  // To be said now, and as long as the file stays as it is.
  void Report(File& file, model::Diagnostic diagnostic, Update& update);
  void Finish(Update& update);

  std::map<std::string, File> files_;
  std::map<Key, Object> objects_;
  std::set<Key> orphans_;           // in force, but in no file
  std::set<Key> contested_;         // in more than one file
  std::set<std::string> suspects_;  // files that changed since the last Settle(), not readable now
  std::set<std::string> troubled_;  // files with diagnostics
  bool scanned_ = false;
  bool unsettled_ = false;
  bool complete_ = false;
};

}  // namespace sallyport::watch
