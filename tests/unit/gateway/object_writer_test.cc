// SPDX-License-Identifier: Apache-2.0
// Status and Events against an API server.
#include "gateway/object_writer.h"

#include <gmock/gmock.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "unit/gateway/server_fixture.h"

namespace sallyport::gateway {
namespace {

using apiserver::At;
using apiserver::Items;
using apiserver::TextAt;
using testing::HasSubstr;

constexpr const char* kEvents = "/api/v1/namespaces/default/events";

class ObjectWriterTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    Answer made =
        Post(kGateways, R"({"metadata":{"name":"g"},"spec":{"egressIPs":["203.0.113.10"],)"
                        R"("pods":{},"gateways":{}}})");
    ASSERT_EQ(made.code, 201) << made.text;
    uid_ = TextAt(made.tree, {"metadata", "uid"});
  }
  GatewayRequests Requests() {
    return GatewayRequests([this](const kube::Request& request) { return Send(request); }, "n1");
  }
  Answer Gateway() { return Get(std::string(kGateways) + "/g"); }
  static GatewayStatus Held(const std::string& node) {
    return {.name = "g",
            .generation = 1,
            .conditions = {{"Ready", node.empty() ? "False" : "True", "Held", "held by " + node}},
            .addresses = {{"203.0.113.10", node}}};
  }
  GatewayEvent Moved(const std::string& message) const {
    return {"g", uid_, true, "AddressMoved", message};
  }
  const WallTime now_{std::chrono::seconds(1767323045)};
  std::string uid_;
};

TEST_F(ObjectWriterTest, StatusIsWrittenOnce) {
  ASSERT_TRUE(Requests().WriteStatus(Held("n1"), now_));
  Answer first = Gateway();
  EXPECT_EQ(TextAt(first.tree, {"metadata", "generation"}), "1") << "spec is as it was";
  EXPECT_EQ(TextAt(first.tree, {"status", "observedGeneration"}), "1");
  EXPECT_THAT(apiserver::ToJson(*At(first.tree, {"status", "addresses"})),
              HasSubstr(R"([{"ip":"203.0.113.10","node":"n1","since":"2026-01-02T03:04:05Z"}])"));
  ASSERT_TRUE(Requests().WriteStatus(Held("n1"), now_ + std::chrono::hours(1)));
  EXPECT_EQ(Gateway().Version(), first.Version());
  ASSERT_TRUE(Requests().WriteStatus(Held(""), now_ + std::chrono::hours(1)));
  EXPECT_EQ(TextAt(Items(At(Gateway().tree, {"status", "conditions"}))[0], {"status"}), "False");
}

TEST_F(ObjectWriterTest, StatusIsNotWrittenOverWhatOthersWrote) {
  // Between reading and writing somebody else writes: it is read again, and theirs stays.
  int requests = 0;
  GatewayRequests both(
      [&](const kube::Request& request) {
        if (++requests == 2)
          Merge(std::string(kGateways) + "/g/status",
                R"({"status":{"conditions":[{"type":"example.com/Audited","status":"True",)"
                R"("reason":"R","message":"","lastTransitionTime":"2026-01-02T03:04:05Z"}]}})");
        return Send(request);
      },
      "n1");
  Status done = both.WriteStatus(Held("n1"), now_);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(requests, 4);
  EXPECT_EQ(Items(At(Gateway().tree, {"status", "conditions"})).size(), 2u);
}

TEST_F(ObjectWriterTest, AnObjectThatHasGoneIsDone) {
  GatewayStatus other = Held("n1");
  other.name = "gone";
  EXPECT_TRUE(Requests().WriteStatus(other, now_));
  GatewayStatus refused = Held("n1");
  refused.conditions[0].status = "Perhaps";
  Status status = Requests().WriteStatus(refused, now_);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message,
              HasSubstr("writing the status of EgressGateway g: the server answered 422 Invalid"));
}

