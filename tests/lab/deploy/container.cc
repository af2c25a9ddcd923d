// SPDX-License-Identifier: Apache-2.0
#include "lab/deploy/container.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include "base/check.h"
#include "base/unique_fd.h"
#include "support/places.h"
#include "support/sandbox.h"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

const model::Value kNone;

std::string ReadAll(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

int CapabilityOf(const std::string& name) {
  static const std::map<std::string, int> kNumbers = {
      {"BPF", CAP_BPF}, {"NET_ADMIN", CAP_NET_ADMIN}, {"PERFMON", CAP_PERFMON}};
  auto it = kNumbers.find(name);
  CHECK(it != kNumbers.end()) << "the test does not know CAP_" << name << "; add it";
  return it->second;
}

// In the child, where a failure can only end it: the log says what failed.
void Must(int result, const std::string& what) {
  if (result >= 0) return;
  dprintf(2, "container: %s: %s\n", what.c_str(), strerror(errno));
  _exit(126);
}

void MountPart(const std::string& root, const ContainerPlan::Mount& mount) {
  std::string to = root + mount.to;
  std::error_code error;
  fs::create_directories(to, error);
  Must(::mount(mount.from.c_str(), to.c_str(), nullptr, MS_BIND | MS_REC, nullptr), to);
  if (!mount.read_only) return;
  Must(::mount(nullptr, to.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr), to);
}

void EnterContainer(const std::string& root, const ContainerPlan& plan) {
  Must(unshare(CLONE_NEWNS), "unshare");
  // What the node mounts later appears inside: HostToContainer.
  Must(::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr), "slave");
  Must(::mount(root.c_str(), root.c_str(), nullptr, MS_BIND, nullptr), root);
  for (const ContainerPlan::Mount& mount : plan.mounts) MountPart(root, mount);
  for (const char* kind : {"proc", "sysfs"}) {
    std::string to = root + (std::string(kind) == "proc" ? "/proc" : "/sys");
    (void)mkdir(to.c_str(), 0755);
    Must(::mount(kind, to.c_str(), kind, MS_RDONLY, nullptr), to);
  }
  Must(::mount(nullptr, root.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr), root);
  Must(chroot(root.c_str()), "chroot");
  Must(chdir("/"), "chdir");
  std::vector<int> kept;
  for (const std::string& name : plan.capabilities) kept.push_back(CapabilityOf(name));
  for (int capability = 0; capability <= 63; ++capability) {
    if (std::find(kept.begin(), kept.end(), capability) == kept.end()) {
      (void)prctl(PR_CAPBSET_DROP, capability);  // the kernel may know fewer
    }
  }
  Must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges");
}

pid_t Spawn(const std::vector<std::string>& command, const std::vector<std::string>& environment,
            const std::string& log, const std::function<void()>& enter) {
  auto pointers = [](const std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
    out.push_back(nullptr);
    return out;
  };
  pid_t pid = fork();
  CHECK(pid >= 0) << strerror(errno);
  if (pid > 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  dup2(out, 1);
  dup2(out, 2);
  enter();
  execvpe(command.front().c_str(), pointers(command).data(), pointers(environment).data());
  Must(-1, command.front());
  _exit(127);
}

// What the YAML says about rights must be what EnterContainer does.
void CheckRights(const model::Value& security) {
  CHECK(!At(security, {"privileged"}).boolean) << "privileged";
  CHECK(At(security, {"readOnlyRootFilesystem"}).boolean) << "the root is to be read-only";
  const model::Value& escalation = At(security, {"allowPrivilegeEscalation"});
  CHECK(escalation.type == model::Value::Type::kBool && !escalation.boolean) << "escalation";
  const model::Value& drop = At(security, {"capabilities", "drop"});
  CHECK(drop.items.size() == 1 && drop.items[0].text == "ALL") << "all others are to be dropped";
}

}  // namespace

const model::Value& At(const model::Value& value, const std::vector<std::string>& path) {
  const model::Value* at = &value;
  for (const std::string& key : path) {
    at = at->Find(key);
    if (at == nullptr) return kNone;
  }
  return *at;
}

model::Value ReadKustomized(const std::string& folder, const std::string& kind) {
  const std::string out = "/run/spt-kustomized.yaml";
  Shell("kubectl kustomize " + InSources(folder) + " >" + out);
  auto parsed = model::ParseText(ReadAll(out), folder);
  CHECK(!model::HasErrors(parsed.diagnostics)) << parsed.diagnostics.front().ToString();
  const model::Value* found = nullptr;
  for (const model::Value& document : parsed.documents) {
    if (At(document, {"kind"}).text != kind) continue;
    CHECK(found == nullptr) << folder << " has several of kind " << kind;
    found = &document;
  }
  CHECK(found != nullptr) << folder << " has no " << kind;
  return *found;
}

