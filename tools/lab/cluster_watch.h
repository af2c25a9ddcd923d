// SPDX-License-Identifier: Apache-2.0
// Follows an API server: a Cluster that is kept current, and a bell that rings when it changed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kube/client.h"
#include "lab/cluster.h"

namespace sallyport::lab {

struct Followed {
  std::string kind;
  std::string query;  // "fieldSelector=..."; may be empty
};

// Thread-safe.
class ClusterWatch {
 public:
  // `bell` is rung on some thread after the cluster changed, and when everything is known for the
  // first time; it must not block. The client must outlive this.
  ClusterWatch(kube::Client& client, std::vector<Followed> followed, std::function<void()> bell);
  ~ClusterWatch();

  // What is known now; not to be acted upon before everything was listed once.
  Cluster Now() const;
  bool synced() const;
  // What the server answered to a request of this process: known at once, not only when the watch
  // tells of it.
  void Learn(const std::string& kind, Value object);
  void Unlearn(const std::string& kind, const model::ObjectName& name, const std::string& uid);
  // The last failure of those watches that have one; "".
  std::string Trouble() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::lab
