// SPDX-License-Identifier: Apache-2.0
// The real inotify, in a directory of the test's own. Every wait is for an update that must come.
#include "watch/manifest_directory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "base/queue.h"
#include "support/temporary.h"
#include "unit/watch/world.h"

namespace sallyport::watch {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

class Watched {
 public:
  explicit Watched(const std::string& directory) {
    auto created = ManifestDirectory::Create(
        directory, [this](Update update) { queue_.Push(std::move(update)); },
        {std::chrono::milliseconds(20), std::chrono::milliseconds(200),
         std::chrono::milliseconds(20)});
    EXPECT_TRUE(created);
    directory_ = std::move(*created);
    thread_ = std::thread([this] { EXPECT_TRUE(directory_->Run()); });
  }
  ~Watched() {
    directory_->Stop();
    thread_.join();
  }

  // Takes updates until what is in force is `text`.
  testing::AssertionResult Becomes(const std::string& text) {
    return Until([&] { return world_.Text() == text; }, text);
  }
  testing::AssertionResult Reports(const std::string& part) {
    return Until([&] { return (reports_ += world_.TakeReports()).find(part) != std::string::npos; },
                 part);
  }
  testing::AssertionResult Completes() {
    return Until([&] { return world_.complete(); }, "complete");
  }
  // Every state that was in force since the last call, "a | b".
  std::string TakeHistory() { return std::exchange(history_, {}); }
  const World& world() const { return world_; }

 private:
  testing::AssertionResult Until(const std::function<bool()>& condition, const std::string& what) {
    const auto give_up = std::chrono::steady_clock::now() + seconds(30);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > give_up) {
        return testing::AssertionFailure() << "waited for \"" << what << "\", have \""
                                           << world_.Text() << "\"; reports: " << reports_;
      }
      for (const Update& update : queue_.PopAll(seconds(1))) {
        world_.Take(update);
        history_ += (history_.empty() ? "" : " | ") + world_.Text();
      }
    }
    return testing::AssertionSuccess();
  }

  Queue<Update> queue_;
  std::unique_ptr<ManifestDirectory> directory_;
  std::thread thread_;
  World world_;
  std::string reports_;
  std::string history_;
};

TEST(ManifestDirectory, FilesComeChangeAndGo) {
  test::TemporaryDirectory dir;
  dir.Write("a.yaml", NamespaceText("a", "1"));
  Watched w(dir.path());
  EXPECT_TRUE(w.Becomes("a=v1"));
  EXPECT_TRUE(w.Completes());
  dir.Write("b.yml", NamespaceText("b", "1"));
  EXPECT_TRUE(w.Becomes("a=v1 b=v1"));
  dir.Write("a.yaml", NamespaceText("a", "2"));
  EXPECT_TRUE(w.Becomes("a=v2 b=v1"));
  fs::remove(dir / "a.yaml");
  EXPECT_TRUE(w.Becomes("b=v1"));
}

TEST(ManifestDirectory, EmptyDirectoryIsAnAnswer) {
  test::TemporaryDirectory dir;
  Watched w(dir.path());
  EXPECT_TRUE(w.Completes());
}

TEST(ManifestDirectory, OtherFilesAreLeftAlone) {
  test::TemporaryDirectory dir;
  Watched w(dir.path());
  for (const char* name : {".a.yaml.swp", "a.yaml~", ".b.yaml", "c.txt", "#d.yaml#"}) {
    dir.Write(name, NamespaceText("no", "1"));
  }
  fs::create_directory(dir / "e.yaml");
  ASSERT_EQ(::mkfifo((dir / "f.yaml").c_str(), 0600), 0);
  dir.Write("z.yaml", NamespaceText("z", "1"));
  EXPECT_TRUE(w.Becomes("z=v1"));
}

