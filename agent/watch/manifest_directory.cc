// SPDX-License-Identifier: Apache-2.0
#include "watch/manifest_directory.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <set>

#include "watch/inotify.h"
#include "watch/manifest_files.h"

namespace sallyport::watch {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kAnchorEvents = IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM |
                                   IN_DELETE_SELF | IN_MOVE_SELF | IN_MASK_ADD;
constexpr uint32_t kDirectoryEvents = kAnchorEvents | IN_CLOSE_WRITE | IN_ATTRIB;
constexpr uint32_t kTargetEvents =
    IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_MASK_ADD;
constexpr uint32_t kWatchIsOver = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED;

// What the events that came together ask for.
struct Work {
  bool attach = false;
  bool scan = false;
  enum class Look { kRead, kIsBeingWritten };
  std::map<std::string, Look> files;  // by name
};

Error NotThere(const std::string& path, bool was_there) {
  return {path + (was_there ? ": is not there any more; what was read stays in force until it is"
                            : ": is not there yet; waiting for it"),
          ENOENT};
}

}  // namespace

class ManifestDirectory::Watcher {
 public:
  Watcher(std::string directory, Sink sink, Options options, Inotify inotify, UniqueFd stop)
      : directory_(std::move(directory)),
        sink_(std::move(sink)),
        options_(options),
        inotify_(std::move(inotify)),
        stop_(std::move(stop)) {}

  Status Run();
  void Stop() {
    uint64_t one = 1;
    // Cannot fail but by being signalled already.
    [[maybe_unused]] ssize_t n = ::write(stop_.get(), &one, sizeof one);
  }

 private:
  Status Attach();
  void WatchAnchor();
  void AttachAndScan();
  Result<ManifestSet::Files> ReadFiles();
  void Scan();
  FileContent Read(const std::string& name);
  void WatchTarget(const std::string& name, bool is_link);

  Work Sort(const std::vector<InotifyEvent>& events);
  void SortDirectoryEvent(const InotifyEvent& event, Work& work);
  void Do(const Work& work);
  void ApplyFiles(const std::map<std::string, Work::Look>& files);

  void Emit(Update update);
  void ReportProblem(const Error& error);
  model::Diagnostic Problem() const {
    return {model::Severity::kError, {directory_, 0}, "", "", problem_};
  }
  std::string PathOf(const std::string& name) const { return directory_ + "/" + name; }
  std::optional<MonotonicTime> NextDeadline() const;
  void DoWhatIsDue();

  const std::string directory_;
  const Sink sink_;
  const Options options_;
  Inotify inotify_;
  UniqueFd stop_;
  ManifestSet set_;

  int directory_watch_ = -1;
  int anchor_watch_ = -1;                         // of the nearest directory above that exists
  std::string anchor_name_;                       // the way down from there
  std::map<int, std::set<std::string>> targets_;  // watches of what links point to
  std::set<std::string> failed_;                  // names of files that could not be read

  bool emitted_ = false;
  bool was_complete_ = false;
  size_t standing_ = 0;  // diagnostics of the last update
  bool was_there_ = false;
  std::string problem_;  // with the directory itself, reported already
  std::optional<MonotonicTime> retry_at_;
  std::optional<MonotonicTime> unsettled_since_;
  MonotonicTime last_change_;
};

Status ManifestDirectory::Watcher::Run() {
  AttachAndScan();
  while (true) {
    int timeout = -1;
    if (auto deadline = NextDeadline()) {
      auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - SystemClock().Now());
      timeout = static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60'000));
    }
    std::array<pollfd, 2> fds = {{{inotify_.fd(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), timeout) < 0 && errno != EINTR) return ErrnoError("poll");
    if (fds[1].revents != 0) return Ok();
    auto events = inotify_.Read();
    if (!events) return std::move(events).error();
    if (!events->empty()) Do(Sort(*events));
    DoWhatIsDue();
  }
}

std::optional<MonotonicTime> ManifestDirectory::Watcher::NextDeadline() const {
  std::optional<MonotonicTime> next = retry_at_;
  if (unsettled_since_) {
    MonotonicTime settled =
        std::min(last_change_ + options_.settle, *unsettled_since_ + options_.settle_at_most);
    next = next ? std::min(*next, settled) : settled;
  }
  return next;
}

void ManifestDirectory::Watcher::DoWhatIsDue() {
  MonotonicTime now = SystemClock().Now();
  if (retry_at_ && now >= *retry_at_) AttachAndScan();
  if (auto deadline = NextDeadline(); deadline && now >= *deadline && unsettled_since_) {
    unsettled_since_.reset();
    Emit(set_.Settle());
  }
}

