// SPDX-License-Identifier: Apache-2.0
// Pods that come and go by the dozen, each with the address of one that went before, and with the
// same ports: what the next one may is its own, from its first moment, and nothing stays behind.
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <thread>

#include "lab/agent/agent_fixture.h"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

constexpr int kWaves = 4, kAtOnce = 25, kFirst = 10;
constexpr uint16_t kSourcePort = 7000;

// A pod that says, from its first moment, who it is: "let in" or "kept out".
struct Guest {
  Guest(int number, int wave, bool welcome)
      : pod(number),
        name("g" + std::to_string(number) + "-" + std::to_string(wave)),
        text(welcome ? "let in " + name : "kept out " + name),
        socket(pod.UdpSocket(pod.v4(), kSourcePort)) {}
  ~Guest() { close(socket); }
  Pod pod;
  std::string name, text;
  int socket;
};

class ChurnTest : public AgentTest, public testing::WithParamInterface<const char*> {
 protected:
  // What stays on a node if somebody forgets to take it away.
  struct Left {
    size_t links = 0, endpoints = 0, peers = 0, rules = 0, files = 0;
    friend bool operator==(const Left&, const Left&) = default;
  };

  Left Now(const AgentProcess& agent) const {
    Left out;
    out.links = Entries(files_.pins() + "/links");
    out.files = Entries("/proc/" + std::to_string(agent.pid()) + "/fd");
    const model::Value status = Ask(files_, "/v1/status");
    const model::Value* tables = status.Find("tables");
    for (const model::Value& table : tables->items) {
      const std::string& name = table.Find("name")->text;
      size_t used = std::stoul(table.Find("used")->text);
      if (name == "endpoints") out.endpoints = used;
      if (name == "peers") out.peers = used;
      if (name == "rules") out.rules = used;
    }
    return out;
  }
  static size_t Entries(const std::string& directory) {
    std::error_code none;
    auto entries = fs::directory_iterator(directory, none);
    return static_cast<size_t>(std::distance(fs::begin(entries), fs::end(entries)));
  }
  static long MemoryInKib(const AgentProcess& agent) {
    std::ifstream file("/proc/" + std::to_string(agent.pid()) + "/status");
    for (std::string line; std::getline(file, line);)
      if (line.starts_with("RssAnon:")) return std::stol(line.substr(8));
    return 0;
  }

  void WriteGuest(const Guest& guest) {
    std::string role = guest.text.starts_with("let in") ? "guest" : "stranger";
    files_.WriteManifest(
        "pod-" + guest.name + ".yaml",
        "{apiVersion: v1, kind: Pod, metadata: {name: " + guest.name +
            ", namespace: shop, uid: uid-" + guest.name + ", labels: {role: " + role +
            "}}, spec: {nodeName: n1, containers: [{name: c, image: i}]}, " +
            "status: {phase: Running, podIPs: [{ip: \"" + guest.pod.v4().ToString() + "\"}]}}\n");
    files_.WriteResult(guest.name, {guest.pod.v4().ToString()}, guest.pod.device());
  }

  bool HasEndpoints(size_t count) const {
    return Becomes(files_, "/v1/endpoints", [&](const model::Value& endpoints) {
      return endpoints.type == model::Value::Type::kSequence && endpoints.items.size() == count;
    });
  }

  // All say who they are until everyone who may has been heard.
  void HearAll(const std::vector<std::unique_ptr<Guest>>& guests, int listener) {
    std::set<std::string> awaited;
    for (const auto& guest : guests)
      if (guest->text.starts_with("let in")) awaited.insert(guest->text);
    auto end = steady_clock::now() + std::chrono::seconds(60);
    while (!awaited.empty() && steady_clock::now() < end) {
      for (const auto& guest : guests) Send(guest->socket, b_.v4(), kPort, guest->text);
      for (const std::string& text : Arrived(listener, b_.v4(), kPort)) {
        EXPECT_TRUE(text.starts_with("let in")) << text;
        awaited.erase(text);
      }
    }
    EXPECT_TRUE(awaited.empty()) << awaited.size() << " not heard, such as " << *awaited.begin();
  }
};

INSTANTIATE_TEST_SUITE_P(, ChurnTest, testing::Values("tcx", "clsact"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(ChurnTest, NothingIsInheritedAndNothingIsLeft) {
  AgentProcess agent(files_, {std::string("--attach=") + GetParam()});
  OpenBoth();
  files_.WritePolicy("b", "{from: [{podSelector: {matchLabels: {role: guest}}}]}");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  int listener = Socket(b_, kPort);
  Left before = Now(agent);
  long memory = 0;
  for (int wave = 0; wave < kWaves; ++wave) {
    std::vector<std::unique_ptr<Guest>> guests;
    for (int i = 0; i < kAtOnce; ++i)
      guests.push_back(std::make_unique<Guest>(kFirst + i, wave, (i + wave) % 2 == 0));
    ASSERT_TRUE(HasEndpoints(2 + guests.size()));
    // Closed until they are known, whoever had their addresses.
    for (const auto& guest : guests)
      Send(guest->socket, b_.v4(), kPort, "too early " + guest->name);
    for (const auto& guest : guests) WriteGuest(*guest);
    HearAll(guests, listener);
    // Half go with their objects, half without: those follow when they have gone.
    for (int i = 0; i < kAtOnce; i += 2) files_.RemoveManifest("pod-" + guests[i]->name + ".yaml");
    std::vector<std::string> names;
    for (const auto& guest : guests) names.push_back(guest->name);
    guests.clear();
    for (const std::string& name : names) {
      files_.RemoveResult(name);
      fs::remove(files_.manifests() + "/pod-" + name + ".yaml");
    }
    ASSERT_TRUE(HasEndpoints(2));
    if (wave == 1) memory = MemoryInKib(agent);
  }
  EXPECT_TRUE(Becomes(files_, "/v1/status", [&](const model::Value&) {
    return Now(agent) == before;
  })) << agent.Log();
  EXPECT_LE(MemoryInKib(agent), memory + 1024) << "KiB, with as many pods";
  EXPECT_EQ(Entries("/run/netns"), 2u);
  EXPECT_TRUE(Ready(files_));
}

}  // namespace
}  // namespace sallyport::test
