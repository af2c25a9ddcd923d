// SPDX-License-Identifier: Apache-2.0
// The pages for monitoring: what they say, and what clients cannot do to them. Expectations are
// Prometheus' text format (version 0.0.4) and HTTP/1.1, not what the code does.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <ctime>
#include <future>
#include <regex>
#include <sstream>
#include <thread>

#include "base/unique_fd.h"
#include "observe/exporter.h"

namespace sallyport::observe {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

TEST(HistogramTest, BucketsHoldWhatTookNoLonger) {
  Histogram histogram;
  histogram.Observe(milliseconds(1));
  histogram.Observe(milliseconds(1) + std::chrono::nanoseconds(1));
  histogram.Observe(hours(1));
  EXPECT_EQ(histogram.UpTo(2), 0u);  // 0.0005
  EXPECT_EQ(histogram.UpTo(3), 1u);  // 0.001, inclusive
  EXPECT_EQ(histogram.UpTo(4), 2u);
  EXPECT_EQ(histogram.UpTo(Histogram::kBounds.size() - 1), 2u);
  EXPECT_EQ(histogram.count(), 3u);
  EXPECT_NEAR(histogram.sum(), 3600.002, 1e-6);
}

dataplane::Counters Counted(uint64_t packets, uint64_t denied) {
  dataplane::Counters out;
  out.packets[0] = packets;
  out.dropped[1]["policy"] = denied;
  return out;
}

TEST(TrafficTest, TotalsNeverFall) {
  Traffic traffic;
  traffic.Take({{3, Counted(10, 1)}, {4, Counted(5, 0)}});
  EXPECT_EQ(traffic.packets()[0], 15u);
  traffic.Take({{3, Counted(12, 4)}});  // 4 has gone
  EXPECT_EQ(traffic.packets()[0], 17u);
  EXPECT_EQ(traffic.dropped()[1].at("policy"), 4u);
  traffic.Take({{3, Counted(2, 1)}, {4, Counted(5, 0)}});  // others' indexes by now
  EXPECT_EQ(traffic.packets()[0], 24u);
  EXPECT_EQ(traffic.dropped()[1].at("policy"), 5u);
}

TEST(WatchReasonsTest, OnlyWhereNewsMayBeMissing) {
  WatchView fine;
  fine.resource = "nodes";
  fine.synced = fine.connected = true;
  fine.last_error = "an old one";
  WatchView between = fine;  // a watch ended in order, the next is being opened
  between.connected = false;
  between.last_error = "";
  WatchView absent = fine;
  absent.installed = absent.connected = false;
  WatchView lost = fine;
  lost.resource = "pods";
  lost.connected = false;
  lost.last_error = "connection refused";
  WatchView never = lost;
  never.synced = false;
  const WallTime now = WallTime() + std::chrono::hours(1);
  between.lost_since = absent.lost_since = now - std::chrono::seconds(9);
  EXPECT_THAT(WatchReasons({fine, between, absent}, now), IsEmpty());
  EXPECT_THAT(WatchReasons({lost, never}, now),
              ElementsAre("pods are not followed at the moment: connection refused",
                          "pods could not be listed yet: connection refused"));
  // The server took the connection, and says nothing.
  between.lost_since = absent.lost_since = now - std::chrono::seconds(10);
  WatchView unlisted = between;
  unlisted.synced = false;
  EXPECT_THAT(WatchReasons({between, unlisted, absent}, now),
              ElementsAre(HasSubstr("nodes are not followed at the moment: no answer yet, since "),
                          HasSubstr("nodes could not be listed yet: no answer yet, since ")));
}

MetricsView SomeView() {
  MetricsView view;
  view.reasons = {"objects have not all been read yet", "because"};
  view.generation = 7;
  view.tables = {{"flows", 3, 100}, {"rules", 100, 100, 7}};
  view.open = 2;
  view.unclaimed = 1;
  view.objects = {{"Pod", 4}};
  view.traffic.Take({{3, Counted(10, 6)}});
  view.timings.apply.Observe(milliseconds(2));
  view.waiting = milliseconds(1500);
  view.flows_kept = 9;
  view.displaced_put_back = 5;
  view.disturbed = 2;
  WatchView watch;
  watch.resource = "odd\"\\\nname";
  watch.last_event = WallTime() + milliseconds(1'500'000);
  view.watches = {watch};
  return view;
}

// Every line is a comment or a sample; each family has its help and type before its first sample,
// and stands in one piece; no sample comes twice.
TEST(MetricsTextTest, IsPrometheusTextFormat) {
  MetricsView view = SomeView();
  std::istringstream text(MetricsText(&view, true, ReadProcess()));
  const std::regex help("# HELP ([a-z_]+) [A-Z].*[.]"),
      type("# TYPE ([a-z_]+) (counter|gauge|histogram)");
  const std::regex sample(
      R"(([a-z_]+?)(_bucket|_sum|_count)?(\{[a-z]+="([^"\\\n]|\\[n"\\])*"(,[a-z]+="([^"\\\n]|\\[n"\\])*")*\})? ([0-9.e+-]+|\+Inf))");
  std::set<std::string> families, samples;
  std::string family, of_type;
  std::smatch found;
  for (std::string line; std::getline(text, line);) {
    if (std::regex_match(line, found, help)) {
      EXPECT_TRUE(families.insert(found[1]).second) << "twice: " << line;
      family = found[1];
    } else if (std::regex_match(line, found, type)) {
      EXPECT_EQ(found[1], family);
      of_type = found[2];
      EXPECT_EQ(of_type == "counter", family.ends_with("_total")) << line;
    } else {
      ASSERT_TRUE(std::regex_match(line, found, sample)) << line;
      bool part = of_type == "histogram";
      EXPECT_EQ(part ? found[1].str() : found[1].str() + found[2].str(), family) << line;
      EXPECT_TRUE(samples.insert(line.substr(0, line.rfind(' '))).second) << "twice: " << line;
      EXPECT_TRUE(family.starts_with("sallyport_") || family.starts_with("process_")) << family;
    }
  }
  EXPECT_GT(families.size(), 25u);
}

TEST(MetricsTextTest, Samples) {
  MetricsView view = SomeView();
  EXPECT_THAT(
      MetricsText(&view, true, {}),
      AllOf(HasSubstr("\nsallyport_ready 0\n"), HasSubstr("\nsallyport_not_ready_reasons 2\n"),
            HasSubstr("\nsallyport_generation 7\n"),
            HasSubstr("\nsallyport_table_entries{table=\"flows\"} 3\n"),
            HasSubstr("\nsallyport_table_capacity_entries{table=\"flows\"} 100\n"),
            HasSubstr("\nsallyport_table_left_out{table=\"flows\"} 0\n"),
            HasSubstr("\nsallyport_table_left_out{table=\"rules\"} 7\n"),
            HasSubstr("\nsallyport_endpoints{state=\"open\"} 2\n"),
            HasSubstr("\nsallyport_endpoints{state=\"closed\"} 0\n"),
            HasSubstr("\nsallyport_interfaces_disturbed 2\n"),
            HasSubstr("\nsallyport_programs_put_back_total{after=\"missing\"} 0\n"),
            HasSubstr("\nsallyport_programs_put_back_total{after=\"displaced\"} 5\n"),
            HasSubstr("\nsallyport_drops_total{direction=\"ingress\",reason=\"policy\"} 6\n"),
            HasSubstr("\nsallyport_drops_total{direction=\"egress\",reason=\"closed\"} 0\n"),
            HasSubstr("\nsallyport_apply_duration_seconds_bucket{le=\"0.001\"} 0\n"),
            HasSubstr("\nsallyport_apply_duration_seconds_bucket{le=\"0.0025\"} 1\n"),
            HasSubstr("\nsallyport_apply_duration_seconds_bucket{le=\"+Inf\"} 1\n"),
            HasSubstr("\nsallyport_apply_duration_seconds_sum 0.002\n"),
            HasSubstr("\nsallyport_policy_waiting_seconds 1.5\n"),
            HasSubstr("\nsallyport_flows_kept 9\n"),
            HasSubstr("\nsallyport_watch_last_event_timestamp_seconds"
                      "{resource=\"odd\\\"\\\\\\nname\"} 1500\n"),
            HasSubstr("\nsallyport_reconciler_responding 1\n")));
  EXPECT_THAT(MetricsText(nullptr, false, {}),
              AllOf(HasSubstr("sallyport_build_info{version="), Not(HasSubstr("sallyport_ready")),
                    HasSubstr("\nsallyport_reconciler_responding 0\n")));
}

TEST(ProcessTest, IsThisOne) {
  ProcessView process = ReadProcess();
  EXPECT_GT(process.resident_bytes, 1u << 20);
  EXPECT_GT(process.virtual_bytes, process.resident_bytes);
  EXPECT_GE(process.open_files, 3u);
  EXPECT_GE(process.threads, 1u);
  EXPECT_GT(process.start, 1e9);
}

class ExporterTest : public testing::Test {
 protected:
  Exporter exporter_{[this](std::function<void(MetricsView)> answer) {
                       ++asked_;
                       if (busy_) {
                         late_.push_back(std::move(answer));
                       } else {
                         answer(view_);
                       }
                     },
                     clock_, milliseconds(1)};
  FakeClock clock_;
  MetricsView view_;
  int asked_ = 0;
  bool busy_ = false;
  std::vector<std::function<void(MetricsView)>> late_;
};

TEST_F(ExporterTest, ReadersDoNotAskTheReconcilerMoreOften) {
  for (int i = 0; i < 100; ++i) EXPECT_EQ(exporter_.Answer("/healthz").status, 200);
  EXPECT_EQ(asked_, 1);
  clock_.Advance(seconds(1));
  exporter_.Answer("/metrics");
  EXPECT_EQ(asked_, 2);
}

TEST_F(ExporterTest, ReadinessSaysWhyNot) {
  view_.reasons = {"a is missing", "b failed"};
  EXPECT_EQ(exporter_.Answer("/readyz").status, 503);
  EXPECT_EQ(exporter_.Answer("/readyz").body, "a is missing\nb failed\n");
  EXPECT_EQ(exporter_.Answer("/healthz").status, 200) << "not ready is not ill";
  view_.ready = true;
  clock_.Advance(seconds(1));
  EXPECT_EQ(exporter_.Answer("/readyz").body, "ready\n");
}

TEST_F(ExporterTest, ReconcilerThatDoesNotAnswerIsAskedOnce) {
  view_.ready = true;
  view_.generation = 5;
  exporter_.Answer("/metrics");
  busy_ = true;
  clock_.Advance(seconds(1));
  for (const char* path : {"/healthz", "/readyz"}) EXPECT_EQ(exporter_.Answer(path).status, 503);
  EXPECT_THAT(exporter_.Answer("/metrics").body,
              AllOf(HasSubstr("\nsallyport_reconciler_responding 0\n"),
                    HasSubstr("\nsallyport_generation 5\n")));
  EXPECT_EQ(asked_, 2);
  late_.front()(view_);
  EXPECT_EQ(exporter_.Answer("/healthz").status, 200);
  EXPECT_EQ(asked_, 2);
}

TEST_F(ExporterTest, OtherPagesAreNotThere) {
  EXPECT_EQ(exporter_.Answer("/").status, 404);
  EXPECT_EQ(exporter_.Answer("/metrics/").status, 404);
  EXPECT_EQ(asked_, 0);
}

TEST(ListenTest, Forms) {
  auto listen = ParseListen("127.0.0.1:9469").value();
  EXPECT_EQ(listen.address.ToString(), "127.0.0.1");
  EXPECT_EQ(listen.port, 9469);
  EXPECT_EQ(ParseListen("[::1]:1").value().address.ToString(), "::1");
  EXPECT_EQ(ParseListen(":80").value().address.ToString(), "::");
  EXPECT_EQ(ParseListen("[::]:80").value().address.ToString(), "::");
  for (const char* wrong : {"", "9469", "127.0.0.1", "::1:80", "[::1]", "[127.0.0.1]:1", "host:80",
                            "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:1x"}) {
    EXPECT_FALSE(ParseListen(wrong)) << wrong;
  }
}

TEST(RequestTest, AnyPrefixIsIncompleteAndTheWholeIsAPath) {
  const std::string text = "GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n";
  for (size_t i = 0; i < text.size(); ++i) {
    EXPECT_EQ(ParseRequest(text.substr(0, i)).state, Request::State::kIncomplete) << i;
  }
  Request request = ParseRequest(text + "more");
  EXPECT_EQ(request.state, Request::State::kComplete);
  EXPECT_EQ(request.path, "/metrics");
  EXPECT_TRUE(ParseRequest("HEAD / HTTP/1.0\r\n\r\n").head);
}

TEST(RequestTest, WhatIsNoRequestIsRefused) {
  auto status = [](const std::string& text) { return ParseRequest(text).status; };
  EXPECT_EQ(status("POST / HTTP/1.1\r\n\r\n"), 405);
  EXPECT_EQ(status("GET / HTTP/2\r\n\r\n"), 505);
  for (const char* text : {"\r\n\r\n", "GET\r\n\r\n", "GET /\r\n\r\n", "GET  HTTP/1.1\r\n\r\n",
                           "GET x HTTP/1.1\r\n\r\n", "GET /a b HTTP/1.1\r\n\r\n",
                           "GET /\x01 HTTP/1.1\r\n\r\n", "GET / FTP/1.1\r\n\r\n"}) {
    EXPECT_EQ(status(text), 400) << text;
  }
  EXPECT_EQ(status(std::string(5000, 'a')), 431);
  EXPECT_EQ(status("GET / HTTP/1.1\r\n" + std::string(5000, 'a') + "\r\n\r\n"), 431);
}

TEST(RequestTest, HowItIsCutMakesNoDifference) {
  const std::string head = "GET / HTTP/1.1\r\nX: ";
  for (size_t size = 4090; size <= 4100; ++size) {
    std::string text = head + std::string(size - head.size() - 4, 'a') + "\r\n\r\n";
    Request whole = ParseRequest(text);
    EXPECT_EQ(whole.status, size <= 4096 ? 0 : 431) << size;
    for (size_t cut = 1; cut < 8; ++cut) {
      Request first = ParseRequest(text.substr(0, size - cut));
      if (first.state == Request::State::kBad) EXPECT_EQ(whole.status, first.status) << size;
    }
  }
}

// One client, from an address of the loopback's.
class Browser {
 public:
  explicit Browser(uint16_t port, const char* from = "127.0.0.1") : Browser(from) { Connect(port); }
  explicit Browser(const char* from) {
    fd_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    inet_pton(AF_INET, from, &address.sin_addr);
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  void Connect(uint16_t port) const {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    address.sin_port = htons(port);
    EXPECT_EQ(connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  void Say(const std::string& text) const {
    (void)!send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
  }
  // All, until the server closes.
  std::string Read() const {
    std::string out;
    char buffer[4096];
    for (ssize_t got; (got = recv(fd_.get(), buffer, sizeof(buffer), 0)) > 0;) {
      out.append(buffer, static_cast<size_t>(got));
    }
    return out;
  }
  std::string Get(const std::string& path) const {
    Say("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
    return Read();
  }

 private:
  UniqueFd fd_;
};

uint16_t PortOf(const Web& web) {
  while (web.port() == 0) std::this_thread::yield();
  return web.port();
}

Page Echo(const std::string& path) { return {200, "you asked for " + path}; }
constexpr Listen kLoopback{};

Listen Loopback(uint16_t port = 0) { return {ParseListen("127.0.0.1:0").value().address, port}; }

TEST(WebTest, AnswersAndCloses) {
  Web web(Loopback(), Echo);
  EXPECT_THAT(Browser(PortOf(web)).Get("/a?b"),
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("\r\nContent-Length: 16\r\n"),
                    HasSubstr("\r\nConnection: close\r\n"), EndsWith("\r\n\r\nyou asked for /a")));
  Browser head(PortOf(web));
  head.Say("HEAD / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(head.Read(), EndsWith("\r\n\r\n"));
  Browser wrong(PortOf(web));
  wrong.Say("PUT / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(wrong.Read(), StartsWith("HTTP/1.1 405 "));
}

TEST(WebTest, EveryAddressOfBothFamilies) {
  Web web(kLoopback, Echo);  // [::]:0
  EXPECT_THAT(Browser(PortOf(web)).Get("/"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST(WebTest, LongAnswersArriveWhole) {
  Web web(Loopback(), [](const std::string&) { return Page{200, std::string(8 << 20, 'x')}; });
  EXPECT_GT(Browser(PortOf(web)).Get("/").size(), size_t{8} << 20);
}

TEST(WebTest, RequestsInPieces) {
  Web web(Loopback(), Echo);
  Browser browser(PortOf(web));
  for (char c : std::string("GET /slowly HTTP/1.1\r\n\r\n")) browser.Say(std::string(1, c));
  EXPECT_THAT(browser.Read(), EndsWith("/slowly"));
}

TEST(WebTest, WhoSaysNothingIsCutOff) {
  Web web(Loopback(), Echo, {.time = milliseconds(1)});
  Browser silent(PortOf(web));
  EXPECT_EQ(silent.Read(), "");
}

TEST(WebTest, OneClientCannotKeepOthersOut) {
  Web web(Loopback(), Echo, {.connections = 4, .time = hours(1)});
  Browser patient(PortOf(web), "127.0.0.2");
  patient.Say("GET /patient");
  std::vector<std::unique_ptr<Browser>> hogs;
  for (int i = 0; i < 20; ++i) hogs.push_back(std::make_unique<Browser>(PortOf(web)));
  EXPECT_THAT(Browser(PortOf(web), "127.0.0.3").Get("/"), HasSubstr("200 OK"));
  EXPECT_EQ(hogs.front()->Read(), "");
  patient.Say(" HTTP/1.1\r\n\r\n");
  EXPECT_THAT(patient.Read(), EndsWith("/patient"));
}

TEST(WebTest, WhoMakesRoom) {
  auto who = [](std::initializer_list<const char*> peers) {
    std::vector<net::Address> addresses;
    for (const char* peer : peers) addresses.push_back(*net::Address::Parse(peer));
    return WhoMakesRoom(addresses);
  };
  EXPECT_EQ(who({"10.0.0.1"}), 0u);
  EXPECT_EQ(who({"10.0.0.1", "10.0.0.2", "10.0.0.2"}), 1u) << "the oldest of who holds most";
  EXPECT_EQ(who({"fd00::1", "10.0.0.2", "10.0.0.1"}), 0u) << "among equals the oldest";
  EXPECT_EQ(who({"127.0.0.1", "fd00::1", "10.0.0.1"}), 1u) << "this machine's own is the last";
  EXPECT_EQ(who({"::1", "127.0.0.9", "fd00::1"}), 2u);
  EXPECT_EQ(who({"10.0.0.1", "127.0.0.1", "127.0.0.1"}), 1u) << "but cannot keep others out";
}

std::chrono::nanoseconds ProcessorTime() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

// Who cannot be let in waits, and is not spun on.
TEST(WebTest, OutOfDescriptors) {
  Web web(Loopback(), Echo);
  uint16_t port = PortOf(web);
  Browser patient("127.0.0.1");
  rlimit usual{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual), 0);
  rlimit none{3, usual.rlim_max};  // the standard ones are open
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  patient.Connect(port);
  patient.Say("GET /patient HTTP/1.1\r\n\r\n");
  auto before = ProcessorTime();
  std::this_thread::sleep_for(milliseconds(400));
  auto spent = ProcessorTime() - before;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &usual), 0);
  EXPECT_LT(spent, milliseconds(40));
  EXPECT_THAT(patient.Read(), EndsWith("/patient"));
}

TEST(WebTest, TakenAddressIsWaitedFor) {
  auto first = std::make_unique<Web>(Loopback(), Echo);
  uint16_t port = PortOf(*first);
  Web second(Loopback(port), Echo, {.retry = milliseconds(1)});
  EXPECT_THAT(Browser(port).Get("/"), HasSubstr("200 OK"));
  EXPECT_EQ(second.port(), 0);
  first.reset();
  EXPECT_EQ(PortOf(second), port);
  EXPECT_THAT(Browser(port).Get("/"), HasSubstr("200 OK"));
}

}  // namespace
}  // namespace sallyport::observe
