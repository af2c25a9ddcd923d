// SPDX-License-Identifier: Apache-2.0
#include "cli/unix_http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>

#include "unit/cli/one_answer.h"

namespace sallyport::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The body of a response that comes in pieces of `size` bytes.
std::string Decode(ResponseDecoder& decoder, std::string_view response, size_t size) {
  std::string body;
  for (; !response.empty(); response.remove_prefix(std::min(size, response.size()))) {
    auto piece = decoder.Receive(response.substr(0, size));
    EXPECT_TRUE(piece) << piece.error().message;
    if (!piece) break;
    body += *piece;
  }
  return body;
}

constexpr const char* kSized = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
constexpr const char* kChunked =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: t\r\n\r\n";
constexpr const char* kUntilEnd = "HTTP/1.0 404 Not Found\r\nServer: x\r\n\r\nhello";

TEST(ResponseDecoder, EveryFramingInPiecesOfAnySize) {
  for (const char* response : {kSized, kChunked, kUntilEnd}) {
    for (size_t size = 1; size <= std::strlen(response); ++size) {
      ResponseDecoder decoder;
      EXPECT_EQ(Decode(decoder, response, size), "hello") << response << " by " << size;
      EXPECT_TRUE(decoder.End());
      EXPECT_EQ(decoder.status(), response == kUntilEnd ? 404 : 200);
      EXPECT_EQ(decoder.complete(), response != kUntilEnd);
    }
  }
}

TEST(ResponseDecoder, NoticesAnAnswerThatWasCutShort) {
  for (std::string response : {kSized, kChunked}) {
    for (size_t length = 0; length < response.size(); ++length) {
      ResponseDecoder decoder;
      Decode(decoder, response.substr(0, length), 1000);
      EXPECT_FALSE(decoder.End()) << length;
    }
  }
}

TEST(ResponseDecoder, RefusesWhatIsNoHttp) {
  for (const char* response : {"hello\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "HTTP/1.1\r\n\r\n",
                               "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    EXPECT_FALSE(ResponseDecoder().Receive(response)) << response;
  }
  EXPECT_FALSE(ResponseDecoder().Receive(std::string(100'000, 'x')));
}

TEST(Get, AsksAndReads) {
  OneAnswer server(kChunked);
  auto body = Get(server.path(), "/v1/status");
  ASSERT_TRUE(body) << body.error().message;
  EXPECT_EQ(*body, "hello");
  EXPECT_THAT(server.Request(), ::testing::StartsWith("GET /v1/status HTTP/1.1\r\n"));
}

TEST(Get, OtherStatusesAreErrors) {
  OneAnswer server(kUntilEnd);
  auto body = Get(server.path(), "/x");
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().message, "GET /x: HTTP status 404: hello");
  OneAnswer agent("HTTP/1.1 503 Busy\r\n\r\n{\"error\":\"busy; try again\"}");
  body = Get(agent.path(), "/x");
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().message, "busy; try again");
}

TEST(Get, SaysWhereNobodyAnswers) {
  auto body = Get("/tmp/spt-nowhere.sock", "/");
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().code, ENOENT);
  EXPECT_THAT(body.error().message, HasSubstr("/tmp/spt-nowhere.sock"));
  EXPECT_FALSE(Get(std::string(200, 'x'), "/"));
}

TEST(GetLines, HandsOverEachLineAndStopsWhenTold) {
  std::string answer = "HTTP/1.1 200 OK\r\n\r\none\n\ntwo\nthree";
  std::vector<std::string> lines;
  {
    OneAnswer server(answer);
    Status done = GetLines(server.path(), "/", [&](std::string_view line) {
      lines.emplace_back(line);
      return true;
    });
    EXPECT_TRUE(done) << done.error().message;
  }
  EXPECT_THAT(lines, ElementsAre("one", "two", "three"));
  lines.clear();
  OneAnswer server(answer);
  EXPECT_TRUE(GetLines(server.path(), "/", [&](std::string_view line) {
    lines.emplace_back(line);
    return false;
  }));
  EXPECT_THAT(lines, ElementsAre("one"));
}

}  // namespace
}  // namespace sallyport::cli
