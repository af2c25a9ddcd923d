// SPDX-License-Identifier: Apache-2.0
#include "support/temporary.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

std::string Prefix() { return fs::temp_directory_path() / "spt-"; }

// A descriptor that holds the lock of a directory that is still there; -1: somebody else's.
int Lock(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  struct stat held {};
  struct stat there {};
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &held) == 0 &&
      stat(path.c_str(), &there) == 0 && held.st_ino == there.st_ino)
    return fd;
  if (fd >= 0) close(fd);
  return -1;
}

void KillThoseOn(const std::string& path) {
  for (const fs::directory_entry& process : fs::directory_iterator("/proc")) {
    int pid = std::atoi(process.path().filename().c_str());
    if (pid <= 1 || pid == getpid()) continue;
    std::ifstream file(process.path() / "cmdline");
    std::string line(std::istreambuf_iterator<char>(file), {});
    if (line.find(path) != std::string::npos) kill(pid, SIGKILL);
  }
}

void Remove(const std::string& path, int lock) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
  close(lock);
}

void Sweep() {
  std::error_code error;
  for (const fs::directory_entry& entry :
       fs::directory_iterator(fs::temp_directory_path(), error)) {
    const std::string path = entry.path();
    if (!path.starts_with(Prefix()) || path.size() != Prefix().size() + 6) continue;
    int lock = Lock(path);
    if (lock < 0) continue;
    KillThoseOn(path);
    Remove(path, lock);
  }
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  [[maybe_unused]] static const bool swept = (Sweep(), true);
  // Another program's sweep may come before the lock.
  for (int attempt = 0; lock_ < 0 && attempt < 100; ++attempt) {
    path_ = Prefix() + "XXXXXX";
    if (!mkdtemp(path_.data())) break;
    lock_ = Lock(path_);
  }
  if (lock_ < 0) throw std::runtime_error("no directory could be made at " + path_);
}

TemporaryDirectory::~TemporaryDirectory() { Remove(path_, lock_); }

void TemporaryDirectory::Write(const std::string& name, const std::string& text) const {
  std::ofstream(*this / name, std::ios::trunc) << text;
}

void TemporaryDirectory::WriteAndRename(const std::string& name, const std::string& text) const {
  Write("." + name + ".new", text);
  fs::rename(*this / ("." + name + ".new"), *this / name);
}

}  // namespace sallyport::test