// Watches first, then looks: what changes in between is an event.
void ManifestDirectory::Watcher::AttachAndScan() {
  retry_at_.reset();
  Status attached = Attach();
  if (attached) {
    was_there_ = true;
    Scan();
    return;
  }
  ReportProblem(attached.error());
  // A directory that is made shows up at the anchor. Other causes have no event, nor has what a
  // dangling link waits for.
  std::error_code error;
  bool waits =
      attached.error().code == ENOENT && anchor_watch_ >= 0 && !fs::is_symlink(directory_, error);
  if (!waits) retry_at_ = SystemClock().Now() + options_.retry;
}

Status ManifestDirectory::Watcher::Attach() {
  for (int watch : {directory_watch_, anchor_watch_}) {
    if (watch >= 0) inotify_.Remove(watch);
  }
  directory_watch_ = anchor_watch_ = -1;
  WatchAnchor();
  auto watch = inotify_.Add(directory_, kDirectoryEvents | IN_ONLYDIR);
  if (!watch) {
    int code = watch.error().code;
    return code == ENOENT ? NotThere(directory_, was_there_) : std::move(watch).error();
  }
  directory_watch_ = *watch;
  return Ok();
}

// The parent is watched in any case: the directory may be replaced, or be a link that is swapped.
// Where it cannot be watched, changes within the directory are still noticed.
void ManifestDirectory::Watcher::WatchAnchor() {
  constexpr int kMostTries = 100;
  const fs::path path(directory_);
  if (path == path.root_path()) return;
  for (int i = 0; i < kMostTries; ++i) {
    fs::path child = path;
    std::error_code error;
    while (child.parent_path() != path.root_path() && !fs::exists(child.parent_path(), error)) {
      child = child.parent_path();
    }
    auto watch = inotify_.Add(child.parent_path().string(), kAnchorEvents | IN_ONLYDIR);
    if (!watch && watch.error().code != ENOENT) return;
    if (!watch) continue;
    anchor_watch_ = *watch;
    anchor_name_ = child.filename().string();
    if (child == path || !fs::exists(child, error)) return;
    // Made while we were looking: the anchor is one step further down.
    inotify_.Remove(std::exchange(anchor_watch_, -1));
  }
}

void ManifestDirectory::Watcher::Scan() {
  auto files = ReadFiles();
  if (!files) {
    ReportProblem(files.error());
    retry_at_ = SystemClock().Now() + options_.retry;
    return;
  }
  problem_.clear();
  Emit(set_.ApplyAll(std::move(*files)));
}

Result<ManifestSet::Files> ManifestDirectory::Watcher::ReadFiles() {
  ManifestSet::Files files;
  std::error_code error;
  fs::directory_iterator it(directory_, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    std::string name = it->path().filename().string();
    if (!IsManifestName(name)) continue;
    FileContent content = Read(name);
    if (content.state != FileContent::State::kGone) files.emplace(PathOf(name), std::move(content));
  }
  if (error) return ErrnoError("list " + directory_, error.value());
  return files;
}

FileContent ManifestDirectory::Watcher::Read(const std::string& name) {
  const std::string path = PathOf(name);
  failed_.erase(name);
  auto failed = [&](std::string why) {
    failed_.insert(name);
    return FileContent{FileContent::State::kFailed, std::move(why)};
  };
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? FileContent{FileContent::State::kGone, ""}
                           : failed(ErrnoError("stat").message);
  }
  bool is_link = S_ISLNK(info.st_mode);
  WatchTarget(name, is_link);
  if (is_link && ::stat(path.c_str(), &info) != 0) {
    return failed(ErrnoError("follow the link").message);
  }
  if (!S_ISREG(info.st_mode)) return {FileContent::State::kGone, ""};
  auto text = ReadTextFile(path);
  if (text) return {FileContent::State::kText, std::move(*text)};
  if (text.error().code == ENOENT && !is_link) return {FileContent::State::kGone, ""};
  return failed(text.error().message);
}

// A link's target is watched by its inode: it may be anywhere. Where that fails, changes of the
// link itself are still noticed.
void ManifestDirectory::Watcher::WatchTarget(const std::string& name, bool is_link) {
  std::optional<int> now;
  if (is_link) {
    auto watch = inotify_.Add(PathOf(name), kTargetEvents);
    if (watch && *watch != directory_watch_ && *watch != anchor_watch_) now = *watch;
  }
  for (auto it = targets_.begin(); it != targets_.end();) {
    bool unused = it->first != now && it->second.erase(name) > 0 && it->second.empty();
    if (unused) inotify_.Remove(it->first);
    it = unused ? targets_.erase(it) : std::next(it);
  }
  if (now) targets_[*now].insert(name);
}

