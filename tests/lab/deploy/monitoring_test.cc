// SPDX-License-Identifier: Apache-2.0
// daemonset/monitoring in a real Prometheus that scrapes a real agent.
#include <fstream>
#include <regex>
#include <thread>

#include "lab/agent/agent_fixture.h"
#include "lab/deploy/container.h"
#include "support/places.h"

namespace sallyport::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr uint16_t kPrometheus = 9090;
const std::string kMonitoring = InSources("daemonset/monitoring");

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  return {(std::istreambuf_iterator<char>(file)), {}};
}

std::string Encoded(const std::string& text) {
  std::string out;
  for (unsigned char c : text) {
    char byte[4];
    snprintf(byte, sizeof(byte), "%%%02X", c);
    out += byte;
  }
  return out;
}

// Every "expr" of the dashboard, with its variables set.
std::vector<std::string> DashboardQueries() {
  std::vector<std::string> out;
  auto parsed = model::ParseText(ReadText(kMonitoring + "/dashboard.json"), "dashboard.json");
  for (const model::Value& panel : At(parsed.documents.at(0), {"panels"}).items) {
    for (const model::Value& target : At(panel, {"targets"}).items) {
      std::string query = At(target, {"expr"}).text;
      query = std::regex_replace(query, std::regex("\\$__rate_interval"), "5m");
      out.push_back(std::regex_replace(query, std::regex("\\$instance"), ".*"));
    }
  }
  return out;
}

std::set<std::string> MetricsIn(const std::string& text) {
  std::set<std::string> out;
  const std::regex name("\\b(sallyport|process)_[a-z_]+");
  for (std::sregex_iterator it(text.begin(), text.end(), name), end; it != end; ++it) {
    out.insert(it->str());
  }
  return out;
}

class MonitoringTest : public AgentTest {
 protected:
  // Reads the agent every second, and the rules as they are.
  void StartPrometheus() {
    std::ofstream("/run/spt-prometheus.yml")
        << "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        << "rule_files: [" << kMonitoring << "/alerts.yaml]\n"
        << "scrape_configs:\n- job_name: sallyport\n  static_configs:\n"
        << "  - targets: ['127.0.0.1:9469']\n";
    prometheus_ = std::make_unique<Child>(
        std::vector<std::string>{"prometheus", "--config.file=/run/spt-prometheus.yml",
                                 "--storage.tsdb.path=/run/spt-prometheus",
                                 "--web.listen-address=127.0.0.1:" + std::to_string(kPrometheus)},
        "/run/spt-prometheus-log");
  }
  // The answer's "data", of a query of its API.
  static model::Value Api(const std::string& path) {
    std::string answer = HttpGet(kPrometheus, "/api/v1/" + path);
    auto parsed = model::ParseText(answer, "prometheus");
    if (parsed.documents.empty()) return {};
    EXPECT_EQ(At(parsed.documents.at(0), {"status"}).text, "success") << path << ": " << answer;
    return At(parsed.documents.at(0), {"data"});
  }
  static model::Value Query(const std::string& query) {
    return At(Api("query?query=" + Encoded(query)), {"result"});
  }
  bool Becomes(const std::function<bool()>& is_so) const {
    for (int tries = 0; tries < 1200; ++tries) {
      if (is_so()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));  // between two questions
    }
    ADD_FAILURE() << prometheus_->Log();
    return false;
  }

  std::unique_ptr<Child> prometheus_;
};

TEST(AlertsTest, PromtoolAcceptsThemAndTheirTests) {
  EnterSandbox();
  Shell("cd " + kMonitoring +
        " && promtool check rules alerts.yaml && "
        "promtool test rules alerts_test.yaml");
}

TEST(AlertsTest, PromtoolAcceptsTheMetrics) {
  EnterSandbox();
  AgentFiles files("agent");
  AgentProcess agent(files);
  ASSERT_TRUE(Ready(files));
  std::string page;
  while ((page = HttpGet(9469, "/metrics")).empty()) std::this_thread::yield();
  std::ofstream("/run/spt-metrics") << page;
  Shell("promtool check metrics </run/spt-metrics");
}

TEST_F(MonitoringTest, EveryMetricThatIsNamedExists) {
  AgentProcess agent(files_);
  OpenBoth();
  files_.WritePolicy("b");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  EXPECT_TRUE(ANeverReachesB());
  StartPrometheus();
  ASSERT_TRUE(Becomes([] {
    int status = 0;
    HttpGet(kPrometheus, "/-/ready", &status);
    return status == 200;
  }));
  ASSERT_TRUE(Becomes([] { return !Query("up{job='sallyport'} == 1").items.empty(); }));

  // Without an API server there are no watches, without EgressGateways no egress IPs, and their
  // metrics have no samples.
  std::set<std::string> named = MetricsIn(ReadText(kMonitoring + "/alerts.yaml"));
  named.merge(MetricsIn(ReadText(kMonitoring + "/dashboard.json")));
  EXPECT_GT(named.size(), 20u);
  for (const std::string& name : named) {
    std::string family = std::regex_replace(name, std::regex("_(bucket|sum|count)$"), "");
    EXPECT_FALSE(Api("metadata?metric=" + family).members.empty()) << name;
    bool of_ip = name.starts_with("sallyport_egress_") && !name.ends_with("takeovers_total");
    bool sampled = !name.starts_with("sallyport_watch_") && !of_ip;
    EXPECT_EQ(!Query("{__name__=~'" + name + "(_count)?'}").items.empty(), sampled) << name;
  }
  for (const std::string& query : DashboardQueries()) Query(query);  // each is understood
  EXPECT_EQ(
      Query("sum(sallyport_drops_total{direction='ingress',reason='policy'}) > 0").items.size(),
      1u);

  // Once evaluated, no rule has an error.
  ASSERT_TRUE(Becomes([] {
    for (const model::Value& group : At(Api("rules"), {"groups"}).items) {
      for (const model::Value& rule : At(group, {"rules"}).items) {
        EXPECT_NE(At(rule, {"health"}).text, "err") << At(rule, {"lastError"}).text;
        if (At(rule, {"health"}).text != "ok") return false;
      }
    }
    return true;
  }));
  EXPECT_TRUE(Query("ALERTS{alertstate='firing'}").items.empty());
}

}  // namespace
}  // namespace sallyport::test
