// SPDX-License-Identifier: Apache-2.0
// Named network namespaces, as `ip netns` keeps them: a bind mount in /run/netns each, so that
// `ip netns exec NAME` works on them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sallyport::lab {

std::string NetnsPath(const std::string& name);

// Makes a namespace of that name; the calling thread stays where it is. A namespace that is there
// already is an error.
Status CreateNetns(const std::string& name);
// Takes the name away; the namespace goes when its last process and socket have. Not there: Ok.
Status RemoveNetns(const std::string& name);
// Every name in /run/netns, sorted.
std::vector<std::string> ListNetns();

Result<UniqueFd> OpenNetns(const std::string& path);
// Moves the calling thread for good. For children and threads that end there.
Status EnterNetns(const std::string& path);
// Runs `work` on a thread of its own inside the namespace, and waits for it.
Status InNetns(const std::string& path, const std::function<Status()>& work);

// Writes /proc/sys/<key with slashes> inside the namespace: {"net/ipv4/ip_forward", "1"}.
using Sysctls = std::vector<std::pair<std::string, std::string>>;
Status SetSysctls(const std::string& path, const Sysctls& sysctls);

}  // namespace sallyport::lab
