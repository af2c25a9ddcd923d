// SPDX-License-Identifier: Apache-2.0
#include "lab/settle.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <set>
#include <thread>
#include <utility>

#include "base/unique_fd.h"
#include "lab/daemons.h"
#include "lab/files.h"
#include "lab/inventory.h"
#include "lab/lab.h"
#include "model/fingerprint.h"

namespace sallyport::lab {
namespace {

using namespace std::chrono_literals;

constexpr Duration kBetweenQuestions = 20ms;
constexpr timeval kAnswerWithin{5, 0};

Result<UniqueFd> Connect(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoError("socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error{path + ": too long for a socket", 0};
  memcpy(address.sun_path, path.data(), path.size());
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kAnswerWithin, sizeof kAnswerWithin);
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerWithin, sizeof kAnswerWithin);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return ErrnoError("connect to " + path);
  return fd;
}

// "; last heard of: pods 2026-01-01T00:00:00Z, nodes never": which of its watches lags.
std::string LastHeard(const Value& status) {
  std::string out;
  for (const Value& watch : Items(status.Find("watches"))) {
    std::string when = TextAt(watch, {"last_event"});
    out += (out.empty() ? "; last heard of: " : ", ") + TextAt(watch, {"resource"}) + " " +
           (when.empty() ? "never" : when);
  }
  return out;
}

// What one node's agent lacks; "" where it has settled.
std::string Missing(const LabState& state, const std::string& node, const std::string& cluster) {
  Layout layout(state.name);
  auto status = AskAgent(layout.socket(node), "/v1/status");
  if (!status) return "agent of " + node + ": " + status.error().message;
  if (!IsTrue(status->Find("ready"))) {
    std::string why;
    for (const std::string& reason : Texts(status->Find("reasons"))) why += ": " + reason;
    return "the agent of " + node + " is not ready" + why;
  }
  if (TextAt(*status, {"cluster"}) != cluster)
    return "the agent of " + node + " does not know the latest of the cluster yet" +
           LastHeard(*status);
  auto endpoints = AskAgent(layout.socket(node), "/v1/endpoints");
  if (!endpoints) return "agent of " + node + ": " + endpoints.error().message;
  std::set<std::string> open;
  for (const Value& endpoint : Items(&*endpoints))
    if (TextAt(endpoint, {"state"}) == "open") open.insert(TextAt(endpoint, {"pod"}));
  for (const PodState& pod : PodStates(layout)) {
    bool on_host = IsTrue(At(pod.tree, {"spec", "hostNetwork"}));
    if (pod.node == node && !on_host && !pod.status.addresses.empty() && !pod.status.IsOver() &&
        !open.contains(pod.pod.ToString()))
      return "the agent of " + node + " has not opened " + pod.pod.ToString();
  }
  return "";
}

// Whether the node's Service proxy has done what there is to do. One that does not run is no reason
// to wait.
std::string MissingServices(const LabState& state, const std::string& node,
                            const std::string& services) {
  Layout layout(state.name);
  if (state.proxy.empty() || !DaemonPid(layout, NodeDaemon(node))) return "";
  auto done = ReadFile(layout.services(node));
  if (done && *done == services) return "";
  return "the Service proxy of " + node +
         " has not done the latest; its log: " + layout.log(NodeDaemon(node));
}

// Which EgressGateway somebody is yet to hold. One that no running agent may hold is no reason to
// wait.
std::string MissingHolder(const Layout& layout, const Inventory& inventory) {
  for (const UnheldGateway& gateway : inventory.unheld)
    for (const std::string& node : gateway.candidates)
      if (DaemonPid(layout, AgentDaemon(node)))
        return "EgressGateway " + gateway.name + ": " + gateway.why;
  return "";
}

}  // namespace

Result<Value> AskAgent(const std::string& socket, const std::string& path) {
  auto fd = Connect(socket);
  if (!fd) return std::move(fd).error();
  std::string request = "GET " + path + " HTTP/1.0\r\nHost: agent\r\nConnection: close\r\n\r\n";
  if (send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return ErrnoError("send");
  std::string answer;
  std::array<char, 16384> chunk;
  for (;;) {
    ssize_t count = recv(fd->get(), chunk.data(), chunk.size(), 0);
    if (count < 0) return ErrnoError("no answer from " + socket);
    if (count == 0) break;
    answer.append(chunk.data(), static_cast<size_t>(count));
  }
  size_t body = answer.find("\r\n\r\n");
  if (!answer.starts_with("HTTP/1.") || body == std::string::npos)
    return Error{"no HTTP answer from " + socket, 0};
  if (answer.substr(9, 3) != "200")
    return Error{socket + " answers " + answer.substr(9, answer.find('\r') - 9), 0};
  return FromJson(answer.substr(body + 4), socket);
}

Status WaitSettled(const LabState& state, Duration patience, DeadAgents dead,
                   const Console& console) {
  Layout layout(state.name);
  MonotonicTime deadline = SystemClock().Now() + patience;
  std::set<std::string> told;
  for (;;) {
    // Given up only for what was seen after the time: this process may have stood still before.
    bool last = SystemClock().Now() >= deadline;
    auto inventory = ReadInventory(state.name);
    if (!inventory) return std::move(inventory).error();
    std::string cluster = model::Fingerprint(inventory->snapshot);
    std::string missing = inventory->stale ? "the API server does not answer" : "";
    for (const NodePlan& node : state.nodes) {
      if (missing.empty()) missing = MissingServices(state, node.name(), inventory->services);
      if (state.agent.empty()) continue;
      if (DaemonPid(layout, AgentDaemon(node.name()))) {
        if (missing.empty()) missing = Missing(state, node.name(), cluster);
        continue;
      }
      std::string what = "the agent of " + node.name() +
                         " is not running; its log: " + layout.log("agent-" + node.name());
      if (dead == DeadAgents::kFail) return Error{what, 0};
      if (told.insert(what).second) console.Note("note: " + what);
    }
    if (missing.empty()) missing = MissingHolder(layout, *inventory);
    console.Progress(missing);
    if (missing.empty()) return Ok();
    if (last) {
      console.Progress("");
      return Error{missing, 0};
    }
    std::this_thread::sleep_for(kBetweenQuestions);
  }
}

}  // namespace sallyport::lab
