// SPDX-License-Identifier: Apache-2.0
// A data plane of the version after this one, for upgrade_test.cc, which is its predecessor: does
// what the lines of its input say, and answers each with a line.
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <thread>

#include "dataplane/dataplane.h"

namespace sallyport::dataplane {
namespace {

// From here on this thread's calls that change what others see are counted; the process is killed
// at the one with this number, before it.
void DieAt(int number) {
  static std::atomic<int> listener = -1;
  std::thread([number] {
    while (listener < 0) std::this_thread::yield();
    pollfd waiting{listener, POLLIN, 0};
    for (int n = 1; ::poll(&waiting, 1, -1) > 0 && (waiting.revents & POLLIN); ++n) {
      seccomp_notif call{};
      if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) continue;
      if (n == number) ::kill(::getpid(), SIGKILL);
      seccomp_notif_resp answer{};
      answer.id = call.id;
      answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
      ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
  }).detach();
  std::vector<sock_filter> program = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (uint32_t call : {
#ifdef SYS_rename
           SYS_rename, SYS_unlink, SYS_mkdir, SYS_rmdir,
#else
           SYS_renameat, SYS_mkdirat,
#endif
           SYS_unlinkat}) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
  }
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendto, 0, 1));  // netlink
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 1, 0));
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0])));
  for (uint32_t command : {BPF_OBJ_PIN, BPF_LINK_CREATE, BPF_LINK_UPDATE, BPF_LINK_DETACH}) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, command, 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  sock_fprog filter{.len = static_cast<unsigned short>(program.size()), .filter = program.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) std::abort();
  listener = static_cast<int>(
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter));
  if (listener < 0) std::abort();
}

class NextAgent {
 public:
  std::string Do(const std::string& line) {
    std::istringstream in(line);
    std::string what, name;
    in >> what;
    if (what == "options") {
      in >> options_.pins >> name >> options_.capacities.peers;
      options_.attach = name == "tcx" ? AttachMode::kTcx : AttachMode::kClsact;
      options_.capacities.endpoints = 64;
      options_.capacities.rules = options_.capacities.flows = 1024;
    } else if (what == "pod") {
      std::string v4, v6;
      Binding binding;
      in >> name >> binding.ifindex >> v4 >> v6;
      binding.addresses = {*net::Address::Parse(v4), *net::Address::Parse(v6)};
      bindings_[{"ns", name}] = binding;
      image_.endpoints[{"ns", name}] = {binding.addresses, policy::kNoSet, policy::kNoSet};
    } else if (what == "deny") {
      std::string direction;
      in >> name >> direction;
      image_.sets[1] = {{}, policy::kNoPorts};
      policy::Endpoint& endpoint = image_.endpoints.at({"ns", name});
      (direction == "egress" ? endpoint.egress : endpoint.ingress) = 1;
    } else if (what == "peers") {
      uint32_t count = 0;
      in >> count;
      image_.peers.clear();
      for (uint32_t i = 0; i < count; ++i) image_.peers[net::Address::V4(0x0a000000 + i)] = 7;
    } else if (what == "die") {
      int number = 0;
      in >> number;
      DieAt(number);
    } else if (what == "open") {
      auto opened = Dataplane::Open(options_);
      if (!opened) return opened.error().message;
      dataplane_ = *std::move(opened);
    } else if (what == "attach") {
      for (const auto& [pod, binding] : bindings_)
        if (Status status = dataplane_->Attach(binding.ifindex, pod.name); !status.ok())
          return status.error().message;
    } else if (what == "forget") {
      uint32_t ifindex = 0;
      in >> ifindex;
      dataplane_->Forget(ifindex);
    } else if (what == "apply") {
      Status status = dataplane_->Apply(image_, nullptr, bindings_);
      if (!status.ok()) return status.error().message;
    } else {
      return "what is \"" + what + "\"?";
    }
    return "ok";
  }

 private:
  Options options_;
  policy::Image image_;
  Bindings bindings_;
  std::unique_ptr<Dataplane> dataplane_;
};

}  // namespace
}  // namespace sallyport::dataplane

int main() {
  sallyport::dataplane::NextAgent agent;
  for (std::string line; std::getline(std::cin, line);) {
    std::string answer = agent.Do(line);
    for (char& c : answer)
      if (c == '\n') c = ' ';
    std::cout << answer << std::endl;
  }
  return 0;
}
