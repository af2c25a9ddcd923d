// SPDX-License-Identifier: Apache-2.0
// What a server says beside the objects: of proper JSON the members are what another parser finds,
// and of anything else nothing comes but words for a person. Versions are ordered.
//
// The input: two versions, one a line, and the text.
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "fuzz/input.h"
#include "watch/api_messages.h"

namespace sallyport::watch {
namespace {

using nlohmann::json;

// A text without escapes, repeats apart: what the small parser promises to read.
bool IsSimple(std::string_view text) {
  return text.find('\\') == std::string_view::npos && text.find('\0') == std::string_view::npos;
}

std::string TextOf(const json& object, const char* name) {
  auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

// How often each name stands anywhere: of a name that stands once, both see the same.
bool StandsOnce(std::string_view text, std::string_view name) {
  size_t first = text.find(name);
  return first != std::string_view::npos && text.find(name, first + 1) == std::string_view::npos;
}

void CheckStatus(std::string_view text, const json& object) {
  ApiStatus status = ReadStatus(text);
  if (StandsOnce(text, "\"reason\"")) CHECK(status.reason == TextOf(object, "reason")) << text;
  auto code = object.find("code");
  if (StandsOnce(text, "\"code\"") && code != object.end() && code->is_number_unsigned() &&
      *code < 1000u) {
    CHECK(status.code == code->get<int>()) << text;
  }
  std::string words = Describe(403, status);
  CHECK(words.find("403") != std::string::npos);
  CHECK(words.find(status.message) != std::string::npos);
}

void CheckMeta(std::string_view text, const json& object) {
  EventMeta meta = ReadMeta(text);
  auto metadata = object.find("metadata");
  if (!StandsOnce(text, "\"metadata\"")) return;
  if (metadata == object.end() || !metadata->is_object()) {
    CHECK(meta.version.empty() && !meta.ends_initial) << text;
    return;
  }
  if (StandsOnce(text, "\"resourceVersion\"")) {
    CHECK(meta.version == TextOf(*metadata, "resourceVersion")) << text;
  }
  if (!StandsOnce(text, "\"annotations\"") || !StandsOnce(text, "\"k8s.io/initial-events-end\"")) {
    return;
  }
  auto annotations = metadata->find("annotations");
  bool ends = annotations != metadata->end() && annotations->is_object() &&
              TextOf(*annotations, "k8s.io/initial-events-end") == "true";
  CHECK(meta.ends_initial == ends) << text;
}

void CheckOrder(std::string_view a, std::string_view b) {
  CHECK(!IsOlder(a, a) && !IsOlder(b, b));
  CHECK(!(IsOlder(a, b) && IsOlder(b, a)));
  if (IsOlder(a, b)) CHECK(IsOlder("0", b) && a != b);
}

}  // namespace
}  // namespace sallyport::watch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::watch;
  std::string_view text = sallyport::fuzz::Text(data, size);
  std::string_view a = sallyport::fuzz::TakeUntil(text, '\n');
  std::string_view b = sallyport::fuzz::TakeUntil(text, '\n');
  CheckOrder(a, b);
  (void)SaysAbsent(text);
  json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (object.is_object() && IsSimple(text)) {
    CheckStatus(text, object);
    CheckMeta(text, object);
    return 0;
  }
  (void)Describe(500, ReadStatus(text));
  (void)ReadMeta(text);
  return 0;
}
