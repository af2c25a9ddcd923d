// SPDX-License-Identifier: Apache-2.0
// An inotify descriptor as events.
#pragma once

#include <sys/inotify.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sallyport::watch {

struct InotifyEvent {
  int watch = -1;
  uint32_t mask = 0;
  std::string name;  // of the file in a watched directory; else empty
};

class Inotify {
 public:
  static Result<Inotify> Create();

  int fd() const { return fd_.get(); }
  // The watch's number: the same as before if the same inode is watched already.
  Result<int> Add(const std::string& path, uint32_t mask);
  void Remove(int watch);
  // All that wait, in order; none if nothing happened.
  Result<std::vector<InotifyEvent>> Read();

 private:
  explicit Inotify(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace sallyport::watch
