// SPDX-License-Identifier: Apache-2.0
#include "lab/container.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <utility>

#include "base/unique_fd.h"
#include "lab/container_root.h"
#include "lab/files.h"
#include "lab/netns.h"
#include "lab/process.h"

namespace sallyport::lab {
namespace {

constexpr int kOwnNamespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;

// Docker's default set: what a container of a cluster has, too.
constexpr std::array kCapabilities = {
    CAP_AUDIT_WRITE, CAP_CHOWN,     CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID,  CAP_KILL,
    CAP_MKNOD,       CAP_NET_RAW,   CAP_SETFCAP,      CAP_SETGID, CAP_SETPCAP, CAP_NET_BIND_SERVICE,
    CAP_SETUID,      CAP_SYS_CHROOT};

Status LimitCapabilities() {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    bool kept =
        std::find(kCapabilities.begin(), kCapabilities.end(), capability) != kCapabilities.end();
    if (!kept && prctl(PR_CAPBSET_DROP, capability) != 0) return ErrnoError("drop capabilities");
  }
  return Ok();
}

Status BecomeUser(const ContainerRecipe& recipe) {
  if (!recipe.uid && !recipe.gid) return Ok();
  gid_t gid = recipe.gid.value_or(0);
  if (setgroups(0, nullptr) != 0 || setresgid(gid, gid, gid) != 0) return ErrnoError("set group");
  uid_t uid = recipe.uid.value_or(0);
  if (setresuid(uid, uid, uid) != 0) return ErrnoError("set user");
  return Ok();
}

Status OpenOutput(const std::string& log) {
  UniqueFd in(open("/dev/null", O_RDONLY | O_CLOEXEC));
  UniqueFd out(open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!in || !out) return ErrnoError("open " + log);
  if (dup2(in.get(), 0) < 0 || dup2(out.get(), 1) < 0 || dup2(out.get(), 2) < 0)
    return ErrnoError("dup2");
  return Ok();
}

std::vector<std::string> FinalEnvironment(const ContainerRecipe& recipe,
                                          const ContainerPlace& place) {
  std::vector<std::string> env;
  auto set = [&](const std::string& name, const std::string& value) {
    std::erase_if(env, [&](const std::string& old) { return old.starts_with(name + "="); });
    env.push_back(name + "=" + value);
  };
  set("PATH", kStandardPath);
  set("HOME", "/root");
  set("HOSTNAME", place.hostname);
  for (const auto& [name, value] : recipe.env) set(name, value);
  for (const std::string& setting : place.env) {
    size_t equals = setting.find('=');
    set(setting.substr(0, equals), setting.substr(equals + 1));
  }
  return env;
}

Error WhyNoProgram(const std::string& name, const std::string& path) {
  if (name.find('/') == std::string::npos)
    return Error{name + ": no such program (looked in " + path + ")", ENOENT};
  if (access(name.c_str(), F_OK) != 0) return Error{name + ": no such file", ENOENT};
  return Error{name + ": not an executable file", EACCES};
}

Status EnterPlace(const ContainerRecipe& recipe, const ContainerPlace& place) {
  Status done = EnterNetns(place.netns_path);
  if (done && !recipe.stand_in) {
    if (sethostname(place.hostname.data(), place.hostname.size()) != 0)
      return ErrnoError("set host name");
    done = EnterOwnRoot(recipe, place);
  }
  std::string dir = recipe.working_dir.empty() ? "/" : recipe.working_dir;
  if (done && !recipe.stand_in) done = MakeDirectories(dir, 0755);
  if (done && chdir(dir.c_str()) != 0) done = ErrnoError("working directory " + dir);
  if (done) done = LimitCapabilities();
  if (done) done = BecomeUser(recipe);
  return done;
}

// In the new process, up to exec. Only returns where something failed.
Status RunContainer(const ContainerRecipe& recipe, const ContainerPlace& place) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setsid();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  Status done = OpenOutput(place.log);
  if (done) done = EnterPlace(recipe, place);
  if (!done) return done;
  return ExecuteHere(recipe.argv, FinalEnvironment(recipe, place));
}

