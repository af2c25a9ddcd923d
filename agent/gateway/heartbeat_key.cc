// SPDX-License-Identifier: Apache-2.0
#include "gateway/heartbeat_key.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "base/check.h"
#include "egress/heartbeat.h"

namespace sallyport::gateway {
namespace {

constexpr size_t kLeastKey = 16;
constexpr size_t kRoom = egress::kAuthenticatorBytes;

std::string AuthenticatorOf(const std::string& key, std::string_view text) {
  unsigned char whole[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes, text.size(), whole,
             &size) != nullptr &&
        size >= kRoom)
      << "HMAC-SHA256 is not to be had";
  return {reinterpret_cast<const char*>(whole), kRoom};
}

bool SameBytes(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

Result<HeartbeatKey> HeartbeatKey::Read(const std::string& path) {
  std::ifstream file(path);
  if (!file) return ErrnoError("the key of the heartbeats, " + path);
  const std::string how = path + ": put a key of at least " + std::to_string(kLeastKey) +
                          " characters there (head -c 32 /dev/urandom | base64)";
  constexpr const char* kSpace = " \t\r\n";
  std::vector<std::string> keys;
  for (std::string line; std::getline(file, line);) {
    size_t begin = line.find_first_not_of(kSpace);
    if (begin == line.npos) continue;
    keys.push_back(line.substr(begin, line.find_last_not_of(kSpace) - begin + 1));
    if (keys.back().size() < kLeastKey)
      return Error{"the key of the heartbeats is too short; " + how, EINVAL};
  }
  if (file.bad()) return ErrnoError("reading " + path, EIO);
  if (keys.empty()) return Error{"there is no key of the heartbeats; " + how, EINVAL};
  return HeartbeatKey(std::move(keys));
}

void HeartbeatKey::Seal(std::string& datagram) const {
  CHECK(datagram.size() >= kRoom) << "a heartbeat of " << datagram.size() << " bytes";
  size_t end = datagram.size() - kRoom;
  std::string room = keys_.empty() ? std::string(kRoom, '\0')
                                   : AuthenticatorOf(keys_.front(), datagram.substr(0, end));
  datagram.replace(end, kRoom, room);
}

bool HeartbeatKey::Check(std::string_view datagram) const {
  if (datagram.size() < kRoom) return false;
  std::string_view text = datagram.substr(0, datagram.size() - kRoom);
  std::string_view room = datagram.substr(text.size());
  if (keys_.empty()) return SameBytes(room, std::string(kRoom, '\0'));
  return std::any_of(keys_.begin(), keys_.end(), [&](const std::string& key) {
    return SameBytes(room, AuthenticatorOf(key, text));
  });
}

}  // namespace sallyport::gateway
