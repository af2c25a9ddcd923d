// SPDX-License-Identifier: Apache-2.0
#include "watch/reflector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <set>

#include "unit/watch/api_texts.h"

namespace sallyport::watch {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// What a server does with one request.
struct Reply {
  int status = 200;
  std::string body = "";
  std::optional<Error> error = {};  // after the body
  std::optional<Duration> retry_after = {};
  Duration lasts = {};
};

class Recorder : public ObjectSink {
 public:
  void BeginList() override { told.push_back("("); }
  void EndList() override { told.push_back(")"); }
  void Set(std::string_view object) override { told.push_back("+" + Name(object)); }
  void Remove(std::string_view object) override { told.push_back("-" + Name(object)); }
  std::vector<std::string> told;

 private:
  static std::string Name(std::string_view object) {
    size_t at = object.find("\"name\":\"") + 8;
    return std::string(object.substr(at, object.find('"', at) - at));
  }
};

class ReflectorTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.try_initial_events = false;
    options_.seed = 1;
    options_.page_size = 2;
    options_.watch_time = seconds(300);
    Make();
  }
  void Make(bool optional = false) {
    Resource resource{"pods", "/api/v1/pods", "", optional};
    auto transport = [this](const kube::Request& request, const kube::StreamEvents& events,
                            Duration idle) { return Serve(request, events, idle); };
    reflector_ = std::make_unique<Reflector>(resource, transport, sink_, clock_, options_);
  }
  Result<kube::Response> Serve(const kube::Request& request, const kube::StreamEvents& events,
                               Duration idle) {
    asked_ = request.path;
    idle_ = idle;
    EXPECT_FALSE(replies_.empty()) << request.path;
    if (replies_.empty()) return Error{"no more", kube::kStopped};
    Reply reply = std::move(replies_.front());
    replies_.pop_front();
    if (reply.status < 300 && reply.status > 0) {
      if (events.opened) events.opened();
      connected_ = state().connected;
      if (!events.bytes(reply.body)) return Error{"stopped", kube::kStopped};
      reply.body.clear();
    }
    clock_.Advance(reply.lasts);
    if (reply.error) return *reply.error;
    return kube::Response{reply.status, reply.body, reply.retry_after};
  }
  // Steps once against the reply.
  Duration Step(Reply reply) {
    replies_.push_back(std::move(reply));
    Duration wait = reflector_->Step();
    clock_.Advance(wait);
    return wait;
  }
  std::vector<std::string> Told() { return std::exchange(sink_.told, {}); }
  const WatchState& state() const { return reflector_->state(); }
  // Listed at version 5, with a.
  void Sync() {
    Step({.body = List(Object("a", 3), 5)});
    Told();
  }

  ReflectorOptions options_;
  FakeClock clock_;
  Recorder sink_;
  std::deque<Reply> replies_;
  std::string asked_;
  Duration idle_{};
  bool connected_ = false;
  std::unique_ptr<Reflector> reflector_;
};

TEST_F(ReflectorTest, ListsInPagesThenWatches) {
  EXPECT_FALSE(state().synced);
  EXPECT_TRUE(state().lost);
  EXPECT_EQ(Step({.body = List(Object("a", 1) + "," + Object("b", 2), 9, "to=ken")}), Duration());
  EXPECT_EQ(asked_, "/api/v1/pods?limit=2");
  EXPECT_FALSE(state().synced);
  Step({.body = List(Object("c", 3), 9)});
  EXPECT_EQ(asked_, "/api/v1/pods?limit=2&continue=to%3Dken");
  EXPECT_TRUE(state().synced);
  EXPECT_THAT(Told(), ElementsAre("(", "+a", "+b", "+c", ")"));
  EXPECT_EQ(Step({.body = Event("ADDED", Object("d", 10)) + Event("MODIFIED", Object("a", 11)) +
                          Event("DELETED", Object("b", 12)) + Event("FUTURE", "{}")}),
            Duration());
  EXPECT_THAT(asked_, AllOf(HasSubstr("watch=true"), HasSubstr("allowWatchBookmarks=true"),
                            HasSubstr("&resourceVersion=9")));
  EXPECT_GT(idle_, minutes(1)) << "longer than from bookmark to bookmark";
  EXPECT_TRUE(connected_);
  EXPECT_FALSE(state().connected);
  EXPECT_FALSE(state().lost) << "a watch that ends in good order is no outage";
  EXPECT_THAT(Told(), ElementsAre("+d", "+a", "-b"));
  EXPECT_EQ(state().events, 3u);
  Step({.body = ""});
  EXPECT_THAT(asked_, HasSubstr("&resourceVersion=12")) << "no new list";
  EXPECT_EQ(state().reconnects, 1u);
  EXPECT_EQ(state().errors, 0u);
}

