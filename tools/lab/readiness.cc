// SPDX-License-Identifier: Apache-2.0
#include "lab/readiness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>
#include <sstream>

#include "base/unique_fd.h"
#include "lab/container.h"
#include "lab/files.h"
#include "lab/process.h"

namespace sallyport::lab {
namespace {

constexpr const char* kTcpListen = "0A";  // TCP_LISTEN, as /proc/net/tcp prints it

// Local ports of the sockets in /proc/<pid>/net/<table>; of those in `state`, if that is given.
void AddPorts(pid_t pid, const char* table, const std::string& state, std::set<uint16_t>* ports) {
  auto text = ReadFile("/proc/" + std::to_string(pid) + "/net/" + table);
  std::istringstream lines(text ? *text : "");
  std::string line;
  std::getline(lines, line);  // the heading
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    std::string slot;
    std::string local;
    std::string remote;
    std::string found;
    fields >> slot >> local >> remote >> found;
    size_t colon = local.find(':');
    if (colon == std::string::npos || (!state.empty() && found != state)) continue;
    ports->insert(static_cast<uint16_t>(std::stoul(local.substr(colon + 1), nullptr, 16)));
  }
}

Result<UniqueFd> Connect(const net::Address& address, uint16_t port) {
  UniqueFd fd(socket(address.IsV4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoError("socket");
  int connected;
  if (address.IsV4()) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(address.v4());
    connected = connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to);
  } else {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(port);
    memcpy(&to.sin6_addr, address.bytes().data(), 16);
    connected = connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to);
  }
  if (connected != 0) return ErrnoError("connect");
  return fd;
}

// An answer of 200 to 399 is a success.
bool AnswersHttp(int fd, const ReadinessCheck& check, const std::string& host) {
  std::string path = check.path.starts_with("/") ? check.path : "/" + check.path;
  std::string request = "GET " + path + " HTTP/1.1\r\n";
  bool has_host = false;
  for (const auto& [name, value] : check.headers) {
    request += name + ": " + value + "\r\n";
    has_host = has_host || name == "Host";
  }
  if (!has_host) request += "Host: " + host + ":" + std::to_string(check.port) + "\r\n";
  request += "User-Agent: kube-probe/lab\r\nConnection: close\r\n\r\n";
  if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) return false;
  std::string answer;
  std::array<char, 512> chunk;
  while (answer.find('\n') == std::string::npos) {
    ssize_t count = recv(fd, chunk.data(), chunk.size(), 0);
    if (count <= 0) return false;
    answer.append(chunk.data(), static_cast<size_t>(count));
  }
  return answer.size() > 12 && answer.starts_with("HTTP/1.") && answer[8] == ' ' &&
         (answer[9] == '2' || answer[9] == '3');
}

bool Connects(const ReadinessCheck& check, const std::string& pod_address) {
  const std::string& host = check.host.empty() ? pod_address : check.host;
  auto address = net::Address::Parse(host);
  if (!address || check.port == 0) return false;
  auto fd = Connect(*address, check.port);
  if (!fd) return false;
  return check.type == ReadinessCheck::Type::kTcp || AnswersHttp(fd->get(), check, host);
}

// The container's namespaces hold for children only where processes are concerned: so one more
// child, which dies with this one.
bool SucceedsInside(const ReadinessCheck& check, pid_t container) {
  std::string folder = "/proc/" + std::to_string(container);
  std::vector<std::string> env;
  if (auto text = ReadFile(folder + "/environ")) {
    std::istringstream in(*text);
    for (std::string setting; std::getline(in, setting, '\0');) env.push_back(setting);
  }
  if (Status entered = EnterContainer(container); !entered) return false;
  pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Status failed = ExecuteHere(check.command, env);
    _exit(failed ? 0 : 127);
  }
  int status = 0;
  return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
}

bool SucceedsBeside(ContainerRecipe container, const ContainerPlace& place) {
  container.stand_in = false;
  container.argv = container.readiness->command;
  auto code = RunAsContainer(container, place);
  return code && *code == 0;
}

bool Succeeds(const ContainerRecipe& container, const ContainerPlace& place,
              const std::string& address, pid_t pid) {
  const ReadinessCheck& check = *container.readiness;
  if (check.type != ReadinessCheck::Type::kExec) return Connects(check, address);
  return container.stand_in ? SucceedsBeside(container, place) : SucceedsInside(check, pid);
}

}  // namespace

bool AllListening(pid_t pid, const std::vector<model::ContainerPort>& ports, uint16_t server_port) {
  std::set<uint16_t> tcp;
  std::set<uint16_t> udp;
  for (const char* table : {"tcp", "tcp6"}) AddPorts(pid, table, kTcpListen, &tcp);
  for (const char* table : {"udp", "udp6"}) AddPorts(pid, table, "", &udp);
  if (server_port && (tcp.contains(server_port) || (ports.empty() && !tcp.empty()))) return true;
  return !ports.empty() &&
         std::all_of(ports.begin(), ports.end(), [&](const model::ContainerPort& port) {
           if (port.protocol == net::Protocol::kTcp) return tcp.contains(port.port);
           return port.protocol != net::Protocol::kUdp || udp.contains(port.port);
         });
}

Result<pid_t> StartCheck(const ContainerRecipe& container, const ContainerPlace& place,
                         const std::string& address, pid_t pid) {
  pid_t child = fork();
  if (child < 0) return ErrnoError("fork");
  if (child > 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  _exit(Succeeds(container, place, address, pid) ? 0 : 1);
}

}  // namespace sallyport::lab
