// SPDX-License-Identifier: Apache-2.0
// An agent whose tables are too small, each in turn: what finds no room is denied, and said; all
// else is in force, and goes on; and when there is room, everything is.
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <thread>

#include "lab/agent/agent_fixture.h"
#include "lab/agent/conversation.h"

namespace sallyport::test {
namespace {

constexpr uint16_t kMetrics = 9469;
constexpr int kMany = 200;

// One of the agent's metrics pages; "" if nobody answers.
std::string MetricsPage(const std::string& path, int& status) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kMetrics);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  status = 0;
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return "";
  std::string request = "GET " + path + " HTTP/1.0\r\nHost: x\r\n\r\n", answer;
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return "";
  std::array<char, 16384> buffer;
  for (ssize_t got; (got = read(fd.get(), buffer.data(), buffer.size())) > 0;)
    answer.append(buffer.data(), static_cast<size_t>(got));
  size_t space = answer.find(' ');
  if (space != std::string::npos) status = std::atoi(answer.c_str() + space);
  return answer;
}

// Pod 9 of the sandbox is no endpoint of this node.
class FullAgentTest : public AgentTest, public testing::WithParamInterface<const char*> {
 protected:
  std::string table() const { return GetParam(); }
  bool Is(const char* name) const { return table() == name; }

  void Start() {
    static const std::map<std::string, std::string> kFlags = {
        {"endpoints", "--max-endpoints=16"}, {"peers", "--max-peers=64"},
        {"prefixes", "--max-prefixes=64"},   {"rules", "--max-rules=64"},
        {"port_sets", "--max-port-sets=8"},  {"port_pages", "--max-port-pages=8"}};
    agent_ = std::make_unique<AgentProcess>(
        files_, std::vector<std::string>{kFlags.at(table()), "--devices=!" + far_.device() + ",*"});
  }
  void WriteRemote(const std::string& file, const std::vector<std::string>& addresses) {
    std::string text;
    for (size_t i = 0; i < addresses.size(); ++i)
      text += "---\n{apiVersion: v1, kind: Pod, metadata: {name: " + file + std::to_string(i) +
              ", namespace: shop, labels: {role: many}}, spec: {nodeName: n2, containers: " +
              "[{name: c, image: i}]}, status: {phase: Running, podIPs: [{ip: " + addresses[i] +
              "}]}}\n";
    files_.WriteManifest(file + ".yaml", text);
  }
  // A policy for a that needs more than there is of the table; `also` is one more rule.
  void WriteGiant(const std::string& also = "") {
    std::string text =
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        "metadata: {namespace: shop, name: giant}\nspec:\n"
        "  podSelector: {matchLabels: {app: a}}\n  ingress:\n";
    if (Is("peers")) text += "  - {from: [{podSelector: {matchLabels: {role: many}}}]}\n";
    for (int i = 0; i < kMany && !Is("peers") && !Is("endpoints"); ++i)
      text += "  - {from: [{ipBlock: {cidr: 100.64." + std::to_string(i) +
              ".7/32}}], ports: [{port: " + std::to_string(1000 + i) + "}]}\n";
    files_.WriteManifest("giant.yaml", text + also);
  }
  // What is too much, and at last, when the table is full, what lets far_ speak to a. Endpoints
  // are short of room for the last of some pods.
  void WriteTooMuch() {
    const std::string far = far_.v4().ToString();
    if (Is("endpoints")) {
      for (const auto& pod : crowd_) WritePod(NameOf(*pod), *pod);
      for (const auto& pod : crowd_) Claim(NameOf(*pod), *pod);
      WriteGiant("  - {from: [{ipBlock: {cidr: " + far + "/32}}]}\n");
      return;
    }
    std::vector<std::string> addresses;
    for (int i = 0; i < kMany; ++i) addresses.push_back("100.64." + std::to_string(i) + ".7");
    if (Is("peers")) WriteRemote("many", addresses);
    WriteGiant();
    ASSERT_TRUE(IsShort());
    if (Is("peers")) WriteRemote("far", {far});
    if (!Is("peers"))
      WriteGiant("  - {from: [{ipBlock: {cidr: " + far +
                 "/32}}], ports: [{port: " + std::to_string(kPort) + ", protocol: UDP}]}\n");
  }
  void TakeItAway() {
    for (const auto& pod : crowd_) files_.RemoveResult(NameOf(*pod));
    for (const auto& pod : crowd_) files_.RemoveManifest("pod-" + NameOf(*pod) + ".yaml");
    for (const char* file : {"giant.yaml", "many.yaml", "far.yaml"}) files_.RemoveManifest(file);
  }
  // More pods than the table has room for, with those that are there.
  void MakeCrowd() {
    for (int i = 10; i < 17 && Is("endpoints"); ++i) crowd_.push_back(std::make_unique<Pod>(i));
  }
  static std::string NameOf(const Pod& pod) { return "z" + pod.device(); }