TEST_F(ReflectorTest, BookmarksMoveTheVersion) {
  Sync();
  Step({.body = Bookmark(40)});
  EXPECT_THAT(Told(), IsEmpty());
  Step({.body = Bookmark(41)});
  EXPECT_THAT(asked_, HasSubstr("&resourceVersion=40"));
}

TEST_F(ReflectorTest, AsksForATimeWithJitter) {
  Sync();
  std::set<std::string> times;
  for (int i = 0; i < 20; ++i) {
    Step({.body = Bookmark(50 + i)});
    size_t at = asked_.find("timeoutSeconds=") + 15;
    int time = std::stoi(asked_.substr(at));
    EXPECT_TRUE(time >= 300 && time <= 600) << asked_;
    times.insert(std::to_string(time));
  }
  EXPECT_GT(times.size(), 5u);
}

TEST_F(ReflectorTest, TheSelectionIsPartOfEachRequest) {
  Resource resource{"pods", "/api/v1/pods", "fieldSelector=a%3Db", false};
  auto transport = [this](const kube::Request& request, const kube::StreamEvents& events,
                          Duration idle) { return Serve(request, events, idle); };
  Reflector reflector(resource, transport, sink_, clock_, options_);
  replies_ = {{.body = List("", 5)}, {.body = ""}};
  reflector.Step();
  EXPECT_THAT(asked_, HasSubstr("?fieldSelector=a%3Db&limit="));
  reflector.Step();
  EXPECT_THAT(asked_, HasSubstr("?fieldSelector=a%3Db&watch=true"));
}

TEST_F(ReflectorTest, LostHistoryAsAnEvent) {
  Sync();
  Step({.body = Event("ADDED", Object("b", 6)) + Event("ERROR", StatusText(410, "Expired")) +
                Event("ADDED", Object("no", 7))});
  EXPECT_THAT(Told(), ElementsAre("+b"));
  EXPECT_TRUE(state().synced);
  Step({.body = List("", 20)});
  EXPECT_EQ(asked_, "/api/v1/pods?limit=2") << "the newest there is";
  EXPECT_THAT(Told(), ElementsAre("(", ")"));
  EXPECT_EQ(state().relists, 1u);
}

TEST_F(ReflectorTest, LostHistoryAsAStatus) {
  Sync();
  Step({.status = 410, .body = StatusText(410, "Gone")});
  Step({.body = List("", 20)});
  EXPECT_THAT(Told(), ElementsAre("(", ")"));
}

// A server that says 410 at once, each time, is not asked in a tight circle.
TEST_F(ReflectorTest, LostHistoryAgainAndAgain) {
  Sync();
  Duration waited{};
  for (int i = 0; i < 10; ++i) {
    waited += Step({.body = Event("ERROR", StatusText(410, "Expired"))});
    waited += Step({.body = List("", 20 + i)});
  }
  EXPECT_GE(waited, 10 * options_.backoff_first / 2);
}

TEST_F(ReflectorTest, AnExpiredPageMeansAnotherListAtOnce) {
  Step({.body = List(Object("a", 1) + "," + Object("b", 2), 9, "token")});
  Step({.status = 410, .body = R"({"kind":"Status","code":410,"metadata":{"continue":"fresh"}})"});
  EXPECT_FALSE(state().synced);
  Step({.body = List(Object("b", 2), 30)});
  EXPECT_EQ(asked_, "/api/v1/pods") << "everything, in one piece";
  EXPECT_THAT(Told(), ElementsAre("(", "+a", "+b", "(", "+b", ")"));
  Step({.status = 410, .body = "{}"});
  Step({.body = List("", 40)});
  EXPECT_EQ(asked_, "/api/v1/pods?limit=2");
}

