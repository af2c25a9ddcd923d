// SPDX-License-Identifier: Apache-2.0
#include "shared/spaces.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>

#include <cstdlib>
#include <exception>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "base/unique_fd.h"

namespace sallyport::bench {

std::string SpaceName(const std::string& place) { return "spt-bench-" + place; }

void Shell(const std::string& command) {
  if (std::system(command.c_str()) != 0) throw std::runtime_error("failed: " + command);
}

void RunIn(const std::string& place, const std::string& command) {
  Shell("ip netns exec " + SpaceName(place) + " sh -c '" + command + "'");
}

void EnterSpace(const std::string& place) {
  UniqueFd fd(::open(("/run/netns/" + SpaceName(place)).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd || ::setns(fd.get(), CLONE_NEWNET) != 0) {
    throw std::runtime_error("cannot enter namespace " + SpaceName(place));
  }
}

void CallIn(const std::string& place, const std::function<void()>& body) {
  std::exception_ptr failure;
  std::thread([&] {
    try {
      EnterSpace(place);
      body();
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
}

void RemoveSpaces(const std::vector<std::string>& places) {
  for (const std::string& place : places) {
    std::string name = SpaceName(place);
    Shell("ip netns pids " + name + " 2>/dev/null | xargs -r kill -9; ip netns del " + name +
          " 2>/dev/null || true");
  }
}

uint32_t IfindexIn(const std::string& place, const std::string& interface) {
  uint32_t index = 0;
  CallIn(place, [&] { index = ::if_nametoindex(interface.c_str()); });
  if (index == 0) throw std::runtime_error(SpaceName(place) + " has no interface " + interface);
  return index;
}

uint64_t ReceivedPackets(const std::string& interface) {
  std::ifstream file("/proc/thread-self/net/dev");
  for (std::string line; std::getline(file, line);) {
    size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    if (line.substr(line.find_first_not_of(' '), colon - line.find_first_not_of(' ')) != interface)
      continue;
    std::istringstream numbers(line.substr(colon + 1));
    uint64_t bytes = 0, packets = 0;
    numbers >> bytes >> packets;
    return packets;
  }
  throw std::runtime_error("no interface " + interface);
}

}  // namespace sallyport::bench
