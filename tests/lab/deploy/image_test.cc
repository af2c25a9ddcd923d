// SPDX-License-Identifier: Apache-2.0
// The image and the DaemonSet, as far as one node goes: the agent from the image, with exactly the
// rights and mounts that the YAML gives it, guards real interfaces; upgrades and removal as the
// README describes them.
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <thread>

#include "base/unique_fd.h"
#include "base/version.h"
#include "lab/agent/agent_fixture.h"
#include "lab/deploy/container.h"
#include "support/places.h"
#include "watch/api_watch.h"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using testing::UnorderedElementsAreArray;

constexpr uint16_t kMetrics = 9469;
// Where the node has what the DaemonSet mounts.
const std::string kNode = "/run/spt-agent";

class ImageTest : public AgentTest {
 protected:
  ImageTest() {
    fs::create_directories(kNode + "/run");
    fs::create_directories(kNode + "/config");
    fs::create_directories("/run/netns");
    fs::copy_file(InSources("daemonset/config.yaml"), kNode + "/config/config.yaml",
                  fs::copy_options::overwrite_existing);
    fs::create_symlink("sallyportd.sock", files_.socket());  // where Ask looks
  }
  ~ImageTest() override {
    int code = 0;
    RunAgent({"--detach", "--pins=/sys/fs/bpf/sallyport"}, code);
    EXPECT_EQ(code, 0);
  }

  static std::map<std::string, std::string> Places() {
    return {{"config", kNode + "/config"},
            {"/sys/fs/bpf", "/sys/fs/bpf"},
            {"/run/netns", "/run/netns"},
            {"/var/lib/cni", kNode},  // with "results" in it
            {"/run/sallyport", kNode + "/run"}};
  }
  // The DaemonSet's container, but for where objects come from: a directory beside.
  std::unique_ptr<Child> StartAgent(const char* log = "log") {
    ContainerPlan plan = PlanOf(ReadKustomized("daemonset", "DaemonSet"), "containers", Places());
    plan.mounts.push_back({files_.manifests(), "/manifests", true});
    plan.arguments.push_back("--manifests=/manifests");
    return std::make_unique<Child>(UnpackImage(), plan, kNode + "/" + log);
  }
  std::unique_ptr<Child> StartRemoval(const std::string& list) {
    ContainerPlan plan = PlanOf(ReadKustomized("daemonset/remove", "DaemonSet"), list, Places());
    return std::make_unique<Child>(UnpackImage(), plan, kNode + "/removal-log");
  }
  // What a probe of the DaemonSet exits with, run in the agent's container as the kubelet does.
  static int Probe(const Child& agent, const std::string& name, std::string* said = nullptr) {
    model::Value daemonset = ReadKustomized("daemonset", "DaemonSet");
    const model::Value& pod = At(daemonset, {"spec", "template", "spec"});
    const model::Value& container = At(pod, {"containers"}).items.at(0);
    EXPECT_TRUE(At(container, {"ports"}).items.empty()) << "each would be taken from the node";
    std::vector<std::string> command{"nsenter", "--mount", "--root", "--target",
                                     std::to_string(agent.pid())};
    for (const model::Value& word : At(container, {name, "exec", "command"}).items) {
      command.push_back(word.text);
    }
    fs::remove("/run/spt-probe-log");
    Child probe(command, "/run/spt-probe-log");
    int code = probe.End(0);
    if (said != nullptr) *said = probe.Log();
    return code;
  }
  // Says so, once the page answers with that status.
  static bool Answers(const std::string& path, int wanted) {
    for (int tries = 0; tries < 30'000; ++tries) {
      int status = 0;
      HttpGet(kMetrics, path, &status);
      if (status == wanted) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));  // between two questions
    }
    return false;
  }
  // Says so, once the agent names that among the reasons why it is not ready.
  bool HasReason(const std::string& reason) const {
    return Becomes(files_, "/v1/status", [&](const model::Value& status) {
      const auto& reasons = At(status, {"reasons"}).items;
      return std::any_of(reasons.begin(), reasons.end(), [&](const model::Value& item) {
        return item.text.find(reason) != std::string::npos;
      });
    });
  }
};

