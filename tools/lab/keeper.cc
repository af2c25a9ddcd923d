// SPDX-License-Identifier: Apache-2.0
#include "lab/keeper.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/backoff.h"
#include "base/unique_fd.h"
#include "lab/bell.h"
#include "lab/cluster.h"
#include "lab/cni.h"
#include "lab/container.h"
#include "lab/files.h"
#include "lab/netns.h"
#include "lab/pod_files.h"
#include "lab/pod_place.h"
#include "lab/process.h"
#include "lab/readiness.h"
#include "lab/sandbox.h"

namespace sallyport::lab {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFirstRestart = 1s;
constexpr Duration kSlowestRestart = 30s;
constexpr Duration kCheckUntilReady = 100ms;  // then the probe's own period
constexpr Duration kGrace = 2s;               // between SIGTERM and SIGKILL

struct Running {
  ContainerRecipe recipe;
  ContainerStatus status;
  Backoff backoff{kFirstRestart, kSlowestRestart};
  std::optional<MonotonicTime> start_at;  // when it is to be started
  MonotonicTime check_at{};
  pid_t check = 0;  // a check under way
  MonotonicTime check_deadline{};
  int successes = 0;
  int failures = 0;
  bool started = false;
  bool over = false;  // it will not be started again

  // Whether what comes behind this init container or sidecar has to wait.
  bool Blocks() const { return recipe.role == ContainerRole::kSidecar ? !started : !over; }
};

class Keeper {
 public:
  Keeper(Layout layout, model::ObjectName pod) : layout_(std::move(layout)), pod_(std::move(pod)) {}

  Status Run() {
    if (Status prepared = Prepare(); !prepared) return prepared;
    if (!MakeNetwork()) return Ok();  // asked to end meanwhile
    if (Status started = PrepareContainers(); !started) {
      status_.reason = started.error().message;
      Publish();
      return started;
    }
    while (!stopping_ && !status_.IsOver()) {
      Step();
      Publish();
      if (!status_.IsOver()) Wait(NextEvent());
    }
    StopContainers();  // where the pod is over, its sidecars
    if (stopping_) return Ok();
    Publish();
    return sandbox_ ? RemoveSandbox(state_, *node_, *sandbox_) : Ok();
  }

 private:
  Status Prepare() {
    sigset_t signals;
    sigemptyset(&signals);
    for (int signal : {SIGCHLD, SIGTERM, SIGINT}) sigaddset(&signals, signal);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    signal(SIGPIPE, SIG_IGN);
    signals_.reset(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) return ErrnoError("signalfd");
    status_.keeper = getpid();
    auto spec = LoadPodSpec(layout_, pod_);
    if (!spec) return std::move(spec).error();
    spec_ = *std::move(spec);
    auto state = LoadState(layout_.lab());
    if (!state) return std::move(state).error();
    state_ = *std::move(state);
    std::string node = TextAt(spec_.tree, {"spec", "nodeName"});
    auto found = std::find_if(state_.nodes.begin(), state_.nodes.end(),
                              [&](const NodePlan& plan) { return plan.name() == node; });
    if (found == state_.nodes.end()) return Error{"there is no node " + node, 0};
    node_ = &*found;
    return EnterNetns(NetnsPath(layout_.node_netns(node)));
  }

  // False when asked to end before there was a network.
  bool MakeNetwork() {
    Publish();
    if (IsTrue(At(spec_.tree, {"spec", "hostNetwork"}))) {
      for (const InterfaceAddress& own : node_->addresses.internal)
        status_.addresses.push_back(own.address.ToString());
      return true;
    }
    Sandbox sandbox = SandboxOf(layout_, spec_);
    for (Backoff backoff(kFirstRestart, kSlowestRestart);;) {
      auto addresses = MakeSandbox(state_, *node_, sandbox);
      if (addresses) {
        for (const net::Address& address : *addresses)
          status_.addresses.push_back(address.ToString());
        status_.reason.clear();
        sandbox_ = std::move(sandbox);
        return true;
      }
      status_.reason = addresses.error().message;
      Publish();
      Wait(SystemClock().Now() + backoff.Next());
      if (stopping_) return false;
    }
  }

  Status PrepareContainers() {
    auto recipe = RecipeOf(state_, *node_, spec_, status_.addresses);
    if (!recipe) return std::move(recipe).error();
    recipe_ = *std::move(recipe);
    status_.notes = recipe_.notes;
    if (Status made = MakeVolumes(); !made) return made;
    for (const ContainerRecipe& init : recipe_.init_containers) AddContainer(init, &init_);
    for (const ContainerRecipe& container : recipe_.containers)
      AddContainer(container, &containers_);
    return Ok();
  }

