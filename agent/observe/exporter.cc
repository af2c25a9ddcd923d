// SPDX-License-Identifier: Apache-2.0
#include "observe/exporter.h"

#include <condition_variable>
#include <mutex>
#include <optional>

namespace sallyport::observe {
namespace {

constexpr auto kKept = std::chrono::seconds(1);
constexpr const char* kText = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace

struct Exporter::Known {
  std::mutex mutex;
  std::condition_variable answered;
  std::optional<MetricsView> view;
  std::optional<MonotonicTime> at;  // when `view` was made
  bool asked = false;               // and no answer yet
};

Exporter::Exporter(AskMetrics ask, Clock& clock, Duration patience)
    : ask_(std::move(ask)), clock_(clock), patience_(patience), known_(std::make_shared<Known>()) {}

// True: what is known now is no older than it should be.
bool Exporter::Refresh() {
  std::unique_lock lock(known_->mutex);
  if (known_->at && clock_.Now() - *known_->at < kKept) return true;
  if (!known_->asked) {
    known_->asked = true;
    lock.unlock();
    ask_([known = known_, &clock = clock_](MetricsView view) {
      std::lock_guard answer(known->mutex);
      known->view = std::move(view);
      known->at = clock.Now();
      known->asked = false;
      known->answered.notify_all();
    });
    lock.lock();
  }
  return known_->answered.wait_for(lock, patience_, [this] { return !known_->asked; });
}

Page Exporter::Answer(const std::string& path) {
  if (path != "/metrics" && path != "/healthz" && path != "/readyz") {
    return {404, "there are /metrics, /healthz and /readyz\n"};
  }
  bool responding = Refresh();
  if (path == "/metrics") {
    ProcessView process = ReadProcess();
    std::lock_guard lock(known_->mutex);
    const MetricsView* view = known_->view ? &*known_->view : nullptr;
    return {200, MetricsText(view, responding, process), kText};
  }
  if (!responding) return {503, "the thread that enforces policy does not answer\n"};
  if (path == "/healthz") return {200, "ok\n"};
  std::lock_guard lock(known_->mutex);
  if (known_->view->ready) return {200, "ready\n"};
  std::string reasons;
  for (const std::string& reason : known_->view->reasons) reasons += reason + "\n";
  return {503, reasons};
}

}  // namespace sallyport::observe
