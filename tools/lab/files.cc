// SPDX-License-Identifier: Apache-2.0
#include "lab/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <sstream>
#include <utility>

namespace sallyport::lab {
namespace {

Status WriteAll(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoError("write " + path);
    text.remove_prefix(static_cast<size_t>(written));
  }
  return Ok();
}

Status OpenAndWrite(const std::string& path, std::string_view text, int flags, mode_t mode) {
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC | flags, mode));
  if (!fd) return ErrnoError("open " + path);
  return WriteAll(fd.get(), text, path);
}

// Octal escapes of /proc/self/mountinfo: "\040" is a space.
std::string Unescaped(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out.push_back(static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8)));
      i += 3;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

}  // namespace

Status MakeDirectories(const std::string& path, mode_t mode) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    std::string part = path.substr(0, slash);
    if (mkdir(part.c_str(), mode) != 0 && errno != EEXIST)
      return ErrnoError("make directory " + part);
    if (slash == std::string::npos) return Ok();
  }
}

std::vector<std::string> ListDirectory(const std::string& path) {
  std::vector<std::string> names;
  std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
  if (!folder) return names;
  while (const dirent* entry = readdir(folder.get())) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::string> ReadFile(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError("open " + path);
  std::string text;
  std::array<char, 65536> chunk;
  for (;;) {
    ssize_t count = read(fd.get(), chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoError("read " + path);
    if (count == 0) return text;
    text.append(chunk.data(), static_cast<size_t>(count));
  }
}

Status WriteFile(const std::string& path, std::string_view text, mode_t mode) {
  return OpenAndWrite(path, text, O_CREAT | O_TRUNC, mode);
}

Status WriteExisting(const std::string& path, std::string_view text) {
  return OpenAndWrite(path, text, 0, 0);
}

Status ReplaceFile(const std::string& path, std::string_view text, const std::string& scratch) {
  std::string temporary = scratch + "/new.XXXXXX";
  UniqueFd fd(mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return ErrnoError("create a file in " + scratch);
  Status written = WriteAll(fd.get(), text, temporary);
  if (written && rename(temporary.c_str(), path.c_str()) != 0)
    written = ErrnoError("rename to " + path);
  if (!written) unlink(temporary.c_str());
  return written;
}

Status UnmountBelow(const std::string& path) {
  auto table = ReadFile("/proc/self/mountinfo");
  if (!table) return std::move(table).error();
  std::vector<std::string> points;
  std::istringstream lines(*table);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string skipped;
    std::string point;
    fields >> skipped >> skipped >> skipped >> skipped >> point;
    point = Unescaped(point);
    if (point == path || point.starts_with(path + "/")) points.push_back(std::move(point));
  }
  for (auto point = points.rbegin(); point != points.rend(); ++point)
    if (umount2(point->c_str(), MNT_DETACH) != 0 && errno != EINVAL && errno != ENOENT)
      return ErrnoError("unmount " + *point);
  return Ok();
}

Status RemoveTree(const std::string& path) {
  if (Status unmounted = UnmountBelow(path); !unmounted) return unmounted;
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return ErrnoError("remove " + path, error.value());
  return Ok();
}

Result<FileLock> FileLock::TryTake(const std::string& path, bool wait) {
  FileLock lock;
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return ErrnoError("open lock " + path);
  while (flock(fd.get(), LOCK_EX | (wait ? 0 : LOCK_NB)) != 0) {
    if (errno == EWOULDBLOCK) return lock;
    if (errno != EINTR) return ErrnoError("lock " + path);
  }
  // Whoever held it may have taken the file away: then this lock is worth nothing.
  struct stat held {};
  struct stat named {};
  if (fstat(fd.get(), &held) == 0 && stat(path.c_str(), &named) == 0 &&
      held.st_ino == named.st_ino) {
    lock.path_ = path;
    lock.fd_ = std::move(fd);
  }
  return lock;
}

void FileLock::Remove() {
  unlink(path_.c_str());
  fd_.reset();
}

}  // namespace sallyport::lab