ContainerPlan PlanOf(const model::Value& daemonset, const std::string& list,
                     const std::map<std::string, std::string>& places) {
  const model::Value& pod = At(daemonset, {"spec", "template", "spec"});
  const model::Value& containers = At(pod, {list});
  CHECK(containers.items.size() == 1) << list;
  const model::Value& container = containers.items.front();
  CheckRights(At(container, {"securityContext"}));
  CHECK(At(pod, {"hostNetwork"}).boolean) << "the test runs it on the node's network";
  ContainerPlan plan;
  for (const model::Value& argument : At(container, {"args"}).items) {
    plan.arguments.push_back(argument.text);
  }
  for (const auto& name : At(container, {"securityContext", "capabilities", "add"}).items) {
    plan.capabilities.push_back(name.text);
  }
  std::map<std::string, std::string> volumes;
  for (const model::Value& volume : At(pod, {"volumes"}).items) {
    const std::string& path = At(volume, {"hostPath", "path"}).text;
    auto place = places.find(path.empty() ? "config" : path);
    CHECK(place != places.end()) << "the test has no place for " << path;
    volumes[At(volume, {"name"}).text] = place->second;
  }
  for (const model::Value& mount : At(container, {"volumeMounts"}).items) {
    plan.mounts.push_back({volumes.at(At(mount, {"name"}).text), At(mount, {"mountPath"}).text,
                           At(mount, {"readOnly"}).boolean});
  }
  return plan;
}

Child::Child(const std::string& root, const ContainerPlan& plan, const std::string& log)
    : log_(log) {
  std::vector<std::string> command{"/usr/bin/sallyportd"};
  command.insert(command.end(), plan.arguments.begin(), plan.arguments.end());
  pid_ = Spawn(command, plan.environment, log, [&] { EnterContainer(root, plan); });
}

Child::Child(const std::vector<std::string>& command, const std::string& log)
    : pid_(Spawn(command, {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, log, [] {})), log_(log) {}

Child::~Child() {
  if (pid_ > 0) End(SIGKILL);
}

int Child::End(int signal) {
  if (signal != 0) kill(pid_, signal);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

std::string Child::Log() const { return ReadAll(log_); }

ApiServer::ApiServer() : directory_("/run/spt-api"), kubeconfig_(directory_ + "/admin.kubeconfig") {
  fs::remove_all(directory_);
  fs::create_directories(directory_);
  process_ = std::make_unique<Child>(
      std::vector<std::string>{InBuild("tools/cli/sallyport"), "lab", "run", "apiserver", "--data",
                               directory_, "--listen", std::string("127.0.0.1:") + kPort},
      "/run/spt-api-log");
  while (!fs::exists(kubeconfig_)) std::this_thread::yield();
}

void ApiServer::Kubectl(const std::string& arguments) const {
  Shell("HOME=/run kubectl --kubeconfig " + kubeconfig_ + " " + arguments);
}

void ApiServer::WriteServiceAccount(const std::string& ns, const std::string& name,
                                    const std::string& directory) const {
  fs::create_directories(directory);
  fs::copy_file(directory_ + "/ca.crt", directory + "/ca.crt");
  std::ofstream(directory + "/namespace") << ns;
  // `kubectl create token`, of kubectls that have it.
  std::ofstream("/run/spt-token-request")
      << R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}})";
  Kubectl("create --raw /api/v1/namespaces/" + ns + "/serviceaccounts/" + name +
          "/token -f /run/spt-token-request | jq -j .status.token >" + directory + "/token");
}

std::string UnpackImage() {
  static const std::string root = [] {
    const std::string directory = EnterSandbox().empty() ? "" : "/run/spt-image";
    const std::string archive = InBuild("image/sallyport.tar");
    Shell(
        "mkdir -p " + directory + "/root && cd " + directory + " && tar xf " + archive +
        " && for layer in $(jq -r '.[0].Layers[]' manifest.json); do tar xf $layer -C root; done");
    return directory + "/root";
  }();
  return root;
}

std::string HttpGet(uint16_t port, const std::string& path, int* status) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return "";
  // HTTP/1.0: the answer comes in one piece.
  std::string request = "GET " + path + " HTTP/1.0\r\nHost: x\r\n\r\n";
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return "";
  std::string answer;
  std::array<char, 16384> buffer;
  for (ssize_t got; (got = read(fd.get(), buffer.data(), buffer.size())) > 0;) {
    answer.append(buffer.data(), static_cast<size_t>(got));
  }
  size_t body = answer.find("\r\n\r\n");
  if (body == std::string::npos) return "";
  if (status != nullptr) *status = std::atoi(answer.c_str() + answer.find(' '));
  return answer.substr(body + 4);
}

}  // namespace sallyport::test
