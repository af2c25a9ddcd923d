// SPDX-License-Identifier: Apache-2.0
#include "api/world.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "cli/unix_http.h"

namespace sallyport::bench {
namespace {

namespace fs = std::filesystem;

constexpr int kPodsPerNamespace = 500;
constexpr int kPodsPerNode = 100;
constexpr const char* kServerAddress = "127.0.0.1:6443";

// The sandbox keeps to one processor, so that packets are handled in order; a cluster does not.
void UseAllProcessors() {
  cpu_set_t all;
  CPU_ZERO(&all);
  for (int i = 0; i < CPU_SETSIZE; ++i) CPU_SET(i, &all);
  ::sched_setaffinity(0, sizeof all, &all);
}

std::string Meta(const std::string& ns, const std::string& name, const std::string& labels) {
  return R"("metadata":{"name":")" + name + "\"" +
         (ns.empty() ? "" : R"(,"namespace":")" + ns + "\"") +
         (labels.empty() ? "" : R"(,"labels":{)" + labels + "}") + "}";
}

// What the kubelet, the scheduler and kubectl leave on a pod, beyond what matters here.
std::string Ballast() {
  std::string env, fields;
  for (int i = 0; i < 12; ++i) {
    env += (i ? "," : "") +
           (R"({"name":"SETTING_)" + std::to_string(i) +
            R"(","value":"https://service.example/path/)" + std::to_string(i) + "\"}");
    fields += (i ? "," : "") + (R"("f:field)" + std::to_string(i) + R"(":{".":{},"f:value":{}})");
  }
  return R"("env":[)" + env +
         R"(],"volumeMounts":[{"name":"token","mountPath":"/var/run/secrets"}],)" +
         R"("resources":{"requests":{"cpu":"100m","memory":"128Mi"}},"imagePullPolicy":"Always",)" +
         R"("livenessProbe":{"httpGet":{"path":"/healthz","port":8080},"periodSeconds":10})" +
         R"(}],"volumes":[{"name":"token","emptyDir":{}}],"dnsPolicy":"ClusterFirst"},)" +
         R"("x-fields":{)" + fields + "}";
}

std::string PodObject(const std::string& ns, const std::string& name, const std::string& labels,
                      const std::string& node) {
  return R"({"apiVersion":"v1","kind":"Pod",)" + Meta(ns, name, labels) +
         R"(,"spec":{"nodeName":")" + node +
         R"(","containers":[{"name":"main","image":"registry.example/team/app:1.2.3",)" +
         R"("ports":[{"name":"http","containerPort":8080}],)" + Ballast() + "}";
}

std::string StatusPatch(const std::vector<std::string>& addresses) {
  std::string ips;
  for (const std::string& address : addresses)
    ips += (ips.empty() ? "" : ",") + (R"({"ip":")" + address + "\"}");
  return R"({"status":{"phase":"Running","podIP":")" + addresses.front() + R"(","podIPs":[)" + ips +
         R"(],"conditions":[{"type":"Ready","status":"True"}]}})";
}

std::string AddressOf(int pod) {
  return "10." + std::to_string(128 + pod / 65536) + "." + std::to_string(pod / 256 % 256) + "." +
         std::to_string(pod % 256);
}

}  // namespace

double NowSeconds() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

