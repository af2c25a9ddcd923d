// SPDX-License-Identifier: Apache-2.0
#include "lab/egress/mass.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "lab/egress/mass_ends.h"

namespace sallyport::lab {
namespace {

// Of a process, with room to spare: kernels share connections out by chance.
constexpr size_t kShare = 12'000;

void Tell(int control, const MassOrder& order) {
  CHECK(send(control, &order, sizeof order, 0) == sizeof order) << std::strerror(errno);
}

MassAnswer Hear(int control) {
  MassAnswer out;
  CHECK(recv(control, &out, sizeof out, 0) == sizeof out) << "an end has died";
  return out;
}

MassOrder Order(MassVerb verb, const std::string& netns, size_t count) {
  MassOrder out;
  out.verb = verb;
  out.count = static_cast<uint32_t>(count);
  CHECK(netns.size() < sizeof out.netns) << netns;
  std::strcpy(out.netns, netns.c_str());
  return out;
}

}  // namespace

Mass::Mass(size_t pods, size_t each) : per_pod_(each / kShare + 1) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  for (size_t i = 0; i < pods * per_pod_; ++i) near_.push_back(Start(false));
  for (size_t i = 0; i < pods * each / kShare + 1; ++i) far_.push_back(Start(true));
}

Mass::Worker Mass::Start(bool far) {
  int ends[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0) << std::strerror(errno);
  Worker out;
  out.control.reset(ends[0]);
  UniqueFd theirs(ends[1]);
  out.pid = fork();
  CHECK(out.pid >= 0) << std::strerror(errno);
  if (out.pid > 0) return out;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  (far ? RunFarEnd : RunNearEnd)(theirs.get());
  _exit(0);
}

Mass::~Mass() {
  for (std::vector<Worker>* workers : {&near_, &far_})
    for (Worker& worker : *workers) {
      kill(worker.pid, SIGKILL);
      waitpid(worker.pid, nullptr, 0);
    }
}

void Mass::Listen(const std::string& outside_netns, uint16_t port) {
  port_ = port;
  MassOrder order = Order(MassVerb::kListen, outside_netns, 0);
  order.port = port;
  for (Worker& worker : far_) {
    Tell(worker.control.get(), order);
    Hear(worker.control.get());
  }
}

// Of a pod's workers.
std::vector<size_t> Mass::Parts(size_t each) const {
  std::vector<size_t> out;
  for (size_t i = 0; i < per_pod_; ++i)
    out.push_back(each * (i + 1) / per_pod_ - each * i / per_pod_);
  return out;
}

size_t Mass::Open(const std::vector<std::string>& pods, const net::Address& to, size_t each,
                  std::chrono::seconds patience) {
  const std::vector<size_t> parts = Parts(each);
  for (size_t i = 0; i < near_.size(); ++i) {
    MassOrder order = Order(MassVerb::kOpen, pods.at(i / per_pod_), parts[i % per_pod_]);
    order.patience_seconds = static_cast<uint32_t>(patience.count());
    order.port = port_;
    std::memcpy(order.to, to.bytes().data(), sizeof order.to);
    Tell(near_[i].control.get(), order);
  }
  size_t out = 0;
  for (Worker& worker : near_) out += Hear(worker.control.get()).count;
  return out;
}

void Mass::Close(size_t each) {
  const std::vector<size_t> parts = Parts(each);
  for (size_t i = 0; i < near_.size(); ++i) {
    Tell(near_[i].control.get(), Order(MassVerb::kClose, "", parts[i % per_pod_]));
    Hear(near_[i].control.get());
  }
}

std::string Mass::Pass() {
  sources_.clear();
  for (Worker& worker : near_) Tell(worker.control.get(), Order(MassVerb::kPass, "", 0));
  std::string out;
  for (Worker& worker : near_) {
    MassAnswer answer = Hear(worker.control.get());
    out += answer.trouble;
    for (uint32_t i = 0; i < answer.sources; ++i) {
      net::Address::Bytes bytes;
      std::memcpy(bytes.data(), answer.source[i], bytes.size());
      sources_.insert(net::Address(bytes));
    }
  }
  return out;
}

}  // namespace sallyport::lab
