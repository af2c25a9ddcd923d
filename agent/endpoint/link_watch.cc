// SPDX-License-Identifier: Apache-2.0
#include "endpoint/link_watch.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <cerrno>

#include "base/backoff.h"
#include "base/log.h"
#include "endpoint/link_socket.h"

namespace sallyport::endpoint {
namespace {

using std::chrono::milliseconds;

// Until `fd` is readable, `timeout` has passed, or `stop` is readable: then false. fd < 0: none.
bool Wait(int fd, int stop, int timeout_ms) {
  pollfd fds[2] = {{stop, POLLIN, 0}, {fd, POLLIN, 0}};
  while (poll(fds, 2, timeout_ms) < 0 && errno == EINTR) {
  }
  return fds[0].revents == 0;
}

class Follower {
 public:
  Follower(const LinkWatch::Sink& sink, int stop) : sink_(sink), stop_(stop) {}

  Status Open() {
    auto socket = LinkSocket::Open();
    if (!socket) return std::move(socket).error();
    socket_ = std::make_unique<LinkSocket>(std::move(*socket));
    return Dump();
  }

  Status Dump() {
    auto table = socket_->Dump();
    if (!table) return std::move(table).error();
    table->InheritUplinks(table_);
    table_ = std::move(*table);
    Tell({.any = true, .routes = true, .filters_removed = true});
    return Ok();
  }

  void Run() {
    Backoff backoff(milliseconds(10), std::chrono::seconds(5));
    while (Wait(socket_ ? socket_->fd() : -1, stop_, -1)) {
      if (Status status = Step(); status) {
        backoff.Reset();
        continue;
      } else {
        LogError("following interfaces: " + status.error().message + "; listing them again");
      }
      do {
        socket_.reset();
        auto pause = std::chrono::duration_cast<milliseconds>(backoff.Next());
        if (!Wait(-1, stop_, static_cast<int>(pause.count()))) return;
      } while (!Open());
    }
  }

 private:
  Status Step() {
    auto news = socket_->Read(table_);
    if (!news) {
      if (news.error().code != ENOBUFS) return std::move(news).error();
      LogInfo("the kernel had more news of interfaces than there was room for; listing them again");
      return Dump();
    }
    if (news->any) Tell(*news);
    return Ok();
  }

  void Tell(const LinkSocket::News& news) {
    Links links = table_.links();
    LinkUpdate update = Difference(told_, links);
    model::LocalAddresses addresses = table_.addresses();
    if (first_ || addresses != told_addresses_) update.addresses = addresses;
    update.routes_changed = news.routes;
    update.filters_removed = news.filters_removed;
    told_ = std::move(links);
    told_addresses_ = std::move(addresses);
    first_ = false;
    if (!update.empty()) sink_(update);
  }

  const LinkWatch::Sink& sink_;
  int stop_;
  std::unique_ptr<LinkSocket> socket_;
  LinkTable table_;
  Links told_;
  model::LocalAddresses told_addresses_;
  bool first_ = true;
};

}  // namespace

Result<std::unique_ptr<LinkWatch>> LinkWatch::Start(Sink sink) {
  UniqueFd stop(eventfd(0, EFD_CLOEXEC));
  if (!stop) return ErrnoError("eventfd");
  std::unique_ptr<LinkWatch> watch(new LinkWatch(std::move(sink), std::move(stop)));
  auto follower = std::make_unique<Follower>(watch->sink_, watch->stop_.get());
  if (Status status = follower->Open(); !status) return std::move(status).error();
  watch->thread_ = std::jthread([follower = std::move(follower)] { follower->Run(); });
  return watch;
}

LinkWatch::LinkWatch(Sink sink, UniqueFd stop) : sink_(std::move(sink)), stop_(std::move(stop)) {}

LinkWatch::~LinkWatch() { (void)eventfd_write(stop_.get(), 1); }

}  // namespace sallyport::endpoint