  // The status has a reason that names the table, and says that something of it is left out.
  bool IsShort() {
    return Becomes(files_, "/v1/status", [this](const model::Value& status) {
      bool named = false, counted = false;
      if (!status.Find("tables")) return false;
      for (const model::Value& reason : status.Find("reasons")->items)
        named |= reason.text.find("table \"" + table() + "\" is full (") == 0;
      for (const model::Value& one : status.Find("tables")->items)
        counted |= one.Find("name")->text == table() && one.Find("left_out")->text != "0";
      return named && counted && !status.Find("ready")->boolean;
    });
  }
  // The pages are as old as a second.
  bool Measures(bool left_out, int readiness) {
    std::string metric = "\nsallyport_table_left_out{table=\"" + table() + "\"} ";
    return Becomes(files_, "/v1/status", [&](const model::Value&) {
      int status = 0;
      std::string page = MetricsPage("/metrics", status);
      size_t at = page.find(metric);
      if (at == std::string::npos) return false;
      bool some = std::atoi(page.c_str() + at + metric.size()) > 0;
      std::string ready = MetricsPage("/readyz", status);
      bool says = ready.find("table \"" + table() + "\"") != std::string::npos;
      return some == left_out && status == readiness && says == left_out;
    });
  }
  // far_ was dropped there; the event names the table that has no room for what allows it.
  bool IsExplained(const std::string& endpoint) {
    return Becomes(files_, "/v1/events", [&](const model::Value& events) {
      for (const model::Value& event : events.items) {
        const std::string& reason = event.Find("reason")->text;
        bool is_ours = event.Find("endpoint")->text == endpoint &&
                       event.Find("source")->text == far_.v4().ToString();
        if (is_ours && (reason == "policy" || reason == "no-room") &&
            event.Find("near_miss")->text == "what allows it found no room: full: " + table())
          return true;
      }
      return false;
    });
  }
  bool SaysWhyClosed(const std::string& pod) {
    return Becomes(files_, "/v1/endpoints", [&](const model::Value& endpoints) {
      for (const model::Value& endpoint : endpoints.items)
        if (endpoint.Find("pod")->text == "shop/" + pod)
          return endpoint.Find("why_closed")->text ==
                 "table \"endpoints\" is full and has no room for it";
      return false;
    });
  }

  Pod c_{3}, far_{9};
  std::vector<std::unique_ptr<Pod>> crowd_;
  std::unique_ptr<AgentProcess> agent_;
};

