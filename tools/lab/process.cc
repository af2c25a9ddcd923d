// SPDX-License-Identifier: Apache-2.0
#include "lab/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>
#include <tuple>
#include <utility>

#include "base/unique_fd.h"
#include "lab/files.h"

namespace sallyport::lab {
namespace {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoError("make a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// What the child gets as 0, 1, 2 and 3.
struct ChildFiles {
  int in = -1;
  int out = -1;
  int err = -1;
  int extra = -1;
};

// Runs in the child, between fork and exec: system calls only. Never returns.
[[noreturn]] void BecomeCommand(char* const* argv, char* const* env, const ChildFiles& files,
                                int netns, int failure, bool own_session) {
  auto fail = [&](const char* what) {
    int code = errno;
    char text[160];
    size_t length = std::min(strlen(what), sizeof text - sizeof code);
    memcpy(text, &code, sizeof code);
    memcpy(text + sizeof code, what, length);
    [[maybe_unused]] ssize_t ignored = write(failure, text, sizeof code + length);
    _exit(127);
  };
  if (own_session) setsid();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  if (netns >= 0 && setns(netns, CLONE_NEWNET) != 0) fail("enter the network namespace");
  if (dup2(files.in, 0) < 0 || dup2(files.out, 1) < 0 || dup2(files.err, 2) < 0)
    fail("set up files");
  if (files.extra >= 0 && dup2(files.extra, 3) < 0) fail("set up files");
  if (files.extra == 3) fcntl(3, F_SETFD, 0);
  execve(argv[0], argv, env);
  fail("execute");
  _exit(127);
}

Result<pid_t> Fork(const Command& command, const ChildFiles& files, bool own_session) {
  auto failure = MakePipe();
  if (!failure) return std::move(failure).error();
  UniqueFd netns;
  if (!command.netns.empty()) {
    netns.reset(open(command.netns.c_str(), O_RDONLY | O_CLOEXEC));
    if (!netns) return ErrnoError("open network namespace " + command.netns);
  }
  std::vector<char*> argv = Pointers(command.argv);
  std::vector<char*> env = Pointers(command.env);
  pid_t pid = fork();
  if (pid < 0) return ErrnoError("fork");
  if (pid == 0)
    BecomeCommand(argv.data(), env.data(), files, netns.get(), failure->write.get(), own_session);
  failure->write.reset();
  std::array<char, 200> report;
  ssize_t got = read(failure->read.get(), report.data(), report.size());
  if (got < static_cast<ssize_t>(sizeof(int))) return pid;
  waitpid(pid, nullptr, 0);
  int code = 0;
  memcpy(&code, report.data(), sizeof code);
  std::string what(report.data() + sizeof code, static_cast<size_t>(got) - sizeof code);
  return ErrnoError(what + " " + command.argv.front(), code);
}

int WaitFor(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Feeds `input` and collects both outputs until they end.
void Converse(Pipe& in, Pipe& out, Pipe& err, std::string_view input, Finished* finished) {
  while (out.read || err.read) {
    std::array<pollfd, 3> waits = {
        {{out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}, {in.write.get(), POLLOUT, 0}}};
    if (poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return;
    std::array<char, 16384> chunk;
    for (auto [side, text, wait] : {std::tuple(&out, &finished->output, waits[0]),
                                    std::tuple(&err, &finished->errors, waits[1])}) {
      if (!wait.revents) continue;
      ssize_t count = read(side->read.get(), chunk.data(), chunk.size());
      if (count > 0) text->append(chunk.data(), static_cast<size_t>(count));
      if (count == 0 || (count < 0 && errno != EINTR)) side->read.reset();
    }
    if (!waits[2].revents) continue;
    ssize_t count = write(in.write.get(), input.data(), input.size());
    if (count > 0) input.remove_prefix(static_cast<size_t>(count));
    if (input.empty() || (count < 0 && errno != EINTR)) in.write.reset();
  }
}

std::string EnvironmentOf(pid_t pid) {
  auto text = ReadFile("/proc/" + std::to_string(pid) + "/environ");
  return text ? *std::move(text) : "";
}

// What is closed by the execution is closed before the kernel shows the environment, by which the
// process is known.
void AwaitEnvironment(pid_t pid) {
  while (IsAlive(pid) && EnvironmentOf(pid).empty())
    std::this_thread::sleep_for(std::chrono::microseconds(200));
}

UniqueFd OpenPidfd(pid_t pid) {
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

std::optional<std::pair<dev_t, ino_t>> FileId(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return std::nullopt;
  return std::pair(info.st_dev, info.st_ino);
}

// Field of /proc/<pid>/stat behind the command's name: 0 is the state, 1 the parent.
std::string StatField(pid_t pid, int field) {
  auto text = ReadFile("/proc/" + std::to_string(pid) + "/stat");
  if (!text) return "";
  size_t at = text->rfind(") ");
  if (at == std::string::npos) return "";
  at += 2;
  for (; field > 0; --field) at = text->find(' ', at) + 1;
  return text->substr(at, text->find(' ', at) - at);
}

std::set<pid_t> SelfAndAncestors() {
  std::set<pid_t> out;
  for (pid_t pid = getpid(); pid > 0;) {
    out.insert(pid);
    std::string parent = StatField(pid, 1);
    pid = parent.empty() ? 0 : static_cast<pid_t>(std::atoi(parent.c_str()));
  }
  return out;
}

}  // namespace

Result<Finished> RunCommand(const Command& command) {
  auto in = MakePipe();
  if (!in) return std::move(in).error();
  auto out = MakePipe();
  if (!out) return std::move(out).error();
  auto err = MakePipe();
  if (!err) return std::move(err).error();
  auto pid = Fork(command, {in->read.get(), out->write.get(), err->write.get(), -1}, false);
  if (!pid) return std::move(pid).error();
  in->read.reset();
  out->write.reset();
  err->write.reset();
  if (command.input.empty()) in->write.reset();
  Finished finished;
  // A child that does not read its input must not end the caller.
  auto* old = signal(SIGPIPE, SIG_IGN);
  Converse(*in, *out, *err, command.input, &finished);
  signal(SIGPIPE, old);
  finished.exit_code = WaitFor(*pid);
  return finished;
}

Result<pid_t> StartDaemon(const Command& command) {
  UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  UniqueFd log(open(command.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!null || !log) return ErrnoError("open " + command.log);
  auto pid = Fork(command, {null.get(), log.get(), log.get(), command.inherit}, true);
  if (pid && !command.env.empty()) AwaitEnvironment(*pid);
  return pid;
}

bool IsAlive(pid_t pid) {
  if (pid <= 0) return false;
  std::string state = StatField(pid, 0);
  return !state.empty() && state != "Z" && state != "X";
}

bool IsInNetns(pid_t pid, const std::string& path) {
  auto there = FileId(path);
  return there && IsAlive(pid) && FileId("/proc/" + std::to_string(pid) + "/ns/net") == there;
}

bool HasMarker(pid_t pid, const std::string& marker) {
  std::string text = std::string(1, '\0') + EnvironmentOf(pid);
  return text.find(std::string(1, '\0') + marker + std::string(1, '\0')) != std::string::npos;
}

std::vector<pid_t> FindProcesses(const std::vector<std::string>& netns_paths,
                                 const std::string& marker) {
  std::set<std::pair<dev_t, ino_t>> namespaces;
  for (const std::string& path : netns_paths)
    if (auto id = FileId(path)) namespaces.insert(*id);
  std::set<pid_t> spared = SelfAndAncestors();
  std::vector<pid_t> found;
  for (const std::string& entry : ListDirectory("/proc")) {
    pid_t pid = static_cast<pid_t>(std::atoi(entry.c_str()));
    if (pid <= 0 || spared.contains(pid) || !IsAlive(pid)) continue;
    auto netns = FileId("/proc/" + entry + "/ns/net");
    bool member = netns && namespaces.contains(*netns);
    if (!member && !marker.empty()) member = HasMarker(pid, marker);
    if (member) found.push_back(pid);
  }
  return found;
}

bool EndProcesses(const std::vector<pid_t>& pids, int signal, Duration patience) {
  std::vector<UniqueFd> handles;
  for (pid_t pid : pids) {
    handles.push_back(OpenPidfd(pid));
    if (handles.back()) syscall(SYS_pidfd_send_signal, handles.back().get(), signal, nullptr, 0);
  }
  MonotonicTime deadline = SystemClock().Now() + patience;
  for (size_t i = 0; i < pids.size(); ++i) {
    // Not before its last thread: what the process held, locks included, goes with that one.
    for (pollfd wait{handles[i].get(), POLLIN, 0}; handles[i] && !wait.revents;) {
      auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - SystemClock().Now());
      if (left.count() <= 0) return false;
      poll(&wait, 1, static_cast<int>(left.count()));
    }
    waitpid(pids[i], nullptr, WNOHANG);  // where it was a child of ours
  }
  return true;
}

std::vector<std::string> EnvironmentWith(const std::vector<std::string>& settings) {
  std::vector<std::string> out = settings;
  for (char** variable = environ; *variable; ++variable) {
    std::string_view text = *variable;
    std::string_view name = text.substr(0, text.find('=') + 1);
    bool set = std::any_of(settings.begin(), settings.end(),
                           [&](const std::string& setting) { return setting.starts_with(name); });
    if (!set) out.emplace_back(text);
  }
  return out;
}

std::string FindProgram(const std::string& name, const std::string& path) {
  if (name.find('/') != std::string::npos) return access(name.c_str(), X_OK) == 0 ? name : "";
  for (size_t at = 0; at <= path.size();) {
    size_t end = std::min(path.find(':', at), path.size());
    std::string candidate = path.substr(at, end - at) + "/" + name;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    at = end + 1;
  }
  return "";
}

}  // namespace sallyport::lab
