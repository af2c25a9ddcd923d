// SPDX-License-Identifier: Apache-2.0
// What follows from deletions, in the background: dependents of owners that are gone, owners that
// wait for their dependents (foreground) or leave them (orphan), the content of namespaces that
// end, and the objects of kinds whose definition ends.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "apiserver/kinds.h"
#include "apiserver/writer.h"

namespace sallyport::apiserver {

class Collector {
 public:
  // Listens to the writer; looks once at everything that the store has.
  Collector(const Store& store, const Kinds& kinds, Writer& writer);
  ~Collector();

 private:
  struct Place {
    std::string store_key;
    std::string ns;
    std::string name;
    friend auto operator<=>(const Place&, const Place&) = default;
  };

  void Note(const Writer::Consequence& consequence);
  void Run();
  void Look(const Place& place);
  void LookAtOwners(const Place& place, const StoredPtr& object);
  void Finish(const Place& place, const StoredPtr& object);
  void EndNamespace(const StoredPtr& ns);
  void EndDefinition(const StoredPtr& definition);
  void Delete(const Place& place, const StoredPtr& object, const std::string& propagation);
  std::set<Place> DependentsOf(const std::string& uid) const;
  // Whether an owner of that uid is there.
  bool Exists(const std::string& uid) const;
  void Enqueue(Place place);

  const Store& store_;
  const Kinds& kinds_;
  Writer& writer_;
  mutable std::mutex mutex_;
  std::condition_variable bell_;
  std::deque<Place> queue_;
  std::set<Place> queued_;
  std::map<std::string, Place> by_uid_;
  std::map<std::string, std::set<Place>> dependents_;  // by owner's uid
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace sallyport::apiserver
