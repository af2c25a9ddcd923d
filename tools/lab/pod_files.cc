// SPDX-License-Identifier: Apache-2.0
#include "lab/pod_files.h"

#include <array>
#include <random>
#include <utility>

#include "lab/cluster.h"
#include "lab/files.h"

namespace sallyport::lab {
namespace {

std::string SpecPath(const Layout& layout, const model::ObjectName& pod) {
  return layout.pod(pod) + "/spec.json";
}
std::string StatusPath(const Layout& layout, const model::ObjectName& pod) {
  return layout.pod(pod) + "/status.json";
}

Value ToTree(const ContainerStatus& container) {
  return Mapping({{"name", String(container.name)},
                  {"state", String(container.state)},
                  {"pid", Integer(container.pid)},
                  {"standIn", Boolean(container.stand_in)},
                  {"ready", Boolean(container.ready)},
                  {"exitCode", Integer(container.exit_code)},
                  {"restarts", Integer(container.restarts)},
                  {"started", String(container.started)},
                  {"ended", String(container.ended)}});
}

ContainerStatus ContainerFromTree(const Value& tree) {
  ContainerStatus out;
  out.name = TextAt(tree, {"name"});
  out.state = TextAt(tree, {"state"});
  out.pid = static_cast<pid_t>(IntegerAt(tree, {"pid"}).value_or(0));
  out.stand_in = IsTrue(tree.Find("standIn"));
  out.ready = IsTrue(tree.Find("ready"));
  out.exit_code = static_cast<int>(IntegerAt(tree, {"exitCode"}).value_or(0));
  out.restarts = static_cast<int>(IntegerAt(tree, {"restarts"}).value_or(0));
  out.started = TextAt(tree, {"started"});
  out.ended = TextAt(tree, {"ended"});
  return out;
}

std::string RandomHex(size_t digits) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::random_device random;
  std::string out;
  while (out.size() < digits) out.push_back(kHex[random() & 15]);
  return out;
}

const ContainerStatus* FindContainer(const PodStatus& status, const std::string& name) {
  for (const ContainerStatus& container : status.containers)
    if (container.name == name) return &container;
  return nullptr;
}

Value AddressList(const std::vector<std::string>& addresses) {
  Value out = Sequence();
  for (const std::string& address : addresses)
    out.items.push_back(Mapping({{"ip", String(address)}}));
  return out;
}

Value Terminated(const ContainerStatus& container) {
  return Mapping({{"exitCode", Integer(container.exit_code)},
                  {"reason", String(container.exit_code == 0 ? "Completed" : "Error")},
                  {"startedAt", String(container.started)},
                  {"finishedAt", String(container.ended)}});
}

// An item of containerStatuses.
Value ContainerTree(const Value& container, const PodStatus& status) {
  std::string name = TextAt(container, {"name"});
  const ContainerStatus* known = FindContainer(status, name);
  bool running = known && known->state == "running";
  bool ended = known && known->state == "ended";
  Value state;
  if (running) {
    state = Mapping({{"running", Mapping({{"startedAt", String(known->started)}})}});
  } else if (ended && (status.IsOver() || known->exit_code == 0)) {
    state = Mapping({{"terminated", Terminated(*known)}});
  } else {
    Value waiting = Mapping({{"reason", String(ended                   ? "CrashLoopBackOff"
                                               : status.reason.empty() ? "ContainerCreating"
                                                                       : "CreateContainerError")}});
    if (!status.reason.empty()) Set(waiting, "message", String(status.reason));
    state = Mapping({{"waiting", std::move(waiting)}});
  }
  Value out = Mapping({{"name", String(name)},
                       {"image", String(TextAt(container, {"image"}))},
                       {"imageID", String("")},
                       {"ready", Boolean(known && known->ready)},
                       {"started", Boolean(running)},
                       {"restartCount", Integer(known ? known->restarts : 0)},
                       {"state", std::move(state)}});
  if (known && !known->ended.empty() && !ended)
    Set(out, "lastState", Mapping({{"terminated", Terminated(*known)}}));
  return out;
}

Value Conditions(const Value& pod, const PodStatus& status, WallTime now) {
  std::string reason;
  if (status.phase == "Succeeded") reason = "PodCompleted";
  if (!status.ready && reason.empty()) reason = "ContainersNotReady";
  std::string message = status.ready ? "" : status.reason;
  Value out = WithCondition(At(pod, {"status", "conditions"}), "PodScheduled", true, "", "", now);
  out = WithCondition(&out, "Initialized", status.initialised,
                      status.initialised ? "" : "ContainersNotInitialized", "", now);
  out = WithCondition(&out, "ContainersReady", status.ready, reason, message, now);
  return WithCondition(&out, "Ready", status.ready, reason, message, now);
}

}  // namespace

