// SPDX-License-Identifier: Apache-2.0
#include "endpoint/link_watch.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>

#include "base/backoff.h"
#include "base/log.h"
#include "endpoint/link_socket.h"

namespace sallyport::endpoint {
namespace {

using std::chrono::milliseconds;

enum class Waited { kStop, kNews, kTimeout };

// Until `stop` or `fd` is readable, or the timeout has passed. fd < 0: none.
Waited WaitFor(int fd, int stop, int timeout_ms) {
  pollfd fds[2] = {{stop, POLLIN, 0}, {fd, POLLIN, 0}};
  while (poll(fds, 2, timeout_ms) < 0 && errno == EINTR) {
  }
  if (fds[0].revents != 0) return Waited::kStop;
  return fds[1].revents != 0 ? Waited::kNews : Waited::kTimeout;
}

class Follower {
 public:
  Follower(const LinkWatch::Sink& sink, const LinkWatch::Idle& idle, Duration list_every, int stop)
      : sink_(sink), idle_(idle), list_every_(list_every), stop_(stop) {}

  // Lists everything, always with a subscription from just before: its queue says all that changes
  // during the listing and after it, and the last word on each thing is right. That of an older one
  // may have gaps, also later on: when it overflows, the kernel says so once, and goes on dropping
  // news until the queue has been read empty.
  Status Open() {
    auto socket = LinkSocket::Open();
    if (!socket) return std::move(socket).error();
    auto table = socket->Dump();
    if (!table) return std::move(table).error();
    socket_ = std::make_unique<LinkSocket>(std::move(*socket));
    std::set<uint32_t> replaced = Replaced(told_, table->links());
    replaced.merge(table_.TakeRemoved());
    table->InheritUplinks(table_);
    table_ = std::move(*table);
    list_at_ = SystemClock().Now() + list_every_;
    LinkSocket::News all{.any = true, .routes = true, .filters_changed = {}};
    for (const auto& [ifindex, link] : table_.links()) all.filters_changed.insert(ifindex);
    Tell(all, replaced);
    return Ok();
  }

  void Run() {
    while (true) {
      Waited waited = WaitFor(socket_->fd(), stop_, work_left_ ? 0 : Patience());
      if (waited == Waited::kStop) return;
      if ((waited == Waited::kNews || !work_left_) && !Follow()) return;
      // However much news there is, some of the work is done.
      if (work_left_) work_left_ = idle_();
    }
  }

 private:
  // False: told to stop.
  bool Follow() {
    if (Status status = Step(); status) {
      backoff_.Reset();
      return true;
    } else {
      LogError("following interfaces: " + status.error().message + "; listing them again");
    }
    do {
      socket_.reset();
      auto pause = std::chrono::duration_cast<milliseconds>(backoff_.Next());
      if (WaitFor(-1, stop_, static_cast<int>(pause.count())) == Waited::kStop) return false;
    } while (!Open());
    return true;
  }

  int Patience() const {
    auto left = std::chrono::ceil<milliseconds>(list_at_ - SystemClock().Now());
    return static_cast<int>(std::max(left, milliseconds(0)).count());
  }

  Status Step() {
    auto news = socket_->Read(table_);
    if (!news) {
      if (news.error().code != ENOBUFS) return std::move(news).error();
      LogInfo("the kernel had more news of interfaces than there was room for; listing them again");
      return Open();
    }
    if (news->any) Tell(*news, table_.TakeRemoved());
    return SystemClock().Now() < list_at_ ? Ok() : Open();
  }

  void Tell(const LinkSocket::News& news, const std::set<uint32_t>& replaced) {
    Links links = table_.links();
    LinkUpdate update = Difference(told_, links, replaced);
    model::LocalAddresses addresses = table_.addresses();
    if (first_ || addresses != told_addresses_) update.addresses = addresses;
    update.routes_changed = news.routes;
    update.filters_changed = news.filters_changed;
    told_ = std::move(links);
    told_addresses_ = std::move(addresses);
    first_ = false;
    if (update.empty()) return;
    sink_(update);
    work_left_ = true;
  }

  const LinkWatch::Sink& sink_;
  const LinkWatch::Idle& idle_;
  const Duration list_every_;
  int stop_;
  MonotonicTime list_at_{};
  Backoff backoff_{milliseconds(10), std::chrono::seconds(5)};
  std::unique_ptr<LinkSocket> socket_;
  LinkTable table_;
  Links told_;
  model::LocalAddresses told_addresses_;
  bool first_ = true;
  bool work_left_ = false;
};

}  // namespace

Result<std::unique_ptr<LinkWatch>> LinkWatch::Start(Sink sink, Duration list_every, Idle idle) {
  UniqueFd stop(eventfd(0, EFD_CLOEXEC));
  if (!stop) return ErrnoError("eventfd");
  std::unique_ptr<LinkWatch> watch(
      new LinkWatch(std::move(sink), std::move(idle), std::move(stop)));
  auto follower =
      std::make_unique<Follower>(watch->sink_, watch->idle_, list_every, watch->stop_.get());
  if (Status status = follower->Open(); !status) return std::move(status).error();
  watch->thread_ = std::jthread([follower = std::move(follower)] { follower->Run(); });
  return watch;
}

LinkWatch::LinkWatch(Sink sink, Idle idle, UniqueFd stop)
    : sink_(std::move(sink)), idle_(std::move(idle)), stop_(std::move(stop)) {}

LinkWatch::~LinkWatch() { (void)eventfd_write(stop_.get(), 1); }

}  // namespace sallyport::endpoint
