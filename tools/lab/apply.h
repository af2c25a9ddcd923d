// SPDX-License-Identifier: Apache-2.0
// Manifests to an API server, as `kubectl apply` brings them there: what is not there is created,
// what is there is patched, and what an earlier apply had and this one has not is taken out.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "lab/api.h"
#include "lab/console.h"
#include "lab/objects.h"

namespace sallyport::lab {

// Where kubectl and this keep what was applied last.
inline constexpr const char* kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

// The merge patch that turns `live` into what `wanted` asks for; empty where nothing is to change.
// Lists are replaced as a whole (marked so for a strategic merge). `last` is what was applied
// before, or null: what it has and `wanted` has not, goes. Pure.
Value MakePatch(const Value& live, const Value& last, const Value& wanted, bool strategic);

// In an order in which each finds what it needs: namespaces and kinds first, policies before pods.
std::vector<const Object*> InOrder(const ObjectSet& objects);

// All of them. A pod or job that is to become another is deleted and created anew. Kinds that the
// server does not have are passed over, with a note. Stops at the first failure.
Status ApplyObjects(Api& api, const ObjectSet& objects, const Console& console);

// Creates it if it is not there; leaves it as it is otherwise.
Status CreateIfAbsent(Api& api, const Value& object);

// Deletes what is there of these; the deletion may take its time.
struct Deleted {
  std::string path;
  std::string uid;
};
// Fails, with nothing deleted, where one of them is not there.
Result<std::vector<Deleted>> DeleteObjects(Api& api, const std::vector<ObjectKey>& keys,
                                           const std::string& lab);
// Until all of them are gone, or patience is at its end.
Status AwaitGone(Api& api, const std::vector<Deleted>& objects, Duration patience);

}  // namespace sallyport::lab
