// SPDX-License-Identifier: Apache-2.0
#include "endpoint/cni_watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <compare>
#include <optional>

#include "base/backoff.h"
#include "base/log.h"
#include "endpoint/directory_bell.h"

namespace sallyport::endpoint {
namespace {

// Moves whenever the file's content may have.
struct Version {
  ino_t inode = 0;
  off_t size = 0;
  int64_t written = 0, changed = 0;
  friend bool operator==(const Version&, const Version&) = default;
};

int64_t Nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000LL + time.tv_nsec; }

Version VersionOf(const struct stat& info) {
  return {info.st_ino, info.st_size, Nanoseconds(info.st_mtim), Nanoseconds(info.st_ctim)};
}

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

Result<std::string> ReadAll(int fd) {
  std::string text;
  char buffer[16384];
  ssize_t got = 0;
  while ((got = read(fd, buffer, sizeof(buffer))) != 0) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError("reading");
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > kLargestCniResult) break;
  }
  return text;
}

// Remembers what was read, and says what changed.
class ResultFiles {
 public:
  ResultFiles(std::string directory, size_t most) : directory_(std::move(directory)), most_(most) {}

  CniUpdate List() {
    CniUpdate update;
    again_ = false;
    Directory directory(opendir(directory_.c_str()));
    if (directory) {
      update.listed = true;
      ListAll(directory.get(), update);
    } else {
      again_ = errno != ENOENT && errno != ENOTDIR;  // those end with a ring of the bell
      update.error = ErrnoError(directory_).message;
    }
    update.unreadable = unreadable_;
    return update;
  }
  // Something failed that may succeed although no file changes.
  bool again() const { return again_; }

 private:
  struct Known {
    Version version;
    bool claimed = false;
  };
  using Files = std::map<std::string, Known>;

  void ListAll(DIR* directory, CniUpdate& update) {
    unreadable_.erase(left_out_);
    left_out_.clear();
    Files seen;
    size_t added = 0;
    errno = 0;
    for (; const dirent* entry = readdir(directory); errno = 0) {
      std::string file = entry->d_name;
      if (file.starts_with('.')) continue;
      bool is_new = !known_.contains(file);
      if (is_new && known_.size() + added >= most_) {
        left_out_ = left_out_.empty() ? file : std::min(left_out_, file);
        continue;
      }
      added += Take(dirfd(directory), file, seen, update) && is_new ? 1 : 0;
    }
    if (errno != 0) KeepTheRest(seen);
    Forget(seen, update);
    if (left_out_.empty()) return;
    unreadable_[left_out_] =
        "left out, perhaps with others: there are more than " + std::to_string(most_) + " files";
  }

  // The listing ended early: what it did not reach is not gone.
  void KeepTheRest(Files& seen) {
    again_ = true;
    seen.insert(known_.begin(), known_.end());
  }

  void Forget(Files& seen, CniUpdate& update) {
    for (const auto& [file, known] : known_) {
      if (seen.contains(file)) continue;
      if (known.claimed) update.gone.push_back(file);
      unreadable_.erase(file);
      again_ |= !left_out_.empty();  // there is room for one that was left out
    }
    known_ = std::move(seen);
  }

  // False: it is no file, or has gone.
  bool Take(int directory, const std::string& file, Files& seen, CniUpdate& update) {
    struct stat info;
    auto before = known_.find(file);
    Known known = before == known_.end() ? Known{} : before->second;
    if (fstatat(directory, file.c_str(), &info, 0) != 0) {
      if (errno == ENOENT) return false;
      Fail(file, ErrnoError("looking"), known);
    } else if (!S_ISREG(info.st_mode)) {
      return false;
    } else if (known.version != VersionOf(info)) {
      Read(directory, file, known, update);
    }
    seen.emplace(file, known);
    return true;
  }

  // It keeps the claim that it had, and is read again.
  void Fail(const std::string& file, const Error& error, Known& known) {
    unreadable_[file] = error.message;
    known.version = {};
    again_ = true;
  }

  void Read(int directory, const std::string& file, Known& known, CniUpdate& update) {
    UniqueFd fd(openat(directory, file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat info;
    if (!fd || fstat(fd.get(), &info) != 0) {
      if (errno != ENOENT) Fail(file, ErrnoError("opening"), known);
      return;  // gone meanwhile: the bell rings again
    }
    // Of before reading: what is written from now on is another version.
    known.version = VersionOf(info);
    auto text = ReadAll(fd.get());
    if (!text) return Fail(file, text.error(), known);
    auto claim = ParseCniResult(*text);
    if (!claim) {
      unreadable_[file] = claim.error().message;
      return;
    }
    unreadable_.erase(file);
    if (*claim) {
      (*claim)->file = file;
      (*claim)->age_order = known.version.written;
      update.set.push_back(std::move(**claim));
    } else if (known.claimed) {
      update.gone.push_back(file);
    }
    known.claimed = claim->has_value();
  }

  std::string directory_;
  const size_t most_;
  Files known_;
  std::map<std::string, std::string> unreadable_;
  std::string left_out_;  // the first of those that there is no room for
  bool again_ = false;
};

bool Wait(int fd, int stop, int timeout_ms) {
  pollfd fds[2] = {{stop, POLLIN, 0}, {fd, POLLIN, 0}};
  while (poll(fds, 2, timeout_ms) < 0 && errno == EINTR) {
  }
  return fds[0].revents == 0;
}

int Milliseconds(Duration time) {
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(time).count());
}

void Follow(DirectoryBell bell, ResultFiles files, int stop, const CniWatch::Sink& sink) {
  std::string logged;
  Backoff backoff(std::chrono::seconds(1), std::chrono::seconds(30));
  std::optional<std::string> last_error;
  std::map<std::string, std::string> last_unreadable;
  do {
    Status armed = bell.Arm();
    if (!armed && armed.error().message != logged) {
      logged = armed.error().message;
      LogError(logged + "; looking again from time to time");
    }
    CniUpdate update = files.List();
    bool news = !update.set.empty() || !update.gone.empty() || last_error != update.error ||
                update.unreadable != last_unreadable;
    last_error = update.error;
    last_unreadable = update.unreadable;
    if (news) sink(update);
    bool again = !armed || files.again();
    if (!again) backoff.Reset();
    if (!Wait(armed ? bell.fd() : -1, stop, again ? Milliseconds(backoff.Next()) : -1)) return;
  } while (true);
}

}  // namespace

Result<std::unique_ptr<CniWatch>> CniWatch::Start(const std::string& directory, Sink sink,
                                                  size_t most_files) {
  UniqueFd stop(eventfd(0, EFD_CLOEXEC));
  if (!stop) return ErrnoError("eventfd");
  auto bell = DirectoryBell::Open(directory);
  if (!bell) return std::move(bell).error();
  std::unique_ptr<CniWatch> watch(new CniWatch(std::move(sink), std::move(stop)));
  watch->thread_ = std::jthread([watch = watch.get(), bell = std::move(*bell),
                                 files = ResultFiles(directory, most_files)]() mutable {
    Follow(std::move(bell), std::move(files), watch->stop_.get(), watch->sink_);
  });
  return watch;
}

CniWatch::CniWatch(Sink sink, UniqueFd stop) : sink_(std::move(sink)), stop_(std::move(stop)) {}

CniWatch::~CniWatch() { (void)eventfd_write(stop_.get(), 1); }

}  // namespace sallyport::endpoint
