// SPDX-License-Identifier: Apache-2.0
#include "cli/json.h"

#include <cmath>
#include <cstdio>

namespace sallyport::cli {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

// How many bytes the UTF-8 character at the start takes; 0 if there is none (RFC 3629).
size_t CharacterLength(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char first = byte(0);
  size_t length = first < 0x80                    ? 1
                  : first >= 0xc2 && first < 0xe0 ? 2
                  : first >= 0xe0 && first < 0xf0 ? 3
                  : first >= 0xf0 && first < 0xf5 ? 4
                                                  : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  bool surrogate = first == 0xed && byte(1) >= 0xa0;
  bool too_large = first == 0xf4 && byte(1) >= 0x90;
  return overlong || surrogate || too_large ? 0 : length;
}

std::string Escaped(char c) {
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\n':
      return "\\n";
    case '\t':
      return "\\t";
    case '\r':
      return "\\r";
    default:
      char text[8];
      std::snprintf(text, sizeof text, "\\u%04x", static_cast<unsigned>(c));
      return text;
  }
}

}  // namespace

std::string Json(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    size_t length = CharacterLength(text);
    char c = text.front();
    if (length == 0) {
      out += kReplacement;
      length = 1;
    } else if (length == 1 &&
               (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '"' || c == '\\')) {
      out += Escaped(c);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out + "\"";
}

std::string Json(bool value) { return value ? "true" : "false"; }

std::string Json(double number) {
  if (!std::isfinite(number)) return kNull;
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", number);
  return text;
}

std::string Json(const model::Value& value) {
  using Type = model::Value::Type;
  switch (value.type) {
    case Type::kNull:
      return kNull;
    case Type::kBool:
      return Json(value.boolean);
    case Type::kInteger:
      return Json(value.integer);
    case Type::kNumber:
      return value.text;
    case Type::kString:
      return Json(value.text);
    case Type::kSequence: {
      std::vector<std::string> items;
      for (const model::Value& item : value.items) items.push_back(Json(item));
      return JsonArray(items);
    }
    case Type::kMapping: {
      JsonObject object;
      for (const auto& [key, member] : value.members) object.Add(key, member);
      return object.ToString();
    }
  }
  return kNull;
}

std::string JsonArray(const std::vector<std::string>& items, bool lines) {
  std::string out = "[";
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ",";
    out += (lines ? "\n" : i > 0 ? " " : "") + items[i];
  }
  return out + (lines && !items.empty() ? "\n]" : "]");
}

JsonObject& JsonObject::AddJson(std::string_view key, std::string_view json) {
  if (text_.size() > 1) text_ += ", ";
  text_ += Json(key) + ": ";
  text_ += json;
  return *this;
}

}  // namespace sallyport::cli