INSTANTIATE_TEST_SUITE_P(Each, FullAgentTest,
                         testing::Values("endpoints", "peers", "prefixes", "rules", "port_sets",
                                         "port_pages"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(FullAgentTest, WhatDoesNotFitIsDeniedAndHeals) {
  MakeCrowd();
  Start();
  OpenBoth();
  WritePod("c", c_);
  Claim("c", c_);
  files_.WritePolicy("c", "{from: [{podSelector: {matchLabels: {app: a}}}]}");
  ASSERT_TRUE(HasEndpoint(files_, "shop/c", "open", c_.device()));
  ASSERT_TRUE(HasPolicies(files_, "shop/c"));
  ASSERT_TRUE(Ready(files_));
  EXPECT_TRUE(AReachesB());
  Bystanders staying(Talk(a_, c_, {SOCK_STREAM, SOCK_DGRAM}));

  WriteTooMuch();
  files_.WritePolicy("b");
  ASSERT_TRUE(IsShort());
  ASSERT_TRUE(HasPolicies(files_, "shop/b shop/c shop/giant"));
  EXPECT_TRUE(ANeverReachesB()) << "a policy that denies is in force";
  EXPECT_TRUE(Measures(true, 503)) << agent_->Log();
  if (Is("endpoints")) {
    const Pod& last = *crowd_.back();
    EXPECT_TRUE(HasEndpoint(files_, "shop/" + NameOf(last), "closed", last.device()));
    EXPECT_TRUE(SaysWhyClosed(NameOf(last)));
    EXPECT_FALSE(Reaches(last, far_));
    EXPECT_TRUE(Reaches(far_, a_)) << "a was there before";
    const Pod &first = *crowd_.front(), &next = *crowd_[crowd_.size() - 2];
    EXPECT_TRUE(SaysWhyClosed(NameOf(next)));
    files_.RemoveManifest("pod-" + NameOf(first) + ".yaml");
    EXPECT_TRUE(HasEndpoint(files_, "shop/" + NameOf(next), "open", next.device()));
    EXPECT_TRUE(Reaches(next, far_) && !Reaches(first, far_) && !Reaches(last, far_));
  } else {
    EXPECT_FALSE(Reaches(far_, a_));
    EXPECT_TRUE(IsExplained("shop/a"));
    Pod fits(4);
    WritePod("fits", fits);
    Claim("fits", fits);
    EXPECT_TRUE(HasEndpoint(files_, "shop/fits", "open", fits.device()));
    EXPECT_TRUE(Reaches(fits, far_) && Reaches(far_, fits));
    EXPECT_FALSE(Reaches(fits, c_, true));
    files_.RemoveManifest("pod-fits.yaml");
  }
  ASSERT_TRUE(IsShort());

  TakeItAway();
  ASSERT_TRUE(HasPolicies(files_, "shop/b shop/c") && Ready(files_));
  EXPECT_TRUE(Measures(false, 200));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(far_, a_) && Reaches(a_, c_) && !Reaches(b_, c_));
  files_.RemoveManifest("policy-b.yaml");
  ASSERT_TRUE(HasPolicies(files_, "shop/c"));
  EXPECT_TRUE(AReachesB());
  EXPECT_EQ(staying.End(), "");
}

// All of it is there before the first agent is.
TEST_P(FullAgentTest, AFirstStartLeavesNobodyUnguarded) {
  MakeCrowd();
  WritePod("a", a_);
  WritePod("b", b_);
  Claim("a", a_);
  Claim("b", b_);
  files_.WritePolicy("b");
  EXPECT_TRUE(AReachesB());
  for (const auto& pod : crowd_) WritePod(NameOf(*pod), *pod);
  for (const auto& pod : crowd_) Claim(NameOf(*pod), *pod);
  std::vector<std::string> addresses;
  for (int i = 0; i < kMany; ++i) addresses.push_back("100.64." + std::to_string(i) + ".7");
  if (Is("peers")) WriteRemote("many", addresses);
  WriteGiant();
  Start();
  ASSERT_TRUE(IsShort());
  ASSERT_TRUE(HasPolicies(files_, "shop/b shop/giant"));
  ASSERT_TRUE(HasEndpoint(files_, "shop/a", "open", a_.device()));
  ASSERT_TRUE(HasEndpoint(files_, "shop/b", "open", b_.device()));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_FALSE(Reaches(b_, a_)) << "nor does its policy allow that";
  EXPECT_TRUE(Reaches(a_, far_));
  for (const auto& pod : crowd_) {
    EXPECT_FALSE(Reaches(*pod, b_));
    EXPECT_EQ(Reaches(*pod, far_), pod != crowd_.back()) << pod->device();
  }
  if (Is("endpoints")) EXPECT_TRUE(SaysWhyClosed(NameOf(*crowd_.back())));
  TakeItAway();
  ASSERT_TRUE(HasPolicies(files_, "shop/b") && Ready(files_));
  EXPECT_TRUE(ANeverReachesB() && Reaches(b_, a_));
}

}  // namespace
}  // namespace sallyport::test
