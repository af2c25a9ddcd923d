// SPDX-License-Identifier: Apache-2.0
#include "watch/json_stream.h"

#include <array>
#include <cstdint>
#include <utility>

namespace sallyport::watch {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// Those that a value's end depends on, outside of strings.
constexpr auto kStructural = [] {
  std::array<bool, 256> out{};
  for (char c : {'"', '{', '}', '[', ']'}) out[static_cast<uint8_t>(c)] = true;
  return out;
}();

bool IsStructural(char c) { return kStructural[static_cast<uint8_t>(c)]; }

size_t SkipBlanks(std::string_view text, size_t at) {
  while (at < text.size() && IsBlank(text[at])) ++at;
  return at;
}

bool EndsScalar(char c) { return c == ',' || c == '}' || c == ']' || IsBlank(c); }

Error NotJson(const std::string& what) { return {"not what an API server sends: " + what, EPROTO}; }

}  // namespace

size_t ValueEnd::Find(std::string_view text, size_t at) {
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const char* p = begin + at;
  while (p < end) {
    if (in_string_) {
      if (std::exchange(escaped_, false)) ++p;
      while (p < end && *p != '"' && *p != '\\') ++p;
      if (p >= end) break;
      escaped_ = *p == '\\';
      in_string_ = escaped_;
      ++p;
      if (!in_string_ && depth_ == 0) break;
      continue;
    }
    while (p < end && !IsStructural(*p)) ++p;
    if (p == end) break;
    char c = *p++;
    if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      if (++depth_ > most_) break;
    } else if (--depth_ <= 0) {
      depth_ = 0;
      break;
    }
  }
  return static_cast<size_t>(p - begin);
}

size_t EndOfValue(std::string_view text, size_t at) {
  if (at >= text.size()) return 0;
  char first = text[at];
  if (first == '"' || first == '{' || first == '[') {
    ValueEnd end;
    size_t found = end.Find(text, at);
    return end.open() ? 0 : found;
  }
  size_t last = at;
  while (last < text.size() && !EndsScalar(text[last])) ++last;
  return last == at ? 0 : last;
}

size_t WalkMembers(std::string_view text, size_t at, const WalkMember& walk) {
  if (at >= text.size() || (text[at] != '{' && text[at] != '[')) return 0;
  const bool mapping = text[at] == '{';
  const char close = mapping ? '}' : ']';
  at = SkipBlanks(text, at + 1);
  if (at < text.size() && text[at] == close) return at + 1;
  while (at < text.size()) {
    std::string_view key;
    if (mapping) {
      size_t end = text[at] == '"' ? EndOfValue(text, at) : 0;
      if (end == 0) return 0;
      key = text.substr(at + 1, end - at - 2);
      at = SkipBlanks(text, end);
      if (at >= text.size() || text[at] != ':') return 0;
      at = SkipBlanks(text, at + 1);
    }
    size_t end = walk(key, at);
    if (end == 0) return 0;
    at = SkipBlanks(text, end);
    if (at < text.size() && text[at] == close) return at + 1;
    if (at >= text.size() || text[at] != ',') return 0;
    at = SkipBlanks(text, at + 1);
  }
  return 0;
}

bool EachMember(std::string_view text, const VisitMember& visit) {
  auto walk = [&](std::string_view key, size_t at) {
    size_t end = EndOfValue(text, at);
    if (end > 0) visit(key, text.substr(at, end - at));
    return end;
  };
  return WalkMembers(text, SkipBlanks(text, 0), walk) > 0;
}

std::string_view PlainString(std::string_view text) {
  bool plain = text.size() >= 2 && text.front() == '"' && text.find('\\') == std::string_view::npos;
  return plain ? text.substr(1, text.size() - 2) : std::string_view();
}

ListPosition ReadPosition(std::string_view metadata) {
  ListPosition out;
  EachMember(metadata, [&](std::string_view key, std::string_view value) {
    if (key != "resourceVersion" && key != "continue") return;
    (key == "continue" ? out.continue_token : out.resource_version) = PlainString(value);
    bool nothing = value == "null" || value == "\"\"";
    out.plain &= nothing || !PlainString(value).empty();
  });
  return out;
}

// What was whole in one piece is not copied.
Result<std::optional<std::string_view>> ValueText::Take(std::string_view& bytes, ValueEnd& end) {
  if (whole_) kept_.clear();
  whole_ = false;
  std::string_view piece = bytes.substr(0, end.Find(bytes, 0));
  bytes.remove_prefix(piece.size());
  if (end.too_deep()) return NotJson("an object is nested too deep");
  if (kept_.size() + piece.size() > kMaxObjectText) return NotJson("an object is too large");
  whole_ = !end.open();
  if (whole_ && kept_.empty()) return std::optional(piece);
  kept_.append(piece);
  if (!whole_) return std::optional<std::string_view>();
  return std::optional<std::string_view>(kept_);
}

