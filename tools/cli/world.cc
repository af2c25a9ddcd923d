// SPDX-License-Identifier: Apache-2.0
#include "cli/world.h"

#include <algorithm>

#include "cli/expect.h"

namespace sallyport::cli {
namespace {

using net::Address;

// The address `back` places before the last one of a prefix.
Address FromTheTop(const net::Cidr& cidr, uint32_t back) {
  Address::Bytes bytes = cidr.address().bytes();
  for (int bit = cidr.mapped_length(); bit < 128; ++bit) {
    bytes[static_cast<size_t>(bit / 8)] |= static_cast<uint8_t>(0x80 >> bit % 8);
  }
  uint64_t borrow = back;
  for (size_t i = 16; i-- > 0 && borrow > 0;) {
    uint64_t low = borrow & 0xff;
    borrow >>= 8;
    if (bytes[i] < low) ++borrow;
    bytes[i] = static_cast<uint8_t>(bytes[i] - low);
  }
  return Address(bytes);
}

std::string NamesLike(const model::Snapshot& snapshot, const model::ObjectName& wanted) {
  std::string out;
  int listed = 0;
  for (const auto& [name, pod] : snapshot.pods) {
    bool near = name.name == wanted.name ||
                (name.ns == wanted.ns && name.name.substr(0, wanted.name.size()) == wanted.name);
    if (!near || ++listed > 5) continue;
    out += (out.empty() ? "; there is " : ", ") + name.ToString();
  }
  return out;
}

// The pod of that name; if there is none, the first of the pods of a workload of that name.
const model::PodPtr* FindPod(const model::Snapshot& snapshot, const model::ObjectName& wanted) {
  if (auto it = snapshot.pods.find(wanted); it != snapshot.pods.end()) return &it->second;
  for (const auto& [name, pod] : snapshot.pods) {
    if (name.ns == wanted.ns && IsOwnedName(wanted.name, name.name)) return &pod;
  }
  return nullptr;
}

Side PodSide(const model::PodPtr& pod, bool made_up) {
  return {pod->name.ToString(), pod, pod->addresses, made_up};
}

}  // namespace

std::string Side::Group() const { return pod ? pod->name.ns : "outside"; }
std::string Side::ShortName() const { return pod ? pod->name.name : name; }

std::optional<Address> Side::AddressOf(bool v4) const {
  for (const Address& address : addresses) {
    if (address.IsV4() == v4) return address;
  }
  return std::nullopt;
}

World::World(model::Snapshot snapshot) : snapshot_(std::move(snapshot)) {
  for (const auto& [name, pod] : snapshot_.pods) {
    taken_.insert(pod->addresses.begin(), pod->addresses.end());
  }
  for (auto& [name, pod] : snapshot_.pods) {
    if (!pod->IsLive() || !pod->addresses.empty()) continue;
    model::Pod with_address = *pod;
    with_address.addresses = MakeUp(*pod);
    pod = std::make_shared<const model::Pod>(std::move(with_address));
    made_up_.insert(name);
  }
}

std::vector<Address> World::MakeUp(const model::Pod& pod) {
  static const net::Cidr kNowhere[] = {*net::Cidr::Parse("240.0.0.0/4"),
                                       *net::Cidr::Parse("100::/64")};
  std::vector<Address> out;
  auto node = snapshot_.nodes.find(pod.node);
  for (const net::Cidr& nowhere : kNowhere) {
    std::optional<Address> address;
    if (node != snapshot_.nodes.end()) {
      for (const net::Cidr& cidr : node->second->pod_cidrs) {
        if (cidr.IsV4() == nowhere.IsV4() && !address) address = FreeIn(cidr);
      }
    }
    if (!address) address = FreeIn(nowhere);
    if (!address) continue;
    taken_.insert(*address);
    out.push_back(*address);
  }
  return out;
}

// The last address of the prefix that no pod has; none where all are taken.
std::optional<Address> World::FreeIn(const net::Cidr& cidr) {
  uint32_t& used = used_[cidr];
  while (true) {
    Address address = FromTheTop(cidr, ++used);
    if (!cidr.Contains(address)) return std::nullopt;
    if (taken_.count(address) == 0) return address;
  }
}

Result<Side> World::Resolve(const Party& party) const {
  if (const auto* address = std::get_if<Address>(&party)) {
    return Side{address->ToString(), nullptr, {*address}, false};
  }
  const auto& wanted = std::get<model::ObjectName>(party);
  const model::PodPtr* found = FindPod(snapshot_, wanted);
  if (!found) return Error{"there is no pod " + wanted.ToString() + NamesLike(snapshot_, wanted)};
  const model::PodPtr& pod = *found;
  const model::ObjectName& name = pod->name;
  if (pod->IsLive()) return PodSide(pod, made_up_.count(name) > 0);
  if (!pod->host_network) {
    return Error{"pod " + name.ToString() + " has ended: no policy selects or matches it"};
  }
  Side side = PodSide(pod, false);
  auto node = snapshot_.nodes.find(pod->node);
  if (side.addresses.empty() && node != snapshot_.nodes.end()) {
    side.addresses = node->second->addresses;
  }
  if (side.addresses.empty()) {
    std::string uses = "pod " + name.ToString() + " uses its node's network, and ";
    if (pod->node.empty()) {
      return Error{uses +
                   "its node is not known: give it spec.nodeName, and add that Node with "
                   "status.addresses to the manifests"};
    }
    return Error{uses + "the addresses of node \"" + pod->node +
                 "\" are not known: add that Node with status.addresses to the manifests"};
  }
  return side;
}

std::vector<Side> World::LivePods() const {
  std::vector<Side> out;
  for (const auto& [name, pod] : snapshot_.pods) {
    if (pod->IsLive()) out.push_back(PodSide(pod, made_up_.count(name) > 0));
  }
  return out;
}

Result<Port> World::ResolvePort(const Side& to, const Destination& destination) const {
  if (const auto* number = std::get_if<uint16_t>(&destination.port)) {
    return Port{destination.protocol, *number};
  }
  const auto* name = std::get_if<std::string>(&destination.port);
  if (name == nullptr) return Port{destination.protocol, 0};
  if (!to.pod) return Error{to.name + " is no pod: give the port \"" + *name + "\" by number"};
  for (const model::ContainerPort& port : to.pod->ports) {
    if (port.name == *name && port.protocol == destination.protocol) {
      return Port{port.protocol, port.port};
    }
  }
  return Error{"pod " + to.name + " has no " + net::ToString(destination.protocol) +
               " port named \"" + *name + "\""};
}

std::vector<Port> DeclaredPorts(const Side& side) {
  std::vector<Port> out;
  if (!side.pod) return out;
  for (const model::ContainerPort& port : side.pod->ports) {
    Port p{port.protocol, port.port};
    if (std::find(out.begin(), out.end(), p) == out.end()) out.push_back(p);
  }
  return out;
}

}  // namespace sallyport::cli
