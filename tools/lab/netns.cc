// SPDX-License-Identifier: Apache-2.0
#include "lab/netns.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <thread>

#include "lab/files.h"

namespace sallyport::lab {
namespace {

constexpr const char* kFolder = "/run/netns";

// As iproute2 does it: the folder is a shared mount of its own, so that namespaces that are mounted
// there are seen, and can be taken away, from every mount namespace.
Status PrepareFolder() {
  if (Status made = MakeDirectories(kFolder, 0755); !made) return made;
  if (mount("", kFolder, "none", MS_SHARED | MS_REC, nullptr) == 0) return Ok();
  if (errno != EINVAL) return ErrnoError(std::string("share the mount ") + kFolder);
  if (mount(kFolder, kFolder, "none", MS_BIND | MS_REC, nullptr) != 0)
    return ErrnoError(std::string("bind mount ") + kFolder);
  if (mount("", kFolder, "none", MS_SHARED | MS_REC, nullptr) != 0)
    return ErrnoError(std::string("share the mount ") + kFolder);
  return Ok();
}

Status MakeAndMount(const std::string& path) {
  if (unshare(CLONE_NEWNET) != 0) return ErrnoError("make a network namespace");
  if (mount("/proc/thread-self/ns/net", path.c_str(), "none", MS_BIND, nullptr) != 0)
    return ErrnoError("mount " + path);
  return Ok();
}

Status OnThread(const std::function<Status()>& work) {
  Status status;
  std::thread([&] { status = work(); }).join();
  return status;
}

}  // namespace

std::string NetnsPath(const std::string& name) { return std::string(kFolder) + "/" + name; }

Status CreateNetns(const std::string& name) {
  if (Status ready = PrepareFolder(); !ready) return ready;
  std::string path = NetnsPath(name);
  UniqueFd file(open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
  if (!file) return ErrnoError("create " + path);
  Status made = OnThread([&] { return MakeAndMount(path); });
  if (!made) unlink(path.c_str());
  return made;
}

Status RemoveNetns(const std::string& name) {
  std::string path = NetnsPath(name);
  while (umount2(path.c_str(), MNT_DETACH) == 0) {
  }
  if (errno != EINVAL && errno != ENOENT) return ErrnoError("unmount " + path);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoError("remove " + path);
  return Ok();
}

std::vector<std::string> ListNetns() { return ListDirectory(kFolder); }

Result<UniqueFd> OpenNetns(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError("open network namespace " + path);
  return fd;
}

Status EnterNetns(const std::string& path) {
  auto fd = OpenNetns(path);
  if (!fd) return std::move(fd).error();
  if (setns(fd->get(), CLONE_NEWNET) != 0) return ErrnoError("enter network namespace " + path);
  return Ok();
}

Status InNetns(const std::string& path, const std::function<Status()>& work) {
  return OnThread([&] {
    if (Status entered = EnterNetns(path); !entered) return entered;
    return work();
  });
}

Status SetSysctls(const std::string& path, const Sysctls& sysctls) {
  return InNetns(path, [&] {
    for (const auto& [key, value] : sysctls)
      if (Status written = WriteExisting("/proc/sys/" + key, value); !written) return written;
    return Ok();
  });
}

}  // namespace sallyport::lab
