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
  Duration lasts = {};  // none: at once; of a watch that ends in good order, all of its time
  bool early = false;   // a watch that ends in good order ends at once
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
    answer_within_ = request.answer_within;
    if (reply.status < 300 && reply.status > 0) {
      if (events.opened) events.opened();
      connected_ = state().connected;
      if (!events.bytes(reply.body)) return Error{"stopped", kube::kStopped};
      reply.body.clear();
    }
    clock_.Advance(reply.lasts);
    if (reply.error) return *reply.error;
    size_t time = asked_.find("timeoutSeconds=");
    bool whole = time != std::string::npos && !reply.early && reply.lasts == Duration();
    if (whole) clock_.Advance(seconds(std::stoi(asked_.substr(time + 15))));
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
  std::optional<Duration> answer_within_;
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
  EXPECT_EQ(state().lost, clock_.WallNow()) << "until the next one is open";
  EXPECT_EQ(state().last_error, "") << "a watch that ends in good order is no outage";
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

// A server that refuses at once what it just listed, each time, is pressed less and less.
TEST_F(ReflectorTest, LostHistoryAgainAndAgain) {
  for (const Reply& gone : {Reply{.body = Event("ERROR", StatusText(410, "Expired"))},
                            Reply{.status = 410, .body = StatusText(410, "Gone")}}) {
    Make();
    Sync();
    Duration last{};
    for (int i = 0; i < 10; ++i) {
      last = Step(gone);
      EXPECT_EQ(Step({.body = List("", 20 + i)}), Duration());
    }
    EXPECT_GE(last, options_.backoff_most / 2);
    Step({.body = Bookmark(40)});
    EXPECT_LE(Step(gone), options_.backoff_first) << "after a watch that was one";
  }
}

TEST_F(ReflectorTest, AnExpiredPageMeansAnotherList) {
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

TEST_F(ReflectorTest, APageThatIsToComeLaterIsAskedForAgain) {
  Step({.body = List(Object("a", 1) + "," + Object("b", 2), 9, "token")});
  for (int status : {429, 503}) {
    EXPECT_GT(Step({.status = status, .body = "overloaded"}), Duration());
    EXPECT_THAT(state().last_error, HasSubstr("listing pods: "));
  }
  Step({.body = List(Object("c", 2), 9)});
  EXPECT_THAT(asked_, HasSubstr("continue=token"));
  EXPECT_TRUE(state().synced);
  EXPECT_EQ(state().last_error, "");
  EXPECT_EQ(state().errors, 2u);
  EXPECT_THAT(Told(), ElementsAre("(", "+a", "+b", "+c", ")"));
}

// After a failure the server may be another, for which the token means nothing, or something else.
TEST_F(ReflectorTest, AListDoesNotGoOnAfterAFailure) {
  for (const Reply& broken : {Reply{.body = R"({"items":[{"metadata")"},
                              Reply{.body = "", .error = Error{"reset", ECONNRESET}},
                              Reply{.status = 500, .body = "required revision is a future one"},
                              Reply{.status = 400, .body = "continue key is not valid"}}) {
    Make();
    Told();
    Step({.body = List(Object("a", 1) + "," + Object("b", 2), 9, "token")});
    EXPECT_GT(Step(broken), Duration()) << "not at once";
    EXPECT_THAT(state().last_error, HasSubstr("listing pods: "));
    Step({.body = List(Object("b", 2), 5)});
    EXPECT_EQ(asked_, "/api/v1/pods?limit=2") << "from the beginning";
    EXPECT_TRUE(state().synced);
    EXPECT_THAT(Told(), ElementsAre("(", "+a", "+b", "(", "+b", ")"));
  }
}

TEST_F(ReflectorTest, AnOverloadThatLastsEndsAList) {
  Step({.body = List(Object("a", 1), 9, "token")});
  for (int i = 0; i < 6; ++i) Step({.status = 503, .body = "away"});
  Step({.body = List(Object("b", 2), 5)});
  EXPECT_EQ(asked_, "/api/v1/pods?limit=2");
  EXPECT_THAT(Told(), ElementsAre("(", "+a", "(", "+b", ")"));
}

// What its first part had may be gone by the time that it is asked for again.
TEST_F(ReflectorTest, AListThatWasCutBeginsAnew) {
  std::string whole = List(Object("a", 1), 9);
  Step({.body = whole.substr(0, whole.size() - 2), .error = Error{"reset", ECONNRESET}});
  EXPECT_THAT(Told(), ElementsAre("(", "+a"));
  Step({.body = List(Object("b", 2), 12)});
  EXPECT_THAT(Told(), ElementsAre("(", "+b", ")"));
}

TEST_F(ReflectorTest, PagesThatFailAgainAndAgainAreNotPressed) {
  Duration last{};
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Step({.body = List(Object("a", 1), 9, "token")}), Duration());
    last = Step({.status = 500, .body = "no"});
  }
  EXPECT_GE(last, options_.backoff_most / 2);
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
  EXPECT_TRUE(connected_);
  EXPECT_EQ(state().lost, clock_.WallNow()) << "it is over, by now";
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

