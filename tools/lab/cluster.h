// SPDX-License-Identifier: Apache-2.0
// The objects of an API server as the lab's own processes know them (trees, by kind and name), and
// what they want changed. Pure.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "lab/tree.h"
#include "model/objects.h"

namespace sallyport::lab {

struct KindInfo {
  std::string kind;
  std::string api_version;  // "apps/v1"
  std::string plural;
  bool namespaced = true;
};
// Of the kinds that the lab's processes work with; nullptr for others.
const KindInfo* FindKind(std::string_view kind);
// "/apis/apps/v1/namespaces/shop/deployments", and with "/web" behind it. Without a namespace: of
// all namespaces.
std::string CollectionPath(const KindInfo& kind, const std::string& ns);
std::string ObjectPath(const KindInfo& kind, const model::ObjectName& name);

// A value that shares its objects. Objects of cluster-scoped kinds have an empty namespace.
class Cluster {
 public:
  using Objects = std::map<model::ObjectName, std::shared_ptr<const Value>>;

  const Objects& Of(std::string_view kind) const;
  const Value* Find(std::string_view kind, const model::ObjectName& name) const;
  // Nothing happens where an object of a later resourceVersion is known.
  void Set(const std::string& kind, Value object);
  // Of another object of that name by now (another uid): nothing happens. An empty uid is any.
  void Remove(const std::string& kind, const model::ObjectName& name, const std::string& uid);

 private:
  std::map<std::string, Objects, std::less<>> kinds_;
};

// One request to the API server.
struct Change {
  enum class Verb {
    kCreate,       // object: whole
    kReplace,      // object: whole, with its resourceVersion
    kPatch,        // object: a JSON merge patch
    kPatchStatus,  // object: a JSON merge patch with a status
    kDelete,       // of `uid`
    kForget,       // kDelete at once, without grace
    kBind,         // object: a Binding
  };
  Verb verb = Verb::kCreate;
  std::string kind;
  model::ObjectName name;
  Value object;
  std::string uid;
  // "create Pod shop/web-1"
  std::string ToString() const;
};

std::vector<const Value*> All(const Cluster::Objects& objects);
std::string UidOf(const Value& object);
// A name as model::ObjectName without the namespace where the kind has none.
model::ObjectName KeyOf(const Value& object, std::string_view kind);
bool IsTerminating(const Value& object);

// Whether everything that is wanted is in `have` (mappings may have more). What is wanted to be
// zero, empty or null may be absent: API servers leave such fields out.
bool Covers(const Value* have, const Value& want);

// Of status.conditions.
bool ConditionIsTrue(const Value& object, std::string_view type);
// The conditions of `object` with one set; its time changes only with its status.
Value WithCondition(const Value* conditions, const std::string& type, bool status,
                    const std::string& reason, const std::string& message, WallTime now);

// "2026-11-21T06:00:00Z"
std::string FormatTime(WallTime time);

// Pods, by what the API says of them.
bool IsOver(const Value& pod);
bool IsReadyPod(const Value& pod);

}  // namespace sallyport::lab
