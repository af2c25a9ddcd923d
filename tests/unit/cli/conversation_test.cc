// SPDX-License-Identifier: Apache-2.0
#include "cli/conversation.h"

#include <gtest/gtest.h>

namespace sallyport::probe {
namespace {

constexpr const char* kGreeting = "I am shop/web\n";

std::string Take(Conversation& conversation) { return std::exchange(conversation.out(), ""); }

TEST(Conversation, GreetsASilentClientAndEchoesAfterwards) {
  Conversation c(kGreeting);
  EXPECT_TRUE(c.undecided());
  c.Silence();
  EXPECT_EQ(Take(c), kGreeting);
  c.Receive("hello");
  EXPECT_EQ(Take(c), "hello");
  c.Silence();
  EXPECT_EQ(Take(c), "") << "one greeting a connection";
  c.Receive("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(Take(c), "GET / HTTP/1.1\r\n\r\n") << "an echo stays an echo";
  EXPECT_FALSE(c.finished());
}

TEST(Conversation, GreetsAtTheFirstByteThatIsNoHttp) {
  Conversation c(kGreeting);
  c.Receive("GEX");
  EXPECT_EQ(Take(c), std::string(kGreeting) + "GEX");
  EXPECT_FALSE(c.undecided());
}

TEST(Conversation, AnswersHttpInPieces) {
  Conversation c(kGreeting);
  for (char byte : std::string("GET /healthz HTTP/1.1\r\nHost: x\r\n\r")) {
    c.Receive({&byte, 1});
    EXPECT_EQ(c.out(), "");
  }
  c.Receive("\n");
  EXPECT_EQ(Take(c),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 14\r\n"
            "Connection: keep-alive\r\n\r\nI am shop/web\n");
  EXPECT_FALSE(c.finished());
}

TEST(Conversation, AnswersPipelinedRequestsInOrder) {
  Conversation c(kGreeting);
  c.Receive("HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nConnection: Close\r\n\r\n");
  std::string out = Take(c);
  EXPECT_EQ(out.find(kGreeting), out.size() - 14) << "the first has no body, the second has";
  EXPECT_NE(out.find("keep-alive"), std::string::npos);
  EXPECT_NE(out.find("Connection: close"), std::string::npos);
  EXPECT_TRUE(c.finished());
}

TEST(Conversation, OldHttpClosesUnlessAskedNotTo) {
  Conversation old(kGreeting);
  old.Receive("GET / HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(old.finished());
  Conversation kept(kGreeting);
  kept.Receive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_FALSE(kept.finished());
}

TEST(Conversation, RefusesWhatItDoesNotSpeak) {
  Conversation c(kGreeting);
  c.Receive("GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\n\r\n");
  EXPECT_NE(c.out().find("400 Bad Request"), std::string::npos);
  EXPECT_TRUE(c.finished());
}

TEST(Conversation, BoundsARequest) {
  Conversation c(kGreeting);
  c.Receive("GET /" + std::string(20'000, 'a'));
  EXPECT_NE(c.out().find("431 "), std::string::npos);
  EXPECT_TRUE(c.finished());
}

TEST(Conversation, GreetsAClientThatStartsLikeHttpAndFallsSilent) {
  Conversation c(kGreeting);
  c.Receive("GE");
  EXPECT_EQ(c.out(), "");
  c.Silence();
  EXPECT_EQ(Take(c), std::string(kGreeting) + "GE");
}

}  // namespace
}  // namespace sallyport::probe
