// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "lab/api.h"
#include "lab/cluster_watch.h"
#include "lab/controllers.h"
#include "lab/layout.h"
#include "lab/node_process.h"

namespace sallyport::lab {
namespace {

using namespace std::chrono_literals;

constexpr Duration kTryAgain = 500ms;  // after a request that failed

// Carries changes out, until the API server does not answer. False where any failed.
class Carrier {
 public:
  Carrier(Api& api, ClusterWatch& watch) : api_(api), watch_(watch) {}

  bool Carry(const std::vector<Change>& changes) {
    bool all = true;
    std::map<std::string, std::string> failures;
    for (const Change& change : changes) {
      auto done = api_.Carry(change);
      if (done) {
        if (*done)
          watch_.Learn(change.kind, **std::move(done));
        else if (change.verb == Change::Verb::kDelete || change.verb == Change::Verb::kForget)
          watch_.Unlearn(change.kind, change.name, change.uid);
        continue;
      }
      all = false;
      // Somebody else was faster; the watch will tell.
      if (done.error().code == kConflict || done.error().code == kNotFound) continue;
      std::string what = change.ToString() + ": " + done.error().message;
      if (failures.insert({change.ToString(), what}).second && !said_.contains(what))
        std::fprintf(stderr, "%s\n", what.c_str());
      if (done.error().code < 400) break;  // nobody there
    }
    said_.clear();
    for (const auto& [change, what] : failures) said_[what] = change;
    return all;
  }

 private:
  Api& api_;
  ClusterWatch& watch_;
  std::map<std::string, std::string> said_;  // failures of the last round
};

}  // namespace

Status RunControllers(const std::string& lab) {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  auto api = Api::Open(Layout(lab).kubeconfig());
  if (!api) return std::move(api).error();
  std::mutex mutex;
  std::condition_variable_any bell;
  bool changed = false;
  std::vector<Followed> followed;
  for (const std::string& kind : ControllerKinds()) followed.push_back({kind, ""});
  ClusterWatch watch((*api)->client(), followed, [&] {
    {
      std::lock_guard lock(mutex);
      changed = true;
    }
    bell.notify_all();
  });
  std::jthread worker([&](const std::stop_token& stop) {
    Carrier carrier(**api, watch);
    bool done = true;
    while (!stop.stop_requested()) {
      {
        std::unique_lock lock(mutex);
        auto is_changed = [&] { return changed; };
        if (done)
          bell.wait(lock, stop, is_changed);
        else
          bell.wait_for(lock, stop, kTryAgain, is_changed);
        changed = false;
      }
      if (stop.stop_requested() || !watch.synced()) continue;
      ControllerInputs inputs{SystemClock().WallNow(), (*api)->client().access().ca_pem};
      std::vector<Change> changes = Reconcile(watch.Now(), inputs);
      done = carrier.Carry(changes);
      // What was changed is known at once, and may ask for more.
      if (!changes.empty() && done) {
        std::lock_guard lock(mutex);
        changed = true;
      }
    }
  });
  int received = 0;
  sigwait(&signals, &received);
  return Ok();
}

}  // namespace sallyport::lab
