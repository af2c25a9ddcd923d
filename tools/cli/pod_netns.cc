// SPDX-License-Identifier: Apache-2.0
#include "cli/pod_netns.h"

#include <ifaddrs.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <thread>

#include "cli/netns.h"
#include "cli/sockets.h"

namespace sallyport::cli {
namespace {

namespace fs = std::filesystem;

// Named ones first: their paths stay.
std::vector<std::string> Candidates() {
  std::vector<std::string> out;
  std::error_code error;
  for (const char* directory : {"/run/netns", "/var/run/netns"}) {
    for (fs::directory_iterator it(directory, error), end; !error && it != end;
         it.increment(error)) {
      out.push_back(it->path());
    }
  }
  for (fs::directory_iterator it("/proc", error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename();
    bool is_process = name.find_first_not_of("0123456789") == std::string::npos;
    if (is_process) out.push_back(it->path() / "ns/net");
  }
  return out;
}

bool HasAny(const std::vector<net::Address>& addresses) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return false;
  bool found = false;
  for (const ifaddrs* it = list; it != nullptr && !found; it = it->ifa_next) {
    if (it->ifa_addr == nullptr) continue;
    int family = it->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    probe::SocketAddress address;
    std::copy_n(reinterpret_cast<const char*>(it->ifa_addr),
                family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6),
                reinterpret_cast<char*>(&address.storage));
    net::Address own = probe::AddressOf(address);
    found = std::find(addresses.begin(), addresses.end(), own) != addresses.end();
  }
  freeifaddrs(list);
  return found;
}

// On a thread of its own: it ends in another namespace.
Result<std::string> Search(const std::vector<net::Address>& addresses) {
  using Identity = std::pair<dev_t, ino_t>;
  std::set<Identity> seen;
  struct stat info {};
  if (stat("/proc/self/ns/net", &info) == 0) seen.insert({info.st_dev, info.st_ino});
  probe::NetnsVisitor visitor;
  Error refused{""};
  for (const std::string& path : Candidates()) {
    if (stat(path.c_str(), &info) != 0 || !seen.insert({info.st_dev, info.st_ino}).second) continue;
    if (Status entered = visitor.Enter(path); !entered) {
      refused = std::move(entered).error();  // it may have gone by now
      continue;
    }
    if (HasAny(addresses)) return path;
  }
  return Error{"no network namespace on this machine has " + addresses.front().ToString() +
               (refused.message.empty() ? "" : " (" + refused.message + ")") +
               "; run this on the pod's node itself, as root, and not inside a container"};
}

}  // namespace

Result<std::string> FindNetns(const std::vector<net::Address>& addresses) {
  if (addresses.empty()) return Error{"the pod has no address yet"};
  Result<std::string> out = Error{""};
  std::thread([&] { out = Search(addresses); }).join();
  return out;
}

}  // namespace sallyport::cli
