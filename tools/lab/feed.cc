// SPDX-License-Identifier: Apache-2.0
#include "lab/feed.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <utility>

#include "lab/files.h"

namespace sallyport::lab {
namespace {

class DirectoryFeed : public ClusterFeed {
 public:
  explicit DirectoryFeed(Layout layout) : layout_(std::move(layout)) {}

  Status Set(const Value& object) override {
    ObjectKey key{KindOf(object), NameOf(object)};
    if (IsClusterScoped(key.kind)) key.name.ns.clear();
    auto lock = Lock();
    if (!lock) return std::move(lock).error();
    Value whole = object;
    if (auto old = ReadFile(PathOf(key))) {
      auto tree = FromJson(*old, PathOf(key));
      const Value* status = tree ? tree->Find("status") : nullptr;
      if (status) lab::Set(whole, "status", *status);
      if (tree && SameContent(*tree, whole)) return Ok();
    }
    return Write(key, whole);
  }

  Status SetStatus(const ObjectKey& key, const Value& status) override {
    auto lock = Lock();
    if (!lock) return std::move(lock).error();
    auto text = ReadFile(PathOf(key));
    if (!text) return text.error().code == ENOENT ? Ok() : Status(std::move(text).error());
    auto tree = FromJson(*text, PathOf(key));
    if (!tree) return std::move(tree).error();
    lab::Set(*tree, "status", status);
    return Write(key, *tree);
  }

  Status Remove(const ObjectKey& key) override {
    auto lock = Lock();
    if (!lock) return std::move(lock).error();
    std::string path = PathOf(key);
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoError("remove " + path);
    return Ok();
  }

 private:
  Result<FileLock> Lock() const {
    return FileLock::Take(layout_.run() + "/feed.lock", [] {});
  }

  // Kinds and names have no '_'.
  std::string PathOf(const ObjectKey& key) const {
    std::string name = key.kind + "_" + (key.name.ns.empty() ? "" : key.name.ns + "_");
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return layout_.manifests() + "/" + name + key.name.name + ".json";
  }

  Status Write(const ObjectKey& key, const Value& tree) {
    return ReplaceFile(PathOf(key), ToJson(tree) + "\n", layout_.scratch());
  }

  Layout layout_;
};

}  // namespace

std::unique_ptr<ClusterFeed> OpenFeed(const Layout& layout) {
  return std::make_unique<DirectoryFeed>(layout);
}

}  // namespace sallyport::lab
