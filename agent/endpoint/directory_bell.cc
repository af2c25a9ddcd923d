// SPDX-License-Identifier: Apache-2.0
#include "endpoint/directory_bell.h"

#include <limits.h>
#include <sys/inotify.h>

#include <cerrno>
#include <filesystem>

namespace sallyport::endpoint {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kItself = IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK;
constexpr uint32_t kFiles =
    IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | kItself;
constexpr uint32_t kChildren = IN_CREATE | IN_MOVED_TO | IN_ATTRIB | kItself;

}  // namespace

Result<DirectoryBell> DirectoryBell::Open(const std::string& directory) {
  UniqueFd inotify(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify) return ErrnoError("inotify (fs.inotify.max_user_instances may be too low)");
  std::error_code error;
  fs::path absolute = fs::absolute(directory, error);
  if (error) return ErrnoError(directory, error.value());
  return DirectoryBell(absolute.lexically_normal().string(), std::move(inotify));
}

Status DirectoryBell::Arm() {
  alignas(inotify_event) char buffer[16 * (sizeof(inotify_event) + NAME_MAX + 1)];
  while (read(inotify_.get(), buffer, sizeof(buffer)) > 0) {
  }
  return Watch();
}

// Watching a path again changes nothing where it is the same directory still. Where a nearer one
// appears between two looks, the later look finds it.
Status DirectoryBell::Watch() {
  fs::path path = directory_;
  int watch = inotify_add_watch(inotify_.get(), path.c_str(), kFiles);
  while (watch < 0 && (errno == ENOENT || errno == ENOTDIR) && path.has_relative_path()) {
    fs::path child = path;
    path = path.parent_path();
    watch = inotify_add_watch(inotify_.get(), path.c_str(), kChildren);
    if (watch < 0) continue;
    std::error_code error;
    if (!fs::is_directory(child, error)) break;
    path = directory_;
    watch = inotify_add_watch(inotify_.get(), path.c_str(), kFiles);
  }
  if (watch < 0) return ErrnoError("watching " + path.string());
  if (watch_ >= 0 && watch != watch_) (void)inotify_rm_watch(inotify_.get(), watch_);
  watch_ = watch;
  return Ok();
}

}  // namespace sallyport::endpoint