  void AddContainer(const ContainerRecipe& recipe, std::vector<std::unique_ptr<Running>>* list) {
    auto running = std::make_unique<Running>();
    running->recipe = recipe;
    running->status.name = recipe.name;
    running->status.state = "waiting";
    running->status.stand_in = recipe.stand_in;
    running->start_at = SystemClock().Now();
    list->push_back(std::move(running));
  }

  Status MakeVolumes() {
    for (const Volume& volume : recipe_.volumes) {
      std::string folder = layout_.pod(pod_) + "/volumes/" + volume.name;
      if (Status made = MakeDirectories(folder, 0755); !made) return made;
      chmod(folder.c_str(), volume.read_only ? 0755 : 0777);
      for (const auto& [path, content] : volume.files) {
        std::string file = folder + "/" + path;
        Status written = MakeDirectories(file.substr(0, file.rfind('/')), 0755);
        if (written) written = WriteFile(file, content, 0644);
        if (!written) return written;
      }
    }
    std::string etc = layout_.pod(pod_) + "/etc";
    Status made = MakeDirectories(etc, 0755);
    for (const auto& [name, content] : recipe_.etc)
      if (made) made = WriteFile(etc + "/" + name, content, 0644);
    return made ? MakeDirectories(layout_.pod(pod_) + "/root", 0755) : made;
  }

  bool IsInitialised() const {
    return std::none_of(init_.begin(), init_.end(), [](const auto& c) { return c->Blocks(); });
  }

  // Those whose turn has come.
  std::vector<Running*> Reached() const {
    std::vector<Running*> out;
    for (const auto& init : init_) {
      out.push_back(init.get());
      if (init->Blocks()) return out;
    }
    for (const auto& container : containers_) out.push_back(container.get());
    return out;
  }

  // Those that the cluster is told of: what a pod is there for comes first.
  std::vector<const Running*> Lasting() const {
    std::vector<const Running*> out;
    for (const auto& container : containers_) out.push_back(container.get());
    for (const auto& init : init_)
      if (init->recipe.role == ContainerRole::kSidecar) out.push_back(init.get());
    return out;
  }

  void Step() {
    MonotonicTime now = SystemClock().Now();
    for (Running* container : Reached()) {
      StartIfDue(container, now);
      CheckIfDue(container, now);
    }
    status_.initialised = IsInitialised();
    if (status_.initialised) Summarise();
  }

  void StartIfDue(Running* container, MonotonicTime now) {
    if (!container->start_at || *container->start_at > now) return;
    container->start_at.reset();
    ContainerPlace place = PlaceOf(layout_, spec_.tree, recipe_);
    place.log = layout_.log(pod_.ns + "_" + pod_.name + "_" + container->recipe.name);
    auto pid = StartContainer(container->recipe, place);
    if (!pid) {
      Ended(container, 128);
      status_.reason = container->recipe.name + ": " + pid.error().message;
      return;
    }
    container->status.pid = *pid;
    container->status.state = "running";
    container->status.started = FormatTime(SystemClock().WallNow());
    container->started = true;
    container->successes = container->failures = 0;
    container->check_at = now;
    if (!container->recipe.readiness) container->status.ready = true;
  }

  void CheckIfDue(Running* container, MonotonicTime now) {
    if (container->check) {
      if (now >= container->check_deadline) kill(container->check, SIGKILL);
      return;
    }
    const auto& check = container->recipe.readiness;
    if (container->status.state != "running" || !check || now < container->check_at) return;
    if (check->type == ReadinessCheck::Type::kListening) {
      Checked(container, AllListening(container->status.pid, container->recipe.ports, check->port));
      return;
    }
    auto pid = StartCheck(container->recipe, PlaceOf(layout_, spec_.tree, recipe_),
                          status_.addresses.front(), container->status.pid);
    if (!pid) return Checked(container, false);
    container->check = *pid;
    container->check_deadline = now + std::chrono::seconds(check->timeout);
  }

  void Checked(Running* container, bool good) {
    const ReadinessCheck& check = *container->recipe.readiness;
    container->check = 0;
    container->successes = good ? container->successes + 1 : 0;
    container->failures = good ? 0 : container->failures + 1;
    bool& ready = container->status.ready;
    if (!ready && container->successes >= check.successes) ready = true;
    if (ready && container->failures >= check.failures) ready = false;
    container->check_at = SystemClock().Now() +
                          (ready ? Duration(std::chrono::seconds(check.period)) : kCheckUntilReady);
  }

  static void Stopped(Running* container) {
    container->status.state = "ended";
    container->status.pid = 0;
    container->status.ready = false;
  }

