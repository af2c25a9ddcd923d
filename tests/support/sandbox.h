// SPDX-License-Identifier: Apache-2.0
// A corner of the machine for one test program: a network namespace and a mount namespace of its
// own, a bpf file system, and pods: network namespaces at the end of a veth pair. All of it ends
// with the program. Needs root.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "net/address.h"

struct bpf_insn;

namespace sallyport::test {

// Enters the sandbox, once per program, on one processor. Returns the directory of the bpf file
// system.
const std::string& EnterSandbox();

// A TC program of these instructions: somebody else's, that is.
UniqueFd LoadTcProgram(std::span<const bpf_insn> instructions);

// Runs a command of the shell; ends the test program if it fails.
void Shell(const std::string& command);

// A network namespace with one interface, eth0, whose other end is here and forwards.
class Pod {
 public:
  // `number` 1..250: addresses 10.99.0.number and fd99::number.
  explicit Pod(int number);
  ~Pod();
  Pod(const Pod&) = delete;
  Pod& operator=(const Pod&) = delete;

  uint32_t ifindex() const { return ifindex_; }  // host side
  const std::string& device() const { return device_; }
  const net::Address& v4() const { return v4_; }
  const net::Address& v6() const { return v6_; }

  // Runs `body` on a thread that is inside the pod.
  void Inside(const std::function<void()>& body) const;
  // A bound UDP socket of the pod.
  int UdpSocket(const net::Address& address, uint16_t port) const;

 private:
  std::string name_;
  std::string device_;
  uint32_t ifindex_ = 0;
  net::Address v4_, v6_;
};

// Sends a datagram with this text.
void Send(int socket, const net::Address& to, uint16_t port, const std::string& text);
// The next datagram; waits for it. "" if none comes for a very long time.
std::string Receive(int socket);
// The datagrams that have arrived at a pod's socket with this address: all that this thread caused
// to be sent before and that were not dropped. (The node may always send to a pod; what it sends
// last comes last.)
std::vector<std::string> Arrived(int socket, const net::Address& address, uint16_t port);

}  // namespace sallyport::test
