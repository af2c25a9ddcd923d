// SPDX-License-Identifier: Apache-2.0
#include "control/options.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <numeric>

namespace sallyport::control {
namespace {

using Set = std::function<Status(Config&, const std::string&)>;

Set Text(std::string Config::*field, const char* what) {
  return [field, what](Config& config, const std::string& value) -> Status {
    if (value.empty()) return Error{std::string("it is empty; give ") + what};
    config.*field = value;
    return Ok();
  };
}

// "true" or "false"; a switch without a value is on.
Result<bool> Bool(const std::string& value) {
  if (value == "true" || value.empty()) return true;
  if (value == "false") return false;
  return Error{"'" + value + "' is neither true nor false"};
}

Set Switch(bool dataplane::Options::*field) {
  return [field](Config& config, const std::string& value) -> Status {
    auto on = Bool(value);
    if (!on) return std::move(on).error();
    config.dataplane.*field = *on;
    return Ok();
  };
}

Set Command(Config::Command command) {
  return [command](Config& config, const std::string& value) -> Status {
    auto on = Bool(value);
    if (!on) return std::move(on).error();
    if (*on) config.command = command;
    return Ok();
  };
}

Set Flag(bool Config::*field) {
  return [field](Config& config, const std::string& value) -> Status {
    auto on = Bool(value);
    if (!on) return std::move(on).error();
    config.*field = *on;
    return Ok();
  };
}

Result<uint32_t> Number(const std::string& value, uint32_t least, uint32_t most) {
  uint32_t number = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number < least ||
      number > most) {
    return Error{"'" + value + "' is not a number from " + std::to_string(least) + " to " +
                 std::to_string(most)};
  }
  return number;
}

Set Capacity(uint32_t dataplane::Capacities::*field) {
  return [field](Config& config, const std::string& value) -> Status {
    auto number = Number(value, 0, 1u << 26);
    if (!number) return std::move(number).error();
    config.dataplane.capacities.*field = *number;
    return Ok();
  };
}

Status SetMark(Config& config, const std::string& value) {
  constexpr std::string_view kRight = "; give a mask with exactly one bit, e.g. 0x00100000";
  std::string_view digits = value;
  if (digits.starts_with("0x") || digits.starts_with("0X")) digits.remove_prefix(2);
  uint32_t mark = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), mark, 16);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return Error{"'" + value + "' is not a hexadecimal number of 32 bits" + std::string(kRight)};
  }
  if (std::popcount(mark) != 1) {
    return Error{"'" + value + "' has " + std::to_string(std::popcount(mark)) + " bits set" +
                 std::string(kRight)};
  }
  config.dataplane.mark = mark;
  return Ok();
}

Status SetDevices(Config& config, const std::string& value) {
  auto filter = endpoint::DeviceFilter::Parse(value);
  if (!filter) return std::move(filter).error();
  config.devices = std::move(*filter);
  return Ok();
}

Status SetMetrics(Config& config, const std::string& value) {
  config.metrics.reset();
  if (value.empty()) return Ok();
  auto listen = observe::ParseListen(value);
  if (!listen) return std::move(listen).error();
  config.metrics = *listen;
  return Ok();
}

Status SetAttach(Config& config, const std::string& value) {
  using dataplane::AttachMode;
  if (value == "auto") {
    config.dataplane.attach = AttachMode::kAuto;
  } else if (value == "tcx") {
    config.dataplane.attach = AttachMode::kTcx;
  } else if (value == "clsact") {
    config.dataplane.attach = AttachMode::kClsact;
  } else {
    return Error{"'" + value + "' is none of auto, tcx, clsact"};
  }
  return Ok();
}

Status SetEventRate(Config& config, const std::string& value) {
  auto number = Number(value, 1, 1'000'000);
  if (!number) return std::move(number).error();
  config.dataplane.events_per_second = *number;
  return Ok();
}

Status SetLogLevel(Config& config, const std::string& value) {
  static const std::pair<const char*, LogLevel> kLevels[] = {{"trace", LogLevel::kTrace},
                                                             {"debug", LogLevel::kDebug},
                                                             {"info", LogLevel::kInfo},
                                                             {"warning", LogLevel::kWarning},
                                                             {"error", LogLevel::kError}};
  for (const auto& [name, level] : kLevels) {
    if (value == name) {
      config.log_level = level;
      return Ok();
    }
  }
  return Error{"'" + value + "' is none of trace, debug, info, warning, error"};
}

