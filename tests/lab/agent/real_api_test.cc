// SPDX-License-Identifier: Apache-2.0
// An agent on the lab's API server, a process of its own: ended, stopped and started again, while
// packets flow and pods come and go.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include "kube/client.h"
#include "lab/agent/agent_fixture.h"
#include "support/places.h"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

const std::string kTool = InBuild("tools/cli/sallyport");

class ApiServer {
 public:
  explicit ApiServer(std::string directory) : directory_(std::move(directory)) {
    fs::create_directories(directory_);
    Start();
  }
  ~ApiServer() {
    End(SIGKILL);
    if (testing::Test::HasFailure()) {
      std::cerr << std::ifstream(directory_ + "/log").rdbuf();
    }
    fs::remove_all(directory_);
  }

  std::string kubeconfig() const { return directory_ + "/admin.kubeconfig"; }
  void Signal(int signal) const { kill(pid_, signal); }
  void End(int signal) {
    if (pid_ <= 0) return;
    Signal(signal);
    Signal(SIGCONT);
    waitpid(std::exchange(pid_, -1), nullptr, 0);
  }
  // On the same port, once it has one. Returns when it answers.
  void Start() {
    fs::remove(kubeconfig());
    std::string listen = "127.0.0.1:" + std::to_string(port_);
    pid_ = fork();
    ASSERT_GE(pid_, 0);
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // it does not outlive the test program, however that ends
      int log = open((directory_ + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      dup2(log, 1);
      dup2(log, 2);
      execl(kTool.c_str(), kTool.c_str(), "lab", "run", "apiserver", "--data", directory_.c_str(),
            "--listen", listen.c_str(), nullptr);
      _exit(127);
    }
    while (!fs::exists(kubeconfig())) {
      ASSERT_EQ(waitpid(pid_, nullptr, WNOHANG), 0) << "the server ended";
      std::this_thread::sleep_for(std::chrono::milliseconds(5));  // between two looks
    }
    auto access = kube::ReadKubeconfig(kubeconfig());
    while (!access) access = kube::ReadKubeconfig(kubeconfig());
    port_ = access->port;
    client_ = kube::Client::Create(*access).value();
  }
  void Send(const std::string& method, const std::string& path, const std::string& body = "",
            const std::string& type = "application/json") {
    auto response =
        client_->Send({.method = method, .path = path, .body = body, .content_type = type});
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_TRUE(response->ok()) << path << ": " << response->body;
  }

 private:
  const std::string directory_;
  uint16_t port_ = 0;
  pid_t pid_ = -1;
  std::unique_ptr<kube::Client> client_;
};

class RealApiTest : public AgentTest {
 protected:
  void SetUp() override {
    files_.MakeResults();
    Create("/api/v1/namespaces", R"("kind":"Namespace","metadata":{"name":"shop"})");
    Create("/api/v1/nodes", R"("kind":"Node","metadata":{"name":"n1"})");
  }
  void Create(const std::string& path, const std::string& object) {
    bool policy = path.find("networking") != std::string::npos;
    server_.Send("POST", path,
                 R"({"apiVersion":")" + std::string(policy ? "networking.k8s.io/v1" : "v1") +
                     "\"," + object + "}");
  }
  // As the API has it: first the pod, then, from the node, its addresses.
  void CreatePod(const std::string& name, const Pod& pod) {
    Create(kPods, R"("kind":"Pod","metadata":{"name":")" + name + R"(","labels":{"app":")" + name +
                      R"("}},"spec":{"nodeName":"n1","terminationGracePeriodSeconds":0,)"
                      R"("containers":[{"name":"c","image":"i"}]})");
    std::string v4 = pod.v4().ToString(), v6 = pod.v6().ToString();
    server_.Send("PATCH", kPods + "/" + name + "/status",
                 R"({"status":{"phase":"Running","podIP":")" + v4 + R"(","podIPs":[{"ip":")" + v4 +
                     R"("},{"ip":")" + v6 + R"("}]}})",
                 "application/merge-patch+json");
    Claim(name, pod);
  }
  void DeletePod(const std::string& name) {
    server_.Send("DELETE", kPods + "/" + name + "?gracePeriodSeconds=0");
    files_.RemoveResult(name);
  }
  // Lets only app=a reach app=b.
  void CreatePolicy() {
    Create("/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies",
           R"("kind":"NetworkPolicy","metadata":{"name":"b"},"spec":{"podSelector":{"matchLabels":)"
           R"({"app":"b"}},"policyTypes":["Ingress"],"ingress":[{"from":[{"podSelector":)"
           R"({"matchLabels":{"app":"a"}}}]}]})");
  }
  // a may reach b, c may not; whenever it is asked.
  void ExpectVerdicts(const std::string& when) {
    EXPECT_TRUE(AReachesB()) << when;
    EXPECT_FALSE(Reaches(c_, b_)) << when;
    EXPECT_TRUE(Reaches(c_, a_)) << when;
  }
  // A pod that comes, is opened, and goes.
  void PodsComeAndGo(const std::string& name) {
    Pod pod(4);
    ASSERT_TRUE(HasEndpoint(files_, "", "closed", pod.device()));
    EXPECT_FALSE(Reaches(pod, a_));
    CreatePod(name, pod);
    ASSERT_TRUE(HasEndpoint(files_, "shop/" + name, "open", pod.device()));
    EXPECT_TRUE(Reaches(pod, a_));
    EXPECT_FALSE(Reaches(pod, b_));
    DeletePod(name);
    ASSERT_TRUE(HasEndpoint(files_, "", "closed", pod.device()));
    EXPECT_FALSE(Reaches(pod, a_));
  }

  const std::string kPods = "/api/v1/namespaces/shop/pods";
  ApiServer server_{"/run/spt-apiserver"};
  Pod c_{3};
};

