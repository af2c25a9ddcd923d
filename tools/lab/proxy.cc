// SPDX-License-Identifier: Apache-2.0
#include "lab/proxy.h"

#include <unistd.h>

#include <utility>

#include "lab/conntrack.h"
#include "lab/files.h"
#include "lab/netns.h"
#include "lab/process.h"

namespace sallyport::lab {
namespace {

constexpr const char* kBridgeSysctls = "/proc/sys/net/bridge";

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

Proxy::Proxy(std::string netns, std::string node, ProxyMode mode, ProxyConfig config)
    : netns_(std::move(netns)), node_(std::move(node)), mode_(mode), config_(std::move(config)) {}

Status Proxy::Prepare() {
  bool nft = mode_ == ProxyMode::kNftables;
  for (const char* program : {nft ? "nft" : "iptables-restore", nft ? "nft" : "ip6tables-restore"})
    if (FindProgram(program, kStandardPath).empty())
      return Error{std::string("the Service proxy needs ") + program + ": apt-get install " +
                       (nft ? "nftables" : "iptables"),
                   0};
  auto set = [&] {
    // Only there with br_netfilter, without which a bridge's packets are not translated.
    if (access(kBridgeSysctls, F_OK) != 0) return Ok();
    for (const char* name : {"/bridge-nf-call-iptables", "/bridge-nf-call-ip6tables"})
      if (Status written = WriteExisting(std::string(kBridgeSysctls) + name, "1"); !written)
        return written;
    return Ok();
  };
  return netns_.empty() ? set() : InNetns(netns_, set);
}

Status Proxy::Sync(const std::vector<const Value*>& services,
                   const std::vector<const Value*>& slices) {
  std::vector<ServicePort> ports = ServicePorts(services, slices, node_);
  if (done_ && *done_ == ports) return Ok();
  done_.reset();
  for (bool v6 : {false, true})
    if (Status applied = Apply(ports, v6); !applied)
      return std::move(applied).error().Context("Services on node " + node_);
  auto forgotten = ForgetStaleFlows(netns_, UdpServices(ports, config_.node_addresses));
  if (!forgotten) return std::move(forgotten).error().Context("Services on node " + node_);
  done_ = std::move(ports);
  return Ok();
}

Status Proxy::Apply(const std::vector<ServicePort>& ports, bool v6) {
  if (mode_ == ProxyMode::kIptables) return ApplyIptables(ports, v6);
  return ApplyNft(MakeNftTable(ports, config_, v6), &tables_[v6]);
}

// A transaction from what the kernel should have; where it is refused (somebody took the table
// away), the table as a whole.
Status Proxy::ApplyNft(const NftTable& wanted, std::optional<NftTable>* now) {
  std::string output;
  if (*now) {
    std::string update = NftUpdate(**now, wanted);
    if (update.empty()) return Ok();
    if (Run("nft", {"-f", "-"}, update, &output)) {
      *now = wanted;
      return Ok();
    }
    now->reset();
  }
  if (Status replaced = Run("nft", {"-f", "-"}, NftReplace(wanted), &output); !replaced)
    return replaced;
  *now = wanted;
  return Ok();
}

Status Proxy::ApplyIptables(const std::vector<ServicePort>& ports, bool v6) {
  std::string prefix = v6 ? "ip6tables" : "iptables";
  std::string saved;
  if (Status read = Run(prefix + "-save", {}, "", &saved); !read) return read;
  std::string ignored;
  return Run(prefix + "-restore", {"-w", "--noflush"},
             MakeIptables(ports, config_, v6, ParseIptablesSave(saved)), &ignored);
}

Status Proxy::Run(const std::string& program, const std::vector<std::string>& args,
                  const std::string& input, std::string* output) const {
  std::string path = FindProgram(program, kStandardPath);
  if (path.empty()) return Error{program + " is not on this machine", 0};
  Command command;
  command.argv = {path};
  command.argv.insert(command.argv.end(), args.begin(), args.end());
  command.env = EnvironmentWith({"LC_ALL=C"});
  command.netns = netns_;
  command.input = input;
  auto finished = RunCommand(command);
  if (!finished) return std::move(finished).error();
  if (finished->exit_code != 0)
    return Error{program + " ended with " + std::to_string(finished->exit_code) + ": " +
                     FirstLine(finished->errors),
                 0};
  *output = std::move(finished->output);
  return Ok();
}

}  // namespace sallyport::lab