TEST(ManifestDirectory, WriteAndRename) {
  test::TemporaryDirectory dir;
  dir.Write("a.yaml", NamespaceText("a", "1"));
  Watched w(dir.path());
  EXPECT_TRUE(w.Becomes("a=v1"));
  w.TakeHistory();
  dir.Write(".a.yaml.tmp", NamespaceText("a", "2"));
  fs::rename(dir / ".a.yaml.tmp", dir / "a.yaml");
  EXPECT_TRUE(w.Becomes("a=v2"));
  // The old one kept as a backup, then a new one written.
  fs::rename(dir / "a.yaml", dir / "a.yaml~");
  dir.Write("a.yaml", NamespaceText("a", "3"));
  EXPECT_TRUE(w.Becomes("a=v3"));
  fs::rename(dir / "a.yaml", dir / "b.yaml");
  dir.Write("c.yaml", NamespaceText("c", "1"));
  EXPECT_TRUE(w.Becomes("a=v3 c=v1"));
  EXPECT_EQ(w.TakeHistory().find("v1 |"), std::string::npos);
}

TEST(ManifestDirectory, FileIsReadWhenItsWriterCloses) {
  test::TemporaryDirectory dir;
  dir.Write("a.yaml", NamespaceText("a", "1"));
  Watched w(dir.path());
  EXPECT_TRUE(w.Becomes("a=v1"));
  w.TakeHistory();
  int fd = ::open((dir / "a.yaml").c_str(), O_WRONLY | O_TRUNC);
  ASSERT_GE(fd, 0);
  std::string text = NamespaceText("a", "2") + NamespaceText("b", "2");
  ASSERT_EQ(::write(fd, text.data(), 20), 20);
  // Something else happens meanwhile.
  dir.Write("c.yaml", NamespaceText("c", "1"));
  EXPECT_TRUE(w.Becomes("a=v1 c=v1"));
  ASSERT_EQ(::write(fd, text.data() + 20, text.size() - 20),
            static_cast<ssize_t>(text.size() - 20));
  ::close(fd);
  EXPECT_TRUE(w.Becomes("a=v2 b=v2 c=v1"));
}

TEST(ManifestDirectory, GarbageIsReportedAndRemovesNothing) {
  test::TemporaryDirectory dir;
  dir.Write("a.yaml", NamespaceText("a", "1"));
  Watched w(dir.path());
  EXPECT_TRUE(w.Becomes("a=v1"));
  dir.Write("a.yaml", "kind: [\n");
  EXPECT_TRUE(w.Reports(dir / "a.yaml:1: error: not valid YAML"));
  EXPECT_EQ(w.world().Text(), "a=v1");
  ASSERT_FALSE(w.world().standing().empty());
  dir.Write("a.yaml", NamespaceText("a", "2"));
  EXPECT_TRUE(w.Becomes("a=v2"));
  EXPECT_TRUE(w.world().standing().empty());
}

TEST(ManifestDirectory, ConfigMapMount) {
  test::TemporaryDirectory dir;
  auto version = [&](const std::string& name, const std::string& v) {
    fs::create_directory(dir / name);
    dir.Write(name + "/a.yaml", NamespaceText("a", v));
    fs::create_symlink(name, dir / "..data_tmp");
    fs::rename(dir / "..data_tmp", dir / "..data");
  };
  version("..one", "1");
  fs::create_symlink("..data/a.yaml", dir / "a.yaml");
  Watched w(dir.path());
  EXPECT_TRUE(w.Becomes("a=v1"));
  version("..two", "2");
  EXPECT_TRUE(w.Becomes("a=v2"));
  fs::remove_all(dir / "..one");
  version("..three", "3");
  EXPECT_TRUE(w.Becomes("a=v3"));
}

TEST(ManifestDirectory, LinksAreFollowedAndTheirTargetsWatched) {
  test::TemporaryDirectory dir;
  test::TemporaryDirectory other;
  other.Write("one", NamespaceText("a", "1"));
  other.Write("two", NamespaceText("a", "2"));
  fs::create_symlink(other / "one", dir / "a.yaml");
  Watched w(dir.path());
  EXPECT_TRUE(w.Becomes("a=v1"));
  other.Write("one", NamespaceText("a", "11"));
  EXPECT_TRUE(w.Becomes("a=v11"));
  fs::create_symlink(other / "two", dir / "tmp");
  fs::rename(dir / "tmp", dir / "a.yaml");
  EXPECT_TRUE(w.Becomes("a=v2"));
  other.Write("two", NamespaceText("a", "22"));
  EXPECT_TRUE(w.Becomes("a=v22"));
  // A link to nothing is a mistake, no deletion.
  fs::remove(other / "two");
  EXPECT_TRUE(w.Reports("follow the link: No such file or directory"));
  EXPECT_EQ(w.world().Text(), "a=v22");
  fs::remove(dir / "a.yaml");
  EXPECT_TRUE(w.Becomes(""));
}

