// SPDX-License-Identifier: Apache-2.0
// Whatever a CNI result file holds: it is read or refused, and what is taken from it is bounded and
// fit to be used as names and addresses.
#include <algorithm>

#include "base/check.h"
#include "endpoint/cni_result.h"
#include "fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto claim = sallyport::endpoint::ParseCniResult(sallyport::fuzz::Text(data, size));
  if (!claim || !*claim) return 0;
  const sallyport::endpoint::Claim& found = **claim;
  CHECK(!found.pod.ns.empty() && !found.pod.name.empty());
  for (const std::string& name : found.host_interfaces) {
    CHECK(!name.empty() && name.size() <= 15 && name.find('/') == std::string::npos) << name;
  }
  CHECK(std::is_sorted(found.addresses.begin(), found.addresses.end()));
  CHECK(found.addresses.size() <= 258 && found.host_interfaces.size() <= 256);
  CHECK(found.netns.find('\0') == std::string::npos);
  return 0;
}
