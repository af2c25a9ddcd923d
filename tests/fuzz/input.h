// SPDX-License-Identifier: Apache-2.0
// What fuzz targets make of their bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sallyport::fuzz {

inline std::string_view Text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Cuts the text at the next `separator`; all of it if there is none.
inline std::string_view TakeUntil(std::string_view& text, char separator) {
  size_t end = text.find(separator);
  std::string_view first = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return first;
}

}  // namespace sallyport::fuzz
