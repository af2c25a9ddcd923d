// SPDX-License-Identifier: Apache-2.0
// What a CNI result file says: the JSON that the container runtime's libcni keeps for each network
// of each sandbox (<network>-<container>-<interface>, kind "cniCacheV1"). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/objects.h"
#include "net/address.h"

namespace sallyport::endpoint {

// "This pod has these addresses, behind that interface." Not yet believed: tracker.h decides.
struct Claim {
  std::string file;   // name without directory: the claim's key
  int64_t age_order;  // when the file was written, ns since 1970: of two, the greater is newer
  model::ObjectName pod;
  std::string uid;        // may be empty
  std::string container;  // the sandbox's id
  std::string interface;  // inside the pod, "eth0"
  std::string netns;      // path of the sandbox's network namespace, may be empty
  std::vector<std::string> host_interfaces;  // as the result lists them; may be empty
  std::vector<net::Address> addresses;       // sorted, unique
  friend bool operator==(const Claim&, const Claim&) = default;
};

// Files of more bytes than this are not read.
inline constexpr size_t kLargestCniResult = 1 << 20;

// Nothing for a valid file that is not about a Kubernetes pod. An error for what is empty, half
// written, or not a result file at all. `file` and `age_order` are left to the caller.
Result<std::optional<Claim>> ParseCniResult(std::string_view text);

}  // namespace sallyport::endpoint
