// SPDX-License-Identifier: Apache-2.0
// Everything that changes objects: create, update, patch, delete, and what follows from it.
//
// One writer at a time: a request reads, prepares, validates and commits under one lock, so a patch
// never conflicts with another.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "apiserver/request.h"
#include "apiserver/service_addresses.h"
#include "apiserver/store.h"

namespace sallyport::apiserver {

struct DeleteOptions {
  std::optional<int64_t> grace_seconds;
  std::string propagation;  // "Background", "Foreground", "Orphan"; "" the kind's default
  std::string uid;          // preconditions; "" none
  std::string version;
  bool dry_run = false;
};
DeleteOptions DeleteOptionsOf(const Request& request);

class Writer {
 public:
  Writer(Store& store, Kinds& kinds, ServiceAddresses& addresses, Clock& clock);

  struct Written {
    std::string json;
    bool created = false;
    bool status_only = false;  // `json` is a Status, not the object
    std::vector<std::string> warnings = {};
  };
  Written Create(const Target& target, const Request& request);
  Written Update(const Target& target, const Request& request);
  Written Patch(const Target& target, const Request& request);
  Written Delete(const Target& target, const DeleteOptions& options);
  // Each object that the selection names; returns how many.
  size_t DeleteCollection(const Target& target, const std::vector<StoredPtr>& objects,
                          const DeleteOptions& options);

  // One change of an object outside of requests: `change` gets the object and says whether to
  // write it. Nothing happens where the object is gone, or another one of that name.
  void Change(const std::string& store_key, const StoredPtr& object,
              const std::function<bool(Value&)>& change);
  // Makes an object that is not there; an existing one stays.
  void Ensure(const std::string& store_key, Value object);

  // What the collector must look at: called after each commit, under the lock.
  struct Consequence {
    std::string store_key;
    StoredPtr object;
    bool gone = false;
  };
  void SetListener(std::function<void(Consequence)> listener) { listener_ = std::move(listener); }

 private:
  struct Options {
    bool dry_run = false;
    std::string validation;  // "Ignore", "Warn", "Strict"
  };
  static Options OptionsOf(const Request& request);

  Value Decode(const Target& target, std::string_view text, const Options& options,
               std::vector<std::string>* warnings) const;
  void DecodeFields(const Kind& kind, Value& object, const Options& options,
                    std::vector<std::string>* warnings) const;
  void CheckNamespace(const Target& target) const;
  void PrepareNew(const Target& target, Value& object) const;
  // `object` becomes what replaces `old`: metadata, status and generation as they must be.
  void PrepareChanged(const Target& target, Value& object, const Value& old) const;
  void FillAndValidate(const Target& target, Value& object, const Value* old) const;
  Written Replace(const Target& target, Value object, const StoredPtr& stored,
                  const Options& options, std::vector<std::string> warnings);
  Written CreateLocked(const Target& target, Value object, const Options& options,
                       std::vector<std::string> warnings);
  Written ScaleTo(const Target& target, const Value& scale, const StoredPtr& stored,
                  const Options& options);
  Written DeleteLocked(const Target& target, const StoredPtr& stored, const DeleteOptions& options);
  StoredPtr Existing(const Target& target) const;

  StoredPtr Commit(const std::string& store_key, Value object);
  StoredPtr CommitRemoval(const std::string& store_key, const StoredPtr& object);

  Store& store_;
  Kinds& kinds_;
  ServiceAddresses& addresses_;
  Clock& clock_;
  std::mutex mutex_;
  std::function<void(Consequence)> listener_;
};

// Kinds whose metadata.generation counts the changes of their spec.
bool HasGeneration(const Kind& kind);

// The autoscaling/v1 Scale of an object; throws NotFound where its kind has none.
std::string ScaleJson(const Kind& kind, const Value& object);

}  // namespace sallyport::apiserver
