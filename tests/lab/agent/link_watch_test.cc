// SPDX-License-Identifier: Apache-2.0
// The kernel's news of interfaces, where it comes faster than it is read.
#include "endpoint/link_watch.h"

#include <gtest/gtest.h>
#include <net/if.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>

#include "support/sandbox.h"

namespace sallyport::test {
namespace {

using endpoint::Link;
using endpoint::LinkUpdate;
using endpoint::LinkWatch;

// Knows what the watch says, and holds it up inside an update.
class Listener {
 public:
  LinkWatch::Sink Sink() {
    return [this](const LinkUpdate& update) {
      std::unique_lock lock(mutex_);
      for (uint32_t ifindex : update.gone) {
        links_.erase(ifindex);
        gone_.insert(ifindex);
      }
      for (const Link& link : update.set) links_[link.ifindex] = link;
      ++updates_;
      changed_.notify_all();
      changed_.wait(lock, [this] { return updates_ <= let_through_; });
    };
  }
  // From now on the watch stands still inside the next update.
  void HoldNext() {
    std::lock_guard lock(mutex_);
    let_through_ = updates_;
    changed_.notify_all();
  }
  bool IsHeld() {
    std::unique_lock lock(mutex_);
    return Await(lock, [this] { return updates_ > let_through_; });
  }
  void LetGo() {
    std::lock_guard lock(mutex_);
    let_through_ = kAll;
    changed_.notify_all();
  }
  int updates() {
    std::lock_guard lock(mutex_);
    return updates_;
  }
  bool HearsOf(const std::string& name) {
    std::unique_lock lock(mutex_);
    return Await(lock, [&] {
      return std::any_of(links_.begin(), links_.end(),
                         [&](const auto& link) { return link.second.name == name; });
    });
  }
  bool HearsOfUpdate(int number) {
    std::unique_lock lock(mutex_);
    return Await(lock, [&] { return updates_ >= number; });
  }
  bool HasGone(uint32_t ifindex) {
    std::lock_guard lock(mutex_);
    return gone_.contains(ifindex);
  }

 private:
  static constexpr int kAll = 1 << 30;
  template <typename IsSo>
  bool Await(std::unique_lock<std::mutex>& lock, IsSo is_so) {
    return changed_.wait_for(lock, std::chrono::seconds(20), is_so);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  endpoint::Links links_;
  std::set<uint32_t> gone_;
  int updates_ = 0;
  int let_through_ = kAll;
};

class LinkWatchTest : public testing::Test {
 protected:
  LinkWatchTest() {
    EnterSandbox();
    Shell("ip link add sptmany type bridge");
  }
  ~LinkWatchTest() override {
    listener_.LetGo();
    watch_.reset();
    for (const char* name : {"sptmany", "sptfirst", "sptlate", "sptold", "sptnew"}) {
      if (if_nametoindex(name) != 0) Shell("ip link del " + std::string(name));
    }
  }
  void Start(Duration list_every = std::chrono::hours(1)) {
    auto watch = LinkWatch::Start(listener_.Sink(), list_every);
    ASSERT_TRUE(watch) << watch.error().message;
    watch_ = std::move(*watch);
  }
  // Makes the watch stand still inside an update.
  void Hold() {
    listener_.HoldNext();
    Shell("ip link add sptfirst type bridge");
    ASSERT_TRUE(listener_.IsHeld());
  }
  // More news than a socket has room for.
  static void Overflow() {
    Shell(
        "for i in $(seq 40); do for j in $(seq 200); do echo addr add 10.90.$i.$j/32 dev sptmany; "
        "done; done | ip -batch - && ip addr flush dev sptmany");
  }

  Listener listener_;
  std::unique_ptr<LinkWatch> watch_;
};

// The kernel says that it dropped news before the queue has been read, and then drops in silence.
TEST_F(LinkWatchTest, NewsDuringTheListingAfterAnOverflowIsNotLost) {
  Start();
  Hold();
  Overflow();
  listener_.HoldNext();
  ASSERT_TRUE(listener_.IsHeld()) << "it lists everything because of that";
  Shell("ip link add sptlate type bridge");
  listener_.LetGo();
  EXPECT_TRUE(listener_.HearsOf("sptlate"));
}

TEST_F(LinkWatchTest, IndexThatIsReusedWithinOneReadIsToldAsGone) {
  Shell("ip link add sptold index 9500 type bridge");
  Start();
  Hold();
  Shell("ip link del sptold && ip link add sptnew index 9500 type bridge");
  listener_.LetGo();
  EXPECT_TRUE(listener_.HearsOf("sptnew"));
  EXPECT_TRUE(listener_.HasGone(9500));
}

// Each update makes the next one, as who flaps a carrier does.
TEST_F(LinkWatchTest, WorkThatMayWaitIsDoneAllTheSame) {
  std::mutex mutex;
  std::condition_variable changed;
  int updates = 0, worked = 0;
  constexpr int kWork = 5, kMostUpdates = 50;
  auto sink = [&](const LinkUpdate&) {
    std::lock_guard lock(mutex);
    if (worked < kWork && ++updates <= kMostUpdates)
      Shell("ip addr add 10.91.0." + std::to_string(updates) + "/32 dev sptmany");
  };
  auto idle = [&] {
    std::lock_guard lock(mutex);
    changed.notify_all();
    return ++worked < kWork;
  };
  auto watch = LinkWatch::Start(sink, std::chrono::hours(1), idle);
  ASSERT_TRUE(watch) << watch.error().message;
  std::unique_lock lock(mutex);
  EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return worked >= kWork; }));
  EXPECT_GT(updates, 1);
  EXPECT_LE(updates, kWork + 1) << "some with each update";
  lock.unlock();
  watch->reset();
}

TEST_F(LinkWatchTest, WorkEndsWhenThereIsNone) {
  std::atomic<int> worked = 0;
  auto watch =
      LinkWatch::Start(listener_.Sink(), std::chrono::hours(1), [&] { return ++worked % 3 != 0; });
  ASSERT_TRUE(watch) << watch.error().message;
  watch_ = std::move(*watch);
  for (const char* name : {"sptfirst", "sptlate"}) {
    Shell("ip link add " + std::string(name) + " type bridge");
    EXPECT_TRUE(listener_.HearsOf(name));
  }
  watch_.reset();
  EXPECT_GE(worked, 2);
  EXPECT_LE(worked, 3 * listener_.updates());
}

TEST_F(LinkWatchTest, ListsEverythingAgainFromTimeToTime) {
  Start(std::chrono::milliseconds(20));
  EXPECT_TRUE(listener_.HearsOfUpdate(listener_.updates() + 5)) << "nothing happens meanwhile";
}

}  // namespace
}  // namespace sallyport::test
