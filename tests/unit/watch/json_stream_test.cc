// SPDX-License-Identifier: Apache-2.0
#include "watch/json_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace sallyport::watch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Texts = std::vector<std::string>;

struct Listed {
  Texts items;
  Status fed;
  std::optional<ListPosition> position;
};

Listed ReadList(const std::string& text, size_t piece) {
  Listed out;
  ListSplitter splitter([&](std::string_view item) { out.items.emplace_back(item); });
  for (size_t at = 0; at < text.size() && out.fed; at += piece) {
    out.fed = splitter.Feed(std::string_view(text).substr(at, piece));
  }
  auto position = splitter.Finish();
  if (position) out.position = *position;
  return out;
}

Texts ReadEvents(const std::string& text, size_t piece, bool* cut = nullptr) {
  Texts out;
  EventSplitter splitter([&](std::string_view type, std::string_view object) {
    out.push_back(std::string(type) + " " + std::string(object));
    return true;
  });
  for (size_t at = 0; at < text.size(); at += piece) {
    auto more = splitter.Feed(std::string_view(text).substr(at, piece));
    if (!more) out.push_back("error");
    if (!more) break;
  }
  if (cut) *cut = splitter.cut();
  return out;
}

const char* const kAwkward =
    R"({"metadata":{"name":"a\"}]{\\","annotations":{"x":"{[\"\\\\"}},"n":[{},[],null,-1.5e3,true]})";

TEST(ListSplitterTest, WhateverThePieces) {
  std::string text =
      std::string(
          "{ \"kind\" : \"PodList\",\n\"apiVersion\":\"v1\",\"n\":12,\"b\":true,\"z\":null,") +
      "\"metadata\":{\"resourceVersion\":\"42\",\"continue\":\"c==\",\"remainingItemCount\":7}," +
      "\"items\":[" + kAwkward + " , {\"b\":{}},{}] ,\"after\":[{\"no\":\"item\"}]}\n";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    Listed list = ReadList(text, piece);
    ASSERT_TRUE(list.fed) << piece << list.fed.error().message;
    ASSERT_THAT(list.items, ElementsAre(kAwkward, "{\"b\":{}}", "{}")) << piece;
    ASSERT_TRUE(list.position) << piece;
    ASSERT_EQ(list.position->resource_version, "42");
    ASSERT_EQ(list.position->continue_token, "c==");
  }
}

// Custom resources have their keys in another order.
TEST(ListSplitterTest, MetadataMayComeLast) {
  std::string text = R"({"items":[{"a":1}],"metadata":{"continue":"","resourceVersion":"9"}})";
  Listed list = ReadList(text, 3);
  EXPECT_THAT(list.items, ElementsAre("{\"a\":1}"));
  EXPECT_EQ(list.position->resource_version, "9");
  EXPECT_EQ(list.position->continue_token, "");
}

TEST(ListSplitterTest, NoItemsAtAll) {
  for (const char* items : {"[]", "null"}) {
    Listed list =
        ReadList(std::string(R"({"metadata":{"resourceVersion":"9"},"items":)") + items + "}", 1);
    EXPECT_TRUE(list.position) << items;
    EXPECT_THAT(list.items, IsEmpty());
  }
}

TEST(ListSplitterTest, WhatIsNoList) {
  for (const char* text :
       {"[]", "x", "{]", "{\"items\":[1]}", "{\"items\":[[]]}", "{\"a\" 1}", "{\"a\":}", "{1:2}",
        R"({"metadata":{"resourceVersion":"9"},"items":[]}{)"}) {
    EXPECT_FALSE(ReadList(text, 1).fed) << text;
  }
  for (const char* text : {"", "{", "{}", R"({"metadata":{},"items":[]})",
                           R"({"metadata":{"resourceVersion":"9"},"items":[{"a":1})",
                           R"({"metadata":{"resourceVersion":"9"},"items":[{"a":1}])"}) {
    EXPECT_FALSE(ReadList(text, 2).position) << text;
  }
}

