// SPDX-License-Identifier: Apache-2.0
// A real directory of CNI results, as runtimes and crashes leave it.
#include "endpoint/cni_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "support/temporary.h"

namespace sallyport::endpoint {
namespace {

namespace fs = std::filesystem;

std::string Result(const std::string& pod) {
  return R"({"kind":"cniCacheV1","containerId":"c","ifName":"eth0","cniArgs":[
    ["K8S_POD_NAMESPACE","shop"],["K8S_POD_NAME",")" +
         pod + R"("]],"result":{"interfaces":[{"name":"veth1"}]}})";
}

// Sums up what the watch says.
class Listener {
 public:
  CniWatch::Sink Sink() {
    return [this](const CniUpdate& update) {
      std::lock_guard lock(mutex_);
      for (const Claim& claim : update.set) pods_[claim.file] = claim.pod.name;
      for (const std::string& file : update.gone) pods_.erase(file);
      listed_ = update.listed;
      error_ = update.error;
      unreadable_ = update.unreadable;
      changed_.notify_all();
    };
  }
  // "file=pod ...; file: unreadable"; waits until it is so.
  testing::AssertionResult Becomes(const std::string& expected) {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, std::chrono::seconds(60), [&] { return Text() == expected; })) {
      return testing::AssertionSuccess();
    }
    return testing::AssertionFailure() << "it is: " << Text() << " " << error_;
  }
  bool listed() {
    std::lock_guard lock(mutex_);
    return listed_;
  }

 private:
  std::string Text() const {
    std::string out = listed_ ? "" : "missing ";
    for (const auto& [file, pod] : pods_) out += file + "=" + pod + " ";
    for (const auto& [file, why] : unreadable_) out += file + "? ";
    if (!out.empty()) out.pop_back();
    return out;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::string> pods_;
  std::map<std::string, std::string> unreadable_;
  bool listed_ = false;
  std::string error_ = "nothing told yet";
};

class CniWatchTest : public testing::Test {
 protected:
  void Start(const std::string& directory, size_t most_files = 100) {
    auto watch = CniWatch::Start(directory, listener_.Sink(), most_files);
    ASSERT_TRUE(watch) << watch.error().message;
    watch_ = std::move(*watch);
  }

  test::TemporaryDirectory directory_;
  Listener listener_;
  std::unique_ptr<CniWatch> watch_;
};

TEST_F(CniWatchTest, FilesThatAreThereComeAndGo) {
  directory_.Write("net-1-eth0", Result("a"));
  Start(directory_.path());
  EXPECT_TRUE(listener_.Becomes("net-1-eth0=a"));
  directory_.Write("net-2-eth0", Result("b"));
  EXPECT_TRUE(listener_.Becomes("net-1-eth0=a net-2-eth0=b"));
  directory_.WriteAndRename("net-3-eth0", Result("c"));
  EXPECT_TRUE(listener_.Becomes("net-1-eth0=a net-2-eth0=b net-3-eth0=c"));
  fs::remove(directory_ / "net-1-eth0");
  EXPECT_TRUE(listener_.Becomes("net-2-eth0=b net-3-eth0=c"));
}

TEST_F(CniWatchTest, DirectoryThatIsMadeLater) {
  Start(directory_ / "lib/cni/results");
  EXPECT_TRUE(listener_.Becomes("missing"));
  fs::create_directories(directory_ / "lib/cni/results");
  EXPECT_TRUE(listener_.Becomes(""));
  directory_.Write("lib/cni/results/net-1-eth0", Result("a"));
  EXPECT_TRUE(listener_.Becomes("net-1-eth0=a"));
}

