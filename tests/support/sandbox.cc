// SPDX-License-Identifier: Apache-2.0
#include "support/sandbox.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/check.h"

namespace sallyport::test {
namespace {

void WriteFile(const std::string& path, const std::string& text) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  CHECK(fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()))
      << path << ": " << std::strerror(errno);
  ::close(fd);
}

// Addresses are good at once: nobody is asked for them first, some time within a second, where
// tests count packets.
void TrustAddresses() { WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", "0"); }

std::string MakeSandbox() {
  CHECK(::unshare(CLONE_NEWNET | CLONE_NEWNS) == 0)
      << "cannot make namespaces: " << std::strerror(errno) << " (root is needed)";
  CHECK(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) << std::strerror(errno);
  // Over /run: nothing is left on the machine's own.
  CHECK(::mount("tmpfs", "/run", "tmpfs", 0, nullptr) == 0) << std::strerror(errno);
  CHECK(::mount("sysfs", "/sys", "sysfs", 0, nullptr) == 0) << std::strerror(errno);
  CHECK(::mount("bpf", "/sys/fs/bpf", "bpf", 0, nullptr) == 0) << std::strerror(errno);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(::sched_getcpu(), &one);
  CHECK(::sched_setaffinity(0, sizeof one, &one) == 0) << std::strerror(errno);
  Shell("ip link set lo up");
  WriteFile("/proc/sys/net/ipv4/ip_forward", "1");
  WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", "1");
  TrustAddresses();
  return "/sys/fs/bpf";
}

socklen_t ToSocketAddress(const net::Address& address, uint16_t port, sockaddr_storage* out) {
  std::memset(out, 0, sizeof *out);
  if (address.IsV4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(out);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    v4->sin_addr.s_addr = htonl(address.v4());
    return sizeof *v4;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(out);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  std::memcpy(&v6->sin6_addr, address.bytes().data(), 16);
  return sizeof *v6;
}

}  // namespace

const std::string& EnterSandbox() {
  static const std::string directory = MakeSandbox();
  return directory;
}

void Shell(const std::string& command) {
  int result = std::system(command.c_str());
  CHECK(result == 0) << "failed: " << command;
}

Pod::Pod(int number)
    : name_("spt" + std::to_string(number)),
      device_("spth" + std::to_string(number)),
      v4_(*net::Address::Parse("10.99.0." + std::to_string(number))) {
  EnterSandbox();
  char hex[8];
  std::snprintf(hex, sizeof hex, "%x", number);
  v6_ = *net::Address::Parse(std::string("fd99::") + hex);
  Shell("ip netns add " + name_);
  Inside(TrustAddresses);
  Shell("ip link add " + device_ + " type veth peer name eth0 netns " + name_ + " && ip link set " +
        device_ + " up");
  std::string in = "ip -n " + name_ + " ";
  Shell(in + "link set lo up && " + in + "link set eth0 up && " + in + "addr add " +
        v4_.ToString() + "/32 dev eth0 && " + in + "addr add " + v6_.ToString() +
        "/128 dev eth0 nodad && " + in + "route add 169.254.1.1 dev eth0 && " + in +
        "route add default via 169.254.1.1 dev eth0 && " + in +
        "-6 route add default via fe80::1 dev eth0");
  Shell("ip addr add 169.254.1.1/32 dev " + device_ + " && ip -6 addr add fe80::1/64 dev " +
        device_ + " nodad && ip route add " + v4_.ToString() + " dev " + device_ +
        " && ip -6 route add " + v6_.ToString() + " dev " + device_);
  ifindex_ = if_nametoindex(device_.c_str());
  // Neighbours are known: the first datagram does not wait for them.
  Shell("h=$(cat /sys/class/net/" + device_ + "/address); p=$(ip -n " + name_ +
        " -o link show eth0 | sed 's/.*ether \\([^ ]*\\).*/\\1/'); ip neigh replace " +
        v4_.ToString() + " lladdr $p dev " + device_ + " nud permanent && ip neigh replace " +
        v6_.ToString() + " lladdr $p dev " + device_ + " nud permanent && " + in +
        "neigh replace 169.254.1.1 lladdr $h dev eth0 nud permanent && " + in +
        "neigh replace fe80::1 lladdr $h dev eth0 nud permanent");
}

Pod::~Pod() {
  // The device goes now, not when the kernel gets to it.
  Shell("ip link del " + device_ + " 2>/dev/null; ip netns del " + name_);
}

void Pod::Inside(const std::function<void()>& body) const {
  std::thread([&] {
    int fd = ::open(("/run/netns/" + name_).c_str(), O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && ::setns(fd, CLONE_NEWNET) == 0) << name_ << ": " << std::strerror(errno);
    ::close(fd);
    body();
  }).join();
}

int Pod::UdpSocket(const net::Address& address, uint16_t port) const {
  int fd = -1;
  Inside([&] {
    sockaddr_storage own;
    socklen_t size = ToSocketAddress(address, port, &own);
    fd = ::socket(own.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(fd >= 0 && ::bind(fd, reinterpret_cast<sockaddr*>(&own), size) == 0)
        << address.ToString() << ": " << std::strerror(errno);
  });
  return fd;
}

void Send(int socket, const net::Address& to, uint16_t port, const std::string& text) {
  sockaddr_storage there;
  socklen_t size = ToSocketAddress(to, port, &there);
  (void)!::sendto(socket, text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&there), size);
}

UniqueFd LoadTcProgram(std::span<const bpf_insn> instructions) {
  union bpf_attr attr {};
  attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
  attr.insns = reinterpret_cast<uintptr_t>(instructions.data());
  attr.insn_cnt = static_cast<uint32_t>(instructions.size());
  attr.license = reinterpret_cast<uintptr_t>("GPL");
  UniqueFd program(static_cast<int>(::syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr)));
  CHECK(program) << "cannot load a program: " << std::strerror(errno);
  return program;
}

std::string Receive(int socket) {
  constexpr int kForever = 60'000;
  pollfd wait{.fd = socket, .events = POLLIN, .revents = 0};
  ::poll(&wait, 1, kForever);
  char text[2048];
  ssize_t size = ::recv(socket, text, sizeof text, MSG_DONTWAIT);
  return size < 0 ? "" : std::string(text, static_cast<size_t>(size));
}

// On one processor packets are handled in order, but each crossing of a veth pair queues anew: a
// packet that crosses two may come after one that was sent later and crosses one. Not after the
// second of those.
std::vector<std::string> Arrived(int socket, const net::Address& address, uint16_t port) {
  const std::string mark = "the node's mark";
  std::vector<std::string> out;
  int node = ::socket(address.IsV4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  for (int round = 0; round < 3; ++round) {
    Send(node, address, port, mark);
    for (std::string text = Receive(socket); text != mark; text = Receive(socket)) {
      CHECK(!text.empty()) << "what the node sends does not arrive at " << address.ToString();
      out.push_back(text);
    }
  }
  ::close(node);
  return out;
}

}  // namespace sallyport::test