TEST_F(RealApiTest, NoWrongVerdictWhateverTheServerDoes) {
  AgentProcess agent(files_, {"--kubeconfig=" + server_.kubeconfig()});
  CreatePod("a", a_);
  CreatePod("b", b_);
  CreatePod("c", c_);
  CreatePolicy();
  for (auto [name, pod] : {std::pair("shop/a", &a_), {"shop/b", &b_}, {"shop/c", &c_}}) {
    ASSERT_TRUE(HasEndpoint(files_, name, "open", pod->device()));
  }
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  ASSERT_TRUE(Ready(files_));
  ExpectVerdicts("before");
  PodsComeAndGo("before");

  server_.End(SIGKILL);
  ExpectVerdicts("killed");
  Pod late(5);
  ASSERT_TRUE(HasEndpoint(files_, "", "closed", late.device()));
  Claim("late", late);
  ASSERT_TRUE(HasEndpoint(files_, "shop/late", "closed", late.device()));
  EXPECT_FALSE(Reaches(late, a_)) << "unknown";
  server_.Start();  // its watch history is lost
  CreatePod("late", late);
  ASSERT_TRUE(HasEndpoint(files_, "shop/late", "open", late.device()));
  ExpectVerdicts("after a restart");
  ASSERT_TRUE(Ready(files_));
  PodsComeAndGo("restarted");

  server_.Signal(SIGSTOP);
  ExpectVerdicts("hung");
  server_.Signal(SIGCONT);
  PodsComeAndGo("woken");
  ExpectVerdicts("after it hung");

  for (int i = 0; i < 3; ++i) {
    server_.End(SIGKILL);
    server_.Start();
    PodsComeAndGo("again");
    ExpectVerdicts("after another restart");
  }
  ASSERT_TRUE(Ready(files_));
}

// The server comes last, and an agent restarts while it is away.
TEST_F(RealApiTest, TheAgentNeedNotFindTheServer) {
  CreatePod("a", a_);
  CreatePod("b", b_);
  CreatePod("c", c_);
  CreatePolicy();
  auto agent = std::make_unique<AgentProcess>(
      files_, std::vector<std::string>{"--kubeconfig=" + server_.kubeconfig()});
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  ASSERT_TRUE(Ready(files_));
  ExpectVerdicts("before");
  fs::copy(server_.kubeconfig(), files_.manifests() + "/kubeconfig");
  server_.End(SIGKILL);
  agent.reset();
  agent = std::make_unique<AgentProcess>(
      files_, std::vector<std::string>{"--kubeconfig=" + files_.manifests() + "/kubeconfig"});
  ASSERT_TRUE(
      Becomes(files_, "/v1/status", [](const auto& status) { return status.Find("node"); }));
  ExpectVerdicts("without a server, and an agent that knows nothing");
  server_.Start();
  ASSERT_TRUE(Ready(files_));
  ExpectVerdicts("after");
}

}  // namespace
}  // namespace sallyport::test
