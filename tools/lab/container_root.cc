// SPDX-License-Identifier: Apache-2.0
#include "lab/container_root.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <sstream>
#include <vector>

#include "base/unique_fd.h"
#include "lab/files.h"

namespace sallyport::lab {
namespace {

constexpr const char* kOldRoot = "/.machine";

Status DoMount(const std::string& source, const std::string& target, const char* type,
               unsigned long flags, const std::string& data = "") {
  if (mount(source.c_str(), target.c_str(), type, flags, data.empty() ? nullptr : data.c_str()) ==
      0)
    return Ok();
  return ErrnoError("mount " + target);
}

bool IsBelow(const std::string& path, const std::string& folder) {
  return path == folder || path.starts_with(folder + "/");
}

// Mount points of this machine that the container shares: those that it does not get anew. An
// overlay shows only the file system that is mounted at its lower root itself.
std::vector<std::string> SharedMounts() {
  std::vector<std::string> points;
  auto table = ReadFile("/proc/self/mounts");
  std::istringstream lines(table ? *table : "");
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string skipped;
    std::string point;
    fields >> skipped >> point;
    bool escaped = point.find('\\') != std::string::npos;
    bool own = point == "/" || IsBelow(point, "/proc") || IsBelow(point, "/sys") ||
               IsBelow(point, "/run") || IsBelow(point, "/tmp") || IsBelow(point, "/var/run");
    bool covered = std::any_of(points.begin(), points.end(),
                               [&](const std::string& other) { return IsBelow(point, other); });
    if (!escaped && !own && !covered) points.push_back(point);
  }
  return points;
}

Status MountOverlay(const std::string& base) {
  Status done = DoMount("tmpfs", base, "tmpfs", 0, "mode=0755");
  for (const char* folder : {"/upper", "/work", "/root"})
    if (done) done = MakeDirectories(base + folder, 0755);
  if (!done) return done;
  std::string layers = "lowerdir=/,upperdir=" + base + "/upper,workdir=" + base + "/work";
  if (mount("overlay", (base + "/root").c_str(), "overlay", 0, layers.c_str()) != 0)
    return ErrnoError("mount an overlay (a container with a command needs overlayfs)");
  return Ok();
}

Status MountOwn(const std::string& root) {
  for (const std::string& point : SharedMounts())
    if (Status done = DoMount(point, root + point, "", MS_BIND | MS_REC); !done) return done;
  Status done = DoMount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  if (done)
    done = DoMount("sysfs", root + "/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
  if (done) done = DoMount("tmpfs", root + "/run", "tmpfs", 0, "mode=0755");
  if (done) done = DoMount("tmpfs", root + "/tmp", "tmpfs", 0, "mode=1777");
  if (done && access((root + "/dev/shm").c_str(), F_OK) == 0)
    done = DoMount("tmpfs", root + "/dev/shm", "tmpfs", 0, "mode=1777");
  return done;
}

// The tool itself, for images that are made with it: by its path, since /proc/self/exe is of
// another mount namespace. Not there where its file was replaced meanwhile: who needs it says so.
Status MountTool(const std::string& root) {
  std::array<char, PATH_MAX> path;
  ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
  if (length < 0) return ErrnoError("read /proc/self/exe");
  std::string tool(path.data(), static_cast<size_t>(length));
  if (access(tool.c_str(), X_OK) != 0) return Ok();
  std::string target = root + kToolInContainer;
  UniqueFd file(open(target.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
  if (!file) return ErrnoError("create " + target);
  return DoMount(tool, target, "", MS_BIND);
}

// The machine's root goes to kOldRoot, until the volumes are mounted from it.
Status PivotTo(const std::string& root) {
  std::string old = root + kOldRoot;
  if (Status made = MakeDirectories(old, 0700); !made) return made;
  if (syscall(SYS_pivot_root, root.c_str(), old.c_str()) != 0) return ErrnoError("pivot_root");
  if (chdir("/") != 0) return ErrnoError("enter the new root");
  return Ok();
}

Status LeaveOldRoot() {
  if (umount2(kOldRoot, MNT_DETACH) != 0) return ErrnoError("unmount the old root");
  rmdir(kOldRoot);
  return Ok();
}

// Makes the place where a volume is mounted: a directory, or an empty file.
Status MakeTarget(const std::string& target, bool directory) {
  if (directory) return MakeDirectories(target, 0755);
  if (Status made = MakeDirectories(target.substr(0, target.rfind('/')), 0755); !made) return made;
  UniqueFd file(open(target.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  return file ? Ok() : Status(ErrnoError("create " + target));
}

// After PivotTo: links in the container's root lead nowhere else.
Status MountVolume(const Mount& wanted, const std::string& volumes) {
  std::string source = kOldRoot + volumes + "/" + wanted.volume;
  if (!wanted.sub_path.empty()) source += CleanPath(wanted.sub_path);
  struct stat info {};
  if (stat(source.c_str(), &info) != 0) {
    // A subPath that is not there is made, as the kubelet does.
    if (errno != ENOENT) return ErrnoError("volume " + wanted.volume);
    if (Status made = MakeDirectories(source, 0777); !made) return made;
    info.st_mode = S_IFDIR;
  }
  std::string target = CleanPath(wanted.path);
  if (Status made = MakeTarget(target, S_ISDIR(info.st_mode)); !made) return made;
  if (Status done = DoMount(source, target, "", MS_BIND); !done) return done;
  if (!wanted.read_only) return Ok();
  return DoMount("none", target, "", MS_BIND | MS_REMOUNT | MS_RDONLY);
}

// After PivotTo. What is there may be a link to somewhere, or a mount of the machine's own.
Status MountEtc(const std::string& folder) {
  std::string source = kOldRoot + folder;
  for (const std::string& name : ListDirectory(source)) {
    std::string target = "/etc/" + name;
    unlink(target.c_str());
    if (Status made = MakeTarget(target, false); !made) return made;
    if (Status done = DoMount(source + "/" + name, target, "", MS_BIND); !done) return done;
  }
  return Ok();
}

}  // namespace

std::string CleanPath(const std::string& path) {
  std::vector<std::string> parts;
  std::istringstream in(path);
  for (std::string part; std::getline(in, part, '/');) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  std::string out;
  for (const std::string& part : parts) out += "/" + part;
  return out.empty() ? "/" : out;
}

Status EnterOwnRoot(const ContainerRecipe& recipe, const ContainerPlace& place) {
  std::string root = place.root + "/root";
  Status done = DoMount("none", "/", "", MS_REC | MS_PRIVATE);
  if (done) done = MountOverlay(place.root);
  if (done) done = MountOwn(root);
  if (done) done = MountTool(root);
  if (done) done = PivotTo(root);
  if (done) done = MountEtc(place.etc);
  for (const Mount& wanted : recipe.mounts)
    if (done) done = MountVolume(wanted, place.volumes);
  return done ? LeaveOldRoot() : done;
}

}  // namespace sallyport::lab
