// SPDX-License-Identifier: Apache-2.0
// Objects from an API server, for the reconciler; how its watches are doing, for the board and the
// log.
#pragma once

#include <memory>

#include "base/result.h"
#include "control/config.h"
#include "control/reconcile_loop.h"
#include "kube/client.h"
#include "observe/watch_board.h"
#include "watch/api_watch.h"

namespace sallyport::control {

class ApiSource {
 public:
  // By the configured kubeconfig, or as a pod's service account. The server need not answer yet.
  static Result<std::unique_ptr<kube::Client>> Connect(const Config& config);
  // "https://10.0.0.1:6443"
  std::string Url() const { return client_.access().Url(); }

  // All references must outlive it.
  ApiSource(kube::Client& client, ReconcileLoop& loop, observe::WatchBoard& board);

 private:
  kube::Client& client_;
  watch::ApiWatch watch_;
};

}  // namespace sallyport::control
