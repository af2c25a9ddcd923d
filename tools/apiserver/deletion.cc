// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "apiserver/encoding.h"
#include "apiserver/finalizers.h"
#include "apiserver/forms.h"
#include "apiserver/writer.h"

namespace sallyport::apiserver {
namespace {

constexpr std::string_view kForeground = "foregroundDeletion";
constexpr std::string_view kOrphan = "orphan";

std::string SuccessJson(const Kind& kind, const StoredPtr& object) {
  Value details = Mapping({{"name", String(object->name)}});
  if (!kind.group.empty()) Set(details, "group", String(kind.group));
  Set(details, "kind", String(kind.plural));
  Set(details, "uid", String(object->uid));
  return ToJson(Mapping({{"kind", String("Status")},
                         {"apiVersion", String("v1")},
                         {"metadata", Mapping()},
                         {"status", String("Success")},
                         {"details", std::move(details)}}));
}

}  // namespace

bool HasFinalizers(const Value& object) {
  return !Items(At(object, {"metadata", "finalizers"})).empty() ||
         !Items(At(object, {"spec", "finalizers"})).empty();
}

void AddFinalizer(Value& object, std::string_view name) {
  Value& metadata = Child(object, "metadata");
  Value* list = Find(metadata, "finalizers");
  if (!IsSequence(list)) list = &Set(metadata, "finalizers", Sequence());
  std::vector<std::string> have = Texts(list);
  if (std::find(have.begin(), have.end(), name) == have.end())
    list->items.push_back(String(std::string(name)));
}

void RemoveFinalizer(Value& object, std::string_view name) {
  if (Value* list = FindAt(object, {"metadata", "finalizers"})) {
    std::erase_if(list->items, [&](const Value& item) { return item.text == name; });
    if (list->items.empty()) Erase(Child(object, "metadata"), "finalizers");
  }
}

DeleteOptions DeleteOptionsOf(const Request& request) {
  DeleteOptions out;
  Value body = Mapping();
  if (request.body.find_first_not_of(" \r\n\t") != std::string::npos)
    body = ParseJsonText(request.body);
  out.grace_seconds = IntegerAt(body, {"gracePeriodSeconds"});
  out.propagation = TextAt(body, {"propagationPolicy"});
  if (IsTrue(body.Find("orphanDependents"))) out.propagation = "Orphan";
  out.uid = TextAt(body, {"preconditions", "uid"});
  out.version = TextAt(body, {"preconditions", "resourceVersion"});
  out.dry_run = !Items(body.Find("dryRun")).empty() || request.Query("dryRun") == "All";
  if (std::string grace = request.Query("gracePeriodSeconds"); !grace.empty()) {
    Value number = ParseJsonText(grace);
    if (number.type != Value::Type::kInteger)
      throw BadRequest("gracePeriodSeconds=" + grace + ": not a number");
    out.grace_seconds = number.integer;
  }
  if (std::string policy = request.Query("propagationPolicy"); !policy.empty())
    out.propagation = policy;
  if (!out.propagation.empty() && out.propagation != "Background" &&
      out.propagation != "Foreground" && out.propagation != "Orphan") {
    throw Invalid("meta.k8s.io", "DeleteOptions", "",
                  {Unsupported("propagationPolicy", out.propagation,
                               {"Foreground", "Background", "Orphan"})});
  }
  return out;
}

Writer::Written Writer::DeleteLocked(const Target& target, const StoredPtr& stored,
                                     const DeleteOptions& options) {
  const Kind& kind = *target.kind;
  std::string key = kind.StoreKey();
  if (!options.uid.empty() && options.uid != stored->uid)
    throw Conflict(kind.Resource(), target.name,
                   "Precondition failed: UID in precondition: " + options.uid +
                       ", UID in object meta: " + stored->uid);
  if (!options.version.empty() && options.version != std::to_string(stored->version))
    throw Conflict(kind.Resource(), target.name,
                   "Precondition failed: ResourceVersion in precondition: " + options.version +
                       ", ResourceVersion in object meta: " + std::to_string(stored->version));
  if (key == "namespaces" &&
      (target.name == "default" || target.name == "kube-system" || target.name == "kube-public"))
    throw Forbidden(kind.Resource(), target.name, "this namespace may not be deleted");
  Value object = ParseJsonText(stored->json);
  Value before = object;
  Value& metadata = Child(object, "metadata");
  if (options.propagation == "Foreground") AddFinalizer(object, kForeground);
  if (options.propagation == "Orphan") AddFinalizer(object, kOrphan);
  if (options.propagation == "Background") {
    RemoveFinalizer(object, kForeground);
    RemoveFinalizer(object, kOrphan);
  }
  int64_t grace = 0;
  std::string phase = TextAt(object, {"status", "phase"});
  if (key == "pods") {
    grace = options.grace_seconds.value_or(
        IntegerAt(object, {"spec", "terminationGracePeriodSeconds"}).value_or(30));
    if (TextAt(object, {"spec", "nodeName"}).empty() || phase == "Succeeded" || phase == "Failed")
      grace = 0;
    if (stored->deleting)
      grace = std::min(grace, IntegerAt(metadata, {"deletionGracePeriodSeconds"}).value_or(grace));
    grace = std::max<int64_t>(grace, 0);
  }
  if (options.dry_run) return {.json = stored->json};
  bool stays = HasFinalizers(object) || grace > 0;
  if (!stays) {
    StoredPtr gone = CommitRemoval(key, stored);
    return {.json = key == "pods" ? gone->json : SuccessJson(kind, stored),
            .status_only = key != "pods"};
  }
  Value& again = Child(object, "metadata");
  int64_t had = IntegerAt(again, {"deletionGracePeriodSeconds"}).value_or(-1);
  if (!stored->deleting || grace < had) {
    Set(again, "deletionTimestamp",
        String(TimeText(clock_.WallNow() + std::chrono::seconds(grace))));
    Set(again, "deletionGracePeriodSeconds", Integer(grace));
    if (HasGeneration(kind))
      Set(again, "generation", Integer(IntegerAt(again, {"generation"}).value_or(0) + 1));
  }
  if (key == "namespaces") {
    Erase(again, "deletionGracePeriodSeconds");
    Set(Child(object, "status"), "phase", String("Terminating"));
  }
  if (SameContent(object, before)) return {.json = stored->json};
  return {.json = Commit(key, std::move(object))->json};
}

Writer::Written Writer::Delete(const Target& target, const DeleteOptions& options) {
  std::lock_guard lock(mutex_);
  return DeleteLocked(target, Existing(target), options);
}

size_t Writer::DeleteCollection(const Target& target, const std::vector<StoredPtr>& objects,
                                const DeleteOptions& options) {
  size_t count = 0;
  for (const StoredPtr& object : objects) {
    std::lock_guard lock(mutex_);
    StoredPtr current = store_.Get(target.kind->StoreKey(), object->ns, object->name);
    if (!current || current->uid != object->uid) continue;
    Target one{target.kind, object->ns, object->name, ""};
    DeleteLocked(one, current, options);
    ++count;
  }
  return count;
}

}  // namespace sallyport::apiserver
