// SPDX-License-Identifier: Apache-2.0
// Pinned traffic, as the tool shows it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/agent_views.h"
#include "cli/commands.h"
#include "cli/greeting.h"
#include "cli/probe_egress.h"
#include "support/temporary.h"
#include "unit/cli/one_answer.h"
#include "unit/cli/small_world.h"

namespace sallyport::cli {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

class EgressTest : public ::testing::Test {
 protected:
  int Run(std::vector<std::string> words) {
    out_.str("");
    err_.str("");
    words.insert(words.begin(), "sallyport");
    std::vector<const char*> argv;
    argv.reserve(words.size());
    for (const std::string& word : words) argv.push_back(word.c_str());
    return Main(static_cast<int>(argv.size()), argv.data(), Terminal{out_, err_});
  }
  std::string Write(const std::string& name, const std::string& text) {
    directory_.Write(name, text);
    return directory_ / name;
  }

  test::TemporaryDirectory directory_;
  std::ostringstream out_, err_;
};

TEST_F(EgressTest, GreetingsAreReadAsTheyAreWritten) {
  std::string line = probe::Greeting("shop/web", "10.0.1.5:80", "TCP", "203.0.113.10:2048");
  EXPECT_EQ(line, "I am shop/web at 10.0.1.5:80/TCP; I see 203.0.113.10:2048\n");
  auto seen = probe::ReadGreeting(line + "echo");
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->name, "shop/web");
  EXPECT_EQ(seen->address, Ip("203.0.113.10"));
  EXPECT_EQ(seen->port, 2048);
  seen = probe::ReadGreeting(probe::Greeting("x at y; I see z", "h:1", "UDP", "[2001:db8::1]:9"));
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->name, "x at y; I see z");
  EXPECT_EQ(seen->address, Ip("2001:db8::1"));
  for (const char* other : {"", "I am ", "SSH-2.0", "I am x; I see 10.0.0.1:1",
                            "I am x at y; I see 10.0.0.1", "I am x at y; I see nobody:1",
                            "I am x at y; I see 10.0.0.1:0", "so I am x at y; I see 10.0.0.1:1"}) {
    EXPECT_FALSE(probe::ReadGreeting(other)) << other;
  }
}

constexpr const char* kHeld =
    R"({"ip": "203.0.113.10", "gateway": "partner", "holder": "n1", "held_here": true,
        "uplink": "eth1", "via": "n1", "why_nobody": "", "ports": 2048, "busiest": 12,
        "headroom": 2036, "live": 10, "resting": 2, "refused": 4, "seconds_to_exhaustion": 600.5,
        "exhausted": "", "forwarded": {"out": {"packets": 6, "bytes": 600},
        "in": {"packets": 7, "bytes": 700}}, "strangers": 8, "foreign": 9,
        "blocks": [{"first": 1024, "last": 2047, "node": "n1", "use": true, "live": 9, "resting": 1},
                   {"first": 2048, "last": 3071, "node": "n1", "use": true, "live": 1, "resting": 1},
                   {"first": 3072, "last": 4095, "node": "n2", "use": false, "live": 0},
                   {"first": 8192, "last": 9215, "node": "n1", "use": false, "live": 0},
                   {"first": 9216, "last": 9279, "node": "n2", "use": false, "live": 0}]})";
constexpr const char* kNobodys =
    R"({"ip": "2001:db8::10", "holder": "", "why_nobody": "no node is a candidate", "ports": 0})";
constexpr const char* kExhausted =
    R"({"ip": "203.0.113.11", "holder": "n2", "via": "n2", "why_nobody": "", "ports": 64,
        "exhausted": "all blocks are leased"})";

std::string EgressOf(const std::vector<std::string>& addresses) {
  std::string list;
  for (const std::string& address : addresses) list += (list.empty() ? "" : ",") + address;
  return R"({"node": "n1", "tunnel": {"device": "sallyport", "port": 8473, "vni": 7, "mtu": 1450},
             "addresses": [)" +
         list + R"(], "peers": [{"node": "n2", "address": "192.168.0.2", "heard_ms_ago": 42}]})";
}