// The pauses had grown for a server that was away; it is back.
TEST_F(ReflectorTest, AnotherHistoryAfterAnOutageIsFoundSoon) {
  const Reply younger{.status = 504, .body = StatusText(504, "ResourceVersionTooLarge")};
  for (const Reply& away : {Reply{.status = 0, .error = Error{"refused", ECONNREFUSED}},
                            Reply{.status = 503, .body = "no backend"}}) {
    Make();
    Sync();
    for (int i = 0; i < 10; ++i) Step(away);
    EXPECT_LE(Step(younger), options_.backoff_first);
    if (away.error) {
      EXPECT_LE(Step(younger), options_.backoff_first * 2);
    }
    Step({.body = List("", 2)});
    EXPECT_EQ(asked_, "/api/v1/pods?limit=2");
  }
}

// It is away for moments only, and refuses each time that it is there: it is pressed less and less.
TEST_F(ReflectorTest, AServerThatStumblesIsNotPressed) {
  Sync();
  Duration last{};
  for (int i = 0; i < 20; ++i) {
    Step({.status = 500, .body = "no"});
    last = Step({.status = 0, .error = Error{"reset", ECONNRESET}});
    if (i % 2) Step({.body = List("", 2)});
  }
  EXPECT_GE(last, options_.backoff_most / 2);
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

// It may be the end of the server, and another stands in its place by now.
TEST_F(ReflectorTest, AWatchThatEndsBeforeItsTimeIsConfirmed) {
  Sync();
  EXPECT_EQ(Step({.body = Bookmark(6), .lasts = minutes(1)}), Duration());
  Step({.body = List("", 2)});
  EXPECT_THAT(asked_, AllOf(HasSubstr("NotOlderThan"), HasSubstr("&resourceVersion=6")));
  Step({.body = List("", 2)});
  EXPECT_EQ(asked_, "/api/v1/pods?limit=2") << "another history";
}

TEST_F(ReflectorTest, AServerThatEndsEachWatchAtOnceIsNotPressed) {
  Sync();
  Duration waited{};
  for (int i = 0; i < 10; ++i) {
    waited += Step({.body = "", .early = true});
    waited += Step({.body = List(Object("a", 3), 5)});
  }
  EXPECT_GE(waited, seconds(5));
}

// Where nothing happens nothing is told, bookmarks neither: that is no failure.
TEST_F(ReflectorTest, ASilentWatchIsConfirmed) {
  Sync();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Step({.error = Error{"no answer for 90 s", ETIMEDOUT}, .lasts = seconds(90)}),
              Duration());
    EXPECT_THAT(asked_, HasSubstr("watch=true"));
    EXPECT_EQ(Step({.body = List("", 5)}), Duration());
    EXPECT_LT(idle_, minutes(1)) << "who does not answer that is away";
  }
  EXPECT_EQ(state().errors, 0u);
  EXPECT_EQ(state().last_error, "");
  EXPECT_THAT(Told(), IsEmpty());
  Step({.error = Error{"no answer for 90 s", ETIMEDOUT}, .lasts = seconds(90)});
  EXPECT_GT(Step({.status = 0, .error = Error{"no answer for 20 s", ETIMEDOUT}}), Duration());
  EXPECT_THAT(state().last_error, HasSubstr("no answer for 20 s")) << "it hangs";
  Step({.body = List("", 5)});
  Step({.error = Error{"no answer for 90 s", ETIMEDOUT}, .lasts = seconds(90)});
  EXPECT_EQ(state().last_error, "") << "a watch was open";
}

TEST_F(ReflectorTest, AWatchWhoseHeadDoesNotComeIsAFailure) {
  Sync();
  EXPECT_GT(Step({.status = 0, .error = Error{"no answer for 20 s", ETIMEDOUT}}), Duration());
  EXPECT_LT(answer_within_, idle_) << "the head comes at once, or never";
  EXPECT_EQ(state().errors, 1u);
  EXPECT_TRUE(state().lost);
}

