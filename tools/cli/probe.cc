// SPDX-License-Identifier: Apache-2.0
#include "cli/probe.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "base/unique_fd.h"
#include "cli/attempt.h"
#include "cli/netns.h"
#include "cli/sockets.h"

namespace sallyport::probe {
namespace {

constexpr size_t kOpenedAtOnce = 128;  // before looking at answers again
constexpr size_t kFilesForOthers = 64;
constexpr size_t kEventsAtOnce = 512;

using Answers = std::vector<std::vector<Answer>>;

// All probes of one call, on the thread that may change its namespace.
class Run {
 public:
  Run(const std::vector<Source>& sources, const Options& options)
      : sources_(sources), options_(options) {
    for (const Source& source : sources) {
      answers_.emplace_back(source.targets.size());
      total_ += source.targets.size();
    }
  }

  Result<Answers> Execute();

 private:
  struct Flying {
    Attempt attempt;
    size_t source;
    size_t target;
  };
  using Timer = std::pair<MonotonicTime, int>;  // when, and the fd of which attempt

  void OpenSome();
  void Open(size_t source, size_t target);
  void FailSource(size_t source, const std::string& why);
  Status Watch(const Attempt& attempt, int operation);
  void Land(int fd);
  void Deliver(size_t source, size_t target, Answer answer);
  Result<bool> TakeEvents(MonotonicTime now);
  void HandleEvent(int fd);
  void WakeUntil(MonotonicTime now);

  const std::vector<Source>& sources_;
  const Options& options_;
  Answers answers_;
  size_t total_ = 0;
  size_t done_ = 0;
  size_t most_flying_ = 0;
  size_t source_ = 0;  // the next to open
  size_t target_ = 0;
  uint16_t number_ = static_cast<uint16_t>(std::random_device{}());
  NetnsVisitor visitor_;
  UniqueFd epoll_;
  std::map<int, Flying> flying_;
  std::set<Timer> timers_;
};

Result<Answers> Run::Execute() {
  size_t files = RaiseFileLimit();
  if (files <= kFilesForOthers) return Error{"too few open files are allowed (ulimit -n)"};
  most_flying_ = std::clamp<size_t>(options_.sockets_at_once, 1, files - kFilesForOthers);
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return ErrnoError("epoll_create1");
  while (done_ < total_) {
    OpenSome();
    // What had arrived by `now` is seen before anything is given up for the lack of it, however
    // long this thread had to wait for a processor.
    MonotonicTime now = SystemClock().Now();
    auto drained = TakeEvents(now);
    if (!drained) return std::move(drained).error();
    if (*drained) WakeUntil(now);
  }
  return std::move(answers_);
}

void Run::OpenSome() {
  for (size_t opened = 0; opened < kOpenedAtOnce && source_ < sources_.size();) {
    const Source& source = sources_[source_];
    if (target_ == source.targets.size()) {
      ++source_;
      target_ = 0;
      continue;
    }
    if (flying_.size() >= most_flying_) return;
    if (Status s = visitor_.Enter(source.netns); !s) {
      FailSource(source_, s.error().message);
      continue;
    }
    Open(source_, target_++);
    ++opened;
  }
}

void Run::FailSource(size_t source, const std::string& why) {
  while (target_ < sources_[source].targets.size()) {
    Deliver(source, target_++, {Outcome::kError, {}, why});
  }
}

void Run::Open(size_t source, size_t target) {
  Attempt attempt(sources_[source].targets[target], options_, number_++);
  if (attempt.Start(SystemClock().Now())) {
    Deliver(source, target, attempt.answer());
    return;
  }
  int fd = attempt.fd();
  if (Status s = Watch(attempt, EPOLL_CTL_ADD); !s) {
    Deliver(source, target, {Outcome::kError, {}, s.error().message});
    return;
  }
  timers_.insert({attempt.wake(), fd});
  flying_.emplace(fd, Flying{std::move(attempt), source, target});
}

Status Run::Watch(const Attempt& attempt, int operation) {
  epoll_event event{};
  event.events = attempt.epoll_events();
  event.data.fd = attempt.fd();
  if (epoll_ctl(epoll_.get(), operation, attempt.fd(), &event) == 0) return Ok();
  return ErrnoError("epoll_ctl");
}

void Run::Deliver(size_t source, size_t target, Answer answer) {
  answers_[source][target] = std::move(answer);
  ++done_;
  if (options_.progress) options_.progress(done_, total_);
}

void Run::Land(int fd) {
  auto it = flying_.find(fd);
  // Closing is not enough where a child of this process has the socket too: its events would come
  // under this number, for the next attempt.
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  Deliver(it->second.source, it->second.target, it->second.attempt.answer());
  flying_.erase(it);
}

// True when nothing more is waiting to be read.
Result<bool> Run::TakeEvents(MonotonicTime now) {
  bool can_open = source_ < sources_.size() && flying_.size() < most_flying_;
  int wait = 0;
  if (!can_open && !timers_.empty()) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first - now);
    wait = static_cast<int>(std::clamp<int64_t>(left.count(), 0, 1000));
  }
  std::array<epoll_event, kEventsAtOnce> events;
  int n = epoll_wait(epoll_.get(), events.data(), kEventsAtOnce, wait);
  if (n < 0 && errno != EINTR) return ErrnoError("epoll_wait");
  for (int i = 0; i < n; ++i) HandleEvent(events[static_cast<size_t>(i)].data.fd);
  return n >= 0 && static_cast<size_t>(n) < kEventsAtOnce;
}

void Run::HandleEvent(int fd) {
  auto it = flying_.find(fd);
  if (it == flying_.end()) return;
  Attempt& attempt = it->second.attempt;
  MonotonicTime before = attempt.wake();
  bool answered = attempt.Advance(SystemClock().Now());
  if (!answered && !Watch(attempt, EPOLL_CTL_MOD)) answered = true;
  timers_.erase({before, fd});
  if (answered) {
    Land(fd);
  } else {
    timers_.insert({attempt.wake(), fd});
  }
}

void Run::WakeUntil(MonotonicTime now) {
  while (!timers_.empty() && timers_.begin()->first <= now) {
    int fd = timers_.begin()->second;
    timers_.erase(timers_.begin());
    Attempt& attempt = flying_.at(fd).attempt;
    if (attempt.Wake(now)) {
      Land(fd);
    } else {
      timers_.insert({attempt.wake(), fd});
    }
  }
}

}  // namespace

std::string ToString(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOpen:
      return "open";
    case Outcome::kBlocked:
      return "blocked";
    case Outcome::kRefused:
      return "refused";
    case Outcome::kError:
      return "error";
  }
  return "error";
}

Result<Answers> Probe(const std::vector<Source>& sources, const Options& options) {
  Result<Answers> answers = Answers{};
  std::thread thread([&] { answers = Run(sources, options).Execute(); });
  thread.join();
  return answers;
}

}  // namespace sallyport::probe
