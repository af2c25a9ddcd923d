// SPDX-License-Identifier: Apache-2.0
#include "apiserver/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <mutex>
#include <sstream>
#include <utility>

namespace sallyport::apiserver {
namespace {

constexpr size_t kSmallJournal = 64u << 20;

// FNV-1a: finds what a crash cut, not what somebody forged.
uint64_t Checksum(std::string_view text) {
  uint64_t sum = 14695981039346656037u;
  for (unsigned char c : text) sum = (sum ^ c) * 1099511628211u;
  return sum;
}

std::string Record(std::string_view what, uint64_t version, const std::string& resource,
                   std::string_view body) {
  std::string out(what);
  out += " " + std::to_string(version) + " " + resource + " " + std::to_string(body.size()) + " " +
         std::to_string(body.empty() ? 0 : Checksum(body)) + "\n";
  out += body;
  out += "\n";
  return out;
}

Status WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t wrote = write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return ErrnoError("writing the journal");
    text.remove_prefix(static_cast<size_t>(wrote));
  }
  return Ok();
}

Result<std::string> ReadWhole(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return ErrnoError("reading the journal");
  std::string text(static_cast<size_t>(info.st_size), '\0');
  for (size_t at = 0; at < text.size();) {
    ssize_t got = pread(fd, text.data() + at, text.size() - at, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError("reading the journal");
    if (got == 0) {
      text.resize(at);
      break;
    }
    at += static_cast<size_t>(got);
  }
  return text;
}

struct ReadRecord {
  std::string what;
  uint64_t version = 0;
  std::string resource;
  std::string_view body;
};

// The record at the front of `text`, which is taken off; nullopt where it is not whole.
std::optional<ReadRecord> TakeRecord(std::string_view* text) {
  size_t line_end = text->find('\n');
  if (line_end == text->npos) return std::nullopt;
  std::istringstream line{std::string(text->substr(0, line_end))};
  ReadRecord record;
  size_t length = 0;
  uint64_t sum = 0;
  if (!(line >> record.what >> record.version >> record.resource >> length >> sum))
    return std::nullopt;
  if (record.what != "PUT" && record.what != "DEL" && record.what != "VER") return std::nullopt;
  if (length >= text->size() - line_end - 1) return std::nullopt;
  record.body = text->substr(line_end + 1, length);
  if ((*text)[line_end + 1 + length] != '\n') return std::nullopt;
  if ((length == 0 ? 0 : Checksum(record.body)) != sum) return std::nullopt;
  text->remove_prefix(line_end + 1 + length + 1);
  return record;
}

StoredPtr MakeStored(const std::string& resource, const Value& object, uint64_t version,
                     std::string json) {
  auto made = std::make_shared<Stored>();
  made->ns = TextAt(object, {"metadata", "namespace"});
  made->name = TextAt(object, {"metadata", "name"});
  made->uid = TextAt(object, {"metadata", "uid"});
  made->version = version;
  std::vector<model::Labels::Entry> labels;
  for (const auto& [key, value] : Members(At(object, {"metadata", "labels"})))
    labels.emplace_back(key, Text(&value));
  made->labels = model::Labels(std::move(labels));
  made->fields = FieldsOf(resource, object);
  for (const Value& owner : Items(At(object, {"metadata", "ownerReferences"})))
    made->owners.push_back(TextAt(owner, {"uid"}));
  made->deleting = !IsNull(At(object, {"metadata", "deletionTimestamp"}));
  made->json = std::move(json);
  return made;
}

}  // namespace

Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::Open(const std::string& directory, StoreOptions options,
                                           std::string* note) {
  std::unique_ptr<Store> store(new Store(options));
  store->path_ = directory + "/journal";
  store->journal_ =
      UniqueFd(open(store->path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0600));
  if (!store->journal_) return ErrnoError(store->path_);
  if (Status loaded = store->Load(note); !loaded) return std::move(loaded).error();
  if (Status rewritten = store->Rewrite(); !rewritten) return std::move(rewritten).error();
  return store;
}