Process::Process(std::vector<std::string> argv, const std::string& log) {
  std::vector<char*> words;
  for (std::string& word : argv) words.push_back(word.data());
  words.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork");
  if (pid_ > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ::dup2(out, 1);
  ::dup2(out, 2);
  ::execv(words[0], words.data());
  ::_exit(127);
}

Process::~Process() {
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

// utime and stime are fields 14 and 15; the second one, the name, may hold anything but ')'.
double Process::CpuSeconds() const {
  std::ostringstream text;
  text << std::ifstream("/proc/" + std::to_string(pid_) + "/stat").rdbuf();
  std::istringstream fields(text.str().substr(text.str().rfind(')') + 1));
  std::string skipped;
  double user = 0, system = 0;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double Process::StatusMib(const char* field) const {
  std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field)) return std::stod(line.substr(line.find(':') + 1)) / 1024;
  throw std::runtime_error("the process has ended: its log is in the bench's directory");
}

double Process::ResidentMib() const { return StatusMib("VmRSS:"); }
double Process::PeakMib() const { return StatusMib("VmHWM:"); }

World::World() {
  test::EnterSandbox();
  UseAllProcessors();
  root_ = "/run/spt-bench-api-" + std::to_string(::getpid());
  fs::create_directories(root_ + "/results");
  StartServer();
}

World::~World() {
  agent_.reset();
  client_.reset();
  server_.reset();
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

void World::StartServer() {
  server_ = std::make_unique<Process>(
      std::vector<std::string>{SALLYPORT_TOOL, "lab", "run", "apiserver", "--data", root_ + "/api",
                               "--listen", kServerAddress},
      root_ + "/apiserver.log");
  std::string kubeconfig = root_ + "/api/admin.kubeconfig";
  for (double end = NowSeconds() + 20; !fs::exists(kubeconfig);) {
    if (NowSeconds() > end) throw std::runtime_error("the API server does not start");
    ::usleep(10'000);
  }
  auto access = kube::ReadKubeconfig(kubeconfig);
  if (!access) throw std::runtime_error(access.error().message);
  auto client = kube::Client::Create(*access);
  if (!client) throw std::runtime_error(client.error().message);
  client_ = *std::move(client);
}

void World::Post(const std::string& path, const std::string& object) {
  auto answer = client_->Send({.method = "POST", .path = path, .body = object});
  if (!answer) throw std::runtime_error(answer.error().message);
  if (!answer->ok()) throw std::runtime_error("POST " + path + ": " + answer->body);
}

void World::MergePatch(const std::string& path, const std::string& patch) {
  auto answer = client_->Send({.method = "PATCH",
                               .path = path,
                               .body = patch,
                               .content_type = "application/merge-patch+json"});
  if (!answer) throw std::runtime_error(answer.error().message);
  if (!answer->ok()) throw std::runtime_error("PATCH " + path + ": " + answer->body);
}

void World::FillWithPods(int count) {
  for (int i = filled_; i < count; i += kPodsPerNamespace)
    if (i % kPodsPerNamespace == 0)
      Post("/api/v1/namespaces", R"({"apiVersion":"v1","kind":"Namespace",)" +
                                     Meta("", "ns" + std::to_string(i / kPodsPerNamespace), "") +
                                     "}");
  std::atomic<int> next = filled_;
  std::atomic<bool> failed = false;
  const bool terminal = ::isatty(STDERR_FILENO) != 0;
  auto fill = [&] {
    for (int i = next++; i < count && !failed; i = next++) {
      try {
        std::string ns = "ns" + std::to_string(i / kPodsPerNamespace);
        std::string name = "app" + std::to_string(i % 40) + "-6d4cf56db6-" + std::to_string(i);
        std::string pods = "/api/v1/namespaces/" + ns + "/pods";
        Post(pods, PodObject(ns, name,
                             R"("app":"app)" + std::to_string(i % 40) +
                                 R"(","pod-template-hash":"6d4cf56db6","unique":"u)" +
                                 std::to_string(i) + "\"",
                             "node-" + std::to_string(i / kPodsPerNode)));
        MergePatch(pods + "/" + name + "/status", StatusPatch({AddressOf(i)}));
        if (terminal && i % 500 == 0) std::fprintf(stderr, "\r%d of %d pods made ", i, count);
      } catch (const std::exception& error) {
        if (!failed.exchange(true)) std::fprintf(stderr, "bench_api: %s\n", error.what());
      }
    }
  };
  std::vector<std::jthread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back(fill);
  threads.clear();
  if (terminal) std::fputs("\r\033[K", stderr);
  if (failed) throw std::runtime_error("the cluster could not be filled");
  filled_ = count;
}

void World::MakeShop() {
  a_ = std::make_unique<test::Pod>(1);
  b_ = std::make_unique<test::Pod>(2);
  Post("/api/v1/namespaces",
       R"({"apiVersion":"v1","kind":"Namespace",)" + Meta("", "shop", "") + "}");
  Post("/api/v1/nodes", R"({"apiVersion":"v1","kind":"Node",)" + Meta("", "n1", "") + "}");
  AddPod("a", R"("app":"a")", *a_);
  AddPod("b", R"("app":"b")", *b_);
  WriteResult("a", *a_);
  WriteResult("b", *b_);
}

void World::AddPod(const std::string& name, const std::string& label, const test::Pod& pod) {
  const std::string pods = "/api/v1/namespaces/shop/pods";
  Post(pods, PodObject("shop", name, label, "n1"));
  MergePatch(pods + "/" + name + "/status",
             StatusPatch({pod.v4().ToString(), pod.v6().ToString()}));
}

void World::WriteResult(const std::string& name, const test::Pod& pod) {
  std::string hidden = root_ + "/." + name;
  std::ofstream(hidden)
      << R"({"kind":"cniCacheV1","containerId":")" << name
      << R"(","ifName":"eth0","networkName":"hand","cniArgs":[["K8S_POD_NAMESPACE","shop"],)"
      << R"(["K8S_POD_NAME",")" << name << R"("]],"result":{"cniVersion":"1.0.0","interfaces":[)"
      << R"({"name":")" << pod.device() << R"("},{"name":"eth0"}],"ips":[{"address":")"
      << pod.v4().ToString() << R"(/24"},{"address":")" << pod.v6().ToString() << R"(/64"}]}})";
  fs::rename(hidden, root_ + "/results/hand-" + name + "-eth0");
}

void World::StartAgent() {
  agent_.reset();  // two cannot share their pins
  double start = NowSeconds();
  agent_ = std::make_unique<Process>(
      std::vector<std::string>{
          SALLYPORT_AGENT, "--node=n1", "--kubeconfig=" + root_ + "/api/admin.kubeconfig",
          "--cni-results=" + root_ + "/results", "--socket=" + root_ + "/run/agent.sock",
          "--pins=" + test::EnterSandbox() + "/spt-bench-api", "--metrics-address="},
      root_ + "/agent.log");
  WaitForAgent("/v1/status", [](const std::string& answer) {
    return answer.find("\"ready\":true") != std::string::npos;
  });
  ready_after_ = NowSeconds() - start;
}

void World::WaitForAgent(const std::string& path,
                         const std::function<bool(const std::string&)>& is_so) {
  std::string last = "no answer";
  for (double end = NowSeconds() + 120; NowSeconds() < end; ::usleep(5'000)) {
    auto answer = cli::Get(root_ + "/run/agent.sock", path, std::chrono::seconds(60));
    if (answer && is_so(*answer)) return;
    last = answer ? *answer : answer.error().message;
  }
  throw std::runtime_error("the agent's " + path + " stays: " + last);
}

}  // namespace sallyport::bench