TEST_F(EgressTest, TableForPeople) {
  auto answer = ParseAnswer(EgressOf({kHeld}));
  ASSERT_TRUE(answer);
  EXPECT_EQ(RenderEgress(*answer, Terminal{out_, err_}),
            "node    n1\n"
            "tunnel  sallyport, UDP port 8473, VNI 7, packets of up to 1450 bytes\n"
            "\n"
            "EGRESS IP     GATEWAY  HOLDER     LEAVES BY  PORTS  BUSIEST  HEADROOM  FLOWS  REFUSED"
            "  LASTS\n"
            "203.0.113.10  partner  n1 (eth1)  n1          2048       12      2036     10        4"
            "  10 min\n"
            "\n"
            "PORTS OF      NODE  IN USE                FINISHING  FLOWS  RESTING\n"
            "203.0.113.10  n1    1024-3071             8192-9215     10        2\n"
            "203.0.113.10  n2    3072-4095, 9216-9279  -              -        -\n"
            "\n"
            "FORWARDED OF  PACKETS OUT  PACKETS IN  BYTES OUT  BYTES IN  STRANGERS  FOREIGN\n"
            "203.0.113.10            6           7        600       700          8        9\n"
            "\n"
            "OTHER GATEWAY  ADDRESS      HEARD MS AGO\n"
            "n2             192.168.0.2            42\n");
  EXPECT_THAT(RenderEgress(*ParseAnswer("{}"), Terminal{out_, err_}),
              EndsWith("tunnel  none\n\nno egress IPs\n"));
}

TEST_F(EgressTest, CodeSaysWhetherAllIsWell) {
  auto run = [this](const std::string& body, const char* format) {
    OneAnswer agent("HTTP/1.1 200 OK\r\n\r\n" + body);
    int code = Run({"egress", "--socket", agent.path(), "-o", format});
    EXPECT_THAT(agent.Request(), HasSubstr("GET /v1/egress "));
    return code;
  };
  EXPECT_EQ(run(EgressOf({kHeld}), "table"), kYes);
  EXPECT_EQ(run(EgressOf({}), "table"), kYes);
  EXPECT_EQ(run(EgressOf({kHeld, kNobodys}), "table"), kNo);
  EXPECT_THAT(out_.str(), HasSubstr("  - nobody holds 2001:db8::10: no node is a candidate\n"));
  EXPECT_EQ(run(EgressOf({kExhausted}), "table"), kNo);
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("  - 203.0.113.11 has no more ports for this node: all "
                                          "blocks are leased\n"),
                                HasSubstr("  exhausted\n")));
  EXPECT_EQ(run(EgressOf({kExhausted}), "json"), kNo);
  EXPECT_TRUE(out_.str().starts_with("{\"node\": \"n1\", ")) << "one value, not a row";
  EXPECT_EQ(Run({"egress", "--socket", "/nowhere"}), kCouldNotTell);
}

TEST_F(EgressTest, FlowsSayWhatTheOutsideSees) {
  auto flows = ParseAnswer(R"([
    {"protocol": "TCP", "source": "10.0.0.1", "source_port": 5, "egress_ip": "203.0.113.10",
     "egress_port": 2048},
    {"protocol": "TCP", "source": "fd00::1", "source_port": 6, "egress_ip": "2001:db8::10",
     "egress_port": 3},
    {"protocol": "UDP", "source": "10.0.0.1", "egress_ip": null, "egress_port": null},
    {"protocol": "UDP", "source": "10.0.0.1"}])");
  ASSERT_TRUE(flows);
  EXPECT_THAT(RenderFlows(*flows, Terminal{out_, err_}),
              AllOf(HasSubstr("  OUTSIDE AS\n"), HasSubstr("  203.0.113.10:2048\n"),
                    HasSubstr("  [2001:db8::10]:3\n"), HasSubstr("  no port yet\n")));
  flows->items.erase(flows->items.begin(), flows->items.begin() + 3);
  EXPECT_THAT(RenderFlows(*flows, Terminal{out_, err_}), Not(HasSubstr("OUTSIDE")));
}

