// SPDX-License-Identifier: Apache-2.0
// Requests to an API server, with trees. Thread-safe.
//
// An error's code is the HTTP status of the answer where there was one (400 and above: no errno is
// as large), and its message is the server's.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "kube/client.h"
#include "lab/cluster.h"

namespace sallyport::lab {

inline constexpr int kNotFound = 404;
inline constexpr int kConflict = 409;  // stale, or there already
inline constexpr int kInvalid = 422;

class Api {
 public:
  static Result<std::unique_ptr<Api>> Open(const std::string& kubeconfig);

  Result<Value> Get(const std::string& path);
  // The items, each with its apiVersion and kind.
  Result<std::vector<Value>> List(const KindInfo& kind);
  Result<Value> Create(const std::string& collection, const Value& object);
  Result<Value> Replace(const std::string& path, const Value& object);
  // merge-patch, or strategic-merge-patch.
  Result<Value> Patch(const std::string& path, const Value& patch, bool strategic = false);
  // Gone already: Ok. `uid` empty: whatever has that name. `grace` in seconds; absent: its own.
  // Returns what there is left of the object, if anything.
  Result<std::optional<Value>> Delete(const std::string& path, const std::string& uid,
                                      std::optional<int> grace);
  // Returns the object as it is then; nothing where it is gone, or the answer does not tell.
  Result<std::optional<Value>> Carry(const Change& change);
  // A token of a service account, bound to the pod where one is given.
  Result<std::string> Token(const model::ObjectName& account, const Value* pod);

  // What the server calls the kind, by discovery; kNotFound where it does not have it.
  Result<KindInfo> Resolve(const std::string& api_version, const std::string& kind);

  kube::Client& client() { return *client_; }

 private:
  explicit Api(std::unique_ptr<kube::Client> client) : client_(std::move(client)) {}
  Result<Value> Send(kube::Request request);

  std::unique_ptr<kube::Client> client_;
  std::mutex mutex_;
  std::map<std::string, std::vector<KindInfo>> discovered_;  // by apiVersion
};

}  // namespace sallyport::lab