TEST_F(ReflectorTest, ABrokenPageIsAskedForAgain) {
  Step({.body = List(Object("a", 1) + "," + Object("b", 2), 9, "token")});
  for (Reply broken : {Reply{.body = R"({"items":[{"metadata")"},
                       Reply{.body = "", .error = Error{"reset", ECONNRESET}},
                       Reply{.status = 503, .body = "overloaded"}}) {
    EXPECT_GT(Step(broken), Duration());
    EXPECT_THAT(state().last_error, HasSubstr("listing pods: "));
  }
  Step({.body = List(Object("c", 2), 9)});
  EXPECT_THAT(asked_, HasSubstr("continue=token"));
  EXPECT_TRUE(state().synced);
  EXPECT_EQ(state().last_error, "");
  EXPECT_EQ(state().errors, 3u);
}

TEST_F(ReflectorTest, OutagesChangeNothing) {
  Sync();
  WallTime before = clock_.WallNow();
  Duration last{};
  for (int i = 0; i < 30; ++i) {
    last = Step({.status = 0, .error = Error{"https://x: Connection refused", ECONNREFUSED}});
    EXPECT_LE(last, options_.backoff_most);
  }
  EXPECT_GE(last, options_.backoff_most / 2);
  EXPECT_THAT(Told(), IsEmpty());
  EXPECT_TRUE(state().synced);
  EXPECT_FALSE(state().connected);
  EXPECT_EQ(state().lost, before) << "since the first failure";
  EXPECT_EQ(state().last_error, "watching pods: https://x: Connection refused");
  Step({.body = List("", 7)});  // confirms
  Step({.body = Event("ADDED", Object("b", 8))});
  EXPECT_THAT(asked_, HasSubstr("&resourceVersion=5"));
  EXPECT_FALSE(state().lost);
  EXPECT_EQ(state().last_error, "");
  EXPECT_LE(Step({.status = 0, .error = Error{"refused", ECONNREFUSED}}), options_.backoff_first)
      << "after a success from the beginning";
}

// A server restored from yesterday: our version lies in its future, where it would keep silent.
TEST_F(ReflectorTest, AYoungerServerIsNotBelievedToBeSilent) {
  for (bool says : {true, false}) {
    sink_.told.clear();
    Make();
    Sync();
    Step({.status = 0, .error = Error{"reset", ECONNRESET}});
    if (says) {
      Duration wait = Step({.status = 504,
                            .body = StatusText(504, "ResourceVersionTooLarge"),
                            .retry_after = seconds(1)});
      EXPECT_GE(wait, seconds(1));
      EXPECT_THAT(asked_, AllOf(HasSubstr("limit=1"), HasSubstr("resourceVersion=5"),
                                HasSubstr("resourceVersionMatch=NotOlderThan")));
      Step({.status = 504, .body = StatusText(504, "ResourceVersionTooLarge")});
    } else {
      Step({.body = List("", 2)});
    }
    EXPECT_THAT(Told(), IsEmpty()) << "what confirms is not a list";
    Step({.body = List(Object("z", 1), 2)});
    EXPECT_EQ(asked_, "/api/v1/pods?limit=2");
    EXPECT_THAT(Told(), ElementsAre("(", "+z", ")"));
  }
}

TEST_F(ReflectorTest, AWatchThatToldNothingProvesNothing) {
  Sync();
  Step({.body = "", .lasts = minutes(5)});
  Step({.body = List(Object("a", 3), 5)});
  EXPECT_THAT(asked_, HasSubstr("NotOlderThan"));
  Step({.body = ""});
  EXPECT_THAT(asked_, HasSubstr("watch=true"));
  EXPECT_EQ(state().errors, 0u);
}