TEST(ListSplitterTest, DepthIsBounded) {
  std::string deep = std::string(kMaxObjectDepth + 1, '[');
  EXPECT_THAT(ReadList("{\"a\":" + deep, 7).fed.error().message, HasSubstr("too deep"));
  bool cut = false;
  EXPECT_THAT(ReadEvents("{\"type\":" + deep, 7, &cut), ElementsAre("error"));
}

// One item that nobody can read does not keep the others from being read.
TEST(ListSplitterTest, AnItemThatIsTooMuchIsLeftOut) {
  std::string deep;
  for (int i = 0; i < kMaxObjectDepth + 5; ++i) deep += R"({"a]":[)";
  for (int i = 0; i < kMaxObjectDepth + 5; ++i) deep += "]}";
  std::string large = R"({"a":")" + std::string(kMaxObjectText, 'x') + R"("})";
  auto text = [](const std::string& item) {
    return R"({"metadata":{"resourceVersion":"9"},"items":[{"a":1},)" + item + R"(,{"b":2}]})";
  };
  for (size_t piece : {size_t{1}, size_t{7}, size_t{100'000}}) {
    Listed list = ReadList(text(deep), piece);
    EXPECT_TRUE(list.position) << piece;
    EXPECT_THAT(list.items, ElementsAre("{\"a\":1}", "", "{\"b\":2}")) << piece;
  }
  for (size_t piece : {size_t{100'000}, 2 * kMaxObjectText}) {
    Listed list = ReadList(text(large), piece);
    EXPECT_TRUE(list.position) << piece;
    EXPECT_THAT(list.items, ElementsAre("{\"a\":1}", "", "{\"b\":2}")) << piece;
  }
}

TEST(ListSplitterTest, APageThatCannotBeGoneOnFromIsNotTheLast) {
  for (const char* token : {R"("a\u003d")", "1", "{}"}) {
    std::string text = R"({"metadata":{"resourceVersion":"9","continue":)" + std::string(token) +
                       R"(},"items":[]})";
    EXPECT_FALSE(ReadList(text, 3).position) << token;
  }
  for (const char* token : {R"("")", "null"}) {
    std::string text = R"({"metadata":{"resourceVersion":"9","continue":)" + std::string(token) +
                       R"(},"items":[]})";
    EXPECT_TRUE(ReadList(text, 3).position) << token;
  }
}

TEST(EventSplitterTest, WhateverThePieces) {
  std::string text = std::string("{\"type\":\"ADDED\",\"object\":") + kAwkward +
                     "}\n{\"object\":{\"b\":2},\"type\":\"DELETED\"}\n\n {\"type\":\"X\"}";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    bool cut = true;
    ASSERT_THAT(ReadEvents(text, piece, &cut),
                ElementsAre(std::string("ADDED ") + kAwkward, "DELETED {\"b\":2}", "X "))
        << piece;
    ASSERT_FALSE(cut);
  }
}

TEST(EventSplitterTest, WhatIsNone) {
  for (const char* text :
       {"x", "[]", "{}", "{\"type\":1}", "{\"object\":{}}", "{\"type\" \"A\"}"}) {
    EXPECT_THAT(ReadEvents(text, 1), ElementsAre("error")) << text;
  }
  bool cut = false;
  EXPECT_THAT(ReadEvents("{\"type\":\"ADDED\",\"obj", 5, &cut), IsEmpty());
  EXPECT_TRUE(cut);
}

TEST(EachMemberTest, MembersAndItems) {
  Texts got;
  auto visit = [&](std::string_view key, std::string_view value) {
    got.push_back(std::string(key) + "=" + std::string(value));
  };
  EXPECT_TRUE(EachMember(R"( {"a" : 1 , "b":[2, "]"],"c\"":{}} )", visit));
  EXPECT_THAT(got, ElementsAre("a=1", "b=[2, \"]\"]", "c\\\"={}"));
  got.clear();
  EXPECT_TRUE(EachMember("[null,{\"x\":1}]", visit));
  EXPECT_THAT(got, ElementsAre("=null", "={\"x\":1}"));
  for (const char* text :
       {"", "1", "{\"a\":1", "{\"a\"}", "{\"a\":}", "[1 2]", "[,]", "{\"a\":1,}"}) {
    EXPECT_FALSE(EachMember(text, visit)) << text;
  }
}

}  // namespace
}  // namespace sallyport::watch
