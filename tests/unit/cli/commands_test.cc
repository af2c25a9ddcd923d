// SPDX-License-Identifier: Apache-2.0
// The command line as a whole: words in, text and exit code out.
#include "cli/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/explain_command.h"
#include "support/temporary.h"
#include "unit/cli/one_answer.h"

namespace sallyport::cli {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kWorld = R"(
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, image: i, ports: [{containerPort: 80, name: http}]}]}
status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: c, image: i, ports: [{containerPort: 5432}]}]}
status: {phase: Running, podIP: 10.0.0.2, podIPs: [{ip: 10.0.0.2}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
  - from: [{ipBlock: {cidr: 192.0.2.0/24}}]
    ports: [{port: http}]
)";

class CommandsTest : public ::testing::Test {
 protected:
  void SetUp() override { world_ = Write("world.yaml", kWorld); }

  std::string Write(const std::string& name, const std::string& text) {
    directory_.Write(name, text);
    return directory_ / name;
  }

  int Run(std::vector<std::string> words) {
    out_.str("");
    err_.str("");
    words.insert(words.begin(), "sallyport");
    std::vector<const char*> argv;
    argv.reserve(words.size());
    for (const std::string& word : words) argv.push_back(word.c_str());
    return Main(static_cast<int>(argv.size()), argv.data(), Terminal{out_, err_});
  }
  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }

  test::TemporaryDirectory directory_;
  std::string world_;
  std::ostringstream out_, err_;
};

TEST_F(CommandsTest, EveryCommandHasHelpWithExamples) {
  for (std::vector<std::string> command : {std::vector<std::string>{"check"},
                                           {"explain"},
                                           {"probe", "run"},
                                           {"probe", "matrix"},
                                           {"probe", "egress"},
                                           {"probe", "serve"},
                                           {"status"},
                                           {"endpoints"},
                                           {"policies"},
                                           {"flows"},
                                           {"egress"},
                                           {"events"}}) {
    command.push_back("--help");
    EXPECT_EQ(Run(command), kYes);
    EXPECT_THAT(out(), AllOf(HasSubstr("Usage: sallyport " + command[0]), HasSubstr("Example")));
    EXPECT_EQ(err(), "");
  }
}

TEST_F(CommandsTest, WrongUsageCouldNotTell) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{},
        {"chek"},
        {"check"},
        {"check", "-o", "xml", world_},
        {"explain"},
        {"explain", "-f", world_},
        {"explain", "-f", world_, "--from", "shop/web"},
        {"explain", "-f", world_, "--matrix", "--from", "shop/web"},
        {"explain", "-f", world_, "--from", "shop/web", "--to", "shop/db:1", "--ports", "80"},
        {"explain", "-f", world_, "--matrix", "--ports", "http"},
        {"explain", "-f", world_, "--from", "shop/web", "--to", "shop/db:1", "--socket", "/x"},
        {"explain", "--live", "-f", world_, "--from", "shop/web", "--to", "shop/db:1"},
        {"explain", "--live", "--matrix"},
        {"explain", "--live", "--from", "shop/web"},
        {"explain", "--live", "--from", "shop/web", "--to", "shop/db"},
        {"explain", "--live", "--socket", "/nowhere", "--from", "shop/web", "--to", "shop/db:1"},
        {"explain", "-f", world_, "--matrix", "--outside", "example.org"},
        {"probe"},
        {"probe", "run"},
        {"probe", "serve", "--ports", "x"},
        {"probe", "egress", "--from", "a/b"},
        {"probe", "egress", "--from", "a/b", "--to", "192.0.2.1:80", "--expect", "x"},
        {"probe", "egress", "--from", "a/b", "--to", "192.0.2.1/ICMP"},
        {"probe", "egress", "--from", "192.0.2.2", "--to", "192.0.2.1:80"},
        {"probe", "egress", "--socket", "/nowhere", "--from", "a/b", "--to", "192.0.2.1:80"},
        {"probe", "egress", "--socket", "/nowhere", "--from", "a/b", "--to", "a/c:80"},
        {"flows", "--limit", "0"}}) {
    EXPECT_EQ(Run(words), kCouldNotTell) << ::testing::PrintToString(words);
    EXPECT_NE(err(), "");
    EXPECT_EQ(out(), "");
  }
}