TEST_F(ReflectorTest, AServerThatEndsEachWatchAtOnceIsNotPressed) {
  Sync();
  Duration waited{};
  for (int i = 0; i < 10; ++i) {
    waited += Step({.body = ""});
    waited += Step({.body = List(Object("a", 3), 5)});
  }
  EXPECT_GE(waited, seconds(5));
}

TEST_F(ReflectorTest, ASilentWatchIsGivenUp) {
  Sync();
  Step({.body = "", .error = Error{"no answer for 90 s", ETIMEDOUT}, .lasts = seconds(90)});
  EXPECT_THAT(state().last_error, HasSubstr("no answer for 90 s"));
  EXPECT_THAT(Told(), IsEmpty());
  Step({.body = List("", 5)});
  Step({.body = Bookmark(6)});
  EXPECT_THAT(asked_, HasSubstr("watch=true"));
}

TEST_F(ReflectorTest, TheServerSaysWhenToComeBack) {
  for (int status : {429, 503}) {
    EXPECT_GE(Step({.status = status,
                    .body = StatusText(status, "TooManyRequests"),
                    .retry_after = seconds(120)}),
              seconds(120));
  }
  Sync();
  EXPECT_GE(Step({.status = 429, .body = "", .retry_after = seconds(7)}), seconds(7));
  EXPECT_GT(Step({.body = Event("ERROR", StatusText(429, "TooManyRequests"))}), Duration());
  Step({.body = Bookmark(6)});
  EXPECT_THAT(asked_, HasSubstr("&resourceVersion=5"));
  EXPECT_THAT(Told(), IsEmpty());
}

TEST_F(ReflectorTest, KeepsTryingWithoutPermission) {
  Sync();
  for (int status : {401, 403}) {
    for (int i = 0; i < 10; ++i) Step({.status = status, .body = StatusText(status, "Forbidden")});
    EXPECT_THAT(asked_, HasSubstr("watch=true"));
    EXPECT_THAT(state().last_error,
                AllOf(HasSubstr(std::to_string(status) + " Forbidden: because"), HasSubstr("?)")));
  }
  EXPECT_THAT(Told(), IsEmpty());
  Step({.body = Bookmark(6)});
  EXPECT_EQ(state().last_error, "");
}

// "Not a number: 500": a version that is refused for ever.
TEST_F(ReflectorTest, AVersionThatIsRefusedIsAskedForAnew) {
  Sync();
  for (int i = 0; i < 6; ++i) Step({.status = 500, .body = StatusText(500, "InternalError")});
  Step({.body = List("", 9)});
  EXPECT_EQ(asked_, "/api/v1/pods?limit=2");
}

TEST_F(ReflectorTest, OtherErrorEvents) {
  Sync();
  Step({.body = Event("ERROR", StatusText(500, "InternalError"))});
  Step({.body = Bookmark(6)});
  EXPECT_THAT(asked_, HasSubstr("watch=true")) << "went on";
  Step({.body = Event("ERROR", StatusText(400, "BadRequest"))});
  Step({.body = List("", 9)});
  EXPECT_EQ(asked_, "/api/v1/pods?limit=2");
}

TEST_F(ReflectorTest, WhatIsNoEventIsAFailure) {
  Sync();
  Step({.body = Event("ADDED", Object("b", 6)) + "<html>"});
  EXPECT_THAT(Told(), ElementsAre("+b"));
  EXPECT_THAT(state().last_error, HasSubstr("not what an API server sends"));
  Step({.body = List("", 6)});
  EXPECT_THAT(asked_, HasSubstr("resourceVersion=6"));
}

TEST_F(ReflectorTest, AnEventCutShortIsNotTold) {
  Sync();
  std::string whole = Event("ADDED", Object("b", 6));
  Step({.body = whole + whole.substr(0, whole.size() / 2)});
  EXPECT_THAT(Told(), ElementsAre("+b"));
  EXPECT_THAT(state().last_error, HasSubstr("cut off"));
}

