// SPDX-License-Identifier: Apache-2.0
#include "gateway/heartbeat_key.h"

#include <gmock/gmock.h>

#include <cerrno>

#include "egress/heartbeat.h"
#include "support/temporary.h"

namespace sallyport::gateway {
namespace {

using testing::HasSubstr;

std::string Sealed(const HeartbeatKey& key, std::string text) {
  text += std::string(egress::kAuthenticatorBytes, 'x');
  key.Seal(text);
  return text;
}

TEST(HeartbeatKey, IsHmacSha256) {
  // RFC 4231, test case 6: a key of 131 bytes 0xaa.
  HeartbeatKey key({std::string(131, '\xaa')});
  const std::string text = "Test Using Larger Than Block-Size Key - Hash Key First";
  const std::string expected("\x60\xe4\x31\x59\x1e\xe0\xb6\x7f\x0d\x8a\x26\xaa\xcb\xf5\xb7\x7f",
                             16);
  EXPECT_EQ(Sealed(key, text), text + expected);
}

TEST(HeartbeatKey, WithoutOneTheRoomIsZeros) {
  HeartbeatKey none;
  EXPECT_EQ(Sealed(none, "beat"), "beat" + std::string(16, '\0'));
  EXPECT_TRUE(none.Check(Sealed(none, "beat")));
  EXPECT_FALSE(none.Check(Sealed(HeartbeatKey({"a key of some length"}), "beat")))
      << "who has a key does not belong to those who have none";
}

TEST(HeartbeatKey, EveryBitCounts) {
  HeartbeatKey key({"a key of some length"});
  const std::string good = Sealed(key, "beat");
  EXPECT_TRUE(key.Check(good));
  for (size_t i = 0; i < good.size() * 8; ++i) {
    std::string bad = good;
    bad[i / 8] = static_cast<char>(bad[i / 8] ^ 1 << i % 8);
    EXPECT_FALSE(key.Check(bad)) << i;
  }
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(key.Check(good.substr(0, size))) << size;
  EXPECT_FALSE(key.Check(Sealed(HeartbeatKey(), "beat")));
}

TEST(HeartbeatKey, SeveralAreForAChange) {
  HeartbeatKey before({"the old key, long enough"}), after({"the new key, long enough"});
  HeartbeatKey both({"the new key, long enough", "the old key, long enough"});
  EXPECT_TRUE(both.Check(Sealed(before, "beat")));
  EXPECT_TRUE(both.Check(Sealed(after, "beat")));
  EXPECT_TRUE(after.Check(Sealed(both, "beat")));
  EXPECT_FALSE(before.Check(Sealed(both, "beat")));
}

TEST(HeartbeatKey, IsReadFromAFile) {
  test::TemporaryDirectory directory;
  const std::string path = directory / "key";
  auto missing = HeartbeatKey::Read(path);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ENOENT);
  EXPECT_THAT(missing.error().message, HasSubstr(path));
  for (const char* bad : {"", "\n \n", "too short\n", "a key of some length\nshort\n"}) {
    directory.Write("key", bad);
    auto refused = HeartbeatKey::Read(path);
    ASSERT_FALSE(refused) << bad;
    EXPECT_THAT(refused.error().message, HasSubstr("at least 16 characters"));
  }
  directory.Write("key", "\n  a key of some length \r\nanother key of some length");
  auto key = HeartbeatKey::Read(path);
  ASSERT_TRUE(key) << key.error().message;
  EXPECT_EQ(Sealed(*key, "beat"), Sealed(HeartbeatKey({"a key of some length"}), "beat"));
  EXPECT_TRUE(key->Check(Sealed(HeartbeatKey({"another key of some length"}), "beat")));
}

}  // namespace
}  // namespace sallyport::gateway
