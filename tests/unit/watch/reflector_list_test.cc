// SPDX-License-Identifier: Apache-2.0
// Lists: in pages, as initial events, and of what the server does not have.
#include "unit/watch/reflector_fixture.h"

namespace sallyport::watch {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

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

class InitialEvents : public ReflectorTest {
 protected:
  void SetUp() override {
    ReflectorTest::SetUp();
    options_.try_initial_events = true;
    Make();
  }
  // A list in their place; then what it gave is too old, and the next step asks again.
  void ListsInPages() {
    Told();
    Step({.body = List("", 9)});
    EXPECT_EQ(asked_, "/api/v1/pods?limit=2");
    EXPECT_THAT(Told(), ElementsAre("(", ")"));
    Step({.status = 410, .body = ""});
  }
};

TEST_F(InitialEvents, WhereTheServerHasThem) {
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

TEST_F(InitialEvents, WhereItHasNot) {
  for (Reply refusal : {Reply{.status = 422, .body = StatusText(422, "Invalid")},
                        Reply{.status = 400, .body = StatusText(400, "BadRequest")},
                        Reply{.body = Event("ADDED", Object("a", 3))}}) {
    Make();
    EXPECT_EQ(Step(refusal), Duration());
    EXPECT_FALSE(state().synced);
    EXPECT_EQ(state().errors, 0u);
    ListsInPages();
    Step({.body = List("", 9)});
    EXPECT_EQ(asked_, "/api/v1/pods?limit=2") << "remembered";
    Told();
  }
}

// Older servers ignore what they do not know, and never tell the end. One that only hangs once does
// not cost initial events for good.
TEST_F(InitialEvents, ThatNeverEnd) {
  const Reply endless = {.body = Event("ADDED", Object("a", 3)),
                         .error = Error{"no answer", ETIMEDOUT}};
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Step(endless), Duration());
    EXPECT_THAT(asked_, HasSubstr("sendInitialEvents=true"));
    ListsInPages();
  }
  Step({.body = List("", 9)});
  EXPECT_EQ(asked_, "/api/v1/pods?limit=2") << "remembered";
  EXPECT_EQ(state().last_error, "");
}

TEST_F(InitialEvents, OfAServerThatIsAway) {
  for (int i = 0; i < 5; ++i) {
    EXPECT_GT(Step({.status = 0, .error = Error{"connecting: no answer", ETIMEDOUT}}), Duration());
    EXPECT_THAT(asked_, HasSubstr("sendInitialEvents=true"));
  }
  Step({.body = Event("ADDED", Object("a", 3)) + Bookmark(9, true)});
  EXPECT_TRUE(state().synced);
}

TEST_F(InitialEvents, ThatMakeNoSense) {
  EXPECT_GT(Step({.body = Event("ADDED", std::string(200, '[') + std::string(200, ']'))}),
            Duration());
  Step({.body = List("", 9)});
  EXPECT_EQ(asked_, "/api/v1/pods?limit=2") << "a list leaves out what makes no sense";
}

TEST_F(InitialEvents, ThatBreakOff) {
  EXPECT_GT(Step({.body = Event("ADDED", Object("a", 3)), .error = Error{"reset", ECONNRESET}}),
            Duration());
  EXPECT_FALSE(state().synced);
  Step({.body = Event("ADDED", Object("b", 3)) + Bookmark(9, true)});
  EXPECT_THAT(Told(), ElementsAre("(", "+a", "(", "+b", ")"));
}

}  // namespace
}  // namespace sallyport::watch