TEST(ManifestDirectory, HardLinksAreReadAtOnce) {
  test::TemporaryDirectory dir;
  test::TemporaryDirectory other;
  other.Write("one", NamespaceText("a", "1"));
  Watched w(dir.path());
  EXPECT_TRUE(w.Completes());
  fs::create_hard_link(other / "one", dir / "a.yaml");
  EXPECT_TRUE(w.Becomes("a=v1"));
}

TEST(ManifestDirectory, NeedNotExistYet) {
  test::TemporaryDirectory dir;
  Watched w(dir / "x/y/manifests/");
  EXPECT_TRUE(w.Reports("is not there yet; waiting for it"));
  EXPECT_FALSE(w.world().complete());
  fs::create_directory(dir / "x");
  fs::create_directories(dir / "x/y/manifests");
  dir.Write("x/y/manifests/a.yaml", NamespaceText("a", "1"));
  EXPECT_TRUE(w.Becomes("a=v1"));
  EXPECT_TRUE(w.Completes());
  dir.Write("x/y/manifests/b.yaml", NamespaceText("b", "1"));
  EXPECT_TRUE(w.Becomes("a=v1 b=v1"));
}

TEST(ManifestDirectory, MayBeReplaced) {
  test::TemporaryDirectory dir;
  fs::create_directory(dir / "m");
  dir.Write("m/a.yaml", NamespaceText("a", "1"));
  Watched w(dir / "m");
  EXPECT_TRUE(w.Becomes("a=v1"));
  // While it is away, what it had stays.
  fs::rename(dir / "m", dir / "old");
  EXPECT_TRUE(w.Reports("is not there any more"));
  EXPECT_EQ(w.world().Text(), "a=v1");
  fs::create_directory(dir / "new");
  dir.Write("new/b.yaml", NamespaceText("b", "1"));
  fs::rename(dir / "new", dir / "m");
  EXPECT_TRUE(w.Becomes("b=v1"));
  dir.Write("m/c.yaml", NamespaceText("c", "1"));
  EXPECT_TRUE(w.Becomes("b=v1 c=v1"));
}

TEST(ManifestDirectory, MayBeALinkThatIsSwapped) {
  test::TemporaryDirectory dir;
  for (const char* v : {"1", "2"}) {
    fs::create_directory(dir / v);
    dir.Write(std::string(v) + "/a.yaml", NamespaceText("a", v));
  }
  fs::create_directory_symlink("1", dir / "m");
  Watched w(dir / "m");
  EXPECT_TRUE(w.Becomes("a=v1"));
  w.TakeHistory();
  fs::create_directory_symlink("2", dir / "tmp");
  fs::rename(dir / "tmp", dir / "m");
  EXPECT_TRUE(w.Becomes("a=v2"));
  dir.Write("2/a.yaml", NamespaceText("a", "22"));
  EXPECT_TRUE(w.Becomes("a=v22"));
  EXPECT_EQ(w.TakeHistory(), "a=v2 | a=v22");
}

TEST(ManifestDirectory, ManyChangesAtOnce) {
  test::TemporaryDirectory dir;
  Watched w(dir.path());
  std::string want;
  for (int i = 100; i < 400; ++i) {
    std::string name = "n" + std::to_string(i);
    dir.Write(name + ".yaml", NamespaceText(name, "0"));
    dir.Write(name + ".yaml", NamespaceText(name, "1"));
    if (i % 3 == 0) {
      fs::remove(dir / name + ".yaml");
    } else {
      want += (want.empty() ? "" : " ") + name + "=v1";
    }
  }
  EXPECT_TRUE(w.Becomes(want));
}

TEST(ManifestDirectory, StopsBeforeAndAfterRun) {
  test::TemporaryDirectory dir;
  auto directory = ManifestDirectory::Create(dir.path(), [](Update) {});
  ASSERT_TRUE(directory);
  (*directory)->Stop();
  EXPECT_TRUE((*directory)->Run());
}

}  // namespace
}  // namespace sallyport::watch