  void Ended(Running* container, int code) {
    Stopped(container);
    container->status.exit_code = code;
    container->status.ended = FormatTime(SystemClock().WallNow());
    bool init = container->recipe.role == ContainerRole::kInit;
    const std::string& policy = recipe_.restart_policy;
    bool again = container->recipe.role == ContainerRole::kSidecar ||
                 (code != 0 && policy != "Never") || (policy == "Always" && !init);
    container->over = !again;
    if (again) {
      container->start_at = SystemClock().Now() + container->backoff.Next();
      ++container->status.restarts;
    } else if (init && code != 0) {
      status_.phase = "Failed";
    }
    if (code != 0)
      status_.reason = container->recipe.name + " ended with code " + std::to_string(code) +
                       (again ? ", is started again" : "");
  }

  void Summarise() {
    bool started = std::any_of(containers_.begin(), containers_.end(),
                               [](const auto& c) { return c->status.state != "waiting"; });
    if (started && status_.phase == "Pending") status_.phase = "Running";
    bool over =
        std::all_of(containers_.begin(), containers_.end(), [](const auto& c) { return c->over; });
    bool good = std::all_of(containers_.begin(), containers_.end(),
                            [](const auto& c) { return c->status.exit_code == 0; });
    if (over) status_.phase = good ? "Succeeded" : "Failed";
    std::vector<const Running*> lasting = Lasting();
    status_.ready = !over && std::all_of(lasting.begin(), lasting.end(),
                                         [](const Running* c) { return c->status.ready; });
    if (status_.ready) status_.reason.clear();
  }

  void Publish() {
    status_.containers.clear();
    for (const Running* container : Lasting()) status_.containers.push_back(container->status);
    if (published_ == status_) return;
    published_ = status_;
    // Failing to say so is no reason to stop what runs; the next change says it again.
    if (Status saved = SavePodStatus(layout_, pod_, status_); !saved) Log(saved.error().message);
    RingBell(layout_.bell(node_->name()), pod_);
  }

  void Log(const std::string& text) const {
    std::fprintf(stderr, "%s: %s\n", pod_.ToString().c_str(), text.c_str());
  }

  std::optional<MonotonicTime> NextEvent() const {
    std::optional<MonotonicTime> next;
    auto consider = [&](MonotonicTime time) { next = next ? std::min(*next, time) : time; };
    for (const Running* container : Reached()) {
      if (container->start_at) consider(*container->start_at);
      if (container->check) consider(container->check_deadline);
      if (!container->check && container->status.state == "running" && container->recipe.readiness)
        consider(container->check_at);
    }
    return next;
  }

  // Until a signal or the time; takes note of children that ended, and of being asked to end.
  void Wait(std::optional<MonotonicTime> until) {
    int timeout = -1;
    if (until) {
      auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - SystemClock().Now());
      timeout = static_cast<int>(std::max<int64_t>(left.count(), 0));
    }
    pollfd wait{signals_.get(), POLLIN, 0};
    poll(&wait, 1, timeout);
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof info) == sizeof info)
      if (info.ssi_signo != SIGCHLD) stopping_ = true;
    Reap();
  }

  void Reap() {
    int code = 0;
    while (pid_t pid = waitpid(-1, &code, WNOHANG)) {
      if (pid < 0) return;
      int exit_code = WIFEXITED(code) ? WEXITSTATUS(code) : 128 + WTERMSIG(code);
      for (auto* list : {&init_, &containers_}) {
        for (auto& container : *list) {
          if (container->status.pid == pid)
            Ended(container.get(), exit_code);
          else if (container->check == pid)
            Checked(container.get(), exit_code == 0);
        }
      }
    }
  }

  void StopContainers() {
    std::vector<pid_t> pids;
    for (const auto* list : {&init_, &containers_})
      for (const auto& container : *list)
        if (container->status.pid) pids.push_back(container->status.pid);
    if (!EndProcesses(pids, SIGTERM, kGrace)) EndProcesses(pids, SIGKILL, kGrace);
    for (const auto& init : init_)
      if (init->status.pid) Stopped(init.get());
  }

  Layout layout_;
  model::ObjectName pod_;
  UniqueFd signals_;
  PodSpec spec_;
  LabState state_;
  const NodePlan* node_ = nullptr;
  std::optional<Sandbox> sandbox_;
  PodRecipe recipe_;
  std::vector<std::unique_ptr<Running>> init_;
  std::vector<std::unique_ptr<Running>> containers_;
  PodStatus status_;
  PodStatus published_{"", false, false, "", 0, {}, {}, {}};
  bool stopping_ = false;
};

}  // namespace

int RunKeeper(const std::string& lab, const model::ObjectName& pod) {
  Status done = Keeper(Layout(lab), pod).Run();
  if (done) return 0;
  std::fprintf(stderr, "%s: %s\n", pod.ToString().c_str(), done.error().message.c_str());
  return 1;
}

}  // namespace sallyport::lab
