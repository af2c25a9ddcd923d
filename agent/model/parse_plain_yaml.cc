// SPDX-License-Identifier: Apache-2.0
// A parser for a subset of YAML:
//
//   block    := mapping | sequence                    each at one indentation
//   mapping  := { key ":" value }
//   sequence := { "- " value }                        "- key: ..." and "- - ..." are compact blocks
//   value    := "" | scalar | flow | deeper block     below a key also a sequence not indented
//   scalar   := quoted | plain                        on one line; quoted ones without escapes
//   flow     := "[" ... "]" | "{" ... "}"             on one line
//   key      := quoted | letters, digits, "_./-"
//
// with comments and blank lines between. Where the text leaves the subset the parser gives up at
// once; it never guesses. The fuzz target plain_yaml holds it against ParseYaml.
#include <algorithm>

#include "model/parse.h"
#include "model/resolve_scalar.h"

namespace sallyport::model {
namespace {

struct Token {
  std::string_view text;
  bool quoted = false;
};

bool IsAlnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool IsKeyChar(char c) { return IsAlnum(c) || c == '_' || c == '.' || c == '/' || c == '-'; }
bool IsOneOf(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

// More may start a plain scalar; these are certain.
bool StartsPlain(std::string_view text) {
  if (text.empty()) return false;
  if (text[0] == '-') return text.size() > 1 && IsAlnum(text[1]);
  return IsAlnum(text[0]) || IsOneOf(text[0], "_./~+$(");
}

bool IsItem(std::string_view text) {
  return !text.empty() && text[0] == '-' && (text.size() == 1 || text[1] == ' ');
}

void SkipSpaces(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
}

bool Take(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

// Nothing, or a comment; requires that a space came before.
bool IsBlank(std::string_view text) { return text.empty() || text[0] == '#'; }

// The line has nothing more to say.
bool IsOver(std::string_view text) {
  if (!text.empty() && text[0] != ' ') return false;
  SkipSpaces(text);
  return IsBlank(text);
}

std::optional<Token> TakeQuoted(std::string_view& text) {
  const char quote = text[0];
  size_t end = text.find(quote, 1);
  if (end == std::string_view::npos) return std::nullopt;
  Token token{text.substr(1, end - 1), true};
  bool escapes = quote == '"' ? token.text.find('\\') != std::string_view::npos
                              : end + 1 < text.size() && text[end + 1] == quote;
  if (escapes) return std::nullopt;
  text.remove_prefix(end + 1);
  return token;
}

// With the ":" that makes it a key.
std::optional<Token> TakeKey(std::string_view& text) {
  constexpr size_t kLongest = 500;
  std::optional<Token> key;
  if (text.empty()) return std::nullopt;
  if (IsOneOf(text[0], "\"'")) {
    key = TakeQuoted(text);
  } else if (text[0] != '-') {
    auto end = std::find_if_not(text.begin(), text.end(), IsKeyChar);
    key = Token{text.substr(0, static_cast<size_t>(end - text.begin())), false};
    text.remove_prefix(key->text.size());
  }
  bool is_key = key && (key->quoted || !key->text.empty()) && key->text.size() <= kLongest &&
                Take(text, ':') && (text.empty() || text[0] == ' ');
  return is_key ? key : std::nullopt;
}

class PlainYaml {
 public:
  PlainYaml(std::string_view text, int first_line) : rest_(text), next_number_(first_line) {}

  // False: not in the subset.
  bool Parse() {
    bool other_spaces = rest_.find_first_of("\t\r") != std::string_view::npos;
    return !other_spaces && NextLine() && !at_end_ && Block() && at_end_;
  }
  TreeBuilder& builder() { return builder_; }

 private:
  bool NextLine();
  bool Block() { return IsItem(content_) ? Sequence() : Mapping(); }
  bool Mapping();
  bool MappingValue(std::string_view text, int indent);
  bool Sequence();
  bool Item(int indent);
  bool Inline(std::string_view text);
  bool Plain(std::string_view text);
  bool Flow(std::string_view& text);
  bool FlowSequence(std::string_view& text);
  bool FlowMapping(std::string_view& text);
  bool FlowPlain(std::string_view& text);
  bool Scalar(const Token& token, int line);
  bool Null(int line) { return Scalar({}, line); }

  TreeBuilder builder_;
  std::string_view rest_;  // the lines to come
  int next_number_;
  // The current line from its first character that is no space; blank lines and comments are
  // skipped. At the end it is less indented than any.
  std::string_view content_;
  int indent_ = 0;
  int number_ = 0;
  bool at_end_ = false;
};

bool PlainYaml::NextLine() {
  while (!rest_.empty()) {
    size_t end = std::min(rest_.find('\n'), rest_.size());
    content_ = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    number_ = next_number_++;
    size_t indent = content_.find_first_not_of(' ');
    if (indent == std::string_view::npos || content_[indent] == '#') continue;
    content_.remove_prefix(indent);
    indent_ = static_cast<int>(indent);
    std::string_view marker = content_.substr(0, 3);
    return !(indent == 0 && (marker == "---" || marker == "..."));
  }
  at_end_ = true;
  content_ = {};
  indent_ = -1;
  return true;
}

bool PlainYaml::Scalar(const Token& token, int line) {
  if (!token.quoted) return AddYamlScalar(builder_, ResolveScalar(std::string(token.text), line));
  Value value;
  value.type = Value::Type::kString;
  value.line = line;
  value.text = token.text;
  return AddYamlScalar(builder_, std::move(value));
}

bool PlainYaml::Mapping() {
  const int indent = indent_;
  if (!builder_.StartMapping(number_)) return false;
  while (indent_ == indent) {
    std::string_view text = content_;
    std::optional<Token> key = TakeKey(text);
    if (!key || !Scalar(*key, number_) || !MappingValue(text, indent)) return false;
  }
  return indent_ < indent && builder_.End();
}

// What comes after "key:".
bool PlainYaml::MappingValue(std::string_view text, int indent) {
  SkipSpaces(text);
  if (!IsBlank(text)) return Inline(text);
  const int number = number_;
  if (!NextLine()) return false;
  bool below = indent_ > indent || (indent_ == indent && IsItem(content_));
  return below ? Block() : Null(number);
}

bool PlainYaml::Sequence() {
  const int indent = indent_;
  if (!builder_.StartSequence(number_)) return false;
  while (indent_ == indent && IsItem(content_)) {
    if (!Item(indent)) return false;
  }
  return indent_ <= indent && builder_.End();
}

bool PlainYaml::Item(int indent) {
  std::string_view text = content_.substr(1);
  SkipSpaces(text);
  if (IsBlank(text)) {
    const int number = number_;
    if (!NextLine()) return false;
    return indent_ > indent ? Block() : Null(number);
  }
  // A block that begins on this line is indented as far as its first character.
  std::string_view behind_key = text;
  if (!IsItem(text) && !TakeKey(behind_key)) return Inline(text);
  indent_ += static_cast<int>(content_.size() - text.size());
  content_ = text;
  return Block();
}

// A value that ends on its line. If the next line is indented deeper, it would go on there: then
// the blocks around it give up.
bool PlainYaml::Inline(std::string_view text) {
  bool known = false;
  if (IsOneOf(text[0], "\"'")) {
    std::optional<Token> token = TakeQuoted(text);
    known = token && IsOver(text) && Scalar(*token, number_);
  } else if (IsOneOf(text[0], "[{")) {
    known = Flow(text) && IsOver(text);
  } else {
    known = Plain(text);
  }
  return known && NextLine();
}

bool PlainYaml::Plain(std::string_view text) {
  if (!StartsPlain(text)) return false;
  text = text.substr(0, text.find(" #"));
  text = text.substr(0, text.find_last_not_of(' ') + 1);
  if (text.find(": ") != std::string_view::npos || text.back() == ':') return false;
  return Scalar({text, false}, number_);
}

bool PlainYaml::Flow(std::string_view& text) {
  if (text.empty()) return false;
  if (Take(text, '[')) return FlowSequence(text);
  if (Take(text, '{')) return FlowMapping(text);
  if (!IsOneOf(text[0], "\"'")) return FlowPlain(text);
  std::optional<Token> token = TakeQuoted(text);
  return token && Scalar(*token, number_);
}

bool PlainYaml::FlowSequence(std::string_view& text) {
  if (!builder_.StartSequence(number_)) return false;
  SkipSpaces(text);
  if (Take(text, ']')) return builder_.End();
  while (Flow(text)) {
    SkipSpaces(text);
    if (Take(text, ']')) return builder_.End();
    if (!Take(text, ',')) return false;
    SkipSpaces(text);
  }
  return false;
}

bool PlainYaml::FlowMapping(std::string_view& text) {
  if (!builder_.StartMapping(number_)) return false;
  SkipSpaces(text);
  if (Take(text, '}')) return builder_.End();
  while (std::optional<Token> key = TakeKey(text)) {
    SkipSpaces(text);
    if (!Scalar(*key, number_) || !Flow(text)) return false;
    SkipSpaces(text);
    if (Take(text, '}')) return builder_.End();
    if (!Take(text, ',')) return false;
    SkipSpaces(text);
  }
  return false;
}

bool PlainYaml::FlowPlain(std::string_view& text) {
  if (!StartsPlain(text)) return false;
  size_t n = 0;
  while (n < text.size()) {
    // A colon only where it cannot end a key.
    bool colon = text[n] == ':' && n + 1 < text.size() &&
                 (IsAlnum(text[n + 1]) || IsOneOf(text[n + 1], ":/"));
    if (!colon && !IsKeyChar(text[n]) && !IsOneOf(text[n], "+~$()=@%*")) break;
    ++n;
  }
  Token token{text.substr(0, n), false};
  text.remove_prefix(n);
  return Scalar(token, number_);
}

}  // namespace

std::optional<Parsed> ParsePlainYaml(std::string_view text, int first_line) {
  PlainYaml parser(text, first_line);
  if (!parser.Parse()) return std::nullopt;
  Parsed out;
  out.documents.push_back(parser.builder().Take());
  out.repeats = parser.builder().repeats();
  return out;
}

}  // namespace sallyport::model
