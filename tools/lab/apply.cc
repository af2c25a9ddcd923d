// SPDX-License-Identifier: Apache-2.0
#include "lab/apply.h"

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

namespace sallyport::lab {
namespace {

constexpr Duration kBetweenLooks = std::chrono::milliseconds(10);
constexpr Duration kKindWithin = std::chrono::seconds(5);  // after its definition was created

constexpr std::array<std::string_view, 10> kFirst = {"Namespace",     "CustomResourceDefinition",
                                                     "Node",          "ServiceAccount",
                                                     "Secret",        "ConfigMap",
                                                     "PriorityClass", "ClusterRole",
                                                     "NetworkPolicy", "Service"};
constexpr std::array<std::string_view, 8> kLast = {"ReplicationController",
                                                   "ReplicaSet",
                                                   "DaemonSet",
                                                   "StatefulSet",
                                                   "Deployment",
                                                   "Job",
                                                   "CronJob",
                                                   "Pod"};

size_t Rank(std::string_view kind) {
  if (auto found = std::find(kFirst.begin(), kFirst.end(), kind); found != kFirst.end())
    return static_cast<size_t>(found - kFirst.begin());
  if (auto found = std::find(kLast.begin(), kLast.end(), kind); found != kLast.end())
    return 200 + static_cast<size_t>(found - kLast.begin());
  return 100;
}

// Kinds that API servers know the lists of, and merge by key.
bool IsBuiltIn(const std::string& api_version) {
  size_t slash = api_version.find('/');
  if (slash == std::string::npos) return true;
  std::string group = api_version.substr(0, slash);
  return group.find('.') == std::string::npos || group.ends_with(".k8s.io");
}

// As the user wrote it, without lines.
Value WithLastApplied(const Value& wanted) {
  Value out = wanted;
  Set(Child(Child(out, "metadata"), "annotations"), kLastApplied, String(ToJson(wanted) + "\n"));
  return out;
}

Value LastApplied(const Value& live) {
  std::string text = TextAt(live, {"metadata", "annotations", kLastApplied});
  auto last = text.empty() ? Result<Value>(Value()) : FromJson(text, kLastApplied);
  return last ? *std::move(last) : Value();
}

class Applier {
 public:
  Applier(Api& api, const Console& console) : api_(api), console_(console) {}

  Status Apply(const Object& object) {
    std::string api_version = TextAt(object.tree, {"apiVersion"});
    auto kind = Resolve(api_version, KindOf(object.tree));
    if (!kind && kind.error().code == kNotFound) {
      console_.Note("note: passed over: " + Name(object.tree) + ": " + kind.error().message);
      return Ok();
    }
    if (!kind) return std::move(kind).error();
    Status done = Put(*kind, object.tree);
    if (done) return done;
    std::string where =
        object.file.empty() ? "" : object.file + ":" + std::to_string(object.tree.line) + ": ";
    return std::move(done).error().Context(where + Name(object.tree));
  }

 private:
  static std::string Name(const Value& tree) { return KindOf(tree) + " " + NameOf(tree).name; }

  // A kind whose definition was just created takes a moment. That of EgressGateways always was.
  Result<KindInfo> Resolve(const std::string& api_version, const std::string& kind) {
    MonotonicTime deadline = SystemClock().Now() + kKindWithin;
    for (;;) {
      auto info = api_.Resolve(api_version, kind);
      bool defined = defined_ || kind == "EgressGateway";
      bool may_come = defined && !info && info.error().code == kNotFound;
      if (!may_come || SystemClock().Now() >= deadline) return info;
      std::this_thread::sleep_for(kBetweenLooks);
    }
  }

  Status Put(const KindInfo& kind, Value tree) {
    if (kind.kind == "CustomResourceDefinition") defined_ = true;
    model::ObjectName name = NameOf(tree);
    if (!kind.namespaced) name.ns.clear();
    Value wanted = WithLastApplied(tree);
    std::string path = ObjectPath(kind, name);
    auto live = api_.Get(path);
    if (!live && live.error().code == kNotFound) return Create(kind, name, wanted);
    if (!live) return std::move(live).error();
    if (IsTerminating(*live)) {
      if (Status gone = AwaitGone(api_, {{path, UidOf(*live)}}, kGoneWithin); !gone) return gone;
      return Create(kind, name, wanted);
    }
    bool strategic = IsBuiltIn(kind.api_version);
    Value patch = MakePatch(*live, LastApplied(*live), wanted, strategic);
    if (patch.members.empty()) return Ok();
    auto patched = api_.Patch(path, patch, strategic);
    if (patched) return Ok();
    bool replaceable = kind.kind == "Pod" || kind.kind == "Job";
    if (patched.error().code != kInvalid || !replaceable) return std::move(patched).error();
    auto deleted = api_.Delete(path, UidOf(*live), std::nullopt);
    if (!deleted) return std::move(deleted).error();
    if (Status gone = AwaitGone(api_, {{path, UidOf(*live)}}, kGoneWithin); !gone) return gone;
    return Create(kind, name, wanted);
  }

