// SPDX-License-Identifier: Apache-2.0
// The API server dies, hangs, loses its history, or cannot be reached, while pods come and go: no
// verdict is wrong meanwhile nor afterwards, and nothing is restarted by hand. Each outage lasts
// some seconds, or $SALLYPORT_OUTAGE_SECONDS.
#include <gmock/gmock.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <thread>

#include "cli/lab_world.h"
#include "lab/api.h"
#include "lab/cni.h"
#include "lab/files.h"
#include "lab/lab/lab_fixture.h"
#include "lab/layout.h"
#include "lab/netns.h"
#include "lab/ready.h"
#include "lab/settle.h"

namespace sallyport::lab {
namespace {

namespace fs = std::filesystem;
using cli::LabWorld;
using cli::Row;
using std::chrono::seconds;
using testing::Contains;
using testing::HasSubstr;

constexpr const char* kPorts = "{containerPort: 80}, {containerPort: 53, protocol: UDP}";
// The agents' own way to the API server, so that it can be cut and everybody else's cannot.
constexpr const char* kAgentsPort = "7443";
// From then on also what has to be noticed without a word from the other end must have been.
constexpr Duration kLong = seconds(150);

Duration OutageTime() {
  const char* given = std::getenv("SALLYPORT_OUTAGE_SECONDS");
  return seconds(given ? std::atoi(given) : 4);
}

std::string Policy(const std::string& ns, const std::string& name, const std::string& spec) {
  return "---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: " + name +
         ", namespace: " + ns + "}, spec: {" + spec + "}}\n";
}

// Three pods in each of three namespaces, one on each of three nodes. What the tests change is in x
// and new namespaces; w and z among themselves stay as they are.
std::string World() {
  std::string out;
  for (const char* ns : {"x", "w", "z"})
    for (const auto& [pod, node] : {std::pair("a", "1"), {"b", "2"}, {"c", "3"}})
      out += StandIn(ns, pod, kPorts, std::string("nodeName: node") + node);
  out += Policy("x", "isolate", "podSelector: {}, policyTypes: [Ingress]");
  out += Policy("x", "b", R"(
  podSelector: {matchLabels: {app: b}},
  ingress: [
    {from: [{podSelector: {matchLabels: {app: a}}}]},
    {from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: w}}}],
     ports: [{port: 80}]}])");
  out += Policy("x", "a", R"(
  podSelector: {matchLabels: {app: a}},
  policyTypes: [Egress],
  egress: [
    {to: [{podSelector: {}}, {namespaceSelector: {}, podSelector: {matchLabels: {app: c}}}]}])");
  out += Policy("w", "c", R"(
  podSelector: {matchLabels: {app: c}},
  ingress: [
    {from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: a}}}], ports: [{port: 80}]},
    {from: [{ipBlock: {cidr: 198.51.100.0/24}}]}])");
  out += Policy("z", "b", R"(
  podSelector: {matchLabels: {app: b}},
  policyTypes: [Egress],
  egress: [{to: [{namespaceSelector: {}}], ports: [{port: 53, protocol: UDP}]}])");
  return out;
}

std::string OpenPolicy(const std::string& name, const std::string& app) {
  return Policy("x", name, "podSelector: {matchLabels: {app: " + app + "}}, ingress: [{}]");
}

std::vector<Row> RowsOf(const LabWorld& world) {
  cli::MatrixOptions options;
  options.reach = world.InReach();
  for (const net::Address& address : options.reach->outside)
    options.outside.push_back(address.ToString());
  auto plan = PlanMatrix(world.world(), options);
  EXPECT_TRUE(plan) << plan.error().message;
  return plan ? AskAll(world.world(), plan->question) : std::vector<Row>{};
}