// Like fork, into namespaces of its own. Safe in a process with one thread.
pid_t ForkInto(int namespaces) {
  return static_cast<pid_t>(
      syscall(SYS_clone, namespaces | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

// A child in new namespaces of these kinds that does the work. Returns when the child has executed
// a program, or closed what it is given; fails with what the work failed with.
Result<pid_t> StartChild(int namespaces, const std::function<Status(UniqueFd& report)>& work) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoError("make a pipe");
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  pid_t pid = ForkInto(namespaces);
  if (pid < 0) return ErrnoError("fork");
  if (pid == 0) {
    read_end.reset();
    Status failed = work(write_end);
    const std::string& why = failed.error().message;
    [[maybe_unused]] ssize_t ignored = write(write_end.get(), why.data(), why.size());
    _exit(127);
  }
  write_end.reset();
  std::array<char, 1024> report;
  ssize_t got = read(read_end.get(), report.data(), report.size());
  if (got <= 0) return pid;
  waitpid(pid, nullptr, 0);
  return Error{std::string(report.data(), static_cast<size_t>(got)), 0};
}

int WaitForChild(pid_t pid) {
  signal(SIGINT, SIG_IGN);
  signal(SIGQUIT, SIG_IGN);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// In the new namespaces, as their first process. Only returns where something failed.
Status RunBelow(const ContainerRecipe& recipe, const ContainerPlace& place, UniqueFd& report) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (Status entered = EnterPlace(recipe, place); !entered) return entered;
  auto pid = StartChild(
      0, [&](UniqueFd&) { return ExecuteHere(recipe.argv, FinalEnvironment(recipe, place)); });
  if (!pid) return std::move(pid).error();
  report.reset();
  _exit(WaitForChild(*pid));
}

}  // namespace

Status ExecuteHere(const std::vector<std::string>& argv, const std::vector<std::string>& env) {
  std::string path = kStandardPath;
  std::vector<char*> settings;
  for (const std::string& setting : env) {
    if (setting.starts_with("PATH=")) path = setting.substr(5);
    settings.push_back(const_cast<char*>(setting.c_str()));
  }
  settings.push_back(nullptr);
  std::string program = FindProgram(argv.front(), path);
  if (program.empty()) return WhyNoProgram(argv.front(), path);
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  execve(program.c_str(), words.data(), settings.data());
  return ErrnoError("execute " + program);
}

Result<pid_t> StartContainer(const ContainerRecipe& recipe, const ContainerPlace& place) {
  return StartChild(recipe.stand_in ? 0 : kOwnNamespaces,
                    [&](UniqueFd&) { return RunContainer(recipe, place); });
}

Result<int> RunAsContainer(const ContainerRecipe& recipe, const ContainerPlace& place) {
  auto pid =
      StartChild(kOwnNamespaces, [&](UniqueFd& report) { return RunBelow(recipe, place, report); });
  if (!pid) return std::move(pid).error();
  return WaitForChild(*pid);
}

Result<int> RunHere(const std::vector<std::string>& argv, const std::vector<std::string>& env) {
  auto pid = StartChild(0, [&](UniqueFd&) { return ExecuteHere(argv, env); });
  if (!pid) return std::move(pid).error();
  return WaitForChild(*pid);
}

Status EnterContainer(pid_t pid) {
  std::string folder = "/proc/" + std::to_string(pid) + "/ns/";
  std::vector<std::pair<UniqueFd, int>> namespaces;
  for (auto [name, type] : {std::pair("net", CLONE_NEWNET), std::pair("ipc", CLONE_NEWIPC),
                            std::pair("uts", CLONE_NEWUTS), std::pair("pid", CLONE_NEWPID),
                            std::pair("mnt", CLONE_NEWNS)}) {
    namespaces.emplace_back(open((folder + name).c_str(), O_RDONLY | O_CLOEXEC), type);
    if (!namespaces.back().first) return ErrnoError("open " + folder + name);
  }
  for (const auto& [fd, type] : namespaces)
    if (setns(fd.get(), type) != 0) return ErrnoError("enter the namespaces of the container");
  return LimitCapabilities();
}

}  // namespace sallyport::lab
