// SPDX-License-Identifier: Apache-2.0
#include "pods/arena.h"

#include <fcntl.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <vector>

#include "base/unique_fd.h"
#include "support/temporary.h"

namespace sallyport::bench {
namespace {

std::string Namespace(const std::string& where) { return "spt-bench-" + where; }

void Shell(const std::string& command) {
  if (std::system(command.c_str()) != 0) throw std::runtime_error("failed: " + command);
}

void RemoveAll() {
  for (const char* where : {"client", "server", "node"}) {
    std::string name = Namespace(where);
    Shell("ip netns pids " + name + " 2>/dev/null | xargs -r kill -9; ip netns del " + name +
          " 2>/dev/null || true");
  }
}

uint32_t HostIfindex(const std::string& pod) {
  test::TemporaryDirectory directory;
  std::string path = directory / "ifindex";
  Shell("ip netns exec " + Namespace("node") + " cat /sys/class/net/" + pod + "/ifindex > " + path);
  uint32_t index = 0;
  std::ifstream(path) >> index;
  return index;
}

// As ptp: an address without a network, the gateway reached by its own route.
void AddPod(const std::string& pod, const std::string& address) {
  std::string node = Namespace("node"), ns = Namespace(pod);
  Shell("ip netns add " + ns);
  Shell("ip -n " + node + " link add " + pod + " type veth peer name eth0 netns " + ns);
  Shell("ip -n " + node + " addr add 10.77.0.1/32 dev " + pod);
  Shell("ip -n " + node + " link set " + pod + " up");
  Shell("ip -n " + node + " route add " + address + "/32 dev " + pod);
  Shell("ip -n " + ns + " addr add " + address + "/32 dev eth0");
  Shell("ip -n " + ns + " link set lo up && ip -n " + ns + " link set eth0 up");
  Shell("ip -n " + ns + " route add 10.77.0.1 dev eth0 scope link");
  Shell("ip -n " + ns + " route add default via 10.77.0.1");
  Shell("ip netns exec " + ns +
        " sh -c 'echo 1024 65000 > /proc/sys/net/ipv4/ip_local_port_range; "
        "echo 1 > /proc/sys/net/ipv4/tcp_tw_reuse; echo 8192 > /proc/sys/net/core/somaxconn'");
}

// /proc/PID/schedstat of each ksoftirqd: its first number is nanoseconds on a processor.
std::vector<std::string> SoftirqThreads() {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::string name;
    std::ifstream(entry.path() / "comm") >> name;
    if (name.starts_with("ksoftirqd/")) paths.push_back(entry.path() / "schedstat");
  }
  return paths;
}

}  // namespace

Arena::Arena() {
  RemoveAll();
  Shell("ip netns add " + Namespace("node"));
  Shell("ip -n " + Namespace("node") + " link set lo up");
  Shell("ip netns exec " + Namespace("node") + " sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'");
  AddPod("client", kClientAddress);
  AddPod("server", kServerAddress);
  client_ifindex_ = HostIfindex("client");
  server_ifindex_ = HostIfindex("server");
}

Arena::~Arena() {
  try {
    RemoveAll();
  } catch (const std::exception&) {  // the next run sweeps
  }
}

void Arena::Run(const std::string& where, const std::string& command) const {
  Shell("ip netns exec " + Namespace(where) + " sh -c '" + command + "'");
}

void Arena::Enter(const std::string& where) const {
  UniqueFd fd(::open(("/run/netns/" + Namespace(where)).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd || ::setns(fd.get(), CLONE_NEWNET) != 0) {
    throw std::runtime_error("cannot enter namespace " + Namespace(where));
  }
}

double BusySeconds() {
  static const std::vector<std::string> ksoftirqd = SoftirqThreads();
  timespec own{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
  double seconds = static_cast<double>(own.tv_sec) + static_cast<double>(own.tv_nsec) * 1e-9;
  for (const std::string& path : ksoftirqd) {
    uint64_t nanoseconds = 0;
    std::ifstream(path) >> nanoseconds;
    seconds += static_cast<double>(nanoseconds) * 1e-9;
  }
  return seconds;
}

}  // namespace sallyport::bench
