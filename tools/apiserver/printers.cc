// SPDX-License-Identifier: Apache-2.0
#include "apiserver/printers.h"

#include <algorithm>
#include <map>

namespace sallyport::apiserver {
namespace {

using Cells = std::vector<std::string>;

std::string OrNone(std::string text) { return text.empty() ? "<none>" : text; }

std::string Since(const std::string& time, WallTime now) {
  auto then = ParseTime(time);
  if (!then) return "<unknown>";
  return HumanDuration(std::chrono::system_clock::to_time_t(now) - *then);
}

std::string Age(const Value& object, WallTime now) {
  return Since(TextAt(object, {"metadata", "creationTimestamp"}), now);
}

std::string Number(const Value& object, std::initializer_list<std::string_view> path) {
  return std::to_string(IntegerAt(object, path).value_or(0));
}

std::string Join(const std::vector<std::string>& texts, const char* with = ",") {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : with) + text;
  return out;
}

std::string Count(const Value* collection) {
  if (!collection) return "0";
  return std::to_string(collection->items.size() + collection->members.size());
}

std::string MapText(const Value* map) {
  std::vector<std::string> out;
  for (const auto& [key, value] : Members(map)) out.push_back(key + "=" + Text(&value));
  std::sort(out.begin(), out.end());
  return OrNone(Join(out));
}

std::string SelectorText(const Value* selector) {
  if (!selector) return "<none>";
  std::vector<std::string> out;
  for (const auto& [key, value] : Members(selector->Find("matchLabels")))
    out.push_back(key + "=" + Text(&value));
  for (const Value& expression : Items(selector->Find("matchExpressions"))) {
    std::string key = TextAt(expression, {"key"});
    std::string op = TextAt(expression, {"operator"});
    std::string values = "(" + Join(Texts(expression.Find("values"))) + ")";
    if (op == "In") out.push_back(key + " in " + values);
    if (op == "NotIn") out.push_back(key + " notin " + values);
    if (op == "Exists") out.push_back(key);
    if (op == "DoesNotExist") out.push_back("!" + key);
  }
  std::sort(out.begin(), out.end());
  return OrNone(Join(out));
}

std::pair<std::string, std::string> ContainersOf(const Value& object) {
  std::vector<std::string> names;
  std::vector<std::string> images;
  for (const Value& one : Items(At(object, {"spec", "template", "spec", "containers"}))) {
    names.push_back(TextAt(one, {"name"}));
    images.push_back(TextAt(one, {"image"}));
  }
  return {Join(names), Join(images)};
}

std::string ConditionStatus(const Value& object, std::string_view type) {
  for (const Value& condition : Items(At(object, {"status", "conditions"})))
    if (TextAt(condition, {"type"}) == type) return TextAt(condition, {"status"});
  return "";
}

std::vector<Column> Columns(std::initializer_list<const char*> names,
                            std::initializer_list<const char*> wide = {}) {
  std::vector<Column> out;
  for (const char* name : names) out.push_back({.name = name});
  for (const char* name : wide) out.push_back({.name = name, .priority = 1});
  return out;
}

// ---- pods

struct ContainerState {
  std::string reason;
  bool ready = false;
  bool running = false;
};

std::string TerminatedReason(const Value& terminated) {
  std::string reason = TextAt(terminated, {"reason"});
  if (!reason.empty()) return reason;
  if (int64_t signal = IntegerAt(terminated, {"signal"}).value_or(0))
    return "Signal:" + std::to_string(signal);
  return "ExitCode:" + Number(terminated, {"exitCode"});
}

// The status of a pod that is still initializing: "Init:0/1"; "" when that is over.
std::string InitReason(const Value& pod) {
  const std::vector<Value>& statuses = Items(At(pod, {"status", "initContainerStatuses"}));
  const std::vector<Value>& containers = Items(At(pod, {"spec", "initContainers"}));
  for (size_t i = 0; i < statuses.size(); ++i) {
    const Value& status = statuses[i];
    const Value* terminated = At(status, {"state", "terminated"});
    if (terminated && IntegerAt(*terminated, {"exitCode"}).value_or(0) == 0) continue;
    bool sidecar = i < containers.size() && TextAt(containers[i], {"restartPolicy"}) == "Always";
    if (sidecar && IsTrue(status.Find("started"))) continue;
    if (terminated) return "Init:" + TerminatedReason(*terminated);
    std::string waiting = TextAt(status, {"state", "waiting", "reason"});
    if (!waiting.empty() && waiting != "PodInitializing") return "Init:" + waiting;
    return "Init:" + std::to_string(i) + "/" + std::to_string(containers.size());
  }
  return "";
}

Cells PodCells(const Value& pod, WallTime now) {
  std::string reason = TextAt(pod, {"status", "reason"});
  if (reason.empty()) reason = TextAt(pod, {"status", "phase"});
  size_t total = Items(At(pod, {"spec", "containers"})).size();
  size_t ready = 0;
  int64_t restarts = 0;
  bool has_running = false;
  std::string init = InitReason(pod);
  if (!init.empty()) {
    reason = init;
    for (const Value& status : Items(At(pod, {"status", "initContainerStatuses"})))
      restarts += IntegerAt(status, {"restartCount"}).value_or(0);
  } else {
    const std::vector<Value>& statuses = Items(At(pod, {"status", "containerStatuses"}));
    for (size_t i = statuses.size(); i-- > 0;) {
      const Value& status = statuses[i];
      restarts += IntegerAt(status, {"restartCount"}).value_or(0);
      const Value* terminated = At(status, {"state", "terminated"});
      if (std::string waiting = TextAt(status, {"state", "waiting", "reason"}); !waiting.empty()) {
        reason = waiting;
      } else if (terminated) {
        reason = TerminatedReason(*terminated);
      } else if (IsTrue(status.Find("ready")) && At(status, {"state", "running"})) {
        has_running = true;
        ++ready;
      }
    }
    if (reason == "Completed" && has_running)
      reason = ConditionStatus(pod, "Ready") == "True" ? "Running" : "NotReady";
  }
  if (!IsNull(At(pod, {"metadata", "deletionTimestamp"})))
    reason = TextAt(pod, {"status", "reason"}) == "NodeLost" ? "Unknown" : "Terminating";
  std::vector<std::string> gates;
  size_t true_gates = 0;
  for (const Value& gate : Items(At(pod, {"spec", "readinessGates"}))) {
    gates.push_back(TextAt(gate, {"conditionType"}));
    if (ConditionStatus(pod, gates.back()) == "True") ++true_gates;
  }
  std::string gate_text =
      gates.empty() ? "<none>" : std::to_string(true_gates) + "/" + std::to_string(gates.size());
  return {std::to_string(ready) + "/" + std::to_string(total),
          reason,
          std::to_string(restarts),
          Age(pod, now),
          OrNone(TextAt(pod, {"status", "podIP"})),
          OrNone(TextAt(pod, {"spec", "nodeName"})),
          OrNone(TextAt(pod, {"status", "nominatedNodeName"})),
          gate_text};
}

// ---- services

std::string ServicePorts(const Value& service) {
  std::vector<std::string> out;
  for (const Value& port : Items(At(service, {"spec", "ports"}))) {
    std::string text = Number(port, {"port"});
    if (int64_t node = IntegerAt(port, {"nodePort"}).value_or(0))
      text += ":" + std::to_string(node);
    out.push_back(text + "/" + TextAt(port, {"protocol"}));
  }
  return OrNone(Join(out));
}

std::string ExternalIps(const Value& service) {
  std::string type = TextAt(service, {"spec", "type"});
  std::vector<std::string> out;
  if (type == "ExternalName") return TextAt(service, {"spec", "externalName"});
  for (const Value& ingress : Items(At(service, {"status", "loadBalancer", "ingress"}))) {
    std::string ip = TextAt(ingress, {"ip"});
    out.push_back(ip.empty() ? TextAt(ingress, {"hostname"}) : ip);
  }
  if (type != "LoadBalancer") out.clear();
  for (const std::string& ip : Texts(At(service, {"spec", "externalIPs"}))) out.push_back(ip);
  if (out.empty()) return type == "LoadBalancer" ? "<pending>" : "<none>";
  return Join(out);
}

Cells ServiceCells(const Value& service, WallTime now) {
  return {TextAt(service, {"spec", "type"}),
          OrNone(TextAt(service, {"spec", "clusterIP"})),
          ExternalIps(service),
          ServicePorts(service),
          Age(service, now),
          MapText(At(service, {"spec", "selector"}))};
}

std::string Shortened(std::vector<std::string> texts) {
  if (texts.empty()) return "<none>";
  size_t more = texts.size() > 3 ? texts.size() - 3 : 0;
  texts.resize(texts.size() - more);
  return Join(texts) + (more ? " + " + std::to_string(more) + " more..." : "");
}

Cells EndpointsCells(const Value& endpoints, WallTime now) {
  std::vector<std::string> out;
  for (const Value& subset : Items(endpoints.Find("subsets"))) {
    for (const Value& address : Items(subset.Find("addresses"))) {
      std::string ip = TextAt(address, {"ip"});
      bool v6 = ip.find(':') != ip.npos;
      for (const Value& port : Items(subset.Find("ports")))
        out.push_back((v6 ? "[" + ip + "]" : ip) + ":" + Number(port, {"port"}));
      if (Items(subset.Find("ports")).empty()) out.push_back(ip);
    }
  }
  return {Shortened(out), Age(endpoints, now)};
}

Cells EndpointSliceCells(const Value& slice, WallTime now) {
  std::vector<std::string> ports;
  for (const Value& port : Items(slice.Find("ports"))) ports.push_back(Number(port, {"port"}));
  std::vector<std::string> addresses;
  for (const Value& endpoint : Items(slice.Find("endpoints")))
    for (const std::string& address : Texts(endpoint.Find("addresses")))
      addresses.push_back(address);
  auto text = [](const std::vector<std::string>& list) {
    return list.empty() ? std::string("<unset>") : Shortened(list);
  };
  return {TextAt(slice, {"addressType"}), text(ports), text(addresses), Age(slice, now)};
}

// ---- workloads

Cells DeploymentCells(const Value& object, WallTime now) {
  auto [names, images] = ContainersOf(object);
  return {Number(object, {"status", "readyReplicas"}) + "/" + Number(object, {"spec", "replicas"}),
          Number(object, {"status", "updatedReplicas"}),
          Number(object, {"status", "availableReplicas"}),
          Age(object, now),
          names,
          images,
          SelectorText(At(object, {"spec", "selector"}))};
}

Cells ReplicaSetCells(const Value& object, WallTime now) {
  auto [names, images] = ContainersOf(object);
  const Value* selector = At(object, {"spec", "selector"});
  bool labels = selector && (selector->Find("matchLabels") || selector->Find("matchExpressions"));
  return {Number(object, {"spec", "replicas"}),
          Number(object, {"status", "replicas"}),
          Number(object, {"status", "readyReplicas"}),
          Age(object, now),
          names,
          images,
          labels ? SelectorText(selector) : MapText(selector)};
}

Cells StatefulSetCells(const Value& object, WallTime now) {
  auto [names, images] = ContainersOf(object);
  return {Number(object, {"status", "readyReplicas"}) + "/" + Number(object, {"spec", "replicas"}),
          Age(object, now), names, images};
}

Cells DaemonSetCells(const Value& object, WallTime now) {
  auto [names, images] = ContainersOf(object);
  return {Number(object, {"status", "desiredNumberScheduled"}),
          Number(object, {"status", "currentNumberScheduled"}),
          Number(object, {"status", "numberReady"}),
          Number(object, {"status", "updatedNumberScheduled"}),
          Number(object, {"status", "numberAvailable"}),
          MapText(At(object, {"spec", "template", "spec", "nodeSelector"})),
          Age(object, now),
          names,
          images,
          SelectorText(At(object, {"spec", "selector"}))};
}

Cells JobCells(const Value& job, WallTime now) {
  auto [names, images] = ContainersOf(job);
  std::string status = "Running";
  if (ConditionStatus(job, "Complete") == "True") status = "Complete";
  if (ConditionStatus(job, "Failed") == "True") status = "Failed";
  if (ConditionStatus(job, "Suspended") == "True") status = "Suspended";
  std::string completions =
      At(job, {"spec", "completions"}) ? Number(job, {"spec", "completions"}) : "1";
  std::string duration;
  auto start = ParseTime(TextAt(job, {"status", "startTime"}));
  auto end = ParseTime(TextAt(job, {"status", "completionTime"}));
  if (start)
    duration = HumanDuration(end.value_or(std::chrono::system_clock::to_time_t(now)) - *start);
  return {status,
          Number(job, {"status", "succeeded"}) + "/" + completions,
          duration,
          Age(job, now),
          names,
          images,
          SelectorText(At(job, {"spec", "selector"}))};
}

// ---- the cluster's own

std::string NodeAddress(const Value& node, std::string_view type) {
  for (const Value& address : Items(At(node, {"status", "addresses"})))
    if (TextAt(address, {"type"}) == type) return TextAt(address, {"address"});
  return "<none>";
}

Cells NodeCells(const Value& node, WallTime now) {
  std::string ready = ConditionStatus(node, "Ready");
  std::string status = ready.empty() ? "Unknown" : ready == "True" ? "Ready" : "NotReady";
  if (IsTrue(At(node, {"spec", "unschedulable"}))) status += ",SchedulingDisabled";
  std::vector<std::string> roles;
  for (const auto& [key, value] : Members(At(node, {"metadata", "labels"}))) {
    constexpr std::string_view kRole = "node-role.kubernetes.io/";
    if (key.starts_with(kRole) && key.size() > kRole.size())
      roles.push_back(key.substr(kRole.size()));
    if (key == "kubernetes.io/role") roles.push_back(Text(&value));
  }
  auto info = [&](std::string_view key) {
    std::string text = TextAt(node, {"status", "nodeInfo", key});
    return text.empty() ? std::string("<unknown>") : text;
  };
  return {status,
          OrNone(Join(roles)),
          Age(node, now),
          TextAt(node, {"status", "nodeInfo", "kubeletVersion"}),
          NodeAddress(node, "InternalIP"),
          NodeAddress(node, "ExternalIP"),
          info("osImage"),
          info("kernelVersion"),
          info("containerRuntimeVersion")};
}

Cells EventCells(const Value& event, WallTime now) {
  std::string last = TextAt(event, {"lastTimestamp"});
  if (last.empty()) last = TextAt(event, {"eventTime"});
  if (last.empty()) last = TextAt(event, {"metadata", "creationTimestamp"});
  std::string kind = TextAt(event, {"involvedObject", "kind"});
  std::transform(kind.begin(), kind.end(), kind.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return {TextAt(event, {"type"}), TextAt(event, {"reason"}),
          kind + "/" + TextAt(event, {"involvedObject", "name"}), TextAt(event, {"message"}),
          Since(last, now)};
}

std::string Subjects(const Value& binding, const std::string& kind) {
  std::vector<std::string> out;
  for (const Value& subject : Items(binding.Find("subjects"))) {
    if (TextAt(subject, {"kind"}) != kind) continue;
    std::string ns = TextAt(subject, {"namespace"});
    out.push_back((ns.empty() ? "" : ns + "/") + TextAt(subject, {"name"}));
  }
  return Join(out, ", ");
}

Cells BindingCells(const Value& binding, WallTime now) {
  return {TextAt(binding, {"roleRef", "kind"}) + "/" + TextAt(binding, {"roleRef", "name"}),
          Age(binding, now), Subjects(binding, "User"), Subjects(binding, "Group"),
          Subjects(binding, "ServiceAccount")};
}

Cells IngressCells(const Value& ingress, WallTime now) {
  std::vector<std::string> hosts;
  for (const Value& rule : Items(At(ingress, {"spec", "rules"}))) {
    std::string host = TextAt(rule, {"host"});
    hosts.push_back(host.empty() ? "*" : host);
  }
  std::vector<std::string> addresses;
  for (const Value& one : Items(At(ingress, {"status", "loadBalancer", "ingress"})))
    addresses.push_back(TextAt(one, {"ip"}));
  return {OrNone(TextAt(ingress, {"spec", "ingressClassName"})),
          hosts.empty() ? "*" : Shortened(hosts), Join(addresses),
          At(ingress, {"spec", "tls"}) ? "80, 443" : "80", Age(ingress, now)};
}

Cells CrdCells(const Value& definition, WallTime) {
  return {TextAt(definition, {"metadata", "creationTimestamp"})};
}

Cells ClusterRoleCells(const Value& role, WallTime) {
  return {TextAt(role, {"metadata", "creationTimestamp"})};
}

// All with the age as their last narrow column.
Printer Simple(std::initializer_list<const char*> names, std::function<Cells(const Value&)> cells) {
  Printer out;
  out.columns = Columns(names);
  out.columns.push_back({.name = "Age"});
  out.cells = [cells = std::move(cells)](const Value& object, WallTime now) {
    Cells row = cells(object);
    row.push_back(Age(object, now));
    return row;
  };
  return out;
}

using Printers = std::map<std::string, Printer, std::less<>>;

void AddWorkloads(Printers* all) {
  (*all)["pods"] = {Columns({"Ready", "Status", "Restarts", "Age"},
                            {"IP", "Node", "Nominated Node", "Readiness Gates"}),
                    PodCells};
  (*all)["deployments.apps"] = {
      Columns({"Ready", "Up-to-date", "Available", "Age"}, {"Containers", "Images", "Selector"}),
      DeploymentCells};
  Printer replicas = {
      Columns({"Desired", "Current", "Ready", "Age"}, {"Containers", "Images", "Selector"}),
      ReplicaSetCells};
  (*all)["replicasets.apps"] = replicas;
  (*all)["replicationcontrollers"] = replicas;
  (*all)["statefulsets.apps"] = {Columns({"Ready", "Age"}, {"Containers", "Images"}),
                                 StatefulSetCells};
  (*all)["daemonsets.apps"] = {
      Columns({"Desired", "Current", "Ready", "Up-to-date", "Available", "Node Selector", "Age"},
              {"Containers", "Images", "Selector"}),
      DaemonSetCells};
  (*all)["jobs.batch"] = {
      Columns({"Status", "Completions", "Duration", "Age"}, {"Containers", "Images", "Selector"}),
      JobCells};
  (*all)["cronjobs.batch"] =
      Simple({"Schedule", "Timezone", "Suspend", "Active", "Last Schedule"}, [](const Value& job) {
        return Cells{TextAt(job, {"spec", "schedule"}), OrNone(TextAt(job, {"spec", "timeZone"})),
                     IsTrue(At(job, {"spec", "suspend"})) ? "True" : "False",
                     Count(At(job, {"status", "active"})), "<none>"};
      });
  (*all)["controllerrevisions.apps"] =
      Simple({"Controller", "Revision"}, [](const Value& revision) {
        std::string owner = "<none>";
        for (const Value& one : Items(At(revision, {"metadata", "ownerReferences"})))
          if (IsTrue(one.Find("controller")))
            owner = TextAt(one, {"kind"}) + "/" + TextAt(one, {"name"});
        return Cells{owner, Number(revision, {"revision"})};
      });
}

void AddNetwork(Printers* all) {
  (*all)["services"] = {
      Columns({"Type", "Cluster-IP", "External-IP", "Port(s)", "Age"}, {"Selector"}), ServiceCells};
  (*all)["endpoints"] = {Columns({"Endpoints", "Age"}), EndpointsCells};
  (*all)["endpointslices.discovery.k8s.io"] = {
      Columns({"AddressType", "Ports", "Endpoints", "Age"}), EndpointSliceCells};
  (*all)["networkpolicies.networking.k8s.io"] = Simple({"Pod-Selector"}, [](const Value& policy) {
    return Cells{SelectorText(At(policy, {"spec", "podSelector"}))};
  });
  (*all)["ingresses.networking.k8s.io"] = {Columns({"Class", "Hosts", "Address", "Ports", "Age"}),
                                           IngressCells};
  (*all)["ingressclasses.networking.k8s.io"] =
      Simple({"Controller", "Parameters"}, [](const Value& object) {
        return Cells{TextAt(object, {"spec", "controller"}), "<none>"};
      });
}

void AddCluster(Printers* all) {
  (*all)["namespaces"] = Simple({"Status"}, [](const Value& object) {
    return Cells{TextAt(object, {"status", "phase"})};
  });
  (*all)["nodes"] = {
      Columns({"Status", "Roles", "Age", "Version"},
              {"Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime"}),
      NodeCells};
  Printer events = {Columns({"Type", "Reason", "Object", "Message"}), EventCells};
  events.columns.insert(events.columns.begin(), {.name = "Last Seen"});
  events.cells = [](const Value& event, WallTime now) {
    Cells row = EventCells(event, now);
    std::rotate(row.begin(), row.end() - 1, row.end());
    return row;
  };
  (*all)["events"] = events;
  (*all)["configmaps"] = Simple({"Data"}, [](const Value& object) {
    return Cells{std::to_string(Members(object.Find("data")).size() +
                                Members(object.Find("binaryData")).size())};
  });
  (*all)["secrets"] = Simple({"Type", "Data"}, [](const Value& object) {
    return Cells{TextAt(object, {"type"}), Count(object.Find("data"))};
  });
  (*all)["serviceaccounts"] =
      Simple({"Secrets"}, [](const Value& object) { return Cells{Count(object.Find("secrets"))}; });
  (*all)["leases.coordination.k8s.io"] = Simple({"Holder"}, [](const Value& object) {
    return Cells{TextAt(object, {"spec", "holderIdentity"})};
  });
  (*all)["priorityclasses.scheduling.k8s.io"] =
      Simple({"Value", "Global-Default"}, [](const Value& object) {
        return Cells{Number(object, {"value"}),
                     IsTrue(object.Find("globalDefault")) ? "true" : "false"};
      });
  (*all)["customresourcedefinitions.apiextensions.k8s.io"] = {Columns({"Created At"}), CrdCells};
  (*all)["clusterroles.rbac.authorization.k8s.io"] = {Columns({"Created At"}), ClusterRoleCells};
  (*all)["roles.rbac.authorization.k8s.io"] = {Columns({"Created At"}), ClusterRoleCells};
  Printer bindings = {Columns({"Role", "Age"}, {"Users", "Groups", "ServiceAccounts"}),
                      BindingCells};
  (*all)["rolebindings.rbac.authorization.k8s.io"] = bindings;
  (*all)["clusterrolebindings.rbac.authorization.k8s.io"] = bindings;
  (*all)["poddisruptionbudgets.policy"] =
      Simple({"Min Available", "Max Unavailable", "Allowed Disruptions"}, [](const Value& object) {
        auto text = [&](std::string_view key) {
          std::string one = TextAt(object, {"spec", key});
          return one.empty() ? std::string("N/A") : one;
        };
        return Cells{text("minAvailable"), text("maxUnavailable"),
                     Number(object, {"status", "disruptionsAllowed"})};
      });
}

}  // namespace

const Printer& PrinterOf(std::string_view store_key) {
  static const Printers all = [] {
    Printers made;
    AddWorkloads(&made);
    AddNetwork(&made);
    AddCluster(&made);
    return made;
  }();
  static const Printer age = Simple({}, [](const Value&) { return Cells{}; });
  auto found = all.find(store_key);
  return found == all.end() ? age : found->second;
}

}  // namespace sallyport::apiserver
