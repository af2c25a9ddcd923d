// SPDX-License-Identifier: Apache-2.0
#include "watch/inotify.h"

#include <array>
#include <cerrno>
#include <cstring>

namespace sallyport::watch {
namespace {

void Append(const char* at, const char* end, std::vector<InotifyEvent>& out) {
  while (static_cast<size_t>(end - at) >= sizeof(inotify_event)) {
    inotify_event header;
    std::memcpy(&header, at, sizeof header);
    const char* name = at + sizeof header;
    // The name is padded with zeros.
    out.push_back({header.wd, header.mask, std::string(name, strnlen(name, header.len))});
    at = name + header.len;
  }
}

}  // namespace

Result<Inotify> Inotify::Create() {
  UniqueFd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fd) {
    return ErrnoError("inotify_init1 (see /proc/sys/fs/inotify/max_user_instances)");
  }
  return Inotify(std::move(fd));
}

Result<int> Inotify::Add(const std::string& path, uint32_t mask) {
  int watch = ::inotify_add_watch(fd_.get(), path.c_str(), mask);
  if (watch < 0 && errno == ENOSPC) {
    return Error{"watch " + path + ": no inotify watch left, raise " +
                     "/proc/sys/fs/inotify/max_user_watches",
                 ENOSPC};
  }
  if (watch < 0) return ErrnoError("watch " + path);
  return watch;
}

void Inotify::Remove(int watch) { ::inotify_rm_watch(fd_.get(), watch); }

Result<std::vector<InotifyEvent>> Inotify::Read() {
  std::vector<InotifyEvent> out;
  std::array<char, 1 << 16> buffer;
  while (true) {
    ssize_t n = ::read(fd_.get(), buffer.data(), buffer.size());
    if (n > 0) {
      Append(buffer.data(), buffer.data() + n, out);
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n == 0 || errno == EAGAIN) {
      return out;
    } else {
      return ErrnoError("read inotify");
    }
  }
}

}  // namespace sallyport::watch
