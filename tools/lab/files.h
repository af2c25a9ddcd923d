// SPDX-License-Identifier: Apache-2.0
// Files and directories, with errors that name them.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sallyport::lab {

Status MakeDirectories(const std::string& path, mode_t mode);
// Names in a directory but . and .., sorted; none where it cannot be read.
std::vector<std::string> ListDirectory(const std::string& path);

Result<std::string> ReadFile(const std::string& path);
// Truncates and writes in place, as a program does that is not afraid of half-written files.
Status WriteFile(const std::string& path, std::string_view text, mode_t mode);
// Written beside it and renamed: readers see the old text or the new. `scratch` is a directory on
// the same file system that readers do not look at.
Status ReplaceFile(const std::string& path, std::string_view text, const std::string& scratch);
// For files that must be there already, as those of /proc/sys.
Status WriteExisting(const std::string& path, std::string_view text);

// Unmounts whatever is mounted at or below `path`, the last mounted first.
Status UnmountBelow(const std::string& path);
// Removes a directory with all that is in it, after UnmountBelow. Not there: Ok.
Status RemoveTree(const std::string& path);

// An exclusive lock on a file that is made for it; held until destroyed. `Remove` takes the file
// away with the lock.
class FileLock {
 public:
  // Waits where another process holds it; `on_wait` is called once before.
  template <typename OnWait>
  static Result<FileLock> Take(const std::string& path, OnWait on_wait) {
    for (bool told = false;;) {
      auto lock = TryTake(path, told);
      if (!lock || lock->fd_) return lock;
      if (!told) on_wait();
      told = true;
    }
  }
  void Remove();

 private:
  // Without a file descriptor when it was not to be had at once, or was taken away meanwhile.
  static Result<FileLock> TryTake(const std::string& path, bool wait);
  std::string path_;
  UniqueFd fd_;
};

}  // namespace sallyport::lab