Status ListSplitter::Begin(Stage stage) {
  stage_ = stage;
  return Ok();
}

// A character between values.
Status ListSplitter::Step(char c) {
  switch (stage_) {
    case Stage::kStart:
      return c == '{' ? Begin(Stage::kKey) : NotJson("it is no list");
    case Stage::kKey:
      if (c == ',') return Ok();
      return c == '}' ? Begin(Stage::kEnd) : NotJson("a key is missing");
    case Stage::kColon:
      return c == ':' ? Begin(Stage::kValue) : NotJson("a colon is missing");
    case Stage::kItem:
      if (c == ',') return Ok();
      return c == ']' ? Begin(Stage::kKey) : NotJson("an item is no object");
    default:
      return NotJson("text after the list");
  }
}

Status ListSplitter::Complete(std::string_view text) {
  switch (stage_) {
    case Stage::kKey:
      key_ = PlainString(text);
      return Begin(Stage::kColon);
    case Stage::kItem:
      on_item_(text);
      return Begin(Stage::kItem);
    default:
      if (key_ == "metadata") {
        has_metadata_ = true;
        position_ = ReadPosition(text);
      }
      return Begin(Stage::kKey);
  }
}

// What is not the inside of a value: the bytes taken, 0 where a value begins.
Result<size_t> ListSplitter::Between(std::string_view bytes) {
  char c = bytes.front();
  if (stage_ == Stage::kScalar) {
    size_t end = 0;
    while (end < bytes.size() && !EndsScalar(bytes[end])) ++end;
    if (end < bytes.size()) stage_ = Stage::kKey;
    return end == 0 ? Between(bytes) : Result<size_t>(end);
  }
  if (IsBlank(c)) return 1;
  if (stage_ == Stage::kValue) {
    if (c == '[' && key_ == "items") {
      stage_ = Stage::kItem;
      return 1;
    }
    if (c == '{' || c == '[' || c == '"') return 0;
    if (EndsScalar(c)) return NotJson("a value is missing");
    stage_ = Stage::kScalar;
    return 1;
  }
  bool begins = (stage_ == Stage::kKey && c == '"') || (stage_ == Stage::kItem && c == '{');
  if (begins) return 0;
  if (Status status = Step(c); !status) return std::move(status).error();
  return 1;
}

// The value that runs, up to its end.
Status ListSplitter::TakeValue(std::string_view& bytes) {
  if (!leaving_out_) {
    auto value = value_.Take(bytes, end_);
    if (value) return *value ? Complete(**value) : Ok();
    if (stage_ != Stage::kItem) return std::move(value).error();
    leaving_out_ = true;
    value_.Forget();
    end_.AllowAnyDepth();
  } else {
    bytes.remove_prefix(end_.Find(bytes, 0));
  }
  if (end_.open()) return Ok();
  leaving_out_ = false;
  end_ = {};
  return Complete({});
}

Status ListSplitter::Feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (!end_.open()) {
      auto taken = Between(bytes);
      if (!taken) return std::move(taken).error();
      bytes.remove_prefix(*taken);
      if (*taken > 0) continue;
    }
    if (Status status = TakeValue(bytes); !status) return status;
  }
  return Ok();
}

Result<ListPosition> ListSplitter::Finish() const {
  if (stage_ != Stage::kEnd) return NotJson("a list that is cut short");
  if (!has_metadata_ || position_.resource_version.empty()) {
    return NotJson("a list without a resourceVersion");
  }
  if (!position_.plain) return NotJson("a continue token that is not a plain string");
  return position_;
}

Result<bool> EventSplitter::Feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (!end_.open()) {
      bytes.remove_prefix(SkipBlanks(bytes, 0));
      if (bytes.empty()) break;
      if (bytes.front() != '{') return NotJson("an event is no object");
    }
    auto event = value_.Take(bytes, end_);
    if (!event) return std::move(event).error();
    if (!*event) continue;
    std::string_view type, object;
    bool formed = EachMember(**event, [&](std::string_view key, std::string_view value) {
      if (key == "type") type = PlainString(value);
      if (key == "object") object = value;
    });
    if (!formed || type.empty()) return NotJson("an event without a type");
    if (!on_event_(type, object)) return false;
  }
  return true;
}

}  // namespace sallyport::watch
