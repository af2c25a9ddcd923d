// SPDX-License-Identifier: Apache-2.0
// What is read of a gateway's datagram is all that it says: written again, it is the same but for
// the authenticator.
#include "base/check.h"
#include "egress/heartbeat.h"
#include "fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::egress;
  std::string_view datagram = sallyport::fuzz::Text(data, size);
  auto read = Decode(datagram);
  if (!read) {
    CHECK(!read.error().message.empty());
    return 0;
  }
  std::string again = Encode(*read);
  size_t told = size - kAuthenticatorBytes;
  CHECK(size <= kHeartbeatBytes && again.size() == size);
  CHECK(again.substr(0, told) == datagram.substr(0, told));
  return 0;
}