// What a real connection met otherwise than Evaluate says, in words.
std::vector<std::string> Wrong(const LabWorld& world, std::vector<Row>& rows) {
  Status probed = world.Probe(rows, {});
  if (!probed) return {probed.error().message};
  std::vector<std::string> out;
  for (const cli::Difference& difference : Contradictions(rows))
    out.push_back(InWords(*difference.row) + " seen: " + SeenInWords(*difference.row));
  return out;
}

// Tries the paths that nothing changes again and again, through an outage and its end.
class Steady {
 public:
  explicit Steady(LabWorld world) : world_(std::move(world)) {
    thread_ = std::jthread([this](const std::stop_token& stop) {
      std::vector<Row> rows = RowsOf(world_);
      std::erase_if(rows, [](const Row& row) { return !Stays(row.from) || !Stays(row.to); });
      while (!stop.stop_requested()) {
        for (std::string& wrong : Wrong(world_, rows)) wrong_.push_back(std::move(wrong));
        tried_ += rows.size();
      }
    });
  }
  // Ends it.
  void Expect(const std::string& when) {
    thread_.request_stop();
    thread_.join();
    EXPECT_GT(tried_, 0u) << when;
    EXPECT_THAT(wrong_, testing::IsEmpty()) << when;
    std::cout << when << ": " << tried_ << " attempts meanwhile" << std::endl;
  }

 private:
  static bool Stays(const cli::Side& side) {
    return side.name.starts_with("w/") || side.name.starts_with("z/");
  }
  LabWorld world_;
  std::vector<std::string> wrong_;
  size_t tried_ = 0;
  std::jthread thread_;
};

class Outage : public LabTest {
 protected:
  using Names = std::vector<std::string>;  // of pods: "ns/name"
  struct Stranger {
    std::string netns;
    std::vector<net::Address> addresses;
  };

  void UpWorld() {
    ASSERT_EQ(Run({"lab", "up", "--no-dns", "--nodes", "3", "--name", name(), "-f", File(World())})
                  .exit_code,
              0);
    auto state = LoadWholeState(name());
    ASSERT_TRUE(state) << state.error().message;
    state_ = *std::move(state);
    agents_ = AgentPids();
  }
  void TearDown() override {
    EXPECT_EQ(AgentPids(), agents_) << "an agent ended";
    LabTest::TearDown();
  }
  std::vector<int> AgentPids() {
    std::vector<int> pids;
    for (const NodePlace& node : Read().nodes) pids.push_back(node.agent_pid);
    return pids;
  }
  LabWorld Known() {
    auto world = LabWorld::Open(name());
    EXPECT_TRUE(world) << world.error().message;
    return *std::move(world);
  }
  void Server(const std::string& verb) {
    ASSERT_EQ(Run({"lab", "apiserver", verb, "--name", name()}).exit_code, 0) << verb;
  }
  void Apply(const std::string& yaml) { Kube({"apply", "-f", File(yaml)}); }

  // All paths between those pods that are there still, and the outside.
  void Agrees(const LabWorld& known, const std::string& when, const Names& gone = {}) {
    std::vector<Row> rows = RowsOf(known);
    auto ended = [&](const cli::Side& side) {
      return std::find(gone.begin(), gone.end(), side.name) != gone.end();
    };
    std::erase_if(rows, [&](const Row& row) { return ended(row.from) || ended(row.to); });
    EXPECT_FALSE(rows.empty());
    EXPECT_THAT(Wrong(known, rows), testing::IsEmpty()) << when;
  }

