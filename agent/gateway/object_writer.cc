// SPDX-License-Identifier: Apache-2.0
#include "gateway/object_writer.h"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

#include "base/backoff.h"
#include "gateway/times.h"

namespace sallyport::gateway {
namespace {

constexpr Duration kWriteWithin = std::chrono::seconds(5);
constexpr Duration kFirstPause = std::chrono::milliseconds(200);
constexpr Duration kLongestPause = std::chrono::seconds(30);
constexpr int kWriteTries = 3;  // where others write the same object
constexpr const char* kGatewaysPath = "/apis/sallyport.io/v1alpha1/egressgateways/";
constexpr const char* kEventsPath = "/api/v1/namespaces/default/events";
constexpr const char* kMergePatch = "application/merge-patch+json";

}  // namespace

GatewayRequests::GatewayRequests(SendRequest send, std::string node)
    : send_(std::move(send)), node_(std::move(node)) {}

Status GatewayRequests::WriteStatus(const GatewayStatus& wanted, WallTime now) const {
  const std::string what = "writing the status of EgressGateway " + wanted.name;
  const std::string path = kGatewaysPath + kube::EncodeUrl(wanted.name) + "/status";
  std::string why;
  for (int i = 0; i < kWriteTries; ++i) {
    auto read = send_({.path = path, .answer_within = kWriteWithin});
    if (!read) return std::move(read).error().Context(what);
    if (IsNotFound(*read)) return Ok();
    if (!read->ok()) return Error{what + ": " + Refusal(*read)};
    auto patch = StatusPatch(wanted, read->body, SecondTime(now));
    if (!patch) return std::move(patch).error().Context(what);
    if (!*patch) return Ok();
    auto wrote = send_({.method = "PATCH",
                        .path = path,
                        .body = **patch,
                        .content_type = kMergePatch,
                        .answer_within = kWriteWithin});
    if (!wrote) return std::move(wrote).error().Context(what);
    if (wrote->ok() || IsNotFound(*wrote)) return Ok();
    why = Refusal(*wrote);
    if (wrote->status != kConflictCode) break;
  }
  return Error{what + ": " + why};
}

Result<std::string> GatewayRequests::WriteEvent(const EventLedger::Write& write, WallTime now) {
  const std::string what = "writing an Event about EgressGateway " + write.event.gateway;
  kube::Request request;
  request.answer_within = kWriteWithin;
  std::string name = write.name;
  if (name.empty()) {
    char number[40];
    auto micros =
        std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
    std::snprintf(number, sizeof number, ".%llx.%llx", static_cast<unsigned long long>(micros),
                  static_cast<unsigned long long>(++events_));
    name = write.event.gateway + number;
    request.method = "POST";
    request.path = kEventsPath;
    request.body = EventObject(write.event, write.times, name, node_);
  } else {
    request.method = "PATCH";
    request.path = std::string(kEventsPath) + "/" + kube::EncodeUrl(name);
    request.body = EventPatch(write.event, write.times);
    request.content_type = kMergePatch;
  }
  auto response = send_(request);
  if (!response) return std::move(response).error().Context(what);
  if (response->ok()) return name;
  return Error{what + ": " + Refusal(*response), IsNotFound(*response) ? ENOENT : 0};
}

class ObjectWriter::Impl {
 public:
  Impl(kube::Client& client, std::string node, OnProblem on_problem)
      : on_problem_(std::move(on_problem)),
        requests_(
            [this, &client](const kube::Request& request) { return client.Send(request, stop_); },
            std::move(node)),
        thread_([this](const std::stop_token& stop) { Run(stop); }) {}

