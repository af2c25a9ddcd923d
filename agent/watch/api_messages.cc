// SPDX-License-Identifier: Apache-2.0
#include "watch/api_messages.h"

#include <charconv>
#include <cstdint>

#include "watch/json_stream.h"

namespace sallyport::watch {
namespace {

constexpr std::string_view kInitialEventsEnd = "k8s.io/initial-events-end";
// Of a group or a version that is not served.
constexpr std::string_view kNoSuchPath = "404 page not found";

}  // namespace

ApiStatus ReadStatus(std::string_view text) {
  ApiStatus out;
  EachMember(text, [&](std::string_view key, std::string_view value) {
    if (key == "code") std::from_chars(value.data(), value.data() + value.size(), out.code);
    if (key == "reason") out.reason = PlainString(value);
    // Escapes stay as they are: it is for a person.
    if (key == "message" && value.size() >= 2) out.message = value.substr(1, value.size() - 2);
  });
  return out;
}

std::string Describe(int code, const ApiStatus& status) {
  std::string out = "the server answered " + std::to_string(code);
  if (!status.reason.empty()) out += " " + status.reason;
  if (!status.message.empty()) out += ": " + status.message;
  if (code == 401) out += " (is the token or the client certificate still good?)";
  if (code == 403) out += " (does the role allow list and watch?)";
  return out;
}

bool SaysAbsent(std::string_view body) {
  return body.starts_with(kNoSuchPath) || ReadStatus(body).reason == "NotFound";
}

EventMeta ReadMeta(std::string_view object) {
  EventMeta out;
  EachMember(object, [&](std::string_view key, std::string_view value) {
    if (key != "metadata") return;
    out.version = ReadPosition(value).resource_version;
    EachMember(value, [&](std::string_view field, std::string_view annotations) {
      if (field != "annotations") return;
      EachMember(annotations, [&](std::string_view name, std::string_view text) {
        out.ends_initial |= name == kInitialEventsEnd && PlainString(text) == "true";
      });
    });
  });
  return out;
}

bool IsOlder(std::string_view a, std::string_view b) {
  uint64_t left = 0, right = 0;
  auto parse = [](std::string_view text, uint64_t& out) {
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc() && end == text.data() + text.size();
  };
  return parse(a, left) && parse(b, right) && left < right;
}

}  // namespace sallyport::watch
