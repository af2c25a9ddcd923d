// SPDX-License-Identifier: Apache-2.0
#include "cli/netns.h"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>

namespace sallyport::probe {

Status NetnsVisitor::Enter(const std::string& path) {
  if (!home_) {
    home_.reset(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!home_) return ErrnoError("open /proc/thread-self/ns/net");
    current_ = "";
  }
  if (current_ == path) return Ok();
  UniqueFd there;
  if (!path.empty()) {
    there.reset(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!there) return ErrnoError("open network namespace " + path);
  }
  if (setns(path.empty() ? home_.get() : there.get(), CLONE_NEWNET) != 0) {
    std::string hint = errno == EPERM ? " (this needs root)" : "";
    return ErrnoError("enter network namespace " + path + hint);
  }
  current_ = path;
  return Ok();
}

}  // namespace sallyport::probe