TEST_F(ImageTest, AgentEnforcesWithTheRightsOfTheDaemonSet) {
  auto agent = StartAgent();
  OpenBoth();
  EXPECT_TRUE(AReachesB());
  files_.WritePolicy("b");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Answers("/healthz", 200));
  EXPECT_TRUE(Answers("/readyz", 200)) << agent->Log();
  EXPECT_THAT(HttpGet(kMetrics, "/metrics"),
              HasSubstr("\nsallyport_endpoints{state=\"open\"} 2\n"));

  ASSERT_TRUE(Becomes(files_, "/v1/events",
                      [](const model::Value& events) { return !events.items.empty(); }));
  EXPECT_THAT(agent->Log(),
              AllOf(HasSubstr(R"("message":"drop: shop/a -> shop/b )"),
                    HasSubstr(R"("drop":{"time":)"), HasSubstr(R"("isolating":["shop/b"])")));

  std::ifstream file("/proc/" + std::to_string(agent->pid()) + "/status");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  EXPECT_THAT(text, HasSubstr("CapEff:\t000000c000001000\n")) << "BPF, PERFMON and NET_ADMIN only";
  EXPECT_THAT(text, HasSubstr("NoNewPrivs:\t1\n"));
  EXPECT_EQ(agent->End(SIGTERM), 0);
  EXPECT_TRUE(ANeverReachesB()) << "what is enforced does not depend on the pod";
}

// Whose port it is says nothing about the agent.
TEST_F(ImageTest, ProbesDoNotDependOnAPort) {
  UniqueFd neighbour(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(kMetrics);
  int on = 1;  // connections of an agent before may linger
  (void)setsockopt(neighbour.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  ASSERT_EQ(bind(neighbour.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(neighbour.get(), 1), 0);
  auto agent = StartAgent();
  OpenBoth();
  std::string said;
  for (const char* probe : {"startupProbe", "livenessProbe", "readinessProbe"}) {
    EXPECT_EQ(Probe(*agent, probe, &said), 0) << probe << ": " << said;
  }
  EXPECT_THAT(agent->Log(), HasSubstr("metrics and health: listening on [::]:9469: "));

  kill(agent->pid(), SIGSTOP);
  EXPECT_EQ(Probe(*agent, "livenessProbe", &said), 2) << "it does not answer";
  EXPECT_THAT(said, HasSubstr("sallyport: "));
  kill(agent->pid(), SIGCONT);
}

// New namespaces of pods are mounted on the node after the container was started.
TEST_F(ImageTest, PodsThatComeLaterAreFoundByTheirSandbox) {
  auto agent = StartAgent();
  OpenBoth();
  Pod c(3);
  files_.WritePod("c", {c.v4().ToString(), c.v6().ToString()});
  files_.WriteResult("c", {c.v4().ToString(), c.v6().ToString()}, "", "/run/netns/spt3");
  EXPECT_TRUE(HasEndpoint(files_, "shop/c", "open", c.device())) << agent->Log();
  EXPECT_TRUE(Reaches(a_, c));
}

TEST_F(ImageTest, ToolIsInTheImage) {
  auto agent = StartAgent();
  OpenBoth();
  files_.WritePolicy("b");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  files_.WriteManifest("service.yaml", R"(
apiVersion: v1
kind: Service
metadata: {name: front, namespace: shop}
spec: {clusterIP: 10.96.0.10, ports: [{port: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: front-1, namespace: shop, labels: {kubernetes.io/service-name: front}}
addressType: IPv4
ports: [{port: 80}]
endpoints: [{addresses: [10.99.0.2], targetRef: {kind: Pod, name: b, namespace: shop}}]
)");
  // As `kubectl exec` has it: the same files and mounts.
  auto explain = [&](const std::string& to, int code) {
    Shell("nsenter --mount --root --target " + std::to_string(agent->pid()) +
          " /usr/bin/sallyport explain --live --from shop/a --to " + to +
          " --family 4 >/run/spt-said 2>&1; [ $? = " + std::to_string(code) + " ]");
    std::ifstream file("/run/spt-said");
    return std::string((std::istreambuf_iterator<char>(file)), {});
  };
  std::string said = explain("shop/b:80", 1);
  EXPECT_THAT(said, StartsWith("shop/a -> shop/b:80/TCP (10.99.0.2): denied\n"));
  EXPECT_THAT(said, HasSubstr("ingress of shop/b: denied: isolated by shop/b"));
  ASSERT_TRUE(Becomes(files_, "/v1/explain?from=shop/a&to=svc/shop/front&port=8080",
                      [](const model::Value& rows) { return rows.items.size() == 1; }));
  for (const char* to : {"10.96.0.10:8080", "svc/shop/front:8080"}) {
    EXPECT_THAT(explain(to, 1), StartsWith("shop/a -> shop/b:80/TCP (10.99.0.2): denied\n"
                                           "  behind Service shop/front:8080/TCP\n"));
  }
  EXPECT_THAT(explain("10.96.0.10:80", 2), HasSubstr("Service shop/front has no such port"));
  EXPECT_FALSE(fs::exists(UnpackImage() + "/bin/sh")) << "nothing else is in the image";
}

// As the DaemonSet updates (a surge): the new agent starts beside the old one, is ready to the
// kubelet, and takes over when the old one ends.
TEST_F(ImageTest, UpdateLeavesNoGap) {
  auto first = StartAgent();
  OpenBoth();
  files_.WritePolicy("b");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  auto second = StartAgent("next-log");
  ASSERT_TRUE(Becomes(files_, "/v1/status", [&](const model::Value&) {
    return second->Log().find("standing by") != std::string::npos;
  })) << second->Log();
  for (const char* probe : {"startupProbe", "livenessProbe", "readinessProbe"}) {
    std::string said;
    EXPECT_EQ(Probe(*second, probe, &said), 0) << probe << ": " << said;
  }
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_EQ(first->End(SIGTERM), 0);
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_)) << "what is allowed goes on";
  Pod c(3);
  ASSERT_TRUE(HasEndpoint(files_, "", "closed", c.device())) << second->Log();
  EXPECT_FALSE(Reaches(c, a_));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_));
  EXPECT_TRUE(Answers("/readyz", 200)) << second->Log();
  EXPECT_EQ(second->End(SIGTERM), 0);
}

// Where the new agent comes only after the old one has ended (no surge).
TEST_F(ImageTest, WhatIsEnforcedStaysSoBetweenTwoAgents) {
  auto first = StartAgent();
  OpenBoth();
  files_.WritePolicy("b");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  EXPECT_EQ(first->End(SIGTERM), 0);
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_)) << "what is allowed goes on";
  Pod c(3);
  auto next = StartAgent();
  ASSERT_TRUE(HasEndpoint(files_, "", "closed", c.device())) << "came while none ran";
  EXPECT_FALSE(Reaches(c, a_));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_));
}

