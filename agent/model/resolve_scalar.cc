// SPDX-License-Identifier: Apache-2.0
#include "model/resolve_scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace sallyport::model {
namespace {

constexpr std::array<std::string_view, 11> kTrue = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                                    "True", "TRUE", "on",  "On",  "ON"};
constexpr std::array<std::string_view, 11> kFalse = {"n",     "N",     "no",  "No",  "NO", "false",
                                                     "False", "FALSE", "off", "Off", "OFF"};
constexpr std::array<std::string_view, 5> kNull = {"", "~", "null", "Null", "NULL"};
constexpr std::array<std::string_view, 12> kNotFinite = {".nan",  ".NaN",  ".NAN",  ".inf",
                                                         ".Inf",  ".INF",  "+.inf", "+.Inf",
                                                         "+.INF", "-.inf", "-.Inf", "-.INF"};

template <typename Words>
bool OneOf(const Words& words, std::string_view text) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool IsDecimal(char c) { return c >= '0' && c <= '9'; }

std::string_view SkipSign(std::string_view text) {
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.remove_prefix(1);
  return text;
}

enum class Integer { kNone, kFits, kTooLarge };

// Go's strconv.ParseInt with base 0, after underscores were removed.
Integer ParseInteger(std::string_view text, int64_t& out) {
  bool negative = text[0] == '-';
  std::string_view digits = SkipSign(text);
  int base = 10;
  if (digits.size() > 1 && digits[0] == '0') {
    char letter = static_cast<char>(digits[1] | 0x20);
    base = letter == 'x' ? 16 : letter == 'b' ? 2 : 8;
    digits.remove_prefix(letter == 'x' || letter == 'b' || letter == 'o' ? 2 : 1);
  }
  if (digits.empty()) return Integer::kNone;
  uint64_t magnitude = 0;
  const char* end = digits.data() + digits.size();
  auto [stop, error] = std::from_chars(digits.data(), end, magnitude, base);
  if (stop != end || error == std::errc::invalid_argument) return Integer::kNone;
  const uint64_t most = static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0);
  if (error != std::errc() || magnitude > most) return Integer::kTooLarge;
  out = static_cast<int64_t>(negative ? 0 - magnitude : magnitude);
  return Integer::kFits;
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool LooksLikeFloat(std::string_view text) {
  std::string_view rest = SkipSign(text);
  auto digits = [&rest] {
    size_t n = 0;
    while (n < rest.size() && IsDecimal(rest[n])) ++n;
    rest.remove_prefix(n);
    return n;
  };
  size_t whole = digits();
  if (!rest.empty() && rest[0] == '.') {
    rest.remove_prefix(1);
    if (digits() == 0 && whole == 0) return false;
  } else if (whole == 0) {
    return false;
  }
  if (!rest.empty() && (rest[0] == 'e' || rest[0] == 'E')) {
    rest = SkipSign(rest.substr(1));
    if (digits() == 0) return false;
  }
  return rest.empty();
}

// Requires LooksLikeFloat(text).
void SetFloat(const std::string& text, Value& value) {
  double number = std::strtod(text.c_str(), nullptr);
  value.type = Value::Type::kNumber;
  if (std::abs(number) < 9e18 && std::trunc(number) == number) {
    value.type = Value::Type::kInteger;
    value.integer = static_cast<int64_t>(number);
  }
}

void ResolveNumber(Value& value) {
  std::string plain = value.text;
  plain.erase(std::remove(plain.begin(), plain.end(), '_'), plain.end());
  if (plain.empty()) return;
  switch (ParseInteger(plain, value.integer)) {
    case Integer::kFits:
      value.type = Value::Type::kInteger;
      return;
    case Integer::kTooLarge:
      value.type = Value::Type::kNumber;
      return;
    case Integer::kNone:
      break;
  }
  if (LooksLikeFloat(plain)) SetFloat(plain, value);
}

}  // namespace

Value ResolveScalar(std::string text, int line) {
  Value value;
  value.line = line;
  value.text = std::move(text);
  value.type = Value::Type::kString;
  const std::string& t = value.text;
  // Most scalars are words that start with another letter.
  constexpr std::string_view kStarts = "yYnNtTfFoO~.+-0123456789";
  if (!t.empty() && kStarts.find(t[0]) == std::string_view::npos) return value;
  if (OneOf(kNull, t)) {
    value.type = Value::Type::kNull;
    value.text.clear();
  } else if (bool yes = OneOf(kTrue, t); yes || OneOf(kFalse, t)) {
    value.type = Value::Type::kBool;
    value.boolean = yes;
  } else if (OneOf(kNotFinite, t)) {
    value.type = Value::Type::kNumber;
  } else if (IsDecimal(t[0]) || t[0] == '+' || t[0] == '-' || t[0] == '.') {
    ResolveNumber(value);
  }
  return value;
}

}  // namespace sallyport::model
