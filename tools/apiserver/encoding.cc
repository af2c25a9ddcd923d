// SPDX-License-Identifier: Apache-2.0
#include "apiserver/encoding.h"

#include <sys/random.h>

#include <cstdint>

#include "base/check.h"

namespace sallyport::apiserver {
namespace {

constexpr std::string_view kPlain =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string Encode(std::string_view bytes, std::string_view alphabet, bool pad) {
  std::string out;
  uint32_t bits = 0;
  int have = 0;
  for (unsigned char byte : bytes) {
    bits = bits << 8 | byte;
    have += 8;
    while (have >= 6) {
      have -= 6;
      out += alphabet[bits >> have & 63];
    }
  }
  if (have > 0) out += alphabet[bits << (6 - have) & 63];
  while (pad && out.size() % 4) out += '=';
  return out;
}

std::optional<std::string> Decode(std::string_view text, std::string_view alphabet) {
  std::string out;
  uint32_t bits = 0;
  int have = 0;
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  for (char c : text) {
    size_t value = alphabet.find(c);
    if (value == alphabet.npos) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    have += 6;
    if (have >= 8) {
      have -= 8;
      out += static_cast<char>(bits >> have & 255);
    }
  }
  return out;
}

}  // namespace

std::string EncodeBase64(std::string_view bytes) { return Encode(bytes, kPlain, true); }
std::optional<std::string> DecodeBase64(std::string_view text) { return Decode(text, kPlain); }
std::string EncodeBase64Url(std::string_view bytes) { return Encode(bytes, kUrl, false); }
std::optional<std::string> DecodeBase64Url(std::string_view text) { return Decode(text, kUrl); }

std::string RandomBytes(size_t count) {
  std::string out(count, '\0');
  CHECK(getrandom(out.data(), count, 0) == static_cast<ssize_t>(count)) << "no random numbers";
  return out;
}

std::string RandomUuid() {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string bytes = RandomBytes(16);
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  std::string out;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    auto byte = static_cast<unsigned char>(bytes[i]);
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

std::string RandomSuffix() {
  static constexpr std::string_view kLetters = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  for (unsigned char byte : RandomBytes(5)) out += kLetters[byte % kLetters.size()];
  return out;
}

}  // namespace sallyport::apiserver
