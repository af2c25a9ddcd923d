// SPDX-License-Identifier: Apache-2.0
#include "lab/node_process.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdio>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "base/backoff.h"
#include "lab/api.h"
#include "lab/bell.h"
#include "lab/cluster_watch.h"
#include "lab/files.h"
#include "lab/node_pods.h"
#include "lab/node_services.h"
#include "lab/pod_place.h"

namespace sallyport::lab {
namespace {

using namespace std::chrono_literals;

constexpr size_t kNetworksAtOnce = 8;  // pods whose plugins run at the same time
constexpr Duration kLongestGrace = 6s;
constexpr Duration kLookAgain = 5s;  // at what nobody rang about
constexpr Duration kFirstRetry = 200ms;
constexpr Duration kSlowestRetry = 5s;

void Log(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

// That of this machine, which is every node's: "" where there is none.
std::string BootId() {
  auto text = ReadFile("/proc/sys/kernel/random/boot_id");
  return text ? text->substr(0, text->find('\n')) : "";
}

// A counter that poll() can wait for; rung from any thread.
class Doorbell {
 public:
  Doorbell() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  int fd() const { return fd_.get(); }
  void Ring() const {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t ignored = write(fd_.get(), &one, sizeof one);
  }
  void Hear() const {
    uint64_t count = 0;
    [[maybe_unused]] ssize_t ignored = read(fd_.get(), &count, sizeof count);
  }

 private:
  UniqueFd fd_;
};

// A pod that this node has files of.
struct Kept {
  PodSpec spec;
  UniqueFd keeper;  // a pidfd; without one where the keeper has ended
  bool has_network = false;
  bool over = false;
  bool ending = false;
  bool untold = true;  // the API server may not know its status
};

// When to try again what failed.
struct Retry {
  Backoff backoff{kFirstRetry, kSlowestRetry};
  MonotonicTime at{};
};

class Node {
 public:
  Node(LabState state, const NodePlan& plan)
      : state_(std::move(state)), layout_(state_.name), plan_(plan), name_(plan.name()) {}

  Status Run() {
    sigset_t signals;
    sigemptyset(&signals);
    for (int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&signals, signal);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    signal(SIGPIPE, SIG_IGN);
    signals_.reset(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    auto bell = OpenBell(layout_.bell(name_));
    if (!bell) return std::move(bell).error();
    bell_ = *std::move(bell);
    auto api = Api::Open(layout_.node_kubeconfig());
    if (!api) return std::move(api).error();
    api_ = *std::move(api);
    TakeUp();
    std::vector<Followed> followed = {{"Pod", "fieldSelector=spec.nodeName%3D" + name_},
                                      {"Node", ""},
                                      {"ConfigMap", ""},
                                      {"Secret", ""},
                                      {"ServiceAccount", ""}};
    watch_ = std::make_unique<ClusterWatch>(api_->client(), followed, [this] { changed_.Ring(); });
    NodeServices services(state_, plan_, api_->client());
    while (!stopping_) {
      Step();
      Wait();
    }
    watch_.reset();
    enders_.clear();  // each is waited for
    return Ok();
  }

 private:
  // The pods that an earlier process left running.
  void TakeUp() {
    for (const model::ObjectName& pod : ListPods(layout_)) {
      auto spec = LoadPodSpec(layout_, pod);
      if (!spec || TextAt(spec->tree, {"spec", "nodeName"}) != name_) continue;
      Kept& kept = pods_[pod];
      kept.spec = *std::move(spec);
      Look(&kept);
      if (pid_t keeper = KeeperOf(layout_, kept.spec)) kept.keeper = PidFd(keeper);
    }
  }

  static UniqueFd PidFd(pid_t pid) {
    return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  }

  void Look(Kept* kept) {
    PodStatus status = LoadPodStatus(layout_, NameOf(kept->spec.tree));
    kept->has_network = !status.addresses.empty();
    kept->over = status.IsOver();
    kept->untold = true;
  }

  void Step() {
    Collect();
    if (!watch_->synced()) return;
    Cluster cluster = watch_->Now();
    TellNode(cluster);
    for (auto& [pod, kept] : pods_) Follow(cluster, pod, &kept);
    for (const auto& [pod, tree] : cluster.Of("Pod")) Begin(cluster, pod, *tree);
    for (auto& [pod, kept] : pods_)
      if (kept.untold && !kept.ending) Tell(cluster, pod, &kept);
  }

  // What the threads have ended.
  void Collect() {
    std::vector<std::pair<model::ObjectName, std::string>> ended;
    {
      std::lock_guard lock(mutex_);
      ended.swap(ended_);
    }
    for (const auto& [pod, uid] : ended) {
      enders_.erase(pod);
      pods_.erase(pod);
      const Value* tree = nullptr;
      Cluster cluster = watch_ ? watch_->Now() : Cluster();
      tree = cluster.Find("Pod", pod);
      if (tree && UidOf(*tree) == uid && IsTerminating(*tree)) Forget(pod, uid);
    }
  }

  // The pod is gone from this machine: its object goes, too.
  void Forget(const model::ObjectName& pod, const std::string& uid) {
    auto gone = api_->Delete(ObjectPath(*FindKind("Pod"), pod), uid, 0);
    if (gone) {
      retries_.erase("forget " + pod.ToString());
      watch_->Unlearn("Pod", pod, uid);
    } else {
      Later("forget " + pod.ToString(), gone.error().message);
    }
  }

  bool MayTry(const std::string& what) {
    auto retry = retries_.find(what);
    return retry == retries_.end() || retry->second.at <= SystemClock().Now();
  }

  void Later(const std::string& what, const std::string& why) {
    Retry& retry = retries_[what];
    retry.at = SystemClock().Now() + retry.backoff.Next();
    if (why != last_log_[what]) Log(what + ": " + why);
    last_log_[what] = why;
  }

  // A pod that runs here: is it still wanted, and as it is?
  void Follow(const Cluster& cluster, const model::ObjectName& pod, Kept* kept) {
    if (kept->ending) return;
    const Value* tree = cluster.Find("Pod", pod);
    bool same = tree && UidOf(*tree) == UidOf(kept->spec.tree);
    if (!same || IsTerminating(*tree)) {
      int64_t grace = 30;
      if (same) grace = IntegerAt(*tree, {"metadata", "deletionGracePeriodSeconds"}).value_or(30);
      return End(pod, kept, std::min<Duration>(kLongestGrace, std::chrono::seconds(grace)));
    }
    if (!kept->keeper && !kept->over) {
      // Whatever was left is taken away; the next step starts it anew.
      Later("start " + pod.ToString(), "its keeper is gone");
      return End(pod, kept, 0s);
    }
    const Value* own = kept->spec.tree.Find("metadata");
    const Value* metadata = tree->Find("metadata");
    for (const char* map : {"labels", "annotations"}) {
      const Value* before = own->Find(map);
      const Value* after = metadata->Find(map);
      if (before == after || (before && after && SameContent(*before, *after))) continue;
      Set(kept->spec.tree, "metadata", *metadata);
      if (Status saved = SavePodSpec(layout_, kept->spec); !saved) Log(saved.error().message);
      return;
    }
  }

  void End(const model::ObjectName& pod, Kept* kept, Duration grace) {
    kept->ending = true;
    enders_[pod] = std::jthread([this, spec = kept->spec, pod, grace] {
      Status ended = EndPod(state_, spec, grace);
      if (!ended) Log(pod.ToString() + ": " + ended.error().message);
      {
        std::lock_guard lock(mutex_);
        ended_.emplace_back(pod, UidOf(spec.tree));
      }
      changed_.Ring();
    });
  }

  // A pod that is to run here and does not yet.
  void Begin(const Cluster& cluster, const model::ObjectName& pod, const Value& tree) {
    if (pods_.contains(pod)) return;
    if (IsTerminating(tree)) {
      if (MayTry("forget " + pod.ToString())) Forget(pod, UidOf(tree));
      return;
    }
    std::string what = "start " + pod.ToString();
    auto busy = std::count_if(pods_.begin(), pods_.end(), [](const auto& entry) {
      const Kept& kept = entry.second;
      return kept.keeper && !kept.has_network && !kept.ending;
    });
    if (IsOver(tree) || static_cast<size_t>(busy) >= kNetworksAtOnce || !MayTry(what)) return;
    if (Status started = Start(cluster, tree); !started) {
      bool again = retries_.contains(what);  // what is only a moment late is not worth a word
      Later(what, started.error().message);
      if (again) SayWaiting(tree, started.error().message);
    }
  }

  Status Start(const Cluster& cluster, const Value& tree) {
    model::ObjectName pod = NameOf(tree);
    model::ObjectName account{pod.ns, AccountOf(tree)};
    Kept kept;
    kept.spec.tree = WithServiceAccount(tree, cluster.Find("ServiceAccount", account));
    Erase(kept.spec.tree, "status");
    kept.spec.owner = OwnerText(tree);
    kept.spec.container_id = NewContainerId();
    for (const char* kind : {"ConfigMap", "Secret"})
      for (const auto& [name, config] : cluster.Of(kind))
        if (name.ns == pod.ns) kept.spec.configs[{kind, name}] = {*config, ""};
    if (WantsToken(kept.spec.tree)) {
      auto token = api_->Token(account, &tree);
      if (!token) return std::move(token).error().Context("token of " + account.ToString());
      kept.spec.token = *std::move(token);
    }
    auto recipe = RecipeOf(state_, plan_, kept.spec, {});
    if (!recipe) return std::move(recipe).error();
    if (Status saved = SavePodSpec(layout_, kept.spec); !saved) return saved;
    auto keeper = StartKeeper(state_, pod);
    if (!keeper) return std::move(keeper).error();
    kept.keeper = PidFd(*keeper);
    pods_.emplace(pod, std::move(kept));
    return Ok();
  }

  // "Deployment shop/web" for a pod of its ReplicaSet.
  static std::string OwnerText(const Value& tree) {
    for (const Value& owner : Items(At(tree, {"metadata", "ownerReferences"}))) {
      std::string kind = TextAt(owner, {"kind"});
      std::string name = TextAt(owner, {"name"});
      std::string hash = "-" + TextAt(tree, {"metadata", "labels", "pod-template-hash"});
      if (kind == "ReplicaSet" && hash.size() > 1 && name.ends_with(hash))
        return "Deployment " + NameOf(tree).ns + "/" + name.substr(0, name.size() - hash.size());
      return kind + " " + NameOf(tree).ns + "/" + name;
    }
    return "";
  }

  std::vector<std::string> HostIps() const {
    std::vector<std::string> out;
    for (const InterfaceAddress& own : plan_.addresses.internal)
      out.push_back(own.address.ToString());
    return out;
  }

  // Of a pod that cannot be started yet.
  void SayWaiting(const Value& tree, const std::string& why) {
    PodStatus status;
    status.reason = why;
    Send(tree, ClusterStatus(tree, status, HostIps(), SystemClock().WallNow()));
  }

  bool Send(const Value& tree, Value status) {
    if (Covers(tree.Find("status"), status)) return true;
    Change change{Change::Verb::kPatchStatus, "Pod", NameOf(tree),
                  Mapping({{"status", std::move(status)}}), ""};
    auto told = api_->Carry(change);
    // One that is gone needs no telling.
    if (!told && told.error().code == kNotFound) return true;
    if (told) {
      if (*told) watch_->Learn("Pod", **std::move(told));
      return true;
    }
    Later("tell of " + NameOf(tree).ToString(), told.error().message);
    return false;
  }

  void Tell(const Cluster& cluster, const model::ObjectName& pod, Kept* kept) {
    const Value* tree = cluster.Find("Pod", pod);
    if (!tree || !MayTry("tell of " + pod.ToString())) return;
    PodStatus status = LoadPodStatus(layout_, pod);
    kept->untold = !Send(*tree, ClusterStatus(*tree, status, HostIps(), SystemClock().WallNow()));
    if (!kept->untold) retries_.erase("tell of " + pod.ToString());
  }

  // The Node object: addresses, and that it is ready.
  void TellNode(const Cluster& cluster) {
    const Value* node = cluster.Find("Node", {"", name_});
    if (!node || !MayTry("tell of the node")) return;
    Value status = Mapping();
    Set(status, "conditions",
        WithCondition(At(*node, {"status", "conditions"}), "Ready", true, "KubeletReady",
                      "the lab's node is running", SystemClock().WallNow()));
    if (const Value* addresses = At(plan_.tree, {"status", "addresses"}))
      Set(status, "addresses", *addresses);
    Value room =
        Mapping({{"cpu", String("64")}, {"memory", String("256Gi")}, {"pods", String("1000")}});
    Set(status, "capacity", room);
    Set(status, "allocatable", room);
    Set(status, "nodeInfo",
        Mapping({{"bootID", String(BootId())},
                 {"kubeletVersion", String("v1.30.0-lab")},
                 {"operatingSystem", String("linux")},
                 {"osImage", String("network namespace")},
                 {"containerRuntimeVersion", String("lab://1")}}));
    if (Covers(node->Find("status"), status)) return;
    auto told = api_->Carry({Change::Verb::kPatchStatus,
                             "Node",
                             {"", name_},
                             Mapping({{"status", std::move(status)}}),
                             ""});
    if (told && *told)
      watch_->Learn("Node", **std::move(told));
    else if (!told)
      Later("tell of the node", told.error().message);
  }

  void Wait() {
    std::vector<pollfd> waits = {
        {signals_.get(), POLLIN, 0}, {bell_.get(), POLLIN, 0}, {changed_.fd(), POLLIN, 0}};
    for (const auto& [pod, kept] : pods_)
      if (kept.keeper && !kept.ending) waits.push_back({kept.keeper.get(), POLLIN, 0});
    MonotonicTime until = looked_ + kLookAgain;
    for (const auto& [what, retry] : retries_)
      if (retry.at > SystemClock().Now()) until = std::min(until, retry.at);
    auto left = std::chrono::ceil<std::chrono::milliseconds>(until - SystemClock().Now());
    poll(waits.data(), waits.size(), static_cast<int>(std::max<int64_t>(left.count(), 0)));
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof info) == sizeof info)
      if (info.ssi_signo != SIGCHLD) stopping_ = true;
    Reap();
    changed_.Hear();
    while (auto pod = HearBell(bell_))
      if (auto kept = pods_.find(*pod); kept != pods_.end()) Look(&kept->second);
    if (SystemClock().Now() < looked_ + kLookAgain) return;
    looked_ = SystemClock().Now();
    for (auto& [pod, kept] : pods_) Look(&kept);
  }

  // Keepers that have ended: a pidfd can be read then, and only then.
  void Reap() {
    for (auto& [pod, kept] : pods_) {
      pollfd wait{kept.keeper.get(), POLLIN, 0};
      if (!kept.keeper || poll(&wait, 1, 0) <= 0) continue;
      siginfo_t info{};
      waitid(P_PIDFD, static_cast<id_t>(kept.keeper.get()), &info, WEXITED | WNOHANG);
      kept.keeper.reset();
      Look(&kept);
    }
  }

  LabState state_;
  Layout layout_;
  const NodePlan& plan_;
  std::string name_;
  UniqueFd signals_;
  UniqueFd bell_;
  Doorbell changed_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<ClusterWatch> watch_;
  std::map<model::ObjectName, Kept> pods_;
  std::map<std::string, Retry> retries_;
  std::map<std::string, std::string> last_log_;
  MonotonicTime looked_{};
  bool stopping_ = false;
  std::mutex mutex_;                                              // of ended_
  std::vector<std::pair<model::ObjectName, std::string>> ended_;  // with their uids
  std::map<model::ObjectName, std::jthread> enders_;
};

}  // namespace

Status RunNode(const std::string& lab, const std::string& node) {
  auto state = LoadState(lab);
  if (!state) return std::move(state).error();
  for (const NodePlan& plan : state->nodes)
    if (plan.name() == node) return Node(*state, plan).Run();
  return Error{"there is no node " + node + " in lab " + lab, 0};
}

}  // namespace sallyport::lab