Status SetLogFormat(Config& config, const std::string& value) {
  if (value != "text" && value != "json") {
    return Error{"'" + value + "' is neither text nor json"};
  }
  config.log_format = value == "json" ? LogFormat::kJson : LogFormat::kText;
  return Ok();
}

Status SetPins(Config& config, const std::string& value) {
  if (value.empty() || value.front() != '/') {
    return Error{"'" + value +
                 "' is no absolute path; give a directory on a bpffs, e.g. "
                 "/sys/fs/bpf/sallyport"};
  }
  config.dataplane.pins = value;
  return Ok();
}

Set Port(uint16_t Config::*field) {
  return [field](Config& config, const std::string& value) -> Status {
    auto number = Number(value, 1, 65535);
    if (!number) return std::move(number).error();
    config.*field = static_cast<uint16_t>(*number);
    return Ok();
  };
}

Status SetVni(Config& config, const std::string& value) {
  auto number = Number(value, 1, 0xffffff);
  if (!number) return std::move(number).error();
  config.tunnel_vni = *number;
  return Ok();
}

std::vector<Option> EgressOptionList() {
  return {
      {"lease-namespace", "NAME", "sallyport-system",
       "namespace of the Leases by which nodes share egress IPs and their ports",
       Text(&Config::lease_namespace, "a namespace")},
      {"tunnel-port", "PORT", "4790", "UDP port of the tunnel to gateways, the same on all nodes",
       Port(&Config::tunnel_port)},
      {"tunnel-vni", "N", "23057", "VXLAN network identifier of that tunnel, the same on all nodes",
       SetVni},
      {"heartbeat-port", "PORT", "4791",
       "UDP port by which gateways hear of each other, the same on all nodes",
       Port(&Config::heartbeat_port)},
      {"heartbeat-key", "FILE", "",
       "keys that gateways' heartbeats are sealed with, one a line: the first seals, all are "
       "accepted; without, any node's heartbeats are believed",
       Text(&Config::heartbeat_key, "a file")},
  };
}

Status Nothing(Config&, const std::string&) { return Ok(); }

std::vector<Option> CapacityOptions() {
  using dataplane::Capacities;
  return {
      {"max-endpoints", "N", "0", "capacity: pod interfaces on this node (0: built-in default)",
       Capacity(&Capacities::endpoints)},
      {"max-peers", "N", "0", "capacity: pods that policies tell apart (0: built-in default)",
       Capacity(&Capacities::peers)},
      {"max-rules", "N", "0", "capacity: pairs of policy set and identity (0: built-in default)",
       Capacity(&Capacities::rules)},
      {"max-port-sets", "N", "0", "capacity: different sets of ports (0: built-in default)",
       Capacity(&Capacities::port_sets)},
      {"max-port-pages", "N", "0",
       "capacity: different stretches of 2,048 ports in port sets (0: built-in default)",
       Capacity(&Capacities::port_pages)},
      {"max-prefixes", "N", "0",
       "capacity: nodes of the trie that ipBlocks make (0: built-in default)",
       Capacity(&Capacities::prefixes)},
      {"max-flows", "N", "0", "capacity: connections at a time (0: built-in default)",
       Capacity(&Capacities::flows)},
      {"max-fragments", "N", "0",
       "capacity: first fragments of datagrams that later ones are placed by (0: built-in default)",
       Capacity(&Capacities::fragments)},
  };
}