constexpr const char* kPinned = R"(
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, image: i}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, image: i}]}
---
apiVersion: sallyport.io/v1alpha1
kind: EgressGateway
metadata: {name: partner, creationTimestamp: "2026-01-01T00:00:00Z"}
spec:
  egressIPs: [203.0.113.10]
  pods: {podSelector: {matchLabels: {app: web}}}
  destinations: {cidrs: [198.51.100.0/24, "2001:db8::/32"]}
  gateways: {nodeSelector: {}}
)";

TEST_F(EgressTest, ExplainSaysWhichAddressItLeavesWith) {
  std::string file = Write("pinned.yaml", kPinned);
  EXPECT_EQ(Run({"explain", "-f", file, "--from", "shop/web", "--to", "198.51.100.20:443"}), kYes);
  EXPECT_THAT(out_.str(), EndsWith("\n  outside: leaves as 203.0.113.10, by EgressGateway partner "
                                   "(198.51.100.0/24)\n"));
  EXPECT_EQ(Run({"explain", "-f", file, "--from", "shop/web", "--to", "[2001:db8::1]:443"}), kNo);
  EXPECT_THAT(out_.str(), AllOf(HasSubstr(":443/TCP: denied\n"),
                                HasSubstr("\n  outside: dropped: pinned to nothing by "
                                          "EgressGateway partner (2001:db8::/32): ")));
  EXPECT_EQ(
      Run({"explain", "-f", file, "--from", "shop/web", "--to", "198.51.100.20:443", "-o", "json"}),
      kYes);
  EXPECT_THAT(out_.str(), HasSubstr(R"("pin": {"gateway": "partner", "cidr": "198.51.100.0/24", )"
                                    R"("ip": "203.0.113.10", "why": ""})"));
  for (const char* to : {"192.0.2.1:443", "shop/db:443"}) {
    EXPECT_EQ(Run({"explain", "-f", file, "--from", "shop/web", "--to", to}), kYes);
    EXPECT_THAT(out_.str(), Not(HasSubstr("outside:"))) << to;
  }
  EXPECT_EQ(Run({"explain", "-f", file, "--from", "shop/db", "--to", "198.51.100.20:443"}), kYes);
  EXPECT_THAT(out_.str(), Not(HasSubstr("outside:"))) << "another pod";
}

TEST_F(EgressTest, MatrixCountsAPinToNothingAsDenied) {
  std::string file = Write("pinned.yaml", kPinned);
  Run({"explain", "-f", file, "--matrix", "--ports", "443", "--outside", "2001:db8::1", "-o",
       "json"});
  EXPECT_THAT(out_.str(), HasSubstr(R"({"from": "shop/web", "to": "2001:db8::1", )"
                                    R"("address": "2001:db8::1", "port": 443, )"
                                    R"("protocol": "TCP", "allowed": false)"));
}

// Of pods of a workload, which are in no manifest.
TEST_F(EgressTest, CheckSaysWhichObjectsAreInEachOthersWay) {
  std::string wider = R"(---
apiVersion: sallyport.io/v1alpha1
kind: EgressGateway
metadata: {name: wider, creationTimestamp: "2026-01-02T00:00:00Z"}
spec:
  egressIPs: [203.0.113.11]
  pods: {podSelector: {matchLabels: {app: db}}}
  destinations: {cidrs: [198.51.100.0/24]}
  gateways: {nodeSelector: {}}
)";
  EXPECT_EQ(Run({"check", Write("apart.yaml", kPinned + wider)}), kYes);
  EXPECT_THAT(out_.str(), Not(HasSubstr("EgressGateway wider"))) << "no pod has both";
  std::string older = wider;
  older.replace(older.find("name: wider"), 11, "name: older");
  older.replace(older.find("2026-01-02"), 10, "2026-01-01");
  std::string file = Write("same.yaml", kPinned + wider + older);
  EXPECT_EQ(Run({"check", file}), kYes);
  EXPECT_THAT(
      out_.str(),
      AllOf(HasSubstr(file + ":26: warning: EgressGateway wider: spec.destinations: for pod "
                             "shop/db-"),
            HasSubstr(" and another, 198.51.100.0/24 leaves by EgressGateway older, which "
                      "is older\n"),
            Not(HasSubstr("EgressGateway older: "))));
  EXPECT_EQ(Run({"check", "--strict", file}), kNo);
  EXPECT_EQ(Run({"check", "-o", "json", file}), kYes);
  EXPECT_THAT(out_.str(), HasSubstr(R"("object": "EgressGateway wider", )"
                                    R"("field": "spec.destinations")"));
}