TEST_F(CommandsTest, SaysWhatItDoesNotUnderstand) {
  auto message = [&](const std::vector<std::string>& words) {
    EXPECT_EQ(Run(words), kCouldNotTell);
    return err();
  };
  EXPECT_EQ(message({"foo"}),
            "sallyport: unknown command \"foo\"\nRun `sallyport --help` for more.\n");
  EXPECT_EQ(message({"probe", "foo"}),
            "sallyport: unknown command \"foo\"\nRun `sallyport probe --help` for more.\n");
  EXPECT_THAT(message({"check", "--foo"}), HasSubstr("unknown option \"--foo\""));
  EXPECT_THAT(message({"probe", "serve", "x"}), HasSubstr("unexpected word \"x\""));
  EXPECT_THAT(message({"status", "n1"}), HasSubstr("not expected: n1"));
  for (const char* word : {"xml", "1", ""}) {
    EXPECT_THAT(message({"check", world_, "-o", word}),
                HasSubstr("-o: \"" + std::string(word) + "\" is not one of table, json\n"));
  }
  EXPECT_THAT(message({"explain", "-f", world_, "--matrix", "--family", "0"}),
              HasSubstr("--family: \"0\" is not one of 4, 6, both\n"));
  EXPECT_THAT(message({"flows", "--limit", "0"}),
              HasSubstr("--limit: \"0\" is not a whole number above 0\n"));
  EXPECT_THAT(message({"explain", "-f", world_, "--matrix", "--ports", ""}),
              HasSubstr("--ports: must not be empty"));
  EXPECT_THAT(message({"probe", "matrix", "--ports", ""}), HasSubstr("--ports: must not be empty"));
  EXPECT_THAT(message({"flows", "--endpoint", ""}), HasSubstr("--endpoint: must not be empty"));
}

TEST_F(CommandsTest, FailuresAreJsonWhereAnswersAre) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"check", "/nowhere"},
        {"check", "--foo"},
        {"explain", "-f", "/nowhere", "--matrix"},
        {"explain", "-f", world_},
        {"explain", "--family", "5"},
        {"probe", "run", "--lab", "none", "--from", "a", "--to", "b:80"},
        {"probe", "matrix", "--lab", "none"},
        {"status", "--socket", "/nowhere"},
        {"endpoints", "--socket", "/nowhere"},
        {"policies", "--socket", "/nowhere"},
        {"flows", "--socket", "/nowhere", "--endpoint", "a/b"},
        {"events", "--socket", "/nowhere"},
        {"events", "-f", "--socket", "/nowhere"}}) {
    std::vector<std::string> with_json = words;
    with_json.insert(with_json.end(), {"-o", "json"});
    EXPECT_EQ(Run(with_json), kCouldNotTell) << ::testing::PrintToString(words);
    EXPECT_THAT(out(), AllOf(StartsWith("{\"error\": \""), EndsWith("\"}\n")))
        << ::testing::PrintToString(words);
    EXPECT_THAT(err(), StartsWith("sallyport: "));
    EXPECT_EQ(Run(words), kCouldNotTell);
    EXPECT_EQ(out(), "");
  }
}

TEST_F(CommandsTest, FlowsOfAnEndpointThatIsNotHere) {
  OneAnswer agent("HTTP/1.1 200 OK\r\n\r\n[{\"pod\": \"shop/web\"}]");
  EXPECT_EQ(Run({"flows", "--socket", agent.path(), "--endpoint", "shop/nope"}), kCouldNotTell);
  EXPECT_EQ(err(), "sallyport: there is no endpoint shop/nope here; there are: shop/web\n");
  EXPECT_THAT(agent.Request(), HasSubstr("GET /v1/endpoints "));
}