Status Store::Load(std::string* note) {
  auto text = ReadWhole(journal_.get());
  if (!text) return std::move(text).error();
  std::string_view rest = *text;
  while (!rest.empty()) {
    auto record = TakeRecord(&rest);
    if (!record) break;
    version_ = std::max(version_, record->version);
    if (record->what == "VER") continue;
    Resource& resource = TakeResource(record->resource);
    if (record->what == "DEL") {
      resource.objects.erase(std::string(record->body));
      continue;
    }
    Value object = ParseJsonText(record->body);
    StoredPtr stored =
        MakeStored(record->resource, object, record->version, std::string(record->body));
    resource.objects[stored->Key()] = stored;
  }
  if (!rest.empty()) {
    *note = path_ + ": the last " + std::to_string(rest.size()) +
            " bytes are damaged and were cut off; changes written there are lost";
  }
  opened_at_ = version_;
  for (auto& [name, resource] : resources_) {
    resource->oldest = resource->last_change = opened_at_;
    for (const auto& [key, object] : resource->objects) live_bytes_ += object->json.size();
  }
  return Ok();
}

Status Store::Rewrite() {
  std::string fresh = path_ + ".new";
  UniqueFd file(open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0600));
  if (!file) return ErrnoError(fresh);
  std::string text = apiserver::Record("VER", version_, "-", "");
  size_t bytes = 0;
  for (const auto& [name, resource] : resources_) {
    for (const auto& [key, object] : resource->objects) {
      text += apiserver::Record("PUT", object->version, name, object->json);
      if (text.size() < (1u << 20)) continue;
      if (Status wrote = WriteAll(file.get(), text); !wrote) return wrote;
      bytes += text.size();
      text.clear();
    }
  }
  if (Status wrote = WriteAll(file.get(), text); !wrote) return wrote;
  if (rename(fresh.c_str(), path_.c_str()) != 0) return ErrnoError("renaming " + fresh);
  journal_ = std::move(file);
  journal_bytes_ = bytes + text.size();
  return Ok();
}

Status Store::Append(std::string_view record) {
  if (Status wrote = WriteAll(journal_.get(), record); !wrote) {
    // Half a record would end the journal for all that comes after.
    if (ftruncate(journal_.get(), static_cast<off_t>(journal_bytes_)) != 0)
      return ErrnoError("cutting off half a record of " + path_);
    return wrote;
  }
  journal_bytes_ += record.size();
  return Ok();
}

Status Store::CompactIfStale() {
  if (journal_bytes_ < kSmallJournal || journal_bytes_ / 4 < live_bytes_) return Ok();
  return Rewrite();
}

const Store::Resource* Store::FindResource(const std::string& resource) const {
  auto found = resources_.find(resource);
  return found == resources_.end() ? nullptr : found->second.get();
}

Store::Resource& Store::TakeResource(const std::string& name) {
  std::unique_ptr<Resource>& resource = resources_[name];
  if (!resource) {
    resource = std::make_unique<Resource>();
    resource->oldest = resource->last_change = opened_at_;
  }
  return *resource;
}

uint64_t Store::version() const {
  std::shared_lock lock(mutex_);
  return version_;
}

uint64_t Store::version(const std::string& name) const {
  std::shared_lock lock(mutex_);
  const Resource* resource = FindResource(name);
  return resource ? resource->last_change : opened_at_;
}

StoredPtr Store::Get(const std::string& name, const std::string& ns,
                     const std::string& object) const {
  std::shared_lock lock(mutex_);
  const Resource* resource = FindResource(name);
  if (!resource) return nullptr;
  auto found = resource->objects.find(ns + "/" + object);
  return found == resource->objects.end() ? nullptr : found->second;
}

void Store::Record(Resource& resource, Change change) {
  version_ = resource.last_change = change.version;
  resource.changes.push_back(std::make_shared<const Change>(std::move(change)));
  while (resource.changes.size() > options_.history) {
    resource.oldest = resource.changes.front()->version;
    resource.changes.pop_front();
  }
  resource.changed.notify_all();
  moved_.notify_all();
}

Result<StoredPtr> Store::Put(const std::string& name, Value object) {
  std::unique_lock lock(mutex_);
  uint64_t version = version_ + 1;
  Set(Child(object, "metadata"), "resourceVersion", String(std::to_string(version)));
  StoredPtr stored = MakeStored(name, object, version, ToJson(object));
  if (Status wrote = Append(apiserver::Record("PUT", version, name, stored->json)); !wrote)
    return std::move(wrote).error();
  Resource& resource = TakeResource(name);
  StoredPtr& place = resource.objects[stored->Key()];
  live_bytes_ += stored->json.size() - (place ? place->json.size() : 0);
  StoredPtr before = std::exchange(place, stored);
  Record(resource, {version, std::move(before), stored, nullptr});
  // What could not be compacted stands in the journal all the same.
  (void)CompactIfStale();
  return stored;
}

