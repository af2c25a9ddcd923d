// SPDX-License-Identifier: Apache-2.0
#include "control/api_source.h"

#include <utility>

#include "base/log.h"
#include "kube/access.h"

namespace sallyport::control {
namespace {

// Each outage once, and its end.
void LogState(const observe::WatchView& before, const watch::WatchState& now,
              const std::string& resource) {
  if (before.last_error.empty() && !now.last_error.empty() && !now.connected) {
    LogWarning(now.last_error + "; what is known stays in force, and it is tried again");
  } else if (!before.last_error.empty() && now.last_error.empty()) {
    LogInfo(resource + " are followed again");
  }
  if (!before.synced && now.synced) {
    LogInfo(resource + (now.installed ? " have been listed" : " are not installed"));
  }
}

void Show(observe::WatchBoard& board, const std::string& resource, const watch::WatchState& now) {
  observe::WatchView before;
  board.Update(resource, [&](observe::WatchView& view) {
    before = view;
    view.installed = now.installed;
    view.synced = now.synced;
    view.connected = now.connected;
    view.lost_since = now.lost;
    view.last_event = now.last_event;
    view.events = now.events;
    view.reconnects = now.reconnects;
    view.relists = now.relists;
    view.errors = now.errors;
    view.last_error = now.last_error;
  });
  LogState(before, now, resource);
}

}  // namespace

Result<std::unique_ptr<kube::Client>> ApiSource::Connect(const Config& config) {
  auto access =
      config.kubeconfig.empty() ? kube::InClusterAccess() : kube::ReadKubeconfig(config.kubeconfig);
  if (!access) return std::move(access).error();
  return kube::Client::Create(std::move(*access));
}

ApiSource::ApiSource(kube::Client& client, ReconcileLoop& loop, observe::WatchBoard& board)
    : client_(client),
      watch_(
          client_,
          [&loop](watch::ObjectUpdate update) {
            loop.Push(ObjectsChanged{std::move(update.deltas), std::move(update.standing),
                                     update.complete});
          },
          [&board](const std::string& resource, const watch::WatchState& now) {
            Show(board, resource, now);
          }) {}

}  // namespace sallyport::control
