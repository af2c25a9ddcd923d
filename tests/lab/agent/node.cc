// SPDX-License-Identifier: Apache-2.0
#include "lab/agent/node.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/check.h"
#include "base/unique_fd.h"
#include "support/places.h"
#include "support/sandbox.h"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kForever = seconds(60);
const std::string kPrograms[] = {InBuild("agent/control/sallyportd"),
                                 InBuild("agent/control/sallyportd_next")};
const std::string& ProgramOf(AgentVersion version) { return kPrograms[static_cast<int>(version)]; }

// As a careful writer does it: whole or not at all.
void WriteWhole(const std::string& path, const std::string& text) {
  std::string hidden = fs::path(path).parent_path().string() + "/.new";
  std::ofstream(hidden, std::ios::trunc) << text;
  fs::rename(hidden, path);
}

std::string ReadAll(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

pid_t Spawn(AgentVersion version, const std::vector<std::string>& arguments, const std::string& log,
            const std::string& netns) {
  const std::string& program = ProgramOf(version);
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t pid = fork();
  CHECK(pid >= 0) << strerror(errno);
  if (pid > 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // it does not outlive the test program, however that ends
  int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(out, 1);
  dup2(out, 2);
  if (!netns.empty()) {
    int fd = open(("/run/netns/" + netns).c_str(), O_RDONLY | O_CLOEXEC);
    if (setns(fd, CLONE_NEWNET) != 0) _exit(126);
  }
  execv(program.c_str(), argv.data());
  _exit(127);
}

int WaitFor(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

std::string Text(const model::Value& object, const char* key) {
  const model::Value* value = object.Find(key);
  return value ? value->text : "";
}

}  // namespace

AgentFiles::AgentFiles(const std::string& name)
    : root_("/run/spt-" + name), pins_(EnterSandbox() + "/spt-" + name) {
  fs::create_directories(manifests());
}

AgentFiles::~AgentFiles() {
  int code = 0;
  std::string said = RunAgent({"--detach", "--pins", pins_}, code, version_);
  EXPECT_EQ(code, 0) << said;
  fs::remove_all(root_);
}

void AgentFiles::WriteManifest(const std::string& file, const std::string& text) const {
  WriteWhole(manifests() + "/" + file, text);
}

void AgentFiles::RemoveManifest(const std::string& file) const {
  fs::remove(manifests() + "/" + file);
}

void AgentFiles::WritePod(const std::string& name,
                          const std::vector<std::string>& addresses) const {
  std::string status;
  for (const std::string& address : addresses) status += "\n  - ip: \"" + address + "\"";
  WriteManifest("pod-" + name + ".yaml",
                "apiVersion: v1\nkind: Pod\n"
                "metadata: {name: " +
                    name + ", namespace: shop, uid: uid-" + name + ", labels: {app: " + name +
                    "}}\n"
                    "spec: {nodeName: n1, containers: [{name: c, image: i}]}\n"
                    "status:\n  phase: Running\n" +
                    (status.empty() ? "" : "  podIPs:" + status + "\n"));
}

void AgentFiles::WritePolicy(const std::string& name, const std::string& rule) const {
  WriteManifest("policy-" + name + ".yaml",
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
                "metadata: {name: " +
                    name +
                    ", namespace: shop}\n"
                    "spec:\n  podSelector: {matchLabels: {app: " +
                    name + "}}\n  policyTypes: [Ingress]\n  ingress: [" + rule + "]\n");
}

void AgentFiles::MakeResults() const { fs::create_directories(results()); }

void AgentFiles::WriteResult(const std::string& name, const std::vector<std::string>& addresses,
                             const std::string& host_interface, const std::string& netns,
                             const std::string& uid) const {
  MakeResults();
  std::string ips;
  for (const std::string& address : addresses) {
    ips += (ips.empty() ? "" : ",") + ("{\"address\":\"" + address + "/24\"}");
  }
  std::string host = host_interface.empty() ? "" : "{\"name\":\"" + host_interface + "\"},";
  WriteWhole(results() + "/hand-" + name + "-eth0",
             R"({"kind":"cniCacheV1","containerId":")" + name + R"(","ifName":"eth0",)" +
                 R"("networkName":"hand","netns":")" + netns +
                 R"(","cniArgs":[["K8S_POD_NAMESPACE","shop"],["K8S_POD_NAME",")" + name + R"("])" +
                 (uid.empty() ? "" : R"(,["K8S_POD_UID",")" + uid + R"("])") +
                 R"(],"result":{"cniVersion":"1.0.0","interfaces":[)" + host +
                 R"({"name":"eth0","sandbox":")" + netns + R"("}],"ips":[)" + ips + "]}}");
}

void AgentFiles::RemoveResult(const std::string& name) const {
  fs::remove(results() + "/hand-" + name + "-eth0");
}

AgentProcess::AgentProcess(const AgentFiles& files, std::vector<std::string> flags,
                           const std::string& netns)
    : log_(fs::path(files.manifests()).parent_path().string() + "/log") {
  std::vector<std::string> all{"--node=n1", "--cni-results=" + files.results(),
                               "--socket=" + files.socket(), "--pins=" + files.pins(),
                               "--max-flows=4096"};
  bool api = !flags.empty() && flags.front().find("--kubeconfig=") == 0;
  if (!api) all.push_back("--manifests=" + files.manifests());
  all.insert(all.end(), flags.begin(), flags.end());
  pid_ = Spawn(files.version(), all, log_, netns);
}

AgentProcess::~AgentProcess() {
  if (pid_ > 0) End(SIGTERM);
  if (testing::Test::HasFailure()) std::fputs(Log().c_str(), stderr);
}

void AgentProcess::Signal(int signal) const { kill(pid_, signal); }

int AgentProcess::End(int signal) {
  Signal(signal);
  return Wait();
}

int AgentProcess::Wait() {
  int code = WaitFor(pid_);
  pid_ = -1;
  return code;
}

std::string AgentProcess::Log() const { return ReadAll(log_); }

std::string RunAgent(const std::vector<std::string>& flags, int& code, AgentVersion version) {
  std::string log = "/run/spt-run-log";
  fs::remove(log);
  code = WaitFor(Spawn(version, flags, log, ""));
  return ReadAll(log);
}

model::Value Ask(const AgentFiles& files, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  files.socket().copy(address.sun_path, sizeof(address.sun_path) - 1);
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return {};
  std::string request = "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return {};
  std::string answer;
  char buffer[16384];
  for (ssize_t got; (got = read(fd.get(), buffer, sizeof(buffer))) > 0;) {
    answer.append(buffer, static_cast<size_t>(got));
  }
  size_t body = answer.find("\r\n\r\n");
  if (body == std::string::npos) return {};
  // A list of its own is no document: it becomes a member.
  auto parsed = model::ParseText("{\"answer\":" + answer.substr(body + 4) + "}", "answer");
  if (parsed.documents.empty()) return {};
  return *parsed.documents.front().Find("answer");
}

bool Becomes(const AgentFiles& files, const std::string& path, const Check& is_so) {
  auto end = std::chrono::steady_clock::now() + kForever;
  while (std::chrono::steady_clock::now() < end) {
    if (is_so(Ask(files, path))) return true;
    std::this_thread::sleep_for(milliseconds(2));  // between two questions
  }
  return false;
}

bool Ready(const AgentFiles& files) {
  return Becomes(files, "/v1/status", [](const model::Value& status) {
    const model::Value* ready = status.Find("ready");
    return ready && ready->boolean;
  });
}

bool HasEndpoint(const AgentFiles& files, const std::string& pod, const std::string& state,
                 const std::string& device) {
  return Becomes(files, "/v1/endpoints", [&](const model::Value& endpoints) {
    for (const model::Value& endpoint : endpoints.items) {
      if (Text(endpoint, "pod") == pod && Text(endpoint, "state") == state &&
          Text(endpoint, "interface") == device) {
        return true;
      }
    }
    return false;
  });
}

bool HasNoEndpoint(const AgentFiles& files, const std::string& device) {
  return Becomes(files, "/v1/endpoints", [&](const model::Value& endpoints) {
    if (endpoints.type != model::Value::Type::kSequence) return false;
    for (const model::Value& endpoint : endpoints.items) {
      if (Text(endpoint, "interface") == device) return false;
    }
    return true;
  });
}

bool HasDiagnostic(const AgentFiles& files, const std::string& text) {
  return Becomes(files, "/v1/status", [&](const model::Value& status) {
    const model::Value* diagnostics = status.Find("diagnostics");
    if (!diagnostics) return false;
    for (const model::Value& diagnostic : diagnostics->items) {
      if (diagnostic.text.find(text) != std::string::npos) return true;
    }
    return false;
  });
}

bool HasPolicies(const AgentFiles& files, const std::string& names) {
  return Becomes(files, "/v1/policies", [&](const model::Value& policies) {
    std::string now;
    for (const model::Value& policy : policies.items) {
      now += (now.empty() ? "" : " ") + Text(policy, "policy");
    }
    return policies.type == model::Value::Type::kSequence && now == names;
  });
}

}  // namespace sallyport::test
