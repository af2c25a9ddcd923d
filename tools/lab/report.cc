// SPDX-License-Identifier: Apache-2.0
#include "lab/report.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "lab/daemons.h"
#include "lab/files.h"

namespace sallyport::lab {
namespace {

constexpr size_t kLogLines = 5;

std::string Join(const std::vector<std::string>& parts, const char* separator) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : separator) + part;
  return out;
}

std::vector<std::string> LastLines(const std::string& path, size_t count) {
  std::vector<std::string> lines;
  auto text = ReadFile(path);
  std::istringstream in(text ? *text : "");
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  if (lines.size() > count) lines.erase(lines.begin(), lines.end() - static_cast<long>(count));
  return lines;
}

std::string Word(const PodState& pod) {
  if (pod.status.IsOver()) return pod.status.phase;
  if (!pod.keeper_alive) return "keeper gone";
  return pod.status.ready ? "Ready" : pod.status.phase == "Running" ? "Unready" : pod.status.phase;
}

std::string What(const ContainerStatus& container) {
  std::string out = container.name;
  if (container.stand_in) out += " (stand-in)";
  if (container.state != "running") out += ": " + container.state;
  if (container.state == "ended") out += " with code " + std::to_string(container.exit_code);
  if (container.restarts) out += ", restarted " + std::to_string(container.restarts) + "x";
  return out;
}

std::string Containers(const PodStatus& status) {
  std::vector<std::string> parts;
  for (const ContainerStatus& container : status.containers) parts.push_back(What(container));
  return Join(parts, "; ");
}

std::vector<std::string> Addresses(const std::vector<InterfaceAddress>& addresses) {
  std::vector<std::string> out;
  for (const InterfaceAddress& address : addresses) out.push_back(address.address.ToString());
  return out;
}

struct View {
  LabState state;
  std::vector<PodState> pods;
  std::vector<pid_t> agents;  // by node

  bool AllWell() const {
    bool pods_well = std::all_of(pods.begin(), pods.end(), [](const PodState& pod) {
      return pod.status.phase == "Succeeded" || (pod.status.ready && pod.keeper_alive);
    });
    bool agents_well =
        state.agent.empty() || std::find(agents.begin(), agents.end(), 0) == agents.end();
    return state.complete && pods_well && agents_well;
  }
};

void PrintText(const View& view, const Console& console) {
  std::ostream& out = console.out;
  if (!view.state.complete)
    out << "lab " << view.state.name << " is half made: `sallyport lab up` makes it anew, "
        << "`sallyport lab down` takes it away\n\n";
  std::vector<std::vector<std::string>> rows = {{"NODE", "ADDRESSES", "PODS", "AGENT"}};
  for (size_t i = 0; i < view.state.nodes.size(); ++i) {
    const NodePlan& node = view.state.nodes[i];
    std::vector<std::string> cidrs;
    for (const net::Cidr& cidr : node.addresses.pod_cidrs) cidrs.push_back(cidr.ToString());
    std::string agent = view.state.agent.empty() ? "none"
                        : view.agents[i]         ? "process " + std::to_string(view.agents[i])
                                                 : "not running";
    rows.push_back(
        {node.name(), Join(Addresses(node.addresses.internal), " "), Join(cidrs, " "), agent});
  }
  rows.push_back({"outside", Join(Addresses(view.state.outside.own), " ")});
  out << AlignedTable(rows) << "\n";
  rows = {{"POD", "NODE", "ADDRESSES", "STATE", "CONTAINERS"}};
  for (const PodState& pod : view.pods)
    rows.push_back({pod.pod.ToString(), pod.node, Join(pod.status.addresses, " "), Word(pod),
                    Containers(pod.status)});
  out << AlignedTable(rows);
  for (const PodState& pod : view.pods)
    if (!pod.status.reason.empty()) out << pod.pod.ToString() << ": " << pod.status.reason << "\n";
}

