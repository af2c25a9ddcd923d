// SPDX-License-Identifier: Apache-2.0
// The real DNS server, asked by the real dig.
#include "lab/dns_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lab/process.h"
#include "support/sandbox.h"
#include "unit/lab/make.h"

namespace sallyport::lab {
namespace {

constexpr const char* kDirectory = "/run/spt-dns";
constexpr const char* kSuffix = ".svc.cluster.local";

// In a namespace of its own the server may have port 53.
class ClusterDns : public testing::Test {
 protected:
  ClusterDns() { test::EnterSandbox(); }

  void Serve(const std::vector<std::string>& services, const std::vector<std::string>& slices = {},
             const std::string& hosts = "") {
    std::vector<Value> trees;
    DnsInputs inputs;
    trees.reserve(services.size() + slices.size());
    for (const std::string& text : services)
      inputs.services.push_back(&trees.emplace_back(MakeValue(text)));
    for (const std::string& text : slices)
      inputs.slices.push_back(&trees.emplace_back(MakeValue(text)));
    inputs.hosts = *ParseHosts(hosts);
    Status serving = server_.Serve(MakeDnsRecords(inputs));
    ASSERT_TRUE(serving.ok()) << serving.error().message;
  }
  // The status, and the sorted data of the answer: "NOERROR 10.96.0.1".
  static std::string Dig(const std::string& question, const std::string& server = "127.0.0.1") {
    Command command;
    command.argv = {"/bin/sh", "-c",
                    "dig +noall +comments +answer @" + server + " " + question +
                        " | sed -n 's/.*status: \\([A-Z]*\\),.*/\\1/p; /^;/d; "
                        "s/^[^ \\t]*[ \\t]*[0-9]*[ \\t]*IN[ \\t]*[A-Z]*[ \\t]*//p' | paste -sd' '"};
    command.env = EnvironmentWith({});
    auto finished = RunCommand(command);
    EXPECT_TRUE(finished.has_value());
    std::string out = finished ? finished->output : "";
    while (out.ends_with('\n') || out.ends_with(' ')) out.pop_back();
    return out;
  }

  DnsServer server_{{.directory = kDirectory}};
};

const char* const kWeb =
    "{kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.0.20, "
    "clusterIPs: [10.96.0.20, \"fd00:10:96::14\"], ports: [{name: http, port: 80}]}}";

TEST_F(ClusterDns, AnswersAndTellsNoDataFromNoSuchName) {
  Serve({kWeb,
         "{kind: Service, metadata: {name: ext, namespace: shop}, spec: {type: ExternalName, "
         "externalName: git.example}}"},
        {}, "198.51.100.10 git.example\n");
  std::string web = std::string("web.shop") + kSuffix;
  EXPECT_EQ(Dig(web), "NOERROR 10.96.0.20");
  EXPECT_EQ(Dig("+tcp " + web), "NOERROR 10.96.0.20");
  EXPECT_EQ(Dig(web + " AAAA", "::1"), "NOERROR fd00:10:96::14");
  EXPECT_EQ(Dig(web + " MX"), "NOERROR");
  EXPECT_EQ(Dig("WEB.shop" + std::string(kSuffix)), "NOERROR 10.96.0.20");
  EXPECT_EQ(Dig("_http._tcp." + web + " SRV"), "NOERROR 0 100 80 " + web + ".");
  EXPECT_EQ(Dig("-x 10.96.0.20"), "NOERROR " + web + ".");
  EXPECT_EQ(Dig("-x fd00:10:96::14"), "NOERROR " + web + ".");
  EXPECT_EQ(Dig(std::string("shop") + kSuffix), "NOERROR");
  EXPECT_EQ(Dig(std::string("nope.shop") + kSuffix), "NXDOMAIN");
  EXPECT_EQ(Dig("web.shop.svc.cluster.local.shop.svc.cluster.local"), "NXDOMAIN");
  EXPECT_EQ(Dig(std::string("ext.shop") + kSuffix), "NOERROR git.example. 198.51.100.10");
  EXPECT_EQ(Dig("git.example"), "NOERROR 198.51.100.10");
  EXPECT_EQ(Dig("www.example.org"), "NXDOMAIN");
}

TEST_F(ClusterDns, FollowsTheCluster) {
  const std::string db =
      "{kind: Service, metadata: {name: db, namespace: shop}, spec: {clusterIP: None}}";
  auto slice = [](const std::string& endpoints) {
    return "{kind: EndpointSlice, metadata: {name: db-1, namespace: shop, labels: "
           "{kubernetes.io/service-name: db}}, addressType: IPv4, ports: [{name: sql, port: "
           "5432}], "
           "endpoints: [" +
           endpoints + "]}";
  };
  const std::string name = std::string("db.shop") + kSuffix;
  Serve({db}, {slice("")});
  EXPECT_EQ(Dig(name), "NXDOMAIN");
  Serve({db}, {slice("{addresses: [10.0.0.1], hostname: db-0, conditions: {ready: true}}")});
  EXPECT_EQ(Dig(name), "NOERROR 10.0.0.1");
  EXPECT_EQ(Dig("db-0." + name), "NOERROR 10.0.0.1");
  EXPECT_EQ(Dig("_sql._tcp." + name + " SRV"), "NOERROR 0 100 5432 db-0." + name + ".");
  for (int i = 2; i < 22; ++i) {
    std::string address = "10.0.0." + std::to_string(i);
    Serve({db}, {slice("{addresses: [" + address + "], hostname: db-0, conditions: {}}")});
    EXPECT_EQ(Dig("db-0." + name), "NOERROR " + address);
  }
  Serve({}, {});
  EXPECT_EQ(Dig(name), "NXDOMAIN");
}

TEST_F(ClusterDns, AServerThatEndedIsAnError) {
  Serve({kWeb});
  kill(server_.pid(), SIGKILL);
  siginfo_t ended{};
  waitid(P_PID, static_cast<id_t>(server_.pid()), &ended, WEXITED | WNOWAIT);
  Status serving = server_.Serve({});
  ASSERT_FALSE(serving.ok());
  EXPECT_THAT(serving.error().message, testing::HasSubstr("the DNS server ended"));
  Serve({kWeb});  // a new one
  EXPECT_EQ(Dig(std::string("web.shop") + kSuffix), "NOERROR 10.96.0.20");
}

TEST_F(ClusterDns, AServerThatCannotListenSaysWhy) {
  DnsServer other({.directory = "/run/spt-dns-2", .listen = {"192.0.2.1@53"}});
  Status serving = other.Serve({});
  (void)serving;
  DnsServer broken({.directory = "/run/spt-dns-3", .listen = {"nonsense"}});
  serving = broken.Serve({});
  ASSERT_FALSE(serving.ok());
  EXPECT_THAT(serving.error().message, testing::HasSubstr("nonsense"));
}

}  // namespace
}  // namespace sallyport::lab