TEST_F(CniWatchTest, DirectoryThatGoesKeepsItsClaimsUntilItIsBack) {
  fs::create_directories(directory_ / "results");
  directory_.Write("results/net-1-eth0", Result("a"));
  Start(directory_ / "results");
  EXPECT_TRUE(listener_.Becomes("net-1-eth0=a"));
  fs::rename(directory_ / "results", directory_ / "away");
  EXPECT_TRUE(listener_.Becomes("missing net-1-eth0=a"));
  fs::create_directories(directory_ / "results");
  EXPECT_TRUE(listener_.Becomes(""));
  directory_.Write("results/net-2-eth0", Result("b"));
  EXPECT_TRUE(listener_.Becomes("net-2-eth0=b"));
}

TEST_F(CniWatchTest, HalfWrittenFilesAreReadWhenTheyAreWhole) {
  Start(directory_.path());
  directory_.Write("net-1-eth0", "");
  EXPECT_TRUE(listener_.Becomes("net-1-eth0?"));
  directory_.Write("net-1-eth0", Result("a").substr(0, 40));
  EXPECT_TRUE(listener_.Becomes("net-1-eth0?"));
  directory_.Write("net-1-eth0", Result("a"));
  EXPECT_TRUE(listener_.Becomes("net-1-eth0=a"));
}

TEST_F(CniWatchTest, FileThatBecomesGarbageKeepsItsClaim) {
  directory_.Write("net-1-eth0", Result("a"));
  Start(directory_.path());
  EXPECT_TRUE(listener_.Becomes("net-1-eth0=a"));
  directory_.Write("net-1-eth0", "garbage");
  EXPECT_TRUE(listener_.Becomes("net-1-eth0=a net-1-eth0?"));
  fs::remove(directory_ / "net-1-eth0");
  EXPECT_TRUE(listener_.Becomes(""));
}

TEST_F(CniWatchTest, OfTooManyFilesThoseThatAreKnownStay) {
  directory_.Write("net-7-eth0", Result("a"));
  directory_.Write("net-8-eth0", Result("b"));
  Start(directory_.path(), 2);
  EXPECT_TRUE(listener_.Becomes("net-7-eth0=a net-8-eth0=b"));
  for (char n : {'1', '2', '3', '4', '5', '6'}) {
    directory_.Write(std::string("net-") + n + "-eth0", Result("c"));
  }
  EXPECT_TRUE(listener_.Becomes("net-7-eth0=a net-8-eth0=b net-1-eth0?"));
  for (char n : {'2', '3', '4', '5', '6', '8'}) {
    fs::remove(directory_ / (std::string("net-") + n + "-eth0"));
  }
  EXPECT_TRUE(listener_.Becomes("net-1-eth0=c net-7-eth0=a"));
}

TEST_F(CniWatchTest, FileThatCannotBeOpenedForAMomentIsReadLater) {
  fs::create_directories(directory_ / "away");
  directory_.Write("away/net-1-eth0", Result("a"));
  Start(directory_ / "results");
  EXPECT_TRUE(listener_.Becomes("missing"));
  fs::create_directories(directory_ / "results");
  EXPECT_TRUE(listener_.Becomes(""));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  int next = dup(0);
  close(next);
  rlimit only_the_directory{static_cast<rlim_t>(next + 1), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &only_the_directory), 0);
  fs::rename(directory_ / "away/net-1-eth0", directory_ / "results/net-1-eth0");
  EXPECT_TRUE(listener_.Becomes("net-1-eth0?"));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(listener_.Becomes("net-1-eth0=a"));
}

TEST_F(CniWatchTest, WhatIsNoFileOrNotAboutAPodIsLeftOut) {
  fs::create_directories(directory_ / "directory");
  ASSERT_EQ(mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  fs::create_symlink("/nonexistent", directory_ / "dangling");
  directory_.Write(".hidden", "garbage");
  directory_.Write("podman", R"({"kind":"cniCacheV1","ifName":"eth0","result":{}})");
  directory_.Write("net-1-eth0", Result("a"));
  Start(directory_.path());
  EXPECT_TRUE(listener_.Becomes("net-1-eth0=a"));
}

}  // namespace
}  // namespace sallyport::endpoint
