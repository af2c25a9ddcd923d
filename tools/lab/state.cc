// SPDX-License-Identifier: Apache-2.0
#include "lab/state.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "lab/files.h"
#include "lab/netns.h"

namespace sallyport::lab {
namespace {

template <typename T>
Value ToStrings(const std::vector<T>& values) {
  Value out = Sequence();
  for (const T& value : values) out.items.push_back(String(value.ToString()));
  return out;
}

template <typename T, typename Parse>
Status FromStrings(const Value* list, Parse parse, std::vector<T>* out) {
  for (const std::string& text : Texts(list)) {
    auto value = parse(text);
    if (!value) return std::move(value).error();
    out->push_back(*std::move(value));
  }
  return Ok();
}

Value NodeToTree(const NodePlan& node) {
  return Mapping({{"object", node.tree},
                  {"internal", ToStrings(node.addresses.internal)},
                  {"external", ToStrings(node.addresses.external)},
                  {"gateways", ToStrings(node.addresses.gateways)},
                  {"podCIDRs", ToStrings(node.addresses.pod_cidrs)}});
}

Status NodeFromTree(const Value& tree, NodePlan* out) {
  const Value* object = tree.Find("object");
  if (!object) return Error{"a node without its object", 0};
  out->tree = *object;
  NodeAddresses& to = out->addresses;
  Status status = FromStrings(tree.Find("internal"), ParseInterfaceAddress, &to.internal);
  if (status) status = FromStrings(tree.Find("external"), net::Address::Parse, &to.external);
  if (status) status = FromStrings(tree.Find("gateways"), net::Address::Parse, &to.gateways);
  if (status) status = FromStrings(tree.Find("podCIDRs"), net::Cidr::Parse, &to.pod_cidrs);
  return status;
}

Status NetworksFromTree(const Value& tree, Networks* out) {
  Status status = FromStrings(tree.Find("pods"), net::Cidr::Parse, &out->pods);
  if (status) status = FromStrings(tree.Find("nodes"), net::Cidr::Parse, &out->nodes);
  if (status) status = FromStrings(tree.Find("services"), net::Cidr::Parse, &out->services);
  if (status) status = FromStrings(tree.Find("outside"), net::Cidr::Parse, &out->outside);
  if (status)
    status =
        FromStrings(tree.Find("outsideAddresses"), net::Address::Parse, &out->outside_addresses);
  if (status) status = FromStrings(tree.Find("egress"), net::Cidr::Parse, &out->egress);
  return status;
}

Result<LabState> ReadState(const std::string& lab) {
  if (Status good = CheckLabName(lab); !good) return std::move(good).error();
  std::string path = Layout(lab).state();
  auto text = ReadFile(path);
  if (!text) return std::move(text).error();
  auto tree = FromJson(*text, path);
  if (!tree) return std::move(tree).error();
  auto state = StateFromTree(*tree);
  if (!state) return std::move(state).error().Context(path);
  return state;
}

Error HalfMade(const std::string& lab) {
  return Error{"lab " + lab + " is half made: `sallyport lab up --name " + lab +
                   " -f PATH` makes it anew, `sallyport lab down --name " + lab + "` takes it away",
               0};
}

}  // namespace

Value StateToTree(const LabState& state) {
  Value nodes = Sequence();
  for (const NodePlan& node : state.nodes) nodes.items.push_back(NodeToTree(node));
  return Mapping(
      {{"name", String(state.name)},
       {"cni", String(state.cni)},
       {"sallyport", String(state.sallyport)},
       {"agent", String(state.agent)},
       {"joined", String(state.joined)},
       {"apiPort", Integer(state.api_port)},
       {"proxy", String(state.proxy)},
       {"controllers", Boolean(state.controllers)},
       {"dns", Boolean(state.dns)},
       {"peers", Strings(state.peers)},
       {"complete", Boolean(state.complete)},
       {"networks", Mapping({{"pods", ToStrings(state.networks.pods)},
                             {"nodes", ToStrings(state.networks.nodes)},
                             {"services", ToStrings(state.networks.services)},
                             {"outside", ToStrings(state.networks.outside)},
                             {"egress", ToStrings(state.networks.egress)},
                             {"outsideAddresses", ToStrings(state.networks.outside_addresses)}})},
       {"outside", Mapping({{"own", ToStrings(state.outside.own)},
                            {"gateways", ToStrings(state.outside.gateways)}})},
       {"nodes", std::move(nodes)}});
}

Result<LabState> StateFromTree(const Value& tree) {
  LabState state;
  state.name = TextAt(tree, {"name"});
  state.cni = TextAt(tree, {"cni"});
  state.sallyport = TextAt(tree, {"sallyport"});
  state.agent = TextAt(tree, {"agent"});
  state.joined = TextAt(tree, {"joined"});
  state.api_port = static_cast<uint16_t>(IntegerAt(tree, {"apiPort"}).value_or(0));
  state.proxy = TextAt(tree, {"proxy"});
  state.controllers = IsTrue(tree.Find("controllers"));
  state.dns = IsTrue(tree.Find("dns"));
  state.peers = Texts(tree.Find("peers"));
  state.complete = IsTrue(tree.Find("complete"));
  Status read = Ok();
  if (const Value* networks = tree.Find("networks"))
    read = NetworksFromTree(*networks, &state.networks);
  if (read)
    read = FromStrings(At(tree, {"outside", "own"}), ParseInterfaceAddress, &state.outside.own);
  if (read)
    read = FromStrings(At(tree, {"outside", "gateways"}), ParseInterfaceAddress,
                       &state.outside.gateways);
  for (const Value& node : Items(tree.Find("nodes")))
    if (read) read = NodeFromTree(node, &state.nodes.emplace_back());
  if (!read) return std::move(read).error();
  return state;
}

Status SaveState(const LabState& state) {
  Layout layout(state.name);
  return ReplaceFile(layout.state(), ToJson(StateToTree(state)) + "\n", layout.scratch());
}

Result<LabState> LoadState(const std::string& lab) {
  auto state = ReadState(lab);
  if (state || state.error().code != ENOENT) return state;
  std::vector<std::string> left = ListLabs();
  if (std::find(left.begin(), left.end(), lab) != left.end()) return HalfMade(lab);
  std::string others;
  for (const std::string& name : ListWholeLabs()) others += " " + name;
  return Error{
      "no lab \"" + lab + "\" is up" +
          (others.empty() ? "; `sallyport lab up -f PATH` makes one" : "; there is:" + others),
      ENOENT};
}

Result<LabState> LoadWholeState(const std::string& lab) {
  auto state = LoadState(lab);
  if (state && !state->complete) return HalfMade(lab);
  return state;
}

std::vector<std::string> ListLabs() {
  std::set<std::string> names;
  for (const std::string& entry : ListDirectory(kRunRoot)) {
    struct stat info {};
    std::string path = std::string(kRunRoot) + "/" + entry;
    if (CheckLabName(entry) && stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode))
      names.insert(entry);
  }
  for (const std::string& netns : ListNetns())
    if (std::string lab = LabOfNetns(netns); !lab.empty()) names.insert(std::move(lab));
  return {names.begin(), names.end()};
}

std::vector<std::string> ListWholeLabs() {
  std::vector<std::string> labs = ListLabs();
  std::erase_if(labs, [](const std::string& lab) {
    auto state = ReadState(lab);
    return !state || !state->complete;
  });
  return labs;
}

}  // namespace sallyport::lab