Row Tried(const World& world, probe::Outcome outcome, const std::string& detail) {
  Row row = RowsOf(world, "shop/web", "198.51.100.20:443").at(0);
  row.seen = probe::Answer{outcome, std::chrono::milliseconds(1), detail};
  return row;
}

TEST_F(EgressTest, ProbeSaysWhomTheOutsideSees) {
  World world(SmallSnapshot());
  const Terminal terminal{out_, err_};
  const std::string line = "I am partner at 198.51.100.20:443/TCP; I see 203.0.113.10:2048";
  std::vector<Row> seen = {Tried(world, probe::Outcome::kOpen, line)};
  EXPECT_EQ(PrintEgress(seen, std::nullopt, terminal), kYes);
  EXPECT_EQ(PrintEgress(seen, Ip("203.0.113.10"), terminal), kYes);
  EXPECT_EQ(PrintEgress(seen, Ip("10.0.0.1"), terminal), kNo);
  EXPECT_EQ(out_.str(),
            "shop/web -> 198.51.100.20:443/TCP: seen as 203.0.113.10 (port 2048) by partner\n"
            "shop/web -> 198.51.100.20:443/TCP: seen as 203.0.113.10 (port 2048) by partner, as "
            "expected\n"
            "shop/web -> 198.51.100.20:443/TCP: seen as 203.0.113.10 (port 2048) by partner, and "
            "not as 10.0.0.1\n");
  EXPECT_EQ(PrintEgress({Tried(world, probe::Outcome::kOpen, "SSH-2.0-x")}, {}, terminal),
            kCouldNotTell);
  EXPECT_THAT(out_.str(), EndsWith("it is no `sallyport probe serve`\n"));
  EXPECT_EQ(PrintEgress({Tried(world, probe::Outcome::kBlocked, "")}, {}, terminal), kNo);
  EXPECT_EQ(PrintEgress({Tried(world, probe::Outcome::kRefused, "")}, {}, terminal), kNo);
  EXPECT_EQ(PrintEgress({Tried(world, probe::Outcome::kError, "no route")}, {}, terminal),
            kCouldNotTell);
  seen.push_back(Tried(world, probe::Outcome::kBlocked, ""));
  EXPECT_EQ(PrintEgress(seen, {}, terminal), kNo) << "the worst counts";
}

TEST_F(EgressTest, ProbeAsRows) {
  World world(SmallSnapshot());
  Terminal terminal{out_, err_};
  terminal.format = Format::kJson;
  const std::string line = "I am partner at 198.51.100.20:443/TCP; I see 203.0.113.10:2048";
  EXPECT_EQ(PrintEgress({Tried(world, probe::Outcome::kOpen, line)}, Ip("10.0.0.1"), terminal),
            kNo);
  EXPECT_EQ(
      out_.str(),
      "[\n{\"from\": \"shop/web\", \"to\": \"198.51.100.20\", \"address\": \"198.51.100.20\", "
      "\"port\": 443, \"protocol\": \"TCP\", \"outcome\": \"open\", "
      "\"seen\": \"203.0.113.10\", \"seen_port\": 2048, \"far_end\": \"partner\", "
      "\"detail\": \"" +
          line + "\", \"expected\": \"10.0.0.1\", \"as_expected\": false}\n]\n");
}

TEST_F(EgressTest, ProbeOnANodeAsksItsAgentForThePod) {
  OneAnswer agent("HTTP/1.1 200 OK\r\n\r\n[{\"pod\": \"shop/web\", \"addresses\": []}]");
  EXPECT_EQ(Run({"probe", "egress", "--socket", agent.path(), "--from", "shop/db", "--to",
                 "198.51.100.20:443"}),
            kCouldNotTell);
  EXPECT_EQ(err_.str(),
            "sallyport: --from: pod shop/db is not on this node; run this on its node\n");
  EXPECT_THAT(agent.Request(), HasSubstr("GET /v1/endpoints "));
}

}  // namespace
}  // namespace sallyport::cli