TEST_F(ImageTest, RemovalDetachesTheNodeOnceTheAgentIsGone) {
  auto agent = StartAgent();
  OpenBoth();
  files_.WritePolicy("b");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  auto early = StartRemoval("initContainers");
  EXPECT_EQ(early->End(0), 1);
  EXPECT_THAT(early->Log(), HasSubstr("another agent"));
  EXPECT_TRUE(ANeverReachesB());

  EXPECT_EQ(agent->End(SIGTERM), 0);
  auto removal = StartRemoval("initContainers");
  EXPECT_EQ(removal->End(0), 0) << removal->Log();
  EXPECT_TRUE(AReachesB());
  EXPECT_FALSE(fs::exists("/sys/fs/bpf/sallyport"));
  // Stays until it is told to end.
  auto detached = StartRemoval("containers");
  while (detached->Log().find("nothing to remove") == std::string::npos) std::this_thread::yield();
  EXPECT_EQ(detached->End(SIGTERM), 0);
}

// All of it: the objects as `kubectl apply -k` makes them, the service account's own token, and no
// rights on the API server but those of the ClusterRole.
TEST_F(ImageTest, AppliedToAnApiServer) {
  ApiServer api;
  const std::string folder = InSources("daemonset");
  // An API server has no namespace yet that it was only asked about.
  api.Kubectl("apply -f " + folder + "/namespace.yaml");
  api.Kubectl("apply --dry-run=server -k " + folder);
  api.Kubectl("apply -k " + folder);
  api.Kubectl("apply --dry-run=server -k " + folder + " | grep -v unchanged; [ $? = 1 ]");
  api.WriteServiceAccount("sallyport-system", "sallyport", kNode + "/account");
  const std::string account = kNode + "/account";
  const std::string as_agent =
      std::string("HOME=/run kubectl --kubeconfig /dev/null --server https://127.0.0.1:") +
      ApiServer::kPort + " --certificate-authority " + account + "/ca.crt --token $(cat " +
      account + "/token) auth can-i -A ";
  for (const char* may : {"list pods", "watch nodes", "list networkpolicies.networking.k8s.io"}) {
    Shell(as_agent + may + " | grep -qx yes");
  }
  for (const char* may_not :
       {"get secrets", "get pods", "create pods", "update nodes", "create leases", "create events",
        "patch egressgateways.sallyport.io"}) {
    Shell(as_agent + may_not + " | grep -qx no");
  }
  const std::string as_agent_in = as_agent.substr(0, as_agent.rfind("-A ")) + "-n ";
  for (const char* may :
       {"sallyport-system create leases", "sallyport-system update leases",
        "sallyport-system delete leases", "default create events", "default patch events",
        "default patch egressgateways.sallyport.io --subresource=status"}) {
    Shell(as_agent_in + may + " | grep -qx yes");
  }

  ContainerPlan plan = PlanOf(ReadKustomized("daemonset", "DaemonSet"), "containers", Places());
  plan.mounts.push_back(
      {kNode + "/account", "/var/run/secrets/kubernetes.io/serviceaccount", true});
  plan.environment.push_back("KUBERNETES_SERVICE_HOST=127.0.0.1");
  plan.environment.push_back(std::string("KUBERNETES_SERVICE_PORT=") + ApiServer::kPort);
  auto agent = std::make_unique<Child>(UnpackImage(), plan, kNode + "/log");

  // The same objects, to the API server instead.
  files_.WritePod("a");
  files_.WritePod("b");
  files_.WritePolicy("b");
  Claim("a", a_);
  Claim("b", b_);
  api.Kubectl("create namespace shop");
  api.Kubectl("apply -f " + files_.manifests() + "/pod-a.yaml -f " + files_.manifests() +
              "/pod-b.yaml");
  ASSERT_TRUE(HasEndpoint(files_, "shop/a", "open", a_.device())) << agent->Log();
  ASSERT_TRUE(HasEndpoint(files_, "shop/b", "open", b_.device())) << agent->Log();
  EXPECT_TRUE(AReachesB());
  api.Kubectl("apply -f " + files_.manifests() + "/policy-b.yaml");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Answers("/readyz", 200)) << agent->Log();

  api.Kubectl("apply -k " + folder + "/remove");
  api.Kubectl("delete --ignore-not-found --wait=false -k " + folder + "/remove");
  api.process().End(SIGKILL);
  EXPECT_TRUE(Answers("/readyz", 503)) << "its news may be missing";
  EXPECT_TRUE(Answers("/healthz", 200)) << "and restarting it would not help";
  while (HttpGet(kMetrics, "/metrics").find("sallyport_watch_connected{resource=\"pods\"} 0\n") ==
         std::string::npos) {
    std::this_thread::yield();  // each of the watches hears of it on its own
  }
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_));

  // One that waits for the API server, from its start on, is alive.
  EXPECT_EQ(agent->End(SIGTERM), 0);
  agent = std::make_unique<Child>(UnpackImage(), plan, kNode + "/log");
  ASSERT_TRUE(HasReason("pods could not be listed yet")) << agent->Log();
  std::string said;
  for (const char* probe : {"startupProbe", "livenessProbe"}) {
    EXPECT_EQ(Probe(*agent, probe, &said), 0) << probe << ": " << said;
  }
  EXPECT_EQ(Probe(*agent, "readinessProbe", &said), 1);
  EXPECT_THAT(said, HasSubstr("pods could not be listed yet: ")) << "the kubelet shows it";
  EXPECT_TRUE(ANeverReachesB());
}