  // Nobody reaches them, they reach nobody: pods of which the agents cannot know.
  void Closed(const LabWorld& known, const std::vector<Stranger>& strangers,
              const std::string& when, const Names& gone = {}) {
    std::vector<Stranger> others = {
        {known.inventory().outside_netns_path, known.inventory().outside_addresses}};
    for (const PodPlace& place : known.inventory().pods)
      if (std::find(gone.begin(), gone.end(), place.pod.ToString()) == gone.end())
        others.push_back({place.netns_path, place.addresses});
    std::vector<probe::Source> sources;
    auto ask = [&](const Stranger& from, const Stranger& to) {
      sources.push_back({from.netns, {}});
      for (const net::Address& address : to.addresses)
        for (net::Protocol protocol : {net::Protocol::kTcp, net::Protocol::kUdp})
          sources.back().targets.push_back(
              {address, {protocol, uint16_t(protocol == net::Protocol::kTcp ? 80 : 53)}});
    };
    for (const Stranger& stranger : strangers) {
      EXPECT_FALSE(stranger.addresses.empty()) << when;
      for (const Stranger& other : others) {
        ask(stranger, other);
        ask(other, stranger);
      }
    }
    auto answers = probe::Probe(sources, {});
    ASSERT_TRUE(answers) << answers.error().message;
    for (size_t s = 0; s < sources.size(); ++s)
      for (size_t t = 0; t < sources[s].targets.size(); ++t)
        EXPECT_EQ((*answers)[s][t].outcome, probe::Outcome::kBlocked)
            << when << ": " << sources[s].netns << " -> "
            << sources[s].targets[t].address.ToString() << " " << (*answers)[s][t].detail;
  }

  // Every agent says that it is not followed what it should be.
  void AwaitUnready(const std::string& when) {
    for (const NodePlace& node : Read().nodes) {
      std::string reasons;
      auto unready = [&] {
        auto status = AskAgent(node.agent_socket, "/v1/status");
        if (!status || IsTrue(status->Find("ready"))) return false;
        reasons.clear();
        for (const std::string& reason : Texts(status->Find("reasons"))) reasons += reason + "\n";
        return true;
      };
      Await(when + ": " + node.name + " to be unready", unready);
      EXPECT_THAT(reasons, HasSubstr("what was known stays in force")) << when;
    }
    EXPECT_EQ(Run({"status", "--lab", name()}).exit_code, 1) << when;
  }

  // The outage goes on for its time, and the verdicts are asked for all of it.
  void Last(const std::string& when, const std::function<void()>& ask) {
    MonotonicTime end = SystemClock().Now() + OutageTime();
    do ask();
    while (SystemClock().Now() < end && !HasFailure());
    if (OutageTime() >= kLong) AwaitUnready(when);
  }

  // Of their own accord agents, proxies and pods get to what the API server has, and it is what is
  // enforced. Says how long that took.
  void Recovers(const std::string& when) {
    MonotonicTime begun = SystemClock().Now();
    auto api = OpenApi(Layout(name()));
    ASSERT_TRUE(api) << api.error().message;
    auto ready = AwaitReady(state_, **api, seconds(120), ProcessConsole());
    ASSERT_TRUE(ready) << ready.error().message;
    EXPECT_TRUE(ready->ok()) << when << ": " << ready->missing;
    Status settled =
        WaitSettled(state_, seconds(60) + OutageTime(), DeadAgents::kFail, ProcessConsole());
    ASSERT_TRUE(settled) << when << ": " << settled.error().message;
    auto took = std::chrono::duration<double>(SystemClock().Now() - begun).count();
    // A watch that tells nothing new may learn only now that its server is gone.
    Await(when + ": agents to be ready", [&] {
      return Run({"status", "--lab", name()}).exit_code == 0;
    });
    Agrees(Known(), "after " + when);
    std::cout << when << ": over after " << took << " s" << std::endl;
  }

  Stranger StrangerOf(const std::string& ns, const std::string& pod) {
    PodPlace place = Pod(ns, pod);
    return {place.netns_path, place.addresses};
  }

  LabState state_;
  std::vector<int> agents_;
};