std::vector<Option> MakeOptions() {
  using Run = Config::Command;
  using Data = dataplane::Options;
  std::vector<Option> out = {
      {"node", "NAME", "NODE_NAME of the environment, else the hostname",
       "name of the node whose pods are guarded, as spec.nodeName has it",
       Text(&Config::node, "the node's name")},
      {"manifests", "DIR", "",
       "directory of manifests (Namespaces, Nodes, Pods with status, Services, EndpointSlices, "
       "NetworkPolicies, EgressGateways) to enforce; "
       "followed as it changes",
       Text(&Config::manifests, "a directory")},
      {"kubeconfig", "FILE", "",
       "watch the API server of this file's current context instead; without either, that of the "
       "cluster in whose pod the agent runs",
       Text(&Config::kubeconfig, "a file")},
      {"cni-results", "DIR", "/var/lib/cni/results",
       "where the container runtime's libcni keeps its result files",
       Text(&Config::cni_results, "a directory")},
      {"pins", "DIR", "/sys/fs/bpf/sallyport",
       "directory on a bpffs that holds what outlives the agent; one agent each", SetPins},
      {"stand-by", "BOOL", "false",
       "while another agent uses --pins: wait until it ends, and go on from there; else that is an "
       "error",
       Flag(&Config::stand_by)},
      {"socket", "PATH", "/run/sallyport/sallyportd.sock",
       "Unix socket of the local API, for root only", Text(&Config::socket, "a path")},
      {"metrics-address", "ADDR:PORT", "127.0.0.1:9469",
       "where /metrics, /healthz and /readyz are served, for whoever reaches it: counts only, no "
       "names of pods; [::]:9469 for every address; empty: nowhere",
       SetMetrics},
      {"mark", "BIT", "0x00100000",
       "the one bit of skb->mark that the agent may use, as a hexadecimal mask", SetMark},
      {"devices", "GLOBS", "*",
       "interface names that may be pods': globs, comma-separated, !GLOB excludes", SetDevices},
      {"anti-spoofing", "BOOL", "true",
       "drop what leaves a pod with a source address that is not the pod's",
       Switch(&Data::anti_spoofing)},
      {"tunnels-from-pods", "BOOL", "false",
       "let pods send VXLAN, Geneve, GRE and IP in IP to nodes and Services: a node that unwraps "
       "it "
       "takes any sender inside for true",
       Switch(&Data::tunnels_from_pods)},
      {"fast-path", "BOOL", "true",
       "hand packets between pods of this node over directly where that is safe",
       Switch(&Data::fast_path)},
      {"attach", "HOW", "auto", "hook for the programs: auto, tcx (Linux 6.6 on) or clsact",
       SetAttach},
      {"events-per-second", "N", "16",
       "drop events that one endpoint may cause a second on one CPU", SetEventRate},
      {"log-level", "LEVEL", "info", "trace, debug, info, warning or error", SetLogLevel},
      {"log-format", "FORMAT", "text", "text or json, to standard error", SetLogFormat},
      {"config", "FILE", "", "YAML file with these options, `name: value` a line", Nothing},
      {"detach", "", "",
       "take all programs, maps and pins below --pins away, and end: nothing is enforced then",
       Command(Run::kDetach), true},
      {"stay", "", "",
       "with --detach: when it is done, wait for SIGTERM before ending (for a DaemonSet that "
       "removes)",
       Flag(&Config::stay), true},
      {"version", "", "", "print the version, and end", Command(Run::kVersion), true},
      {"help", "", "", "print this, and end", Command(Run::kHelp), true},
  };
  std::vector<Option> capacities = EgressOptionList();
  for (Option& option : CapacityOptions()) capacities.push_back(std::move(option));
  auto after = std::find_if(out.begin(), out.end(),
                            [](const Option& option) { return option.name == "log-level"; });
  out.insert(after, capacities.begin(), capacities.end());
  return out;
}

// Levenshtein.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row[b.size()];
}

}  // namespace

const std::vector<Option>& Options() {
  static const std::vector<Option> kOptions = MakeOptions();
  return kOptions;
}

const Option* FindOption(std::string_view name) {
  const auto& options = Options();
  auto it = std::find_if(options.begin(), options.end(),
                         [name](const Option& option) { return option.name == name; });
  return it == options.end() ? nullptr : &*it;
}

const Option* NearestOption(std::string_view name) {
  if (name.size() > 64) return nullptr;
  const Option* nearest = nullptr;
  size_t least = std::max<size_t>(2, name.size() / 3) + 1;
  for (const Option& option : Options()) {
    size_t distance = Distance(name, option.name);
    if (!name.empty() && option.name.starts_with(name)) distance = std::min<size_t>(distance, 1);
    if (distance < least) {
      least = distance;
      nearest = &option;
    }
  }
  return nearest;
}

}  // namespace sallyport::control