TEST_F(ObjectWriterTest, EventsCountUp) {
  GatewayRequests requests = Requests();
  EventLedger::Write write{
      {}, Moved("to n1"), {1, "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"}, ""};
  auto name = requests.WriteEvent(write, now_);
  ASSERT_TRUE(name) << name.error().message;
  write = {{}, Moved("to n2"), {2, "2026-01-02T03:04:05Z", "2026-01-02T03:05:05Z"}, *name};
  ASSERT_TRUE(requests.WriteEvent(write, now_));
  Answer all = Get(kEvents);
  ASSERT_EQ(Items(all.tree.Find("items")).size(), 1u) << all.text;
  const auto& event = Items(all.tree.Find("items"))[0];
  EXPECT_EQ(TextAt(event, {"count"}), "2");
  EXPECT_EQ(TextAt(event, {"message"}), "to n2");
  EXPECT_EQ(TextAt(event, {"lastTimestamp"}), "2026-01-02T03:05:05Z");
  EXPECT_EQ(TextAt(event, {"involvedObject", "uid"}), uid_);
  EXPECT_EQ(TextAt(event, {"reportingComponent"}), "sallyport");
  Call("DELETE", kEvents + ("/" + *name));
  EXPECT_EQ(requests.WriteEvent(write, now_).error().code, ENOENT);
  write.name.clear();
  EXPECT_NE(requests.WriteEvent(write, now_).value(), *name) << "the same moment, another name";
}

// Waits for what the writer says is wrong.
class Problems {
 public:
  void Take(const std::string& problem) {
    std::lock_guard lock(mutex_);
    last_ = problem;
    changed_.notify_all();
  }
  bool Wait(const std::string& part) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] {
      return part.empty() ? last_ == "" : last_ && last_->find(part) != std::string::npos;
    });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<std::string> last_;
};

TEST_F(ObjectWriterTest, WritesWhenTheServerIsThereAgain) {
  Shut();
  Problems problems;
  ObjectWriter writer(*client_, "n1", [&](const std::string& problem) { problems.Take(problem); });
  writer.SetStatus(Held("n1"));
  writer.SetStatus(Held("n2"));
  writer.Tell(Moved("to n1"));
  writer.Tell(Moved("to n2"));
  ASSERT_TRUE(problems.Wait("EgressGateway g"));
  Listen(port_);
  ASSERT_TRUE(problems.Wait(""));
  EXPECT_EQ(TextAt(Items(At(Gateway().tree, {"status", "addresses"}))[0], {"node"}), "n2");
  Answer all = Get(kEvents);
  ASSERT_EQ(Items(all.tree.Find("items")).size(), 1u) << all.text;
  EXPECT_EQ(TextAt(Items(all.tree.Find("items"))[0], {"count"}), "2");
}

TEST_F(ObjectWriterTest, WritesWhatIsToldLater) {
  ObjectWriter writer(*client_, "n1");
  Answer watch = Get(std::string(kGateways) + "?watch=1&resourceVersion=" + Gateway().Version());
  ASSERT_NE(watch.stream, nullptr);
  for (const char* node : {"n1", "n2"}) {
    writer.SetStatus(Held(node));
    auto event = NextEvent(watch);
    ASSERT_EQ(Brief(event), "MODIFIED g");
    EXPECT_EQ(TextAt(Items(At(event, {"object", "status", "addresses"}))[0], {"node"}), node);
  }
}

TEST_F(ObjectWriterTest, WhatSomebodyWroteOverIsWrittenAgain) {
  ObjectWriter writer(*client_, "n1");
  Answer watch = Get(std::string(kGateways) + "?watch=1&resourceVersion=" + Gateway().Version());
  ASSERT_NE(watch.stream, nullptr);
  auto next_node = [&]() -> std::string {
    auto event = NextEvent(watch);
    const auto& addresses = Items(At(event, {"object", "status", "addresses"}));
    return addresses.empty() ? "none told" : TextAt(addresses[0], {"node"});
  };
  writer.SetStatus(Held("n1"));
  ASSERT_EQ(next_node(), "n1");
  // Often enough for some to come before the writer has heard that its own is written.
  for (int i = 0; i < 50; ++i) {
    Answer theirs = Merge(std::string(kGateways) + "/g/status",
                          R"({"status":{"addresses":[{"ip":"203.0.113.10","node":"n2"}]}})");
    ASSERT_EQ(theirs.code, 200) << theirs.text;
    writer.LookAgain();
    ASSERT_EQ(next_node(), "n2");
    ASSERT_EQ(next_node(), "n1") << i;
  }
}

}  // namespace
}  // namespace sallyport::gateway
