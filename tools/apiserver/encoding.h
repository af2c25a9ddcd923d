// SPDX-License-Identifier: Apache-2.0
// Base64 and random text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sallyport::apiserver {

std::string EncodeBase64(std::string_view bytes);
std::optional<std::string> DecodeBase64(std::string_view text);
// The alphabet of URLs, without padding.
std::string EncodeBase64Url(std::string_view bytes);
std::optional<std::string> DecodeBase64Url(std::string_view text);

// From the system's random source.
std::string RandomBytes(size_t count);
std::string RandomUuid();
// As the API server appends to a generateName: 5 characters that make no words.
std::string RandomSuffix();

}  // namespace sallyport::apiserver
