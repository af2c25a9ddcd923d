// SPDX-License-Identifier: Apache-2.0
#include "endpoint/cni_watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include <cerrno>
#include <compare>
#include <optional>

#include "base/log.h"
#include "endpoint/directory_bell.h"

namespace sallyport::endpoint {
namespace {

constexpr size_t kMostFiles = 65536;
constexpr int kRetryMs = 1000;

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
  explicit ResultFiles(std::string directory) : directory_(std::move(directory)) {}

  CniUpdate List() {
    CniUpdate update;
    Directory directory(opendir(directory_.c_str()));
    if (!directory) {
      update.error = ErrnoError(directory_).message;
      update.unreadable = unreadable_;
      return update;
    }
    std::map<std::string, Known> seen;
    while (const dirent* entry = readdir(directory.get())) {
      if (entry->d_name[0] == '.') continue;
      if (seen.size() == kMostFiles) {
        unreadable_[entry->d_name] = "left out: there are more than 65,536 files";
        break;
      }
      Take(dirfd(directory.get()), entry->d_name, seen, update);
    }
    for (const auto& [file, known] : known_) {
      if (known.claimed && !seen.contains(file)) update.gone.push_back(file);
      if (!seen.contains(file)) unreadable_.erase(file);
    }
    known_ = std::move(seen);
    update.unreadable = unreadable_;
    update.listed = true;
    return update;
  }

 private:
  struct Known {
    Version version;
    bool claimed = false;
  };

  void Take(int directory, const std::string& file, std::map<std::string, Known>& seen,
            CniUpdate& update) {
    struct stat info;
    if (fstatat(directory, file.c_str(), &info, 0) != 0 || !S_ISREG(info.st_mode)) return;
    auto before = known_.find(file);
    Known known = before == known_.end() ? Known{} : before->second;
    if (before == known_.end() || known.version != VersionOf(info)) {
      Read(directory, file, known, update);
    }
    seen.emplace(file, known);
  }

  void Read(int directory, const std::string& file, Known& known, CniUpdate& update) {
    UniqueFd fd(openat(directory, file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat info;
    if (!fd || fstat(fd.get(), &info) != 0) return;  // gone meanwhile: the bell rings again
    // Of before reading: what is written from now on is another version.
    known.version = VersionOf(info);
    auto text = ReadAll(fd.get());
    if (!text) {
      unreadable_[file] = text.error().message;
      return;
    }
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
  std::map<std::string, Known> known_;
  std::map<std::string, std::string> unreadable_;
};

bool Wait(int fd, int stop, int timeout_ms) {
  pollfd fds[2] = {{stop, POLLIN, 0}, {fd, POLLIN, 0}};
  while (poll(fds, 2, timeout_ms) < 0 && errno == EINTR) {
  }
  return fds[0].revents == 0;
}

void Follow(DirectoryBell bell, ResultFiles files, int stop, const CniWatch::Sink& sink) {
  std::string logged;
  std::optional<std::string> last_error;
  std::map<std::string, std::string> last_unreadable;
  do {
    Status armed = bell.Arm();
    if (!armed && armed.error().message != logged) {
      logged = armed.error().message;
      LogError(logged + "; looking again every second");
    }
    CniUpdate update = files.List();
    bool news = !update.set.empty() || !update.gone.empty() || last_error != update.error ||
                update.unreadable != last_unreadable;
    last_error = update.error;
    last_unreadable = update.unreadable;
    if (news) sink(update);
    if (!Wait(armed ? bell.fd() : -1, stop, armed ? -1 : kRetryMs)) return;
  } while (true);
}

}  // namespace

Result<std::unique_ptr<CniWatch>> CniWatch::Start(const std::string& directory, Sink sink) {
  UniqueFd stop(eventfd(0, EFD_CLOEXEC));
  if (!stop) return ErrnoError("eventfd");
  auto bell = DirectoryBell::Open(directory);
  if (!bell) return std::move(bell).error();
  std::unique_ptr<CniWatch> watch(new CniWatch(std::move(sink), std::move(stop)));
  watch->thread_ = std::jthread(
      [watch = watch.get(), bell = std::move(*bell), files = ResultFiles(directory)]() mutable {
        Follow(std::move(bell), std::move(files), watch->stop_.get(), watch->sink_);
      });
  return watch;
}

CniWatch::CniWatch(Sink sink, UniqueFd stop) : sink_(std::move(sink)), stop_(std::move(stop)) {}

CniWatch::~CniWatch() { (void)eventfd_write(stop_.get(), 1); }

}  // namespace sallyport::endpoint