TEST(DaemonSetTest, SaysTheSameEverywhere) {
  EnterSandbox();
  const std::string image = std::string("localhost/sallyport:") + kVersion;
  for (const char* folder : {"daemonset", "daemonset/remove"}) {
    model::Value daemonset = ReadKustomized(folder, "DaemonSet");
    const model::Value& pod = At(daemonset, {"spec", "template", "spec"});
    for (const char* list : {"containers", "initContainers"}) {
      for (const model::Value& container : At(pod, {list}).items) {
        EXPECT_EQ(At(container, {"image"}).text, image);
      }
    }
    EXPECT_EQ(At(pod, {"tolerations"}).items.size(), 1u);
    EXPECT_EQ(At(pod, {"priorityClassName"}).text, "system-node-critical");
    // Some clusters let such pods into no namespace but with a quota for them.
    model::Value quota = ReadKustomized(folder, "ResourceQuota");
    EXPECT_EQ(At(quota, {"metadata", "namespace"}).text,
              At(daemonset, {"metadata", "namespace"}).text);
    EXPECT_EQ(At(quota, {"spec", "hard", "pods"}).text, "1G");
    const auto& scopes = At(quota, {"spec", "scopeSelector", "matchExpressions"}).items;
    ASSERT_EQ(scopes.size(), 1u);
    EXPECT_EQ(At(scopes[0], {"scopeName"}).text, "PriorityClass");
    EXPECT_EQ(At(scopes[0], {"operator"}).text, "In");
    ASSERT_EQ(At(scopes[0], {"values"}).items.size(), 1u);
    EXPECT_EQ(At(scopes[0], {"values"}).items[0].text, At(pod, {"priorityClassName"}).text);
  }
  // The configuration that is mounted is the one that is made, by whatever name.
  model::Value agent = ReadKustomized("daemonset", "DaemonSet");
  model::Value config = ReadKustomized("daemonset", "ConfigMap");
  const auto& volumes = At(agent, {"spec", "template", "spec", "volumes"}).items;
  EXPECT_EQ(At(volumes.at(0), {"configMap", "name"}).text, At(config, {"metadata", "name"}).text);
}