Status SavePodSpec(const Layout& layout, const PodSpec& spec) {
  model::ObjectName pod = NameOf(spec.tree);
  Value tree = Mapping({{"pod", spec.tree},
                        {"owner", String(spec.owner)},
                        {"containerId", String(spec.container_id)},
                        {"configs", String(ToJson(spec.configs))},
                        {"token", String(spec.token)}});
  if (Status made = MakeDirectories(layout.pod(pod), 0755); !made) return made;
  return ReplaceFile(SpecPath(layout, pod), ToJson(tree) + "\n", layout.scratch());
}

Result<PodSpec> LoadPodSpec(const Layout& layout, const model::ObjectName& pod) {
  std::string path = SpecPath(layout, pod);
  auto text = ReadFile(path);
  if (!text) return std::move(text).error();
  auto tree = FromJson(*text, path);
  if (!tree) return std::move(tree).error();
  const Value* object = tree->Find("pod");
  if (!object) return Error{path + ": no pod in it", 0};
  auto configs = ObjectsFromJson(TextAt(*tree, {"configs"}), path);
  if (!configs) return std::move(configs).error();
  return PodSpec{*object, TextAt(*tree, {"owner"}), TextAt(*tree, {"containerId"}),
                 *std::move(configs), TextAt(*tree, {"token"})};
}

Status SavePodStatus(const Layout& layout, const model::ObjectName& pod, const PodStatus& status) {
  Value containers = Sequence();
  for (const ContainerStatus& container : status.containers)
    containers.items.push_back(ToTree(container));
  Value tree = Mapping({{"phase", String(status.phase)},
                        {"ready", Boolean(status.ready)},
                        {"initialised", Boolean(status.initialised)},
                        {"reason", String(status.reason)},
                        {"keeper", Integer(status.keeper)},
                        {"addresses", Strings(status.addresses)},
                        {"containers", std::move(containers)},
                        {"notes", Strings(status.notes)}});
  return ReplaceFile(StatusPath(layout, pod), ToJson(tree) + "\n", layout.scratch());
}

PodStatus LoadPodStatus(const Layout& layout, const model::ObjectName& pod) {
  PodStatus status;
  auto text = ReadFile(StatusPath(layout, pod));
  auto tree = text ? FromJson(*text, StatusPath(layout, pod)) : Result<Value>(Error{});
  if (!tree) return status;
  status.phase = TextAt(*tree, {"phase"});
  status.ready = IsTrue(tree->Find("ready"));
  status.initialised = IsTrue(tree->Find("initialised"));
  status.reason = TextAt(*tree, {"reason"});
  status.keeper = static_cast<pid_t>(IntegerAt(*tree, {"keeper"}).value_or(0));
  status.addresses = Texts(tree->Find("addresses"));
  for (const Value& container : Items(tree->Find("containers")))
    status.containers.push_back(ContainerFromTree(container));
  status.notes = Texts(tree->Find("notes"));
  return status;
}

std::vector<model::ObjectName> ListPods(const Layout& layout) {
  std::vector<model::ObjectName> pods;
  for (const std::string& entry : ListDirectory(layout.pods())) {
    size_t dot = entry.find('.');
    if (dot != std::string::npos) pods.push_back({entry.substr(0, dot), entry.substr(dot + 1)});
  }
  return pods;
}

Value ClusterStatus(const Value& pod, const PodStatus& status,
                    const std::vector<std::string>& host_ips, WallTime now) {
  Value out = Mapping({{"phase", String(status.phase)}});
  Set(out, "conditions", Conditions(pod, status, now));
  std::string started = TextAt(pod, {"status", "startTime"});
  Set(out, "startTime", String(started.empty() ? FormatTime(now) : started));
  Set(out, "hostIP", String(host_ips.front()));
  Set(out, "hostIPs", AddressList(host_ips));
  Value init = Sequence();
  for (const Value& container : Items(At(pod, {"spec", "initContainers"})))
    if (FindContainer(status, TextAt(container, {"name"})))
      init.items.push_back(ContainerTree(container, status));
  if (!init.items.empty()) Set(out, "initContainerStatuses", std::move(init));
  Value containers = Sequence();
  for (const Value& container : Items(At(pod, {"spec", "containers"})))
    containers.items.push_back(ContainerTree(container, status));
  Set(out, "containerStatuses", std::move(containers));
  if (status.addresses.empty()) return out;
  Set(out, "podIP", String(status.addresses.front()));
  Set(out, "podIPs", AddressList(status.addresses));
  return out;
}

std::string NewUid() {
  std::string hex = RandomHex(32);
  hex[12] = '4';  // a random UUID, RFC 4122 4.4
  hex[16] = 'a';
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" +
         hex.substr(16, 4) + "-" + hex.substr(20);
}

std::string NewContainerId() { return RandomHex(64); }

}  // namespace sallyport::lab
