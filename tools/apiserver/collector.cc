// SPDX-License-Identifier: Apache-2.0
#include "apiserver/collector.h"

#include <algorithm>
#include <utility>

#include "apiserver/status.h"
#include "base/log.h"

namespace sallyport::apiserver {
namespace {

constexpr const char* kDefinitions = "customresourcedefinitions.apiextensions.k8s.io";

bool HasFinalizer(const Value& object, std::string_view name) {
  std::vector<std::string> have = Texts(At(object, {"metadata", "finalizers"}));
  return std::find(have.begin(), have.end(), name) != have.end();
}

bool DropFinalizer(Value& object, std::string_view name) {
  Value* list = FindAt(object, {"metadata", "finalizers"});
  if (!list) return false;
  size_t before = list->items.size();
  std::erase_if(list->items, [&](const Value& item) { return item.text == name; });
  bool dropped = list->items.size() < before;
  if (list->items.empty()) Erase(Child(object, "metadata"), "finalizers");
  return dropped;
}

}  // namespace

Collector::Collector(const Store& store, const Kinds& kinds, Writer& writer)
    : store_(store), kinds_(kinds), writer_(writer) {
  writer_.SetListener([this](const Writer::Consequence& one) { Note(one); });
  std::set<std::string> seen;
  std::vector<Place> all;
  for (const KindPtr& kind : kinds_.All()) {
    if (!seen.insert(kind->StoreKey()).second) continue;
    for (const StoredPtr& object : store_.List(kind->StoreKey(), {}).objects) {
      Place place{kind->StoreKey(), object->ns, object->name};
      by_uid_[object->uid] = place;
      for (const std::string& owner : object->owners) dependents_[owner].insert(place);
      if (object->deleting || !object->owners.empty()) all.push_back(place);
    }
  }
  for (Place& place : all) Enqueue(std::move(place));
  thread_ = std::thread([this] { Run(); });
}

Collector::~Collector() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  bell_.notify_all();
  thread_.join();
  writer_.SetListener(nullptr);  // not before: the thread writes, too
}

void Collector::Enqueue(Place place) {
  if (!queued_.insert(place).second) return;
  queue_.push_back(std::move(place));
  bell_.notify_one();
}

void Collector::Note(const Writer::Consequence& one) {
  std::lock_guard lock(mutex_);
  const StoredPtr& object = one.object;
  Place place{one.store_key, object->ns, object->name};
  if (!one.gone) {
    by_uid_[object->uid] = place;
    for (const std::string& owner : object->owners) dependents_[owner].insert(place);
    if (object->deleting || !object->owners.empty()) Enqueue(std::move(place));
    return;
  }
  by_uid_.erase(object->uid);
  for (const std::string& owner : object->owners) {
    auto found = dependents_.find(owner);
    if (found == dependents_.end()) continue;
    found->second.erase(place);
    if (found->second.empty()) dependents_.erase(found);
    // It may be waiting for the last of them.
    if (auto waiting = by_uid_.find(owner); waiting != by_uid_.end()) Enqueue(waiting->second);
  }
  if (auto found = dependents_.find(object->uid); found != dependents_.end())
    for (const Place& dependent : found->second) Enqueue(dependent);
  // A namespace or a definition that ends counts what is left.
  if (!object->ns.empty()) Enqueue({"namespaces", "", object->ns});
  Enqueue({kDefinitions, "", one.store_key});
}

void Collector::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    bell_.wait(lock, [this] { return stop_ || !queue_.empty(); });
    if (stop_) return;
    Place place = std::move(queue_.front());
    queue_.pop_front();
    queued_.erase(place);
    lock.unlock();
    try {
      Look(place);
    } catch (const Failure& failure) {
      LogWarning("collecting " + place.store_key + " " + place.ns + "/" + place.name + ": " +
                 failure.message);
    }
    lock.lock();
  }
}

std::set<Collector::Place> Collector::DependentsOf(const std::string& uid) const {
  std::lock_guard lock(mutex_);
  auto found = dependents_.find(uid);
  return found == dependents_.end() ? std::set<Place>() : found->second;
}

bool Collector::Exists(const std::string& uid) const {
  std::lock_guard lock(mutex_);
  return by_uid_.count(uid) > 0;
}

void Collector::Look(const Place& place) {
  StoredPtr object = store_.Get(place.store_key, place.ns, place.name);
  if (!object) return;
  if (!object->owners.empty()) LookAtOwners(place, object);
  if (!object->deleting) return;
  if (place.store_key == "namespaces") EndNamespace(object);
  if (place.store_key == kDefinitions) EndDefinition(object);
  Finish(place, object);
}