TEST_F(ReflectorTest, TheServerSaysWhenToComeBack) {
  for (int status : {429, 503}) {
    EXPECT_GE(Step({.status = status,
                    .body = StatusText(status, "TooManyRequests"),
                    .retry_after = seconds(20)}),
              seconds(20));
  }
  EXPECT_LE(Step({.status = 503, .body = "maintenance", .retry_after = minutes(60)}), seconds(30))
      << "what answers in its stead knows nothing of it";
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

// An event that no list can be without would be told again and again.
TEST_F(ReflectorTest, WhatMakesNoSenseTwiceIsListedAround) {
  Sync();
  std::string poison = Event("ADDED", std::string(200, '[') + std::string(200, ']'));
  for (int i = 0; i < 2; ++i) {
    EXPECT_GT(Step({.body = Event("ADDED", Object("b", 6)) + poison}), Duration()) << "not at once";
    if (i == 0) Step({.body = List("", 7)});
  }
  Step({.body = List(Object("b", 6) + "," + std::string(200, '[') + std::string(200, ']'), 7)});
  EXPECT_EQ(asked_, "/api/v1/pods?limit=2");
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
  const std::string absent = "404 page not found\n";
  Duration wait = Step({.status = 404, .body = absent});
  EXPECT_EQ(wait, options_.look_again);
  EXPECT_TRUE(state().synced);
  EXPECT_FALSE(state().installed);
  EXPECT_FALSE(state().lost);
  EXPECT_EQ(state().errors, 0u);
  EXPECT_THAT(Told(), ElementsAre("(", ")"));
  Step({.status = 404, .body = StatusText(404, "NotFound")});
  EXPECT_THAT(Told(), ElementsAre("("));
  Step({.body = List(Object("a", 1), 5)});
  EXPECT_TRUE(state().installed);
  EXPECT_THAT(Told(), ElementsAre("(", "+a", ")"));
  // Taken away: what was known stays until the server says what there is.
  Step({.status = 404, .body = absent});
  EXPECT_FALSE(state().installed);
  EXPECT_THAT(Told(), IsEmpty());
}

// Its watch ends in good order and tells nothing; when it is there again, all is new.
TEST_F(ReflectorTest, AResourceThatIsTakenAwayUnderItsWatch) {
  Make(true);
  Sync();
  Step({.body = ""});
  EXPECT_EQ(Step({.status = 404, .body = "404 page not found\n"}), options_.look_again);
  EXPECT_THAT(asked_, HasSubstr("NotOlderThan"));
  EXPECT_FALSE(state().installed);
  EXPECT_FALSE(state().lost);
  EXPECT_EQ(state().errors, 0u);
  Step({.body = List("", 9)});
  EXPECT_EQ(asked_, "/api/v1/pods?limit=2");
  EXPECT_THAT(Told(), ElementsAre("(", ")")) << "nothing is left of what was there before";
}

TEST_F(ReflectorTest, AResourceThatIsTakenAwayBetweenPages) {
  Make(true);
  Step({.body = List(Object("a", 1), 9, "token")});
  Step({.status = 404, .body = "404 page not found\n"});
  EXPECT_TRUE(state().synced);
  EXPECT_THAT(Told(), ElementsAre("(", "+a", "(", ")"));
}

// Somebody in between says it, who knows nothing of resources.
TEST_F(ReflectorTest, NotEveryNotFoundIsTheServers) {
  Make(true);
  for (const char* body : {"", "<html>404 Not Found</html>", "{}"}) {
    Step({.status = 404, .body = body});
    EXPECT_FALSE(state().synced) << body;
    EXPECT_THAT(state().last_error, HasSubstr("404"));
  }
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
  for (Reply refusal : {Reply{.status = 422, .body = StatusText(422, "Invalid")},
                        Reply{.status = 400, .body = StatusText(400, "BadRequest")},
                        Reply{.body = Event("ADDED", Object("a", 3))}}) {
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

// Older servers ignore what they do not know, and never tell the end. One that only hangs once does
// not cost initial events for good.
TEST_F(ReflectorTest, InitialEventsThatNeverEnd) {
  options_.try_initial_events = true;
  Make();
  const Reply endless = {.body = Event("ADDED", Object("a", 3)),
                         .error = Error{"no answer", ETIMEDOUT}};
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Step(endless), Duration());
    EXPECT_THAT(asked_, HasSubstr("sendInitialEvents=true"));
    Told();
    Step({.body = List("", 9)});
    EXPECT_EQ(asked_, "/api/v1/pods?limit=2");
    EXPECT_THAT(Told(), ElementsAre("(", ")"));
    Step({.status = 410, .body = ""});
  }
  Step({.body = List("", 9)});
  EXPECT_EQ(asked_, "/api/v1/pods?limit=2") << "remembered";
  EXPECT_EQ(state().last_error, "");
}

TEST_F(ReflectorTest, InitialEventsOfAServerThatIsAway) {
  options_.try_initial_events = true;
  Make();
  for (int i = 0; i < 5; ++i) {
    EXPECT_GT(Step({.status = 0, .error = Error{"connecting: no answer", ETIMEDOUT}}), Duration());
    EXPECT_THAT(asked_, HasSubstr("sendInitialEvents=true"));
  }
  Step({.body = Event("ADDED", Object("a", 3)) + Bookmark(9, true)});
  EXPECT_TRUE(state().synced);
}

TEST_F(ReflectorTest, InitialEventsThatMakeNoSense) {
  options_.try_initial_events = true;
  Make();
  EXPECT_GT(Step({.body = Event("ADDED", std::string(200, '[') + std::string(200, ']'))}),
            Duration());
  Step({.body = List("", 9)});
  EXPECT_EQ(asked_, "/api/v1/pods?limit=2") << "a list leaves out what makes no sense";
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