// What the DaemonSet's probes go by.
TEST_F(CommandsTest, StatusSaysReadyOrAlive) {
  auto run = [this](const std::string& answer, std::vector<std::string> words) {
    OneAnswer agent(answer);
    words.insert(words.begin(), {"status", "--socket", agent.path()});
    return Run(words);
  };
  const std::string ok = "HTTP/1.1 200 OK\r\n\r\n";
  const std::string busy = "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"error\": \"busy\"}";
  const std::string unready = ok + R"({"ready": false, "reasons": ["pods could not be listed"]})";
  EXPECT_EQ(run(ok + R"({"ready": true})", {}), kYes);
  EXPECT_EQ(run(unready, {}), kNo);
  EXPECT_THAT(out(), HasSubstr("  - pods could not be listed\n"));
  EXPECT_EQ(run(busy, {}), kCouldNotTell);
  EXPECT_EQ(run(unready, {"--alive"}), kYes);
  EXPECT_EQ(run(busy, {"--alive"}), kCouldNotTell);
  EXPECT_THAT(err(), HasSubstr("busy"));
  EXPECT_EQ(Run({"status", "--alive", "--socket", "/nowhere"}), kCouldNotTell);
}

constexpr const char* kLiveAnswer =
    "HTTP/1.1 200 OK\r\n\r\n"
    R"([{"from": "shop/web", "address": "10.0.0.2", "allowed": true, "words": "yes, by IPv4\n"},)"
    R"( {"from": "shop/web", "address": "fd00::2", "allowed": false, "words": "no, by IPv6\n"}])";

TEST_F(CommandsTest, ExplainLiveAsksTheAgent) {
  std::vector<std::string> words{"explain", "--live",    "--from",  "shop/web",
                                 "--to",    "db:53/UDP", "--socket"};
  auto run = [&](const OneAnswer& agent, std::vector<std::string> more) {
    std::vector<std::string> all = words;
    all.push_back(agent.path());
    all.insert(all.end(), more.begin(), more.end());
    return Run(all);
  };
  OneAnswer both(kLiveAnswer);
  EXPECT_EQ(run(both, {}), kNo);
  EXPECT_EQ(out(), "yes, by IPv4\nno, by IPv6\n");
  EXPECT_THAT(both.Request(), StartsWith("GET /v1/explain?from=shop%2Fweb&to=default%2Fdb&port=53"
                                         "&protocol=UDP "));
  words[5] = "svc/db:53/UDP";
  OneAnswer service(kLiveAnswer);
  EXPECT_EQ(run(service, {}), kNo);
  EXPECT_THAT(service.Request(), HasSubstr("&to=svc%2Fdefault%2Fdb&port=53&protocol=UDP "));
  OneAnswer first(kLiveAnswer);
  EXPECT_EQ(run(first, {"--family", "4", "-o", "json"}), kYes);
  EXPECT_THAT(out(),
              AllOf(HasSubstr("\"10.0.0.2\""), Not(HasSubstr("words")), Not(HasSubstr("fd00"))));
  OneAnswer refused("HTTP/1.1 400 Bad Request\r\n\r\n{\"error\": \"no pod\"}");
  EXPECT_EQ(run(refused, {}), kCouldNotTell);
  EXPECT_THAT(err(), HasSubstr("no pod"));
}

TEST(ExplainLiveTest, AgentsThatSayTheSameAreOneAnswer) {
  const std::string yes = "HTTP/1.1 200 OK\r\n\r\n[{\"allowed\": true, \"words\": \"yes\\n\"}]";
  const std::string no = "HTTP/1.1 200 OK\r\n\r\n[{\"allowed\": false, \"words\": \"no\\n\"}]";
  ExplainOptions options;
  options.from = "a/b";
  options.to = "a/c:80";
  options.live = true;
  auto said = [&](const std::string& third, int code) {
    OneAnswer one(yes), two(yes), three(third);
    std::ostringstream out, err;
    Terminal terminal{out, err};
    EXPECT_EQ(
        RunExplainLive(options, {{"n1", one.path()}, {"n2", two.path()}, {"n3", three.path()}},
                       terminal),
        code);
    return out.str();
  };
  EXPECT_EQ(said(yes, kYes), "yes\n");
  EXPECT_EQ(said(no, kNo), "n1; n2\nyes\nn3\nno\n") << "one is behind";
}

TEST_F(CommandsTest, JsonIsUtf8WhateverFilesAreCalled) {
  std::string odd = Write("\xff.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {}\n");
  EXPECT_EQ(Run({"check", directory_.path(), "-o", "json"}), kNo);
  EXPECT_THAT(out(), AllOf(HasSubstr("\xef\xbf\xbd.yaml"), Not(HasSubstr("\xff"))));
  EXPECT_EQ(Run({"explain", "-f", odd, "--matrix", "-o", "json"}), kCouldNotTell);
  EXPECT_THAT(out(), AllOf(HasSubstr("\xef\xbf\xbd.yaml"), Not(HasSubstr("\xff"))));
}