class AgentsOnly : public Outage {
 protected:
  void OwnWay() {
    Layout layout(name());
    std::string text = ReadFile(layout.agent_kubeconfig()).value();
    size_t port = text.find(":6443");
    ASSERT_NE(port, std::string::npos);
    text.replace(port + 1, 4, kAgentsPort);
    ASSERT_TRUE(WriteFile(layout.agent_kubeconfig(), text, 0600));
    Nft(std::string("table inet spt-way { chain in { type nat hook prerouting priority dstnat; "
                    "tcp dport ") +
        kAgentsPort + " redirect to :6443; }; }");
    ASSERT_EQ(Run({"lab", "agent", "restart", "--name", name()}).exit_code, 0);
    agents_ = AgentPids();
  }
  // Nothing more gets through; what gets there is answered by `how`: "drop", or a reset.
  void Cut(const std::string& how) {
    std::string rule =
        std::string("meta l4proto tcp ct original proto-dst ") + kAgentsPort + " " + how + "; ";
    Nft("table inet spt-cut { chain in { type filter hook input priority 0; " + rule +
        "}; chain out { type filter hook output priority 0; " + rule + "}; }");
    if (how == "drop") return;
    for (const NodePlace& node : Read().nodes) {
      Command kill;
      kill.argv = {FindProgram("ss", getenv("PATH")), "-K", "dport", "=",
                   std::string(":") + kAgentsPort};
      kill.netns = node.netns_path;
      EXPECT_TRUE(RunCommand(kill));
    }
  }
  void Mend() { Nft("delete table inet spt-cut"); }
  void Nft(const std::string& rules) {
    Command command;
    command.argv = {FindProgram("nft", getenv("PATH")), "-f", "-"};
    command.netns = NetnsPath(Layout(name()).fabric_netns());
    command.input = rules;
    auto done = RunCommand(command);
    ASSERT_TRUE(done) << done.error().message;
    ASSERT_EQ(done->exit_code, 0) << done->errors;
  }
  // Another pod of that name, with the same addresses: what the agents know of it is of the other.
  void Replace(const std::string& pod, const std::string& labels) {
    std::vector<net::Address> before = Pod("x", pod).addresses;
    Kube({"delete", "pod", "-n", "x", pod, "--now"});
    std::error_code ignored;
    for (const auto& entry :
         fs::directory_iterator(Layout(name()).cni_networks("node1") + "/sallyport", ignored))
      if (entry.path().filename().string().starts_with("last_reserved_ip"))
        fs::remove(entry.path());
    std::string yaml = StandIn("x", pod, kPorts, "nodeName: node1");
    yaml.replace(yaml.find("app: " + pod), 5 + pod.size(), labels);
    Apply(yaml);
    Kube({"wait", "-n", "x", "--for=condition=Ready", "--timeout=60s", "pod/" + pod});
    EXPECT_EQ(Pod("x", pod).addresses, before) << "the test means to use the addresses again";
  }
  void NewPod(const std::string& ns, const std::string& pod, const std::string& node) {
    Apply("---\n{apiVersion: v1, kind: Namespace, metadata: {name: " + ns + "}}\n" +
          StandIn(ns, pod, kPorts, "nodeName: " + node));
    Kube({"wait", "-n", ns, "--for=condition=Ready", "--timeout=60s", "pod/" + pod});
  }
};

