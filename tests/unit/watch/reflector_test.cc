// SPDX-License-Identifier: Apache-2.0
// Watches: what follows a list, for ever.
#include <set>

#include "unit/watch/reflector_fixture.h"

namespace sallyport::watch {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

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

}  // namespace
}  // namespace sallyport::watch