TEST_F(CommandsTest, CheckCountsWhatItReads) {
  EXPECT_EQ(Run({"check", world_}), kYes);
  EXPECT_EQ(out(), "3 objects read (1 NetworkPolicy, 2 Pod), 0 warnings, 0 errors\n");
  EXPECT_EQ(Run({"check", directory_ / "none.yaml"}), kCouldNotTell);
}

TEST_F(CommandsTest, CheckShowsProblemsWithTheirPlace) {
  std::string bad = Write("bad.yaml",
                          "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
                          "metadata: {name: p}\nspec:\n  podSelector: {}\n  ingres: []\n"
                          "  egress:\n  - to: [{ipBlock: {cidr: 10.0.0.0/33}}]\n");
  EXPECT_EQ(Run({"check", bad}), kNo);
  EXPECT_THAT(out(), AllOf(HasSubstr(bad + ":6: warning: "), HasSubstr(bad + ":8: error: "),
                           HasSubstr("1 warning, 1 error")));
  EXPECT_EQ(Run({"check", bad, "-o", "json"}), kNo);
  EXPECT_THAT(out(), AllOf(HasSubstr(R"("warnings": 1, "errors": 1, "diagnostics": [)"),
                           HasSubstr(R"({"severity": "warning", "file": ")" + bad)));
}

TEST_F(CommandsTest, CheckKnowsEgressGateways) {
  std::string text =
      "apiVersion: sallyport.io/v1alpha1\nkind: EgressGateway\nmetadata: {name: g}\nspec:\n"
      "  egressIPs: [203.0.113.10]\n  pods: {podSelector: {}}\n"
      "  gateways:\n    nodeSelector: {}\n    interface: eth1\n";
  EXPECT_EQ(Run({"check", Write("egw.yaml", text)}), kYes);
  EXPECT_EQ(out(), "1 object read (1 EgressGateway), 0 warnings, 0 errors\n");
  std::string bad = Write("bad.yaml", text + "  portBlockSize: 100\n  destination: {}\n");
  EXPECT_EQ(Run({"check", bad}), kNo);
  EXPECT_THAT(out(),
              AllOf(HasSubstr(bad + ":10: error: EgressGateway g: spec.portBlockSize: 100 must be"),
                    HasSubstr(bad + ":11: error: EgressGateway g: spec.destination: unknown field; "
                                    "did you mean destinations?")));
}

TEST_F(CommandsTest, StrictCheckTakesWarningsForErrors) {
  std::string odd = Write("odd.yaml",
                          "apiVersion: v1\nkind: Namespace\nmetadata: {name: space}\nspek: {}\n"
                          "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\n");
  EXPECT_EQ(Run({"check", odd}), kYes);
  EXPECT_THAT(out(), HasSubstr("1 warning, 0 errors; skipped: 1 v1 Secret"));
  EXPECT_EQ(Run({"check", "--strict", odd}), kNo);
  EXPECT_THAT(out(), HasSubstr("0 warnings, 1 error"));
}

TEST_F(CommandsTest, ExplainAsksForEachBackendOfAService) {
  std::string service = Write("service.yaml", R"(
{apiVersion: v1, kind: Node, metadata: {name: n1},
 status: {addresses: [{type: InternalIP, address: 192.0.2.100}]}}
---
apiVersion: v1
kind: Service
metadata: {name: front, namespace: shop}
spec:
  clusterIP: 10.96.0.10
  selector: {app: web}
  ports: [{name: main, port: 8080, targetPort: http, nodePort: 30080}]
)");
  std::string slices = Write("slices.yaml", R"(
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: front-1, namespace: shop, labels: {kubernetes.io/service-name: front}}
addressType: IPv4
ports: [{name: main, port: 5432}]
endpoints:
- {addresses: [10.0.0.2], targetRef: {kind: Pod, name: db, namespace: shop}}
- {addresses: [198.51.100.7]}
- {addresses: [10.0.0.1], conditions: {ready: false}}
)");
  for (const char* to :
       {"svc/shop/front:8080", "svc/shop/front:main", "10.96.0.10:8080", "192.0.2.100:30080"}) {
    SCOPED_TRACE(to);
    EXPECT_EQ(Run({"explain", "-f", world_, "-f", service, "--from", "192.0.2.9", "--to", to}),
              kYes);
    EXPECT_THAT(out(), StartsWith("192.0.2.9 -> shop/web:80/TCP (10.0.0.1): allowed\n"
                                  "  behind Service shop/front:8080/TCP\n"));
    EXPECT_EQ(Run({"explain", "-f", world_, "-f", service, "--from", "shop/db", "--to", to, "-o",
                   "json"}),
              kNo);
    EXPECT_THAT(out(), HasSubstr("\"service\": \"shop/front:8080/TCP\""));
    EXPECT_EQ(Run({"explain", "-f", world_, "-f", service, "-f", slices, "--from", "shop/web",
                   "--to", to}),
              kYes);
    EXPECT_THAT(out(), AllOf(HasSubstr("-> shop/db:5432/TCP"), HasSubstr("-> 198.51.100.7:5432"),
                             Not(HasSubstr("10.0.0.1:"))));
  }
  EXPECT_EQ(Run({"explain", "-f", world_, "-f", service, "--from", "shop/db", "--to",
                 "svc/shop/front:1"}),
            kCouldNotTell);
  EXPECT_THAT(err(), HasSubstr("has no such port; it has 8080/TCP"));
  EXPECT_EQ(
      Run({"explain", "-f", world_, "-f", service, "--from", "shop/db", "--to", "10.96.0.10:1"}),
      kCouldNotTell);
  EXPECT_THAT(err(), HasSubstr("10.96.0.10: Service shop/front has no such port"));
  EXPECT_EQ(Run({"explain", "-f", world_, "--from", "shop/db", "--to", "svc/shop/x:1"}),
            kCouldNotTell);
  EXPECT_THAT(err(), HasSubstr("there is no Service shop/x"));
}

TEST_F(CommandsTest, ExplainOneQuestion) {
  EXPECT_EQ(Run({"explain", "-f", world_, "--from", "192.0.2.9", "--to", "shop/web:http"}), kYes);
  EXPECT_THAT(out(), StartsWith("192.0.2.9 -> shop/web:80/TCP (10.0.0.1): allowed\n"));
  EXPECT_EQ(Run({"explain", "-f", world_, "--from", "shop/db", "--to", "shop/web:80"}), kNo);
  EXPECT_THAT(out(), HasSubstr("isolated by shop/web; nearest: shop/web ingress[0]"));
  EXPECT_EQ(Run({"explain", "-f", world_, "--from", "shop/x", "--to", "shop/web:80"}),
            kCouldNotTell);
  EXPECT_THAT(err(), HasSubstr("there is no pod shop/x"));
}

TEST_F(CommandsTest, ExplainMatrixAndExpectations) {
  std::string good =
      Write("good.yml.expect", "namespace: shop\nallowed:\n- any -> db\n- 192.0.2.7 -> web:http\n");
  std::vector<std::string> words{"explain", "-f", world_, "--matrix", "--expect", good};
  EXPECT_EQ(Run(words), kYes) << out() << err();
  EXPECT_THAT(out(), HasSubstr("as expected\n"));
  EXPECT_THAT(out(), HasSubstr("outside  192.0.2.7"));
  std::string wrong = Write("wrong.yml.expect", "namespace: shop\nallowed:\n- any -> web\n");
  words.back() = wrong;
  EXPECT_EQ(Run(words), kNo);
  EXPECT_THAT(out(), AllOf(HasSubstr("expected: allowed (allowed by " + wrong + ":3 (any -> web))"),
                           HasSubstr("seen: denied")));
  words.back() = Write("bad.yml.expect", "allowed:\n- any -> shop/nobody\n");
  EXPECT_EQ(Run(words), kCouldNotTell);
  EXPECT_THAT(err(), HasSubstr("no pod or workload matches"));
}

TEST_F(CommandsTest, ExplainRefusesManifestsInError) {
  std::string bad = Write("bad.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {}\n");
  EXPECT_EQ(Run({"explain", "-f", directory_.path(), "--matrix"}), kCouldNotTell);
  EXPECT_THAT(err(), HasSubstr("the manifests have errors:\n" + bad));
}

}  // namespace
}  // namespace sallyport::cli