Work ManifestDirectory::Watcher::Sort(const std::vector<InotifyEvent>& events) {
  Work work;
  for (const InotifyEvent& event : events) {
    if (event.mask & IN_Q_OVERFLOW) work.attach = true;
    if (event.watch == anchor_watch_) {
      work.attach |= event.name == anchor_name_ || (event.mask & kWatchIsOver) != 0;
    }
    if (event.watch == directory_watch_) SortDirectoryEvent(event, work);
    if (auto target = targets_.find(event.watch); target != targets_.end()) {
      for (const std::string& name : target->second) work.files[name] = Work::Look::kRead;
      if (event.mask & IN_IGNORED) targets_.erase(target);
    }
  }
  return work;
}

void ManifestDirectory::Watcher::SortDirectoryEvent(const InotifyEvent& event, Work& work) {
  constexpr uint32_t kComesOrGoes = IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM;
  if (event.name.empty()) {
    work.attach |= (event.mask & kWatchIsOver) != 0;
    return;
  }
  if (!IsManifestName(event.name)) {
    // What links lead through: "..data" and what it points to.
    bool hidden = event.name.substr(0, 2) == "..";
    work.scan |= (event.mask & kComesOrGoes) != 0 && (hidden || (event.mask & IN_ISDIR) != 0);
    return;
  }
  if (event.mask & IN_CREATE) {
    // A link is complete at once, a file when its writer closes it.
    struct stat info {};
    bool exists = ::lstat(PathOf(event.name).c_str(), &info) == 0;
    bool complete = !exists || !S_ISREG(info.st_mode) || info.st_nlink > 1;
    work.files[event.name] = complete ? Work::Look::kRead : Work::Look::kIsBeingWritten;
    return;
  }
  // Other permissions make a difference to what could not be read.
  bool only_permissions = (event.mask & IN_ATTRIB) != 0;
  if (!only_permissions || failed_.count(event.name) > 0) {
    work.files[event.name] = Work::Look::kRead;
  }
}

void ManifestDirectory::Watcher::Do(const Work& work) {
  if (work.attach) {
    AttachAndScan();
  } else if (work.scan) {
    Scan();
  } else if (!work.files.empty()) {
    ApplyFiles(work.files);
  }
}

void ManifestDirectory::Watcher::ApplyFiles(const std::map<std::string, Work::Look>& files) {
  ManifestSet::Files changes;
  for (const auto& [name, look] : files) {
    FileContent content =
        look == Work::Look::kRead ? Read(name) : FileContent{FileContent::State::kPending, ""};
    changes.emplace(PathOf(name), std::move(content));
  }
  Emit(set_.Apply(changes));
}

void ManifestDirectory::Watcher::Emit(Update update) {
  update.standing = set_.Standing();
  if (!problem_.empty()) update.standing.push_back(Problem());
  if (set_.unsettled()) {
    last_change_ = SystemClock().Now();
    if (!unsettled_since_) unsettled_since_ = last_change_;
  }
  // A new problem is news by itself; one that went away shows in the number.
  bool same = update.complete == was_complete_ && update.standing.size() == standing_;
  if (emitted_ && update.empty() && same) return;
  emitted_ = true;
  standing_ = update.standing.size();
  was_complete_ = update.complete;
  sink_(std::move(update));
}

void ManifestDirectory::Watcher::ReportProblem(const Error& error) {
  if (error.message == problem_) return;
  problem_ = error.message;
  Update update;
  update.complete = set_.complete();
  update.diagnostics.push_back(Problem());
  Emit(std::move(update));
}

Result<std::unique_ptr<ManifestDirectory>> ManifestDirectory::Create(std::string directory,
                                                                     Sink sink, Options options) {
  std::error_code error;
  fs::path path = fs::absolute(directory, error).lexically_normal();
  if (error) return ErrnoError(directory, error.value());
  if (path.filename().empty() && path != path.root_path()) path = path.parent_path();
  auto inotify = Inotify::Create();
  if (!inotify) return std::move(inotify).error();
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop) return ErrnoError("eventfd");
  auto watcher = std::make_unique<Watcher>(path.string(), std::move(sink), options,
                                           std::move(*inotify), std::move(stop));
  return std::unique_ptr<ManifestDirectory>(new ManifestDirectory(std::move(watcher)));
}

Result<std::unique_ptr<ManifestDirectory>> ManifestDirectory::Create(std::string directory,
                                                                     Sink sink) {
  return Create(std::move(directory), std::move(sink), Options());
}

ManifestDirectory::ManifestDirectory(std::unique_ptr<Watcher> watcher)
    : watcher_(std::move(watcher)) {}
ManifestDirectory::~ManifestDirectory() = default;

Status ManifestDirectory::Run() { return watcher_->Run(); }
void ManifestDirectory::Stop() { watcher_->Stop(); }

}  // namespace sallyport::watch
