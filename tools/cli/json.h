// SPDX-License-Identifier: Apache-2.0
// Writing JSON: objects whose members stay in the order given, each on one line. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "model/document.h"

namespace sallyport::cli {

// A value as JSON text. Bytes that are no UTF-8 become U+FFFD, so that the text is always valid.
std::string Json(std::string_view text);
std::string Json(bool value);
std::string Json(double number);
std::string Json(const model::Value& value);
inline std::string Json(const char* text) { return Json(std::string_view(text)); }
inline std::string Json(const std::string& text) { return Json(std::string_view(text)); }
template <typename Integer, std::enable_if_t<std::is_integral_v<Integer>, int> = 0>
std::string Json(Integer number) {
  return std::to_string(number);
}
inline constexpr const char* kNull = "null";

// "[a,b]" of JSON texts; with `lines`, each on a line of its own.
std::string JsonArray(const std::vector<std::string>& items, bool lines = false);

class JsonObject {
 public:
  template <typename T>
  JsonObject& Add(std::string_view key, const T& value) {
    return AddJson(key, Json(value));
  }
  // Null where absent.
  template <typename T>
  JsonObject& Add(std::string_view key, const std::optional<T>& value) {
    return AddJson(key, value ? Json(*value) : kNull);
  }
  // `json` is JSON text already.
  JsonObject& AddJson(std::string_view key, std::string_view json);
  std::string ToString() const { return text_ + "}"; }

 private:
  std::string text_ = "{";
};

}  // namespace sallyport::cli
