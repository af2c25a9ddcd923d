// SPDX-License-Identifier: Apache-2.0
#include "lab/daemons.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <thread>
#include <utility>

#include "kube/access.h"
#include "lab/api.h"
#include "lab/files.h"
#include "lab/netns.h"
#include "lab/process.h"
#include "lab/recipe_parts.h"

namespace sallyport::lab {
namespace {

constexpr Duration kEndWithin = std::chrono::seconds(10);
constexpr Duration kStartWithin = std::chrono::seconds(20);
constexpr const char* kNodePrefix = "node-";
constexpr const char* kAgentPrefix = "agent-";

std::string PidFile(const Layout& layout, const std::string& daemon) {
  return layout.processes() + "/" + daemon;
}

std::string WithPort(const net::Address& address, uint16_t port) {
  std::string text = address.ToString();
  return (address.IsV4() ? text : "[" + text + "]") + ":" + std::to_string(port);
}

Command ApiServerCommand(const LabState& state) {
  Layout layout(state.name);
  Command command;
  command.argv = {state.sallyport, "lab",
                  "run",           "apiserver",
                  "--data",        layout.apiserver(),
                  "--listen",      "127.0.0.1:" + std::to_string(state.api_port)};
  for (const net::Address& address : ApiAddresses(state))
    command.argv.insert(command.argv.end(), {"--listen", NetnsPath(layout.fabric_netns()) + "@" +
                                                             WithPort(address, kApiPort)});
  for (const net::Cidr& cidr : state.networks.services)
    command.argv.insert(command.argv.end(), {"--service-cidr", cidr.ToString()});
  return command;
}

Command AgentCommand(const LabState& state, const std::string& node) {
  Layout layout(state.name);
  Command command;
  command.argv = {state.agent,
                  "--node",
                  node,
                  "--kubeconfig",
                  layout.agent_kubeconfig(),
                  "--cni-results",
                  layout.cni_results(node),
                  "--pins",
                  layout.pins(node),
                  "--socket",
                  layout.socket(node)};
  command.netns = NetnsPath(layout.node_netns(node));
  return command;
}

Result<Command> CommandOf(const LabState& state, const std::string& daemon) {
  Layout layout(state.name);
  if (daemon == kApiServer) return ApiServerCommand(state);
  if (daemon.starts_with(kAgentPrefix)) {
    if (state.agent.empty())
      return Error{"lab " + state.name + " was made without agents (--no-agent)", 0};
    return AgentCommand(state, daemon.substr(std::string(kAgentPrefix).size()));
  }
  Command command;
  command.argv = {state.sallyport, "lab", "run"};
  if (daemon == kRelay || daemon == kControllers) {
    command.argv.insert(command.argv.end(), {daemon, "--name", state.name});
    return command;
  }
  std::string node = daemon.substr(std::string(kNodePrefix).size());
  command.argv.insert(command.argv.end(), {"node", "--name", state.name, "--node", node});
  command.netns = NetnsPath(layout.node_netns(node));
  return command;
}

// Until the API server answers. Its first start makes its keys and admin.kubeconfig.
Status AwaitApiServer(const LabState& state) {
  Layout layout(state.name);
  MonotonicTime deadline = SystemClock().Now() + kStartWithin;
  std::string path = layout.apiserver() + "/admin.kubeconfig";
  Error last{"it wrote no admin.kubeconfig", 0};
  for (std::unique_ptr<Api> api;;) {
    if (!api && access(path.c_str(), R_OK) == 0) {
      auto opened = Api::Open(path);
      if (opened)
        api = *std::move(opened);
      else
        last = std::move(opened).error();
    }
    if (api) {
      auto answer = api->Get("/version");
      if (answer) return Ok();
      last = std::move(answer).error();
    }
    bool dead = !DaemonPid(layout, kApiServer);
    if (dead || SystemClock().Now() >= deadline)
      return Error{"the API server does not " + std::string(dead ? "run" : "answer") + " (" +
                       last.message + "); its log: " + layout.log(kApiServer),
                   0};
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

std::string KubeconfigText(const kube::Access& access, const std::string& server) {
  Value cluster = Mapping({{"server", String(server)}});
  if (!access.ca_pem.empty())
    Set(cluster, "certificate-authority-data", String(EncodeBase64(access.ca_pem)));
  if (!access.server_name.empty()) Set(cluster, "tls-server-name", String(access.server_name));
  Value user = Mapping();
  if (!access.client_certificate_pem.empty()) {
    Set(user, "client-certificate-data", String(EncodeBase64(access.client_certificate_pem)));
    Set(user, "client-key-data", String(EncodeBase64(access.client_key_pem)));
  }
  if (!access.token_file.empty()) Set(user, "tokenFile", String(access.token_file));
  if (!access.token.empty()) Set(user, "token", String(access.token));
  Value name = String("lab");
  Value context = Mapping({{"cluster", name}, {"user", name}});
  return ToJson(Mapping(
             {{"apiVersion", String("v1")},
              {"kind", String("Config")},
              {"clusters", Sequence({Mapping({{"name", name}, {"cluster", std::move(cluster)}})})},
              {"users", Sequence({Mapping({{"name", name}, {"user", std::move(user)}})})},
              {"contexts", Sequence({Mapping({{"name", name}, {"context", std::move(context)}})})},
              {"current-context", name}})) +
         "\n";
}

Status WriteSecret(const std::string& path, const std::string& text) {
  if (Status written = WriteFile(path + ".new", text, 0600); !written) return written;
  if (rename((path + ".new").c_str(), path.c_str()) != 0) return ErrnoError("write " + path);
  return Ok();
}

std::string FabricServer(const LabState& state, const kube::Access& access) {
  return "https://" + WithPort(ApiAddresses(state).front(), kApiPort) + access.base_path;
}

}  // namespace

std::string NodeDaemon(const std::string& node) { return kNodePrefix + node; }
std::string AgentDaemon(const std::string& node) { return kAgentPrefix + node; }

Result<std::string> FindAgent(const std::string& given, const std::string& sallyport) {
  const char* variable = std::getenv("SALLYPORTD");
  std::string wanted = given.empty() && variable ? variable : given;
  if (!wanted.empty()) {
    std::string found = FindProgram(wanted, kStandardPath);
    if (found.empty()) return Error{"agent " + wanted + ": no such program", 0};
    return found;
  }
  std::string folder = sallyport.substr(0, sallyport.rfind('/'));
  for (const std::string& candidate :
       {folder + "/sallyportd", folder + "/../../agent/control/sallyportd"})
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  std::string found = FindProgram("sallyportd", kStandardPath);
  if (!found.empty()) return found;
  return Error{"no sallyportd beside " + sallyport +
                   " or on the PATH: name it with --agent PATH, or do without with --no-agent",
               0};
}

std::vector<std::string> DaemonsOf(const LabState& state) {
  std::vector<std::string> out = {state.joined.empty() ? kApiServer : kRelay};
  if (state.controllers) out.emplace_back(kControllers);
  for (const NodePlan& node : state.nodes) {
    out.push_back(NodeDaemon(node.name()));
    if (!state.agent.empty()) out.push_back(AgentDaemon(node.name()));
  }
  return out;
}

pid_t DaemonPid(const Layout& layout, const std::string& daemon) {
  auto text = ReadFile(PidFile(layout, daemon));
  pid_t pid = text ? static_cast<pid_t>(std::atoi(text->c_str())) : 0;
  return IsAlive(pid) && HasMarker(pid, layout.marker()) ? pid : 0;
}

Status StartDaemonOf(const LabState& state, const std::string& daemon) {
  Layout layout(state.name);
  if (DaemonPid(layout, daemon)) return Ok();
  auto command = CommandOf(state, daemon);
  if (!command) return std::move(command).error();
  command->env = EnvironmentWith({layout.marker()});
  command->log = layout.log(daemon);
  auto pid = StartDaemon(*command);
  if (!pid) return std::move(pid).error().Context(daemon);
  Status kept = ReplaceFile(PidFile(layout, daemon), std::to_string(*pid) + "\n", layout.scratch());
  if (!kept || daemon != kApiServer) return kept;
  return AwaitApiServer(state);
}

Status EndDaemon(const LabState& state, const std::string& daemon, int signal) {
  pid_t pid = DaemonPid(Layout(state.name), daemon);
  if (!pid || EndProcesses({pid}, signal, kEndWithin)) return Ok();
  return Error{daemon + " (process " + std::to_string(pid) + ") does not end", 0};
}

std::vector<net::Address> ApiAddresses(const LabState& state) {
  return state.nodes.front().addresses.gateways;
}

Status WriteNodeKubeconfig(const LabState& state, const std::string& kubeconfig) {
  auto access = kube::ReadKubeconfig(kubeconfig);
  if (!access) return std::move(access).error();
  // The way is another, the server is the same: its certificate is for the name it was given.
  if (!state.joined.empty() && access->server_name.empty()) access->server_name = access->host;
  return WriteSecret(Layout(state.name).node_kubeconfig(),
                     KubeconfigText(*access, FabricServer(state, *access)));
}

Status WriteAgentKubeconfig(const LabState& state, const std::string& token) {
  Layout layout(state.name);
  auto access = kube::ReadKubeconfig(layout.node_kubeconfig());
  if (!access) return std::move(access).error();
  access->client_certificate_pem.clear();
  access->client_key_pem.clear();
  access->token_file.clear();
  access->token = token;
  return WriteSecret(layout.agent_kubeconfig(),
                     KubeconfigText(*access, FabricServer(state, *access)));
}

// None that the kernel gives to clients: it might before the server has it.
Result<uint16_t> FreePort() {
  constexpr uint16_t kFirst = 16384;
  constexpr int kTries = 100;
  auto range = ReadFile("/proc/sys/net/ipv4/ip_local_port_range");
  int end = range ? std::atoi(range->c_str()) : 0;
  if (end <= kFirst) end = 32768;
  std::random_device random;
  std::uniform_int_distribution<int> any(kFirst, end - 1);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < kTries; ++i) {
    auto port = static_cast<uint16_t>(any(random));
    address.sin_port = htons(port);
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd && bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0)
      return port;
  }
  return ErrnoError("find a free port");
}

}  // namespace sallyport::lab