// kubectl 1.21 and 1.22 have a kustomize that loses anchors, or what they stand for.
TEST(DaemonSetTest, HasNoAnchors) {
  const std::regex anchor("(^|[\\s:\\[,{-])[&*][A-Za-z]");
  for (const auto& entry : fs::recursive_directory_iterator(test::InSources("daemonset"))) {
    bool kustomized = entry.path().extension() == ".yaml" &&
                      entry.path().parent_path().filename() != "monitoring";
    if (!kustomized) continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      std::string yaml = line.substr(0, line.find('#'));
      EXPECT_FALSE(std::regex_search(yaml, anchor)) << entry.path() << ": " << line;
    }
  }
}

// What the agent follows, and the status of its own kind; nothing else.
TEST(DaemonSetTest, RightsOnTheApiServer) {
  EnterSandbox();
  std::vector<std::string> rules;
  model::Value role = ReadKustomized("daemonset", "ClusterRole");
  for (const model::Value& rule : At(role, {"rules"}).items) {
    std::vector<std::string> verbs;
    for (const model::Value& verb : At(rule, {"verbs"}).items) verbs.push_back(verb.text);
    if (At(rule, {"resources"}).items.at(0).text == "egressgateways/status") {
      EXPECT_THAT(verbs, ElementsAre("get", "patch"));
      continue;
    }
    EXPECT_THAT(verbs, ElementsAre("list", "watch"));
    for (const model::Value& resource : At(rule, {"resources"}).items) {
      rules.push_back(At(rule, {"apiGroups"}).items.at(0).text + "/" + resource.text);
    }
  }
  std::vector<std::string> followed;
  for (const watch::WatchedKind& kind : watch::WatchedKinds()) {
    const std::string& path = kind.resource.path;  // "/api/v1/pods", "/apis/GROUP/v1/..."
    std::string group = path.starts_with("/apis/") ? path.substr(6, path.find('/', 6) - 6) : "";
    followed.push_back(group + path.substr(path.rfind('/')));
  }
  EXPECT_THAT(rules, UnorderedElementsAreArray(followed));
}

}  // namespace
}  // namespace sallyport::test
