// SPDX-License-Identifier: Apache-2.0
#include "model/validate_names.h"

#include <algorithm>

namespace sallyport::model {
namespace {

constexpr size_t kMaxLabel = 63;
constexpr size_t kMaxSubdomain = 253;
constexpr size_t kMaxPortName = 15;

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLowerAlnum(char c) { return IsLower(c) || IsDigit(c); }
bool IsAlnum(char c) { return IsLowerAlnum(c) || (c >= 'A' && c <= 'Z'); }

std::string TooLong(size_t most) {
  return "must be no more than " + std::to_string(most) + " characters";
}

// [a-z0-9]([-a-z0-9]*[a-z0-9])?
bool IsDnsLabel(std::string_view text) {
  return !text.empty() && IsLowerAlnum(text.front()) && IsLowerAlnum(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return IsLowerAlnum(c) || c == '-'; });
}

// ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]
bool IsQualifiedPart(std::string_view text) {
  return !text.empty() && IsAlnum(text.front()) && IsAlnum(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsAlnum(c) || c == '-' || c == '_' || c == '.'; });
}

}  // namespace

std::string CheckDnsLabel(std::string_view text) {
  if (text.size() > kMaxLabel) return TooLong(kMaxLabel);
  if (IsDnsLabel(text)) return "";
  return "must consist of lower case letters, digits and '-', and start and end with a letter or "
         "digit (such as my-name)";
}

std::string CheckDnsSubdomain(std::string_view text) {
  if (text.size() > kMaxSubdomain) return TooLong(kMaxSubdomain);
  for (std::string_view rest = text;;) {
    size_t dot = std::min(rest.find('.'), rest.size());
    if (!IsDnsLabel(rest.substr(0, dot))) break;
    if (dot == rest.size()) return "";
    rest.remove_prefix(dot + 1);
  }
  return "must consist of lower case letters, digits, '-' and '.', and each part between dots "
         "start and end with a letter or digit (such as my-name or example.com)";
}

std::string CheckQualifiedName(std::string_view text) {
  std::string_view name = text;
  if (size_t slash = text.find('/'); slash != std::string_view::npos) {
    std::string_view prefix = text.substr(0, slash);
    name = text.substr(slash + 1);
    if (name.find('/') != std::string_view::npos) {
      return "must have at most one '/' (such as example.com/my-name)";
    }
    if (prefix.empty()) return "the part before '/' must not be empty";
    if (std::string wrong = CheckDnsSubdomain(prefix); !wrong.empty()) {
      return "the part before '/' " + wrong;
    }
  }
  if (name.empty()) return "the name part must not be empty";
  if (name.size() > kMaxLabel) return "the name part " + TooLong(kMaxLabel);
  if (IsQualifiedPart(name)) return "";
  return "the name part must consist of letters, digits, '-', '_' and '.', and start and end with "
         "a letter or digit (such as my.name or example.com/MyName)";
}

std::string CheckLabelValue(std::string_view text) {
  if (text.size() > kMaxLabel) return TooLong(kMaxLabel);
  if (text.empty() || IsQualifiedPart(text)) return "";
  return "must be empty, or consist of letters, digits, '-', '_' and '.', and start and end with a "
         "letter or digit (such as MyValue or 12345)";
}

std::string CheckPortName(std::string_view text) {
  if (text.size() > kMaxPortName) return TooLong(kMaxPortName);
  bool charset = !text.empty() && std::all_of(text.begin(), text.end(),
                                              [](char c) { return IsLowerAlnum(c) || c == '-'; });
  if (!charset) return "must consist of lower case letters, digits and '-' (such as http)";
  if (std::none_of(text.begin(), text.end(), IsLower)) return "must contain at least one letter";
  if (text.find("--") != std::string_view::npos) return "must not contain \"--\"";
  if (text.front() == '-' || text.back() == '-') return "must not start or end with '-'";
  return "";
}

}  // namespace sallyport::model