// Deleted once none of its owners is there any more.
void Collector::LookAtOwners(const Place& place, const StoredPtr& object) {
  if (object->deleting) return;
  std::vector<std::string> gone;
  for (const std::string& uid : object->owners)
    if (!Exists(uid)) gone.push_back(uid);
  if (gone.empty()) return;
  if (gone.size() == object->owners.size()) return Delete(place, object, "Background");
  writer_.Change(place.store_key, object, [&](Value& tree) {
    Value* owners = FindAt(tree, {"metadata", "ownerReferences"});
    if (!owners) return false;
    std::erase_if(owners->items, [&](const Value& owner) {
      return std::find(gone.begin(), gone.end(), TextAt(owner, {"uid"})) != gone.end();
    });
    return true;
  });
}

void Collector::Delete(const Place& place, const StoredPtr& object,
                       const std::string& propagation) {
  Target target{kinds_.FindStored(place.store_key), place.ns, place.name, ""};
  if (!target.kind) return;
  DeleteOptions options;
  options.uid = object->uid;
  options.propagation = propagation;
  try {
    (void)writer_.Delete(target, options);
  } catch (const Failure& failure) {
    // Somebody was faster, or there is another one of that name by now.
    if (failure.code != 404 && failure.code != 409) throw;
  }
}

void Collector::Finish(const Place& place, const StoredPtr& object) {
  Value tree = ParseJsonText(object->json);
  if (HasFinalizer(tree, "orphan")) {
    for (const Place& dependent : DependentsOf(object->uid)) {
      StoredPtr one = store_.Get(dependent.store_key, dependent.ns, dependent.name);
      if (!one) continue;
      writer_.Change(dependent.store_key, one, [&](Value& child) {
        Value* owners = FindAt(child, {"metadata", "ownerReferences"});
        if (!owners) return false;
        std::erase_if(owners->items,
                      [&](const Value& owner) { return TextAt(owner, {"uid"}) == object->uid; });
        if (owners->items.empty()) Erase(Child(child, "metadata"), "ownerReferences");
        return true;
      });
    }
    {
      std::lock_guard lock(mutex_);
      dependents_.erase(object->uid);
    }
    writer_.Change(place.store_key, object,
                   [](Value& one) { return DropFinalizer(one, "orphan"); });
  }
  if (!HasFinalizer(tree, "foregroundDeletion")) return;
  bool waits = false;
  for (const Place& dependent : DependentsOf(object->uid)) {
    StoredPtr one = store_.Get(dependent.store_key, dependent.ns, dependent.name);
    if (!one) continue;
    waits = true;
    if (!one->deleting) Delete(dependent, one, "Foreground");
  }
  if (waits && !DependentsOf(object->uid).empty()) return;
  writer_.Change(place.store_key, object,
                 [](Value& one) { return DropFinalizer(one, "foregroundDeletion"); });
}

void Collector::EndNamespace(const StoredPtr& ns) {
  size_t left = 0;
  std::set<std::string> seen;
  for (const KindPtr& kind : kinds_.All()) {
    if (!kind->namespaced || !seen.insert(kind->StoreKey()).second) continue;
    Store::ListRequest request;
    request.ns = ns->name;
    for (const StoredPtr& object : store_.List(kind->StoreKey(), request).objects) {
      Place place{kind->StoreKey(), object->ns, object->name};
      if (!object->deleting) Delete(place, object, "Background");
      if (store_.Get(place.store_key, place.ns, place.name)) ++left;
    }
  }
  if (left > 0) return;
  writer_.Change("namespaces", ns, [](Value& tree) {
    Value* finalizers = FindAt(tree, {"spec", "finalizers"});
    if (!finalizers || finalizers->items.empty()) return false;
    std::erase_if(finalizers->items, [](const Value& one) { return one.text == "kubernetes"; });
    return true;
  });
}

void Collector::EndDefinition(const StoredPtr& definition) {
  size_t left = 0;
  for (const StoredPtr& object : store_.List(definition->name, {}).objects) {
    Place place{definition->name, object->ns, object->name};
    if (!object->deleting) Delete(place, object, "Background");
    if (store_.Get(place.store_key, place.ns, place.name)) ++left;
  }
  if (left > 0) return;
  writer_.Change(kDefinitions, definition, [](Value& tree) {
    return DropFinalizer(tree, "customresourcecleanup.apiextensions.k8s.io");
  });
}

}  // namespace sallyport::apiserver