void PrintJson(const View& view, const Console& console) {
  Value nodes = Sequence();
  for (size_t i = 0; i < view.state.nodes.size(); ++i) {
    const NodePlan& node = view.state.nodes[i];
    nodes.items.push_back(Mapping({{"name", String(node.name())},
                                   {"addresses", Strings(Addresses(node.addresses.internal))},
                                   {"agent", Integer(view.agents[i])}}));
  }
  Value pods = Sequence();
  for (const PodState& pod : view.pods) {
    Value containers = Sequence();
    for (const ContainerStatus& c : pod.status.containers)
      containers.items.push_back(Mapping({{"name", String(c.name)},
                                          {"state", String(c.state)},
                                          {"pid", Integer(c.pid)},
                                          {"standIn", Boolean(c.stand_in)},
                                          {"ready", Boolean(c.ready)},
                                          {"exitCode", Integer(c.exit_code)},
                                          {"restarts", Integer(c.restarts)}}));
    pods.items.push_back(Mapping({{"pod", String(pod.pod.ToString())},
                                  {"owner", String(pod.owner)},
                                  {"node", String(pod.node)},
                                  {"addresses", Strings(pod.status.addresses)},
                                  {"phase", String(pod.status.phase)},
                                  {"ready", Boolean(pod.status.ready)},
                                  {"reason", String(pod.status.reason)},
                                  {"keeper", Integer(pod.keeper_alive ? pod.status.keeper : 0)},
                                  {"containers", std::move(containers)}}));
  }
  console.out << ToJson(Mapping({{"lab", String(view.state.name)},
                                 {"complete", Boolean(view.state.complete)},
                                 {"cni", String(view.state.cni)},
                                 {"outside", Strings(Addresses(view.state.outside.own))},
                                 {"nodes", std::move(nodes)},
                                 {"pods", std::move(pods)}}))
              << std::endl;
}

Result<View> Look(const std::string& lab) {
  auto state = LoadState(lab);
  if (!state) return std::move(state).error();
  View view{*std::move(state), PodStates(Layout(lab)), {}};
  for (const NodePlan& node : view.state.nodes)
    view.agents.push_back(DaemonPid(Layout(lab), AgentDaemon(node.name())));
  return view;
}

}  // namespace

void ReportOutcome(const std::string& lab, const Outcome& outcome, const Console& console) {
  Layout layout(lab);
  if (!outcome.missing.empty()) console.Note("not all has come to rest: " + outcome.missing);
  for (const model::ObjectName& pod : outcome.unready) {
    PodStatus status = LoadPodStatus(layout, pod);
    std::string reason = status.reason.empty() ? "its containers are not ready" : status.reason;
    console.Note(pod.ToString() + " is not ready: " + reason);
    for (const ContainerStatus& container : status.containers)
      for (const std::string& line :
           LastLines(layout.log(pod.ns + "_" + pod.name + "_" + container.name), kLogLines))
        console.Note("    " + container.name + ": " + line);
  }
}

Result<bool> ReportStatus(const std::string& lab, bool json, const Console& console) {
  auto view = Look(lab);
  if (!view) return std::move(view).error();
  if (json)
    PrintJson(*view, console);
  else
    PrintText(*view, console);
  return view->AllWell();
}

void ReportLabs(bool json, const Console& console) {
  std::vector<std::vector<std::string>> rows = {{"LAB", "NODES", "PODS", "STATE"}};
  Value list = Sequence();
  for (const std::string& lab : ListLabs()) {
    auto view = Look(lab);
    size_t nodes = view ? view->state.nodes.size() : 0;
    size_t pods = view ? view->pods.size() : 0;
    std::string state = !view || !view->state.complete ? "half made"
                        : view->AllWell()              ? "well"
                                                       : "not well, see `lab status`";
    rows.push_back({lab, std::to_string(nodes), std::to_string(pods), state});
    list.items.push_back(Mapping({{"lab", String(lab)},
                                  {"nodes", Integer(static_cast<int64_t>(nodes))},
                                  {"pods", Integer(static_cast<int64_t>(pods))},
                                  {"well", Boolean(view && view->AllWell())}}));
  }
  if (json)
    console.out << ToJson(list) << std::endl;
  else if (rows.size() == 1)
    console.out << "no lab is up; `sallyport lab up -f PATH` makes one\n";
  else
    console.out << AlignedTable(rows);
}

}  // namespace sallyport::lab