Result<StoredPtr> Store::Remove(const std::string& name, const std::string& ns,
                                const std::string& object) {
  std::unique_lock lock(mutex_);
  Resource& resource = TakeResource(name);
  auto found = resource.objects.find(ns + "/" + object);
  if (found == resource.objects.end()) return Error{name + " " + object + " is not there"};
  uint64_t version = version_ + 1;
  if (Status wrote = Append(apiserver::Record("DEL", version, name, found->first)); !wrote)
    return std::move(wrote).error();
  StoredPtr before = found->second;
  live_bytes_ -= before->json.size();
  resource.objects.erase(found);
  Value last = ParseJsonText(before->json);
  Set(Child(last, "metadata"), "resourceVersion", String(std::to_string(version)));
  StoredPtr gone = MakeStored(name, last, version, ToJson(last));
  Record(resource, {version, before, nullptr, gone});
  return gone;
}

Store::Listing Store::List(const std::string& name, const ListRequest& request) const {
  Listing out;
  std::shared_lock lock(mutex_);
  out.version = request.at.value_or(version_);
  const Resource* resource = FindResource(name);
  if (!resource) {
    out.expired = out.version < opened_at_;
    return out;
  }
  if (out.version < resource->oldest) {
    out.expired = true;
    return out;
  }
  // What was there at an older version: the first later change of each object knows it.
  std::map<std::string, StoredPtr> earlier;
  for (auto change = resource->changes.rbegin();
       change != resource->changes.rend() && (*change)->version > out.version; ++change) {
    const StoredPtr& any = (*change)->before ? (*change)->before : (*change)->after;
    earlier[any->Key()] = (*change)->before;
  }
  auto take = [&](const StoredPtr& object) {
    if (request.filter && !request.filter(*object)) return;
    if (out.objects.size() < request.limit) {
      out.objects.push_back(object);
    } else {
      ++out.remaining;
    }
  };
  std::string first = std::max(request.after, request.ns.empty() ? "" : request.ns + "/");
  std::string end = request.ns.empty() ? "" : request.ns + "0";  // '0' follows '/'
  auto beyond = [&](const std::string& key) { return !end.empty() && key >= end; };
  auto current = resource->objects.upper_bound(first);
  auto old = earlier.upper_bound(first);
  while (current != resource->objects.end() || old != earlier.end()) {
    if (out.remaining > 0 && !request.count) break;
    bool from_old = old != earlier.end() &&
                    (current == resource->objects.end() || old->first <= current->first);
    const std::string& key = from_old ? old->first : current->first;
    if (beyond(key)) break;
    if (from_old) {
      if (current != resource->objects.end() && current->first == old->first) ++current;
      if (old->second) take(old->second);
      ++old;
    } else {
      take(current->second);
      ++current;
    }
  }
  out.more = out.remaining > 0;
  return out;
}

uint64_t Store::Oldest(const std::string& name) const {
  std::shared_lock lock(mutex_);
  const Resource* resource = FindResource(name);
  return resource ? resource->oldest : opened_at_;
}

Store::Changes Store::Read(const std::string& name, uint64_t after, size_t limit,
                           MonotonicTime until) const {
  Changes out;
  std::shared_lock lock(mutex_);
  const Resource* resource = FindResource(name);
  uint64_t interrupts = interrupts_;
  auto has_news = [&] {
    if (!resource) resource = FindResource(name);
    return interrupts_ != interrupts || (resource && resource->last_change > after);
  };
  while (!has_news()) {
    auto& bell = resource ? resource->changed : moved_;
    if (bell.wait_until(lock, until) == std::cv_status::timeout) break;
  }
  // Whatever the wait ended with, this is told as it is now: others wrote meanwhile.
  resource = FindResource(name);
  out.version = std::max(after, version_);
  if (after < (resource ? resource->oldest : opened_at_)) {
    out.expired = true;
    return out;
  }
  if (!resource) return out;
  auto first = std::upper_bound(
      resource->changes.begin(), resource->changes.end(), after,
      [](uint64_t version, const auto& change) { return version < change->version; });
  for (; first != resource->changes.end() && out.changes.size() < limit; ++first)
    out.changes.push_back(*first);
  if (first != resource->changes.end()) out.version = out.changes.back()->version;
  return out;
}

void Store::Interrupt() {
  std::unique_lock lock(mutex_);
  ++interrupts_;
  moved_.notify_all();
  for (auto& [name, resource] : resources_) resource->changed.notify_all();
}

bool Store::WaitFor(uint64_t version, MonotonicTime until) const {
  std::shared_lock lock(mutex_);
  return moved_.wait_until(lock, until, [&] { return version_ >= version; });
}

}  // namespace sallyport::apiserver
