// SPDX-License-Identifier: Apache-2.0
#include "lab/cni.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "lab/files.h"
#include "lab/netns.h"
#include "lab/process.h"
#include "lab/recipe_parts.h"

namespace sallyport::lab {
namespace {

using Arguments = std::vector<std::pair<std::string, std::string>>;

// As containerd and CRI-O pass them.
Arguments CniArguments(const Sandbox& sandbox) {
  return {{"IgnoreUnknown", "1"},
          {"K8S_POD_NAMESPACE", sandbox.pod.ns},
          {"K8S_POD_NAME", sandbox.pod.name},
          {"K8S_POD_INFRA_CONTAINER_ID", sandbox.container_id},
          {"K8S_POD_UID", sandbox.uid}};
}

// What one plugin gets on its standard input: its own part of the list, with the list's name and
// version.
Value PluginConfig(const Value& config, const Value* previous) {
  Value out = Items(config.Find("plugins")).front();
  Set(out, "cniVersion", *config.Find("cniVersion"));
  Set(out, "name", *config.Find("name"));
  if (previous) Set(out, "prevResult", *previous);
  return out;
}

Error PluginError(const std::string& type, const Finished& finished) {
  std::string why = finished.errors;
  if (auto reply = FromJson(finished.output, "reply")) {
    why = TextAt(*reply, {"msg"});
    if (std::string details = TextAt(*reply, {"details"}); !details.empty()) why += ": " + details;
  }
  if (why.empty()) why = "exit code " + std::to_string(finished.exit_code);
  return {"CNI plugin " + type + ": " + why, 0};
}

}  // namespace

struct PodNetwork::Network {
  Value config;
  std::string name;
  std::string ifname;
};

Status CheckPlugins(const std::string& cni) {
  if (cni != "ptp" && cni != "bridge")
    return Error{"--cni " + cni + ": the lab knows ptp and bridge", 0};
  for (const std::string& plugin : {cni, std::string("host-local"), std::string("loopback")})
    if (FindProgram(plugin, kPluginPath).empty())
      return Error{"CNI plugin " + plugin + " is not in " + kPluginPath +
                       ": apt-get install containernetworking-plugins",
                   0};
  return Ok();
}

Value NetworkConfig(const std::string& cni, const std::vector<net::Cidr>& pod_cidrs,
                    const std::string& data_dir) {
  Value ranges = Sequence();
  Value routes = Sequence();
  for (const net::Cidr& cidr : pod_cidrs) {
    ranges.items.push_back(Sequence({Mapping({{"subnet", String(cidr.ToString())}})}));
    routes.items.push_back(Mapping({{"dst", String(cidr.IsV4() ? "0.0.0.0/0" : "::/0")}}));
  }
  Value plugin = Mapping({{"type", String(cni)}, {"ipMasq", Boolean(false)}});
  if (cni == "bridge") {
    Set(plugin, "bridge", String("cni0"));
    Set(plugin, "isGateway", Boolean(true));
    Set(plugin, "hairpinMode", Boolean(true));
  }
  Set(plugin, "ipam",
      Mapping({{"type", String("host-local")},
               {"dataDir", String(data_dir)},
               {"ranges", std::move(ranges)},
               {"routes", std::move(routes)}}));
  return Mapping({{"cniVersion", String("1.0.0")},
                  {"name", String("sallyport")},
                  {"plugins", Sequence({std::move(plugin)})}});
}

std::string CacheText(const Value& config, const std::string& network, const std::string& ifname,
                      const Sandbox& sandbox, const Value& result) {
  Value args = Sequence();
  for (const auto& [name, value] : CniArguments(sandbox))
    args.items.push_back(Strings({name, value}));
  return ToJson(Mapping({{"kind", String("cniCacheV1")},
                         {"containerId", String(sandbox.container_id)},
                         {"config", String(EncodeBase64(ToJson(config)))},
                         {"ifName", String(ifname)},
                         {"networkName", String(network)},
                         {"cniArgs", std::move(args)},
                         {"capabilityArgs", Mapping({{"dns", Mapping()}})},
                         {"result", result}}));
}

PodNetwork::PodNetwork(const LabState& state, const NodePlan& node)
    : layout_(state.name),
      cni_(state.cni),
      node_(node.name()),
      pod_cidrs_(node.addresses.pod_cidrs) {}

std::vector<PodNetwork::Network> PodNetwork::Networks() const {
  Value loopback = Mapping({{"cniVersion", String("1.0.0")},
                            {"name", String("cni-loopback")},
                            {"plugins", Sequence({Mapping({{"type", String("loopback")}})})}});
  return {{std::move(loopback), "cni-loopback", "lo"},
          {NetworkConfig(cni_, pod_cidrs_, layout_.cni_networks(node_)), "sallyport", "eth0"}};
}

std::string PodNetwork::CachePath(const Network& network, const Sandbox& sandbox) const {
  return layout_.cni_results(node_) + "/" + network.name + "-" + sandbox.container_id + "-" +
         network.ifname;
}

Result<Value> PodNetwork::RunPlugin(const Network& network, const std::string& verb,
                                    const Sandbox& sandbox, const Value* previous) const {
  std::string type = TextAt(Items(network.config.Find("plugins")).front(), {"type"});
  std::string args;
  for (const auto& [name, value] : CniArguments(sandbox))
    args += (args.empty() ? "" : ";") + name + "=" + value;
  Command command;
  command.argv = {FindProgram(type, kPluginPath)};
  if (command.argv.front().empty()) return Error{"CNI plugin " + type + " is gone", 0};
  command.env = {
      "CNI_COMMAND=" + verb,
      "CNI_CONTAINERID=" + sandbox.container_id,
      "CNI_NETNS=" + (access(sandbox.netns_path.c_str(), F_OK) == 0 ? sandbox.netns_path : ""),
      "CNI_IFNAME=" + network.ifname,
      "CNI_ARGS=" + args,
      std::string("CNI_PATH=") + kPluginPath,
      std::string("PATH=") + kStandardPath,
      std::string(kMarker) + "=" + layout_.lab()};
  command.netns = NetnsPath(layout_.node_netns(node_));
  command.input = ToJson(PluginConfig(network.config, previous));
  auto finished = RunCommand(command);
  if (!finished) return std::move(finished).error();
  if (finished->exit_code != 0) return PluginError(type, *finished);
  if (finished->output.empty()) return Mapping();
  return FromJson(finished->output, "result of CNI plugin " + type);
}

Result<std::vector<net::Address>> PodNetwork::Add(const Sandbox& sandbox) const {
  std::vector<net::Address> addresses;
  for (const Network& network : Networks()) {
    auto result = RunPlugin(network, "ADD", sandbox, nullptr);
    if (!result) return std::move(result).error();
    std::string text = CacheText(network.config, network.name, network.ifname, sandbox, *result);
    if (Status written = WriteFile(CachePath(network, sandbox), text, 0600); !written)
      return std::move(written).error();
    if (network.ifname == "lo") continue;
    for (const Value& ip : Items(result->Find("ips"))) {
      auto address = ParseInterfaceAddress(TextAt(ip, {"address"}));
      if (!address) return std::move(address).error().Context("result of CNI plugin " + cni_);
      addresses.push_back(address->address);
    }
  }
  return addresses;
}

Status PodNetwork::Del(const Sandbox& sandbox) const {
  std::vector<Network> networks = Networks();
  Status status = Ok();
  for (auto network = networks.rbegin(); network != networks.rend(); ++network) {
    std::string path = CachePath(*network, sandbox);
    auto text = ReadFile(path);
    auto cached = text ? FromJson(*text, path) : Result<Value>(Error{"", ENOENT});
    const Value* previous = cached ? cached->Find("result") : nullptr;
    auto done = RunPlugin(*network, "DEL", sandbox, previous);
    if (!done && status) status = std::move(done).error();
    unlink(path.c_str());
  }
  return status;
}

}  // namespace sallyport::lab