  void SetStatus(GatewayStatus status) {
    std::lock_guard lock(mutex_);
    auto [it, is_new] = wanted_.try_emplace(status.name);
    if (!is_new && it->second.status == status) return;
    it->second = {std::move(status), /*written=*/false};
    news_.notify_one();
  }
  void LookAgain() {
    std::lock_guard lock(mutex_);
    for (auto& [name, wanted] : wanted_) wanted.written = false;
    news_.notify_one();
  }
  void ForgetStatus(const std::string& name) {
    std::lock_guard lock(mutex_);
    wanted_.erase(name);
  }
  void Tell(GatewayEvent event) {
    std::lock_guard lock(mutex_);
    ledger_.Add(std::move(event), SystemClock().Now(), SystemClock().WallNow());
    news_.notify_one();
  }

 private:
  struct Wanted {
    GatewayStatus status;
    bool written = false;  // or being written
  };

  // All requests are made without the lock.
  void Run(const std::stop_token& stop) {
    stop_ = stop;
    Backoff backoff(kFirstPause, kLongestPause);
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
      std::string problem = WriteAll(stop, lock);
      if (stop.stop_requested()) return;
      if (std::exchange(problem_, problem) != problem && on_problem_) {
        lock.unlock();
        on_problem_(problem);
        lock.lock();
      }
      if (!problem.empty()) {
        news_.wait_for(lock, stop, backoff.Next(), [] { return false; });
        continue;
      }
      backoff.Reset();
      auto ready = [this] { return Waits(); };
      auto rest = ledger_.Wait(SystemClock().Now());
      if (rest && *rest > Duration::zero()) {
        news_.wait_for(lock, stop, *rest, ready);
      } else {
        news_.wait(lock, stop, ready);
      }
    }
  }

  bool Waits() const {
    bool status = std::any_of(wanted_.begin(), wanted_.end(),
                              [](const auto& one) { return !one.second.written; });
    return status || ledger_.Wait(SystemClock().Now()) == Duration::zero();
  }

  // Tries each once; the last problem.
  std::string WriteAll(const std::stop_token& stop, std::unique_lock<std::mutex>& lock) {
    std::string problem;
    std::vector<GatewayStatus> statuses;
    for (auto& [name, wanted] : wanted_) {
      if (!std::exchange(wanted.written, true)) statuses.push_back(wanted.status);
    }
    for (const GatewayStatus& status : statuses) {
      lock.unlock();
      Status done = requests_.WriteStatus(status, SystemClock().WallNow());
      lock.lock();
      if (stop.stop_requested()) return "";
      if (done) continue;
      problem = done.error().message;
      if (auto it = wanted_.find(status.name); it != wanted_.end()) it->second.written = false;
    }
    while (auto write = ledger_.Next(SystemClock().Now())) {
      lock.unlock();
      auto name = requests_.WriteEvent(*write, SystemClock().WallNow());
      lock.lock();
      if (stop.stop_requested()) return "";
      if (name) {
        ledger_.Written(*write, *name);
        continue;
      }
      bool gone = name.error().code == ENOENT;
      ledger_.Failed(*write, gone);
      if (gone) continue;
      problem = name.error().message;
      break;
    }
    return problem;
  }

  const OnProblem on_problem_;
  std::stop_token stop_;      // the thread's
  GatewayRequests requests_;  // likewise
  std::mutex mutex_;
  std::condition_variable_any news_;
  std::map<std::string, Wanted> wanted_;
  EventLedger ledger_;
  std::string problem_;
  std::jthread thread_;
};

ObjectWriter::ObjectWriter(kube::Client& client, std::string node, OnProblem on_problem)
    : impl_(std::make_unique<Impl>(client, std::move(node), std::move(on_problem))) {}
ObjectWriter::~ObjectWriter() = default;

void ObjectWriter::SetStatus(GatewayStatus status) { impl_->SetStatus(std::move(status)); }
void ObjectWriter::LookAgain() { impl_->LookAgain(); }
void ObjectWriter::ForgetStatus(const std::string& name) { impl_->ForgetStatus(name); }
void ObjectWriter::Tell(GatewayEvent event) { impl_->Tell(std::move(event)); }

}  // namespace sallyport::gateway
