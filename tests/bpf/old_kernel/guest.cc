// SPDX-License-Identifier: Apache-2.0
// The first program of the guest: loads the modules below /modules, runs what /programs says, tells
// the second serial port how each of them ended, and turns the machine off.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

void Mount(const char* type, const char* where) {
  std::filesystem::create_directories(where);
  if (::mount(type, where, type, 0, nullptr) != 0)
    std::fprintf(stderr, "guest: cannot mount %s: %s\n", where, std::strerror(errno));
}

// Their names are in an order that each finds there what it needs.
void LoadModules() {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator("/modules"))
    paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (::syscall(SYS_finit_module, file, "", 0) != 0 && errno != EEXIST)
      std::fprintf(stderr, "guest: cannot load %s: %s\n", path.c_str(), std::strerror(errno));
    ::close(file);
  }
}

// The exit code, or 128 and the signal.
int Run(const std::string& program, const std::string& filter) {
  std::string argument = "--gtest_filter=" + filter;
  pid_t child = ::fork();
  if (child == 0) {
    ::execl(program.c_str(), program.c_str(), argument.c_str(), "--gtest_color=no", nullptr);
    std::fprintf(stderr, "guest: cannot run %s: %s\n", program.c_str(), std::strerror(errno));
    ::_exit(127);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return 127;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

int main() {
  Mount("proc", "/proc");
  Mount("sysfs", "/sys");
  Mount("devtmpfs", "/dev");
  std::filesystem::create_directories("/tmp");  // not mounted over: programs may be below it
  Mount("tmpfs", "/run");
  Mount("bpf", "/sys/fs/bpf");
  ::setenv("PATH", "/bin", 1);
  LoadModules();
  utsname kernel{};
  ::uname(&kernel);
  std::printf("guest: Linux %s\n", kernel.release);
  std::ofstream results("/dev/ttyS1");
  std::ifstream programs("/programs");
  for (std::string program, filter; programs >> program >> filter;) {
    std::printf("guest: %s %s\n", program.c_str(), filter.c_str());
    std::fflush(stdout);
    int code = Run(program, filter);
    results << program << " " << code << std::endl;
  }
  std::fflush(stdout);
  ::reboot(RB_POWER_OFF);
}
