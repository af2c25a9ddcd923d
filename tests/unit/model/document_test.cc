// SPDX-License-Identifier: Apache-2.0
#include "model/document.h"

#include <gtest/gtest.h>

namespace sallyport::model {
namespace {

using Type = Value::Type;

// A document as one line: types and values, e.g. {a: 1, b: "x", c: [true, null]}.
std::string Print(const Value& v) {
  std::string out;
  switch (v.type) {
    case Type::kNull:
      return "null";
    case Type::kBool:
      return v.boolean ? "true" : "false";
    case Type::kInteger:
      return std::to_string(v.integer);
    case Type::kNumber:
      return "number(" + v.text + ")";
    case Type::kString:
      return "\"" + v.text + "\"";
    case Type::kSequence:
      for (const Value& item : v.items) out += (out.empty() ? "" : ", ") + Print(item);
      return "[" + out + "]";
    case Type::kMapping:
      for (const auto& [key, value] : v.members) {
        out += (out.empty() ? "" : ", ") + key + ": " + Print(value);
      }
      return "{" + out + "}";
  }
  return "?";
}

std::string PrintAll(const ParsedText& parsed) {
  std::string out;
  for (const Document& d : parsed.documents) out += Print(d) + "\n";
  for (const Diagnostic& d : parsed.diagnostics) out += d.ToString() + "\n";
  return out;
}

std::string Parse(std::string_view text) { return PrintAll(ParseText(text, "f")); }

TEST(Document, YamlScalarsHaveTheTypesTheApiServerSees) {
  const std::pair<const char*, const char*> cases[] = {
      {"yes", "true"},
      {"no", "false"},
      {"On", "true"},
      {"OFF", "false"},
      {"y", "true"},
      {"N", "false"},
      {"true", "true"},
      {"False", "false"},
      {"tRue", "\"tRue\""},
      {"~", "null"},
      {"null", "null"},
      {"Null", "null"},
      {"nUll", "\"nUll\""},
      {"1", "1"},
      {"-1", "-1"},
      {"+7", "7"},
      {"1_000", "1000"},
      {"_1", "\"_1\""},
      {"0x1F", "31"},
      {"0o17", "15"},
      {"017", "15"},
      {"0b101", "5"},
      {"08", "8"},
      {"0", "0"},
      {"1.0", "1"},
      {"1e3", "1000"},
      {"1.5", "number(1.5)"},
      {".5", "number(.5)"},
      {"1.", "1"},
      {".", "\".\""},
      {"-", "null"},
      {"1.2.3", "\"1.2.3\""},
      {"10.0.0.0/8", "\"10.0.0.0/8\""},
      {".inf", "number(.inf)"},
      {"-.INF", "number(-.INF)"},
      {".nan", "number(.nan)"},
      {"2024-01-02", "\"2024-01-02\""},
      {"1:30", "\"1:30\""},
      {"0x", "\"0x\""},
      {"1e", "\"1e\""},
      {"--1", "\"--1\""},
      {"9223372036854775807", "9223372036854775807"},
      {"9223372036854775808", "number(9223372036854775808)"},
      {"-9223372036854775808", "-9223372036854775808"},
      {"99999999999999999999999", "number(99999999999999999999999)"},
      {"\"yes\"", "\"yes\""},
      {"'1'", "\"1\""},
      {"!!str 1", "\"1\""},
      {"!!int 1", "1"},
      {"!!float 1.5", "number(1.5)"},
      {"!!bool yes", "true"},
      {"!!null ''", "null"},
      {"! 1", "\"1\""},
      {"|\n  1\n", "\"1\n\""},
      {"\"\\u00e9\"", "\"\u00e9\""},
      {"it's", "\"it's\""},
  };
  for (auto [text, want] : cases) {
    if (std::string(text) == "-") continue;
    EXPECT_EQ(Parse("a: " + std::string(text)), "{a: " + std::string(want) + "}\n") << text;
  }
}

TEST(Document, YamlKeysAreStrings) {
  EXPECT_EQ(Parse("1: a\nyes: b\n1.5: c\n\"null\": d\n"),
            "{1: \"a\", true: \"b\", 1.5: \"c\", null: \"d\"}\n");
  EXPECT_EQ(Parse("a: 1\nb:  {"), "f:2: error: a key is missing before \":\"\n");
  EXPECT_EQ(Parse("~: a\n"), "f:1: error: a key is missing before \":\"\n");
  EXPECT_EQ(Parse("? [a]\n: b\n"), "f:1: error: a key must be a scalar, not a mapping or a list\n");
}

TEST(Document, JsonScalars) {
  EXPECT_EQ(Parse(R"({"a": 1, "b": -2, "c": 1.0, "d": 1e3, "e": true, "f": null, "g": "x",)"
                  R"("h": 18446744073709551615, "i": "yes", "j": [], "k": {}})"),
            "{a: 1, b: -2, c: number(1.0), d: number(1e3), e: true, f: null, g: \"x\", "
            "h: number(18446744073709551615), i: \"yes\", j: [], k: {}}\n");
}

TEST(Document, JsonEscapesWithSurrogates) {
  EXPECT_EQ(Parse(R"({"a": "\ud83d\ude00 \/ \u00e9 \n"})"),
            "{a: \"\xF0\x9F\x98\x80 / \u00e9 \n\"}\n");
  EXPECT_NE(Parse(R"({"a": "\ud83d"})").find("f:1: error: not valid JSON"), std::string::npos);
}

TEST(Document, JsonLines) {
  auto parsed = ParseText("\n{\n  \"a\": 1\n,\"b\":\n[true,\n\"x\"\n],\n\"c\": {}}\n", "f");
  ASSERT_EQ(parsed.documents.size(), 1u) << PrintAll(parsed);
  const Value& d = parsed.documents[0];
  EXPECT_EQ(d.line, 2);
  EXPECT_EQ(d.Find("a")->line, 3);
  EXPECT_EQ(d.Find("b")->line, 5);
  EXPECT_EQ(d.Find("b")->items[0].line, 5);
  EXPECT_EQ(d.Find("b")->items[1].line, 6);
  EXPECT_EQ(d.Find("c")->line, 8);
}

TEST(Document, YamlLines) {
  auto parsed =
      ParseText("# c\n---\na: 1\nb:\n\n- x\n- y: 2\n  z:\n    - |\n     t\n---\nc: d\n", "f");
  ASSERT_EQ(parsed.documents.size(), 2u) << PrintAll(parsed);
  const Value& d = parsed.documents[0];
  EXPECT_EQ(d.line, 3);
  EXPECT_EQ(d.Find("a")->line, 3);
  EXPECT_EQ(d.Find("b")->line, 6);
  EXPECT_EQ(d.Find("b")->items[1].line, 7);
  EXPECT_EQ(d.Find("b")->items[1].Find("z")->items[0].line, 9);
  EXPECT_EQ(parsed.documents[1].Find("c")->line, 12);
}

TEST(Document, DocumentsAreSplitAtDashes) {
  EXPECT_EQ(Parse("---\na: 1\n--- # next\nb: 2\n---\n\n---\n# nothing\n--- {c: 3}\n---"),
            "{a: 1}\n{b: 2}\n{c: 3}\n");
  EXPECT_EQ(Parse("a: |\n  ---\n  x\nb: ---x\n"), "{a: \"---\nx\n\", b: \"---x\"}\n");
  EXPECT_EQ(Parse("%YAML 1.2\n---\na: 1\n...\n---\nb: 2\n"), "{a: 1}\n{b: 2}\n");
  EXPECT_EQ(Parse("a: 1\r\n---\r\nb: 2\r\n"), "{a: 1}\n{b: 2}\n");
  EXPECT_EQ(Parse("---\n{\"a\": 1}\n---\nb: 2\n---\n{\"c\": 3}{\"d\":4}\n"),
            "{a: 1}\n{b: 2}\n{c: 3}\n{d: 4}\n");
  EXPECT_EQ(Parse(""), "");
  EXPECT_EQ(Parse("\xEF\xBB\xBF"
                  "a: 1\n"),
            "{a: 1}\n");
}

TEST(Document, ShortTexts) {
  EXPECT_EQ(Parse("5"), "5\n");
  EXPECT_EQ(Parse("a"), "\"a\"\n");
  EXPECT_EQ(Parse("a:"), "{a: null}\n");
  EXPECT_EQ(Parse("- "), "[null]\n");
  for (const char* text : {"{", "[", "\"", "'", "{a", "{}}"}) {
    EXPECT_TRUE(ParseText(text, "f").unreadable) << text;
  }
}

TEST(Document, YamlFlowMappingIsNoJson) {
  EXPECT_EQ(Parse("{a: 1, b: [x, 'y']}\n"), "{a: 1, b: [\"x\", \"y\"]}\n");
  EXPECT_EQ(Parse("{\"a\": 1,}\n"), "{a: 1}\n");
}

TEST(Document, RepeatedKeysAreErrorsAndMarkWhatIsAroundThem) {
  auto parsed = ParseText("a:\n  b: 1\n  c: 3\n  b: 2\nd: {}\n---\ne: 1\n", "f");
  EXPECT_EQ(PrintAll(parsed),
            "{a: {b: 1, c: 3}, d: {}}\n{e: 1}\n"
            "f:4: error: key \"b\" is given twice in one mapping: keep one\n");
  EXPECT_FALSE(parsed.unreadable);
  EXPECT_TRUE(parsed.documents[0].flawed);
  EXPECT_TRUE(parsed.documents[0].Find("a")->flawed);
  EXPECT_FALSE(parsed.documents[0].Find("d")->flawed);
  EXPECT_FALSE(parsed.documents[1].flawed);
  EXPECT_EQ(Parse("{\"a\": 1,\n\"a\": {\"b\": 1, \"b\": {\"x\": 1}}, \"c\": 2}"),
            "{a: 1, c: 2}\nf:2: error: key \"a\" is given twice in one mapping: keep one\n"
            "f:2: error: key \"b\" is given twice in one mapping: keep one\n");
}

TEST(Document, RepeatedKeyIsFoundInALargeMapping) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "k" + std::to_string(i) + ": 1\n";
  EXPECT_TRUE(ParseText(text, "f").diagnostics.empty());
  EXPECT_EQ(ParseText(text + "k5: 2\nk999: 3\n", "f").diagnostics.size(), 2u);
}

struct BadText {
  const char* name;
  std::string text;
  int line;
  const char* message;
};

class BadTextTest : public testing::TestWithParam<BadText> {};

TEST_P(BadTextTest, IsUnreadableAndSaysWhere) {
  auto parsed = ParseText("ok: 1\n---\n" + GetParam().text, "f");
  EXPECT_TRUE(parsed.unreadable) << PrintAll(parsed);
  ASSERT_EQ(parsed.diagnostics.size(), 1u) << PrintAll(parsed);
  EXPECT_EQ(parsed.diagnostics[0].place.line, GetParam().line + 2) << PrintAll(parsed);
  EXPECT_NE(parsed.diagnostics[0].message.find(GetParam().message), std::string::npos)
      << PrintAll(parsed);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadTextTest,
    testing::Values(BadText{"FlowEnd", "a: b\n}\n", 2, "not valid YAML"},
                    BadText{"Indentation", "a: b\n  c: d\n", 2, "not valid YAML"},
                    BadText{"Tab", "a:\n\tb: c\n", 2, "not valid YAML"},
                    BadText{"OpenBracket", "a: [b, c\n", 1, "not closed"},
                    BadText{"OpenBrace", "a: {b: c\n", 1, "not closed"},
                    BadText{"OpenDoubleQuote", "a: \"b\n", 1, "not closed"},
                    BadText{"OpenSingleQuote", "a: 'b\nc: d\n", 1, "not closed"},
                    BadText{"TextAfterFlow", "[a, b] c\n", 1, "a document ended before"},
                    BadText{"TextAfterQuotes", "\"a\" b\n", 1, "a document ended before"},
                    BadText{"Dedent", "  a: b\nc: d\n", 2, "a document ended before"},
                    BadText{"SequenceInMapping", "a: b\n- c\n", 2, "not valid YAML"},
                    BadText{"Alias", "a: &x 1\nb: *x\n", 2, "aliases (*name) are not supported"},
                    BadText{"Merge", "<<: {a: b}\n", 1, "merge keys"},
                    BadText{"UnknownTag", "a: !foo b\n", 1, "tag \"!foo\" is not supported"},
                    BadText{"WrongTag", "a: !!int x\n", 1, "is not supported"},
                    BadText{"CollectionTag", "a: !!set {b: }\n", 1, "is not supported"},
                    BadText{"TruncatedJson", "{\"a\": {\"b\": 1\n", 1, "not valid JSON"},
                    BadText{"JsonGarbage", "{\"a\": 1}\nfoo\n", 2,
                            "unexpected text after the JSON object"},
                    BadText{"JsonMissingComma", "{\"a\": 1\n\"b\": 2}\n", 2, "not valid JSON"}),
    [](const auto& c) { return c.param.name; });

TEST(Document, DocumentsBeforeAnErrorAreKept) {
  EXPECT_EQ(ParseText("a: 1\n---\nb: [\n---\nc: 3\n", "f").documents.size(), 1u);
}

TEST(Document, IsUtf8TextOfBoundedSize) {
  EXPECT_EQ(Parse("a: 1\nb: \xff\n"), "f:2: error: not UTF-8 text: byte 255\n");
  EXPECT_EQ(Parse("a: \xed\xa0\x80\n"), "f:1: error: not UTF-8 text: byte 237\n");
  EXPECT_EQ(Parse("a: \xf0\x9f\x98\x80\n"), "{a: \"\xf0\x9f\x98\x80\"}\n");
  EXPECT_EQ(Parse("a: \xc3\n"), "f:1: error: not UTF-8 text: byte 195\n");
  // yaml-cpp alone would take it for the end of the text.
  EXPECT_EQ(Parse("a: 1\n\x04\nb: 2\n"),
            "f:2: error: control character (byte 4): is this a text file?\n");
  EXPECT_EQ(Parse(std::string("a: \0", 4)),
            "f:1: error: control character (byte 0): is this a text file?\n");
  EXPECT_EQ(Parse(std::string(33u << 20, ' ')),
            "f: error: larger than 32 MiB: split it into several files\n");
}

std::string Repeat(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

TEST(Document, DepthIsBounded) {
  EXPECT_FALSE(ParseText(Repeat("[", 64) + Repeat("]", 64), "f").unreadable);
  for (const char* open : {"[", "{a: ", "- ", "{\"a\":", "{\"a\":[", "? "}) {
    for (int times : {65, 1000, 9000, 1000000}) {
      auto parsed = ParseText(Repeat(open, times), "f");
      EXPECT_TRUE(parsed.unreadable) << open << times;
      EXPECT_EQ(parsed.diagnostics.size(), 1u) << open << times;
    }
  }
  std::string json = "{\"a\":" + Repeat("[", 63) + Repeat("]", 63) + "}";
  EXPECT_FALSE(ParseText(json, "f").unreadable);
  EXPECT_EQ(Parse("{\"a\":" + Repeat("[", 64) + Repeat("]", 64) + "}"),
            "f:1: error: nested more than 64 levels deep\n");
}

TEST(Document, EveryPrefixOfAManifestEndsInAnAnswer) {
  const std::string text =
      "apiVersion: v1\nkind: Pod\nmetadata: {name: \"a\", labels: {'x': y}}\nspec:\n"
      "  containers:\n  - name: c\n    command: [sh, -c, |-\n      x]\n---\n{\"a\": [1, {\"b\": "
      "null}]}\n";
  for (size_t n = 0; n <= text.size(); ++n) {
    auto parsed = ParseText(text.substr(0, n), "f");
    EXPECT_EQ(parsed.unreadable, !parsed.diagnostics.empty()) << n;
  }
}

}  // namespace
}  // namespace sallyport::model