TEST_F(ReflectorTest, AResourceThatIsNotInstalled) {
  Make(true);
  Duration wait = Step({.status = 404, .body = "404 page not found"});
  EXPECT_EQ(wait, options_.look_again);
  EXPECT_TRUE(state().synced);
  EXPECT_FALSE(state().installed);
  EXPECT_FALSE(state().lost);
  EXPECT_EQ(state().errors, 0u);
  EXPECT_THAT(Told(), ElementsAre("(", ")"));
  Step({.status = 404, .body = ""});
  EXPECT_THAT(Told(), ElementsAre("("));
  Step({.body = List(Object("a", 1), 5)});
  EXPECT_TRUE(state().installed);
  EXPECT_THAT(Told(), ElementsAre("(", "+a", ")"));
  // Taken away: what was known stays until the server says what there is.
  Step({.status = 404, .body = ""});
  EXPECT_FALSE(state().installed);
  EXPECT_THAT(Told(), IsEmpty());
}

// Somebody in between answers 404 to everything: no reason to believe that there are no policies.
TEST_F(ReflectorTest, WhatEveryServerHasIsNeverAbsent) {
  Step({.status = 404, .body = ""});
  EXPECT_FALSE(state().synced);
  EXPECT_THAT(state().last_error, HasSubstr("404"));
  Sync();
  Step({.status = 404, .body = ""});
  EXPECT_THAT(Told(), IsEmpty());
  EXPECT_TRUE(state().lost);
}

TEST_F(ReflectorTest, InitialEventsWhereTheServerHasThem) {
  options_.try_initial_events = true;
  Make();
  Step({.body = Event("ADDED", Object("a", 3)) + Event("ADDED", Object("b", 4)) +
                Bookmark(9, true) + Event("ADDED", Object("later", 10))});
  EXPECT_THAT(
      asked_,
      AllOf(HasSubstr("sendInitialEvents=true"), HasSubstr("allowWatchBookmarks=true"),
            HasSubstr("resourceVersionMatch=NotOlderThan"), Not(HasSubstr("resourceVersion="))));
  EXPECT_THAT(Told(), ElementsAre("(", "+a", "+b", ")"));
  EXPECT_TRUE(state().synced);
  Step({.body = Bookmark(11)});
  EXPECT_THAT(asked_, HasSubstr("&resourceVersion=9"));
  Step({.body = Event("ERROR", StatusText(410, "Expired"))});
  Step({.body = Event("ADDED", Object("b", 4)) + Bookmark(12, true)});
  EXPECT_THAT(asked_, HasSubstr("sendInitialEvents=true"));
  EXPECT_THAT(Told(), ElementsAre("(", "+b", ")"));
}

TEST_F(ReflectorTest, InitialEventsWhereItHasNot) {
  options_.try_initial_events = true;
  for (Reply refusal :
       {Reply{.status = 422, .body = StatusText(422, "Invalid")},
        // Older ones ignore what they do not know, and never tell the end.
        Reply{.body = Event("ADDED", Object("a", 3)), .error = Error{"no answer", ETIMEDOUT}}}) {
    Make();
    EXPECT_EQ(Step(refusal), Duration());
    EXPECT_FALSE(state().synced);
    EXPECT_EQ(state().errors, 0u);
    Told();
    Step({.body = List("", 9)});
    EXPECT_EQ(asked_, "/api/v1/pods?limit=2");
    EXPECT_THAT(Told(), ElementsAre("(", ")"));
    Step({.status = 410, .body = ""});
    Step({.body = List("", 9)});
    EXPECT_EQ(asked_, "/api/v1/pods?limit=2") << "remembered";
    Told();
  }
}

TEST_F(ReflectorTest, InitialEventsThatBreakOff) {
  options_.try_initial_events = true;
  Make();
  EXPECT_GT(Step({.body = Event("ADDED", Object("a", 3)), .error = Error{"reset", ECONNRESET}}),
            Duration());
  EXPECT_FALSE(state().synced);
  Step({.body = Event("ADDED", Object("b", 3)) + Bookmark(9, true)});
  EXPECT_THAT(Told(), ElementsAre("(", "+a", "(", "+b", ")"));
}

}  // namespace
}  // namespace sallyport::watch
