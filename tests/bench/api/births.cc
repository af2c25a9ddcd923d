// SPDX-License-Identifier: Apache-2.0
#include "api/births.h"

#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>

#include "api/stream.h"
#include "base/unique_fd.h"

namespace sallyport::bench {
namespace {

constexpr double kMostSeconds = 60;

// Sends until the first datagram has come through; the API knows the pod already, as it does when a
// kubelet starts one.
double FirstPacket(World& world, int number) {
  test::Pod pod(number);
  std::string name = "new" + std::to_string(number);
  world.AddPod(name, R"("may":"yes")", pod);
  world.WaitForAgent("/v1/endpoints", [&](const std::string& answer) {
    return answer.find("\"" + pod.device() + "\"") != std::string::npos;
  });
  Stream stream(pod, world.b());
  while (stream.sent() == 0) ::usleep(100);
  if (stream.first() != 0) throw std::runtime_error("open before its result was written");
  double written = NowSeconds();
  world.WriteResult(name, pod);
  while (stream.first() == 0) {
    if (NowSeconds() > written + kMostSeconds) throw std::runtime_error(name + " never opened");
    ::usleep(100);
  }
  return std::max(0.0, stream.first() - written);
}

// What the kernel tells of interfaces and of programs at them.
class Monitor {
 public:
  Monitor() : socket_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_LINK | RTMGRP_TC;
    int size = 16 << 20;
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    timeval wait{static_cast<time_t>(kMostSeconds), 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    if (::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      throw std::runtime_error("cannot hear of interfaces");
  }

  // Until so many interfaces have a filter in both directions.
  std::vector<double> Closed(size_t count) {
    std::map<int, double> born;
    std::map<int, std::set<uint32_t>> hooks;
    std::vector<double> out;
    while (out.size() < count) {
      alignas(nlmsghdr) char buffer[65536];
      ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
      double now = NowSeconds();
      if (got <= 0) throw std::runtime_error("not all interfaces were closed");
      auto left = static_cast<size_t>(got);
      for (auto* at = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(at, left);
           at = NLMSG_NEXT(at, left)) {
        if (at->nlmsg_type == RTM_NEWLINK)
          born.emplace(static_cast<ifinfomsg*>(NLMSG_DATA(at))->ifi_index, now);
        if (at->nlmsg_type != RTM_NEWTFILTER) continue;
        const auto* filter = static_cast<tcmsg*>(NLMSG_DATA(at));
        auto known = born.find(filter->tcm_ifindex);
        if (known == born.end()) continue;
        auto& seen = hooks[filter->tcm_ifindex];
        if (seen.insert(filter->tcm_parent).second && seen.size() == 2)
          out.push_back(now - known->second);
      }
    }
    return out;
  }

 private:
  UniqueFd socket_;
};

std::vector<double> Closed(int burst) {
  Monitor monitor;
  test::Shell("ip netns add sptmany && for i in $(seq " + std::to_string(burst) +
              "); do echo link add sptm$i type veth peer name e$i netns sptmany; done | "
              "ip -batch -");
  std::vector<double> out = monitor.Closed(static_cast<size_t>(burst));
  test::Shell("ip netns del sptmany");
  return out;
}

}  // namespace

Births MeasureBirths(World& world, int pods, int burst) {
  Births out;
  constexpr int kFirst = 3;
  for (int i = 0; i < pods; ++i) out.first_packet.push_back(FirstPacket(world, kFirst + i));
  if (burst > 0) out.closed = Closed(burst);
  return out;
}

}  // namespace sallyport::bench