// Everybody else goes on: pods are made, replaced and ended, labels and policies change.
TEST_F(AgentsOnly, KeepWhatTheyKnewUntilTheWayIsBack) {
  UpWorld();
  OwnWay();
  LabWorld known = Known();
  Agrees(known, "before");

  Steady reset_meanwhile(known);
  Cut("reject with tcp reset");
  AwaitUnready("reset");
  Replace("a", "app: c");
  NewPod("x", "new", "node2");
  NewPod("v", "a", "node3");
  Kube({"label", "pod", "-n", "x", "c", "--overwrite", "app=b"});
  Kube({"delete", "networkpolicy", "-n", "x", "b"});
  Apply(OpenPolicy("open", "c"));
  auto strangers = [&] {
    return std::vector<Stranger>{StrangerOf("x", "a"), StrangerOf("x", "new"),
                                 StrangerOf("v", "a")};
  };
  Last("reset", [&] {
    Agrees(known, "reset", {"x/a"});
    Closed(known, strangers(), "reset", {"x/a"});
  });
  Mend();
  Recovers("reset");
  reset_meanwhile.Expect("reset");

  // In silence, and what is done meanwhile is in no history when they come back.
  known = Known();
  Steady silence_meanwhile(known);
  Cut("drop");
  Replace("a", "app: a");
  Kube({"delete", "namespace", "v"});
  Kube({"delete", "networkpolicy", "-n", "x", "open"});
  Server("kill");
  Server("start");
  NewPod("x", "newer", "node3");
  Kube({"delete", "pod", "-n", "x", "new", "--now"});
  Apply(OpenPolicy("open-b", "b"));
  Names gone = {"x/a", "x/new", "v/a"};
  Last("silence", [&] {
    Agrees(known, "silence", gone);
    Closed(known, {StrangerOf("x", "a"), StrangerOf("x", "newer")}, "silence", gone);
  });
  Mend();
  Recovers("silence");
  silence_meanwhile.Expect("silence");
}

// Pods die, and one comes of which nobody but its node's CNI plugin has heard.
TEST_F(Outage, OfTheServerChangesNoVerdict) {
  UpWorld();
  LabWorld known = Known();
  Agrees(known, "before");

  Steady killed_meanwhile(known);
  Server("kill");
  AwaitUnready("killed");
  pid_t keeper = State("x", "c").status.keeper;
  ASSERT_TRUE(EndProcesses({keeper}, SIGKILL, seconds(10)));
  PodNetwork network(state_, state_.nodes.at(0));
  std::string netns = Layout(name()).pod_netns({"x", "stranger"});
  ASSERT_TRUE(CreateNetns(netns));
  Sandbox sandbox{{"x", "stranger"}, "a-uid", "strangerscontainer", NetnsPath(netns)};
  auto addresses = network.Add(sandbox);
  ASSERT_TRUE(addresses) << addresses.error().message;
  Last("killed", [&] {
    Agrees(known, "killed", {"x/c"});
    Closed(known, {{NetnsPath(netns), *addresses}}, "killed", {"x/c"});
  });
  EXPECT_TRUE(network.Del(sandbox));
  EXPECT_TRUE(RemoveNetns(netns));
  Server("start");
  Await("x/c to be started again", [&] {
    pid_t now = State("x", "c").status.keeper;
    return now > 0 && now != keeper;
  });
  Recovers("killed");
  killed_meanwhile.Expect("killed");

  known = Known();
  Steady hung_meanwhile(known);
  Server("hang");
  Last("hung", [&] { Agrees(known, "hung"); });
  Server("resume");
  Apply(OpenPolicy("woken", "c"));
  Recovers("hung");
  hung_meanwhile.Expect("hung");
}

// Restored from a backup: what came later never was, and the versions that the agents know are of a
// future that does not come.
TEST_F(Outage, EndsInAnotherHistory) {
  UpWorld();
  std::string data = Layout(name()).apiserver(), backup = File("") + ".backup";
  Server("stop");
  fs::copy(data, backup, fs::copy_options::recursive);
  Server("start");
  Apply(OpenPolicy("late", "a") + OpenPolicy("later", "c"));
  Kube({"delete", "networkpolicy", "-n", "x", "b"});
  for (const char* app : {"b", "c", "b", "c", "b"})
    Kube({"label", "pod", "-n", "x", "a", "c", "--overwrite", std::string("app=") + app});
  Recovers("a restart");

  LabWorld known = Known();
  Steady meanwhile(known);
  Server("kill");
  Last("lost", [&] { Agrees(known, "lost"); });
  fs::remove_all(data);
  fs::copy(backup, data, fs::copy_options::recursive);
  Server("start");
  Recovers("lost");
  meanwhile.Expect("lost");
  EXPECT_EQ(Known().inventory().snapshot.policies.count({"x", "late"}), 0u);
}

}  // namespace
}  // namespace sallyport::lab
