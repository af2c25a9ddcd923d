// SPDX-License-Identifier: Apache-2.0
// All objects, their history, and the journal that keeps them across restarts.
//
// Every change gets the next number of one counter, the resourceVersion. An object is kept as its
// JSON text, which lists and watches hand out as it is, together with the little that selecting
// needs. The history (a bounded number of changes a resource) serves watches and lists at older
// versions; it is lost by a restart, the counter goes on.
//
// The journal is a text file, appended to at each change and rewritten at Open and when most of it
// is out of date:
//   file   = { record }
//   record = "PUT " version " " resource " " length " " checksum "\n" object "\n"
//          | "DEL " version " " resource " " length " " checksum "\n" [namespace "/"] name "\n"
//          | "VER " version " - 0 0\n\n"                      no older version is to be given out
// What follows the first record that is not whole is cut off.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/selector.h"
#include "apiserver/tree.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "model/labels.h"

namespace sallyport::apiserver {

struct Stored {
  std::string ns;
  std::string name;
  std::string uid;
  uint64_t version = 0;
  model::Labels labels;
  Fields fields;
  std::vector<std::string> owners;  // their uids
  bool deleting = false;            // has a deletionTimestamp
  std::string json;

  // As which lists are sorted: "ns/name".
  std::string Key() const { return ns + "/" + name; }
};
using StoredPtr = std::shared_ptr<const Stored>;

// One change of one object.
struct Change {
  uint64_t version = 0;
  StoredPtr before;  // null: it came
  StoredPtr after;   // null: it went; `gone` is then its last state with this version
  StoredPtr gone;
};

struct StoreOptions {
  size_t history = 10'000;  // changes remembered, a resource
};

class Store {
 public:
  // Reads DIR/journal, makes it where absent. What had to be cut off is said in `*note`.
  static Result<std::unique_ptr<Store>> Open(const std::string& directory, StoreOptions options,
                                             std::string* note);
  ~Store();

  uint64_t version() const;
  // The version of the last change of the resource, or from which its history is known.
  uint64_t version(const std::string& resource) const;
  StoredPtr Get(const std::string& resource, const std::string& ns, const std::string& name) const;

  // Sets the object's resourceVersion and writes it. Metadata must be complete. An error says that
  // the journal could not be written; nothing has changed then.
  Result<StoredPtr> Put(const std::string& resource, Value object);
  Result<StoredPtr> Remove(const std::string& resource, const std::string& ns,
                           const std::string& name);

  struct Listing {
    std::vector<StoredPtr> objects;  // in the order of their keys
    uint64_t version = 0;            // at which this is the state
    bool expired = false;            // the history does not reach back to `at`
    bool more = false;
    size_t remaining = 0;  // how many more there are
  };
  struct ListRequest {
    std::string ns;     // "" all
    std::string after;  // a key: only what comes after it
    size_t limit = SIZE_MAX;
    std::optional<uint64_t> at;  // absent: the current version
    std::function<bool(const Stored&)> filter = nullptr;
  };
  Listing List(const std::string& resource, const ListRequest& request) const;

  struct Changes {
    std::vector<std::shared_ptr<const Change>> changes;
    uint64_t version = 0;  // everything up to it is known to the reader now
    bool expired = false;  // the history does not reach back to `after`
  };
  // The resource's changes after a version, at most `limit`; waits until there is one, `until`, or
  // Interrupt().
  Changes Read(const std::string& resource, uint64_t after, size_t limit,
               MonotonicTime until) const;
  // The earliest version that Read takes as `after`.
  uint64_t Oldest(const std::string& resource) const;
  // Wakes all readers, once.
  void Interrupt();

  // Waits until the counter has reached `version`; false at `until`.
  bool WaitFor(uint64_t version, MonotonicTime until) const;

 private:
  struct Resource {
    std::map<std::string, StoredPtr> objects;  // by Stored::Key
    std::deque<std::shared_ptr<const Change>> changes;
    uint64_t last_change = 0;
    uint64_t oldest = 0;
    mutable std::condition_variable_any changed;
  };

  explicit Store(StoreOptions options) : options_(options) {}
  Status Load(std::string* note);
  Status Rewrite();
  Status Append(std::string_view record);
  Status CompactIfStale();
  const Resource* FindResource(const std::string& resource) const;
  Resource& TakeResource(const std::string& resource);
  void Record(Resource& resource, Change change);

  const StoreOptions options_;
  std::string path_;
  UniqueFd journal_;
  size_t journal_bytes_ = 0;
  size_t live_bytes_ = 0;
  mutable std::shared_mutex mutex_;
  mutable std::condition_variable_any moved_;
  std::map<std::string, std::unique_ptr<Resource>> resources_;
  uint64_t version_ = 1;
  uint64_t opened_at_ = 1;
  uint64_t interrupts_ = 0;
};

}  // namespace sallyport::apiserver