  Status Create(const KindInfo& kind, const model::ObjectName& name, const Value& wanted) {
    auto created = api_.Create(CollectionPath(kind, name.ns), wanted);
    return created ? Ok() : Status(std::move(created).error());
  }

  static constexpr Duration kGoneWithin = std::chrono::seconds(30);
  Api& api_;
  const Console& console_;
  bool defined_ = false;
};

}  // namespace

Value MakePatch(const Value& live, const Value& last, const Value& wanted, bool strategic) {
  Value patch = Mapping();
  for (const auto& [key, value] : wanted.members) {
    const Value* have = live.Find(key);
    if (have && value.type == Value::Type::kMapping && have->type == Value::Type::kMapping) {
      const Value* before = last.Find(key);
      Value inner = MakePatch(*have, before ? *before : Value(), value, strategic);
      if (!inner.members.empty()) Set(patch, key, std::move(inner));
      continue;
    }
    if (Covers(have, value)) continue;
    Value whole = value;
    bool of_mappings = value.type == Value::Type::kSequence && !value.items.empty() &&
                       value.items.front().type == Value::Type::kMapping;
    if (strategic && of_mappings && have)
      whole.items.push_back(Mapping({{"$patch", String("replace")}}));
    Set(patch, key, std::move(whole));
  }
  for (const auto& [key, value] : last.members)
    if (!wanted.Find(key) && live.Find(key)) Set(patch, key, Value());
  return patch;
}

std::vector<const Object*> InOrder(const ObjectSet& objects) {
  std::vector<const Object*> out;
  for (const auto& [key, object] : objects) out.push_back(&object);
  std::stable_sort(out.begin(), out.end(), [](const Object* a, const Object* b) {
    return Rank(KindOf(a->tree)) < Rank(KindOf(b->tree));
  });
  return out;
}

Status ApplyObjects(Api& api, const ObjectSet& objects, const Console& console) {
  Applier applier(api, console);
  for (const Object* object : InOrder(objects))
    if (Status done = applier.Apply(*object); !done) return done;
  return Ok();
}

Status CreateIfAbsent(Api& api, const Value& object) {
  auto kind = api.Resolve(TextAt(object, {"apiVersion"}), KindOf(object));
  if (!kind) return std::move(kind).error();
  std::string collection = CollectionPath(*kind, kind->namespaced ? NameOf(object).ns : "");
  auto created = api.Create(collection, object);
  if (created || created.error().code == kConflict) return Ok();
  return std::move(created).error().Context(KindOf(object) + " " + NameOf(object).name);
}

Result<std::vector<Deleted>> DeleteObjects(Api& api, const std::vector<ObjectKey>& keys,
                                           const std::string& lab) {
  std::vector<Deleted> found;
  for (const ObjectKey& key : keys) {
    const KindInfo* kind = FindKind(key.kind);
    if (!kind) return Error{"the lab does not know " + key.kind + ": use kubectl delete", 0};
    model::ObjectName name = key.name;
    if (!kind->namespaced) name.ns.clear();
    std::string path = ObjectPath(*kind, name);
    auto live = api.Get(path);
    if (!live && live.error().code == kNotFound)
      return Error{"there is no " + key.ToString() + " in lab " + lab + ": nothing was changed", 0};
    if (!live) return std::move(live).error();
    found.push_back({path, UidOf(*live)});
  }
  for (const Deleted& object : found) {
    auto deleted = api.Delete(object.path, object.uid, std::nullopt);
    if (!deleted) return std::move(deleted).error();
  }
  return found;
}

Status AwaitGone(Api& api, const std::vector<Deleted>& objects, Duration patience) {
  MonotonicTime deadline = SystemClock().Now() + patience;
  for (const Deleted& object : objects) {
    for (;;) {
      auto live = api.Get(object.path);
      if (!live && live.error().code != kNotFound) return std::move(live).error();
      if (!live || UidOf(*live) != object.uid) break;
      if (SystemClock().Now() >= deadline)
        return Error{object.path + " is still there, being deleted", 0};
      std::this_thread::sleep_for(kBetweenLooks);
    }
  }
  return Ok();
}

}  // namespace sallyport::lab
