// SPDX-License-Identifier: Apache-2.0
#include "unit/dataplane/images.h"

#include <algorithm>

namespace sallyport::test {
namespace {

using policy::Image;
using test::Random;

const std::vector<net::Address>& Addresses() {
  static const std::vector<net::Address> addresses = [] {
    std::vector<net::Address> out;
    for (const char* text :
         {"10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.255.255", "10.1.0.0", "0.0.0.0",
          "255.255.255.255", "192.0.2.77", "192.0.2.78", "fd00::1", "fd00::2", "fd00:0:0:1::1",
          "fd00:0:0:1::2", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8::7",
          "::fffe:10.0.0.1"})
      out.push_back(*net::Address::Parse(text));
    return out;
  }();
  return addresses;
}

net::Cidr RandomCidr(Random& random) {
  const net::Address& address = random.Pick(Addresses());
  return net::Cidr(address, random.Between(0, address.IsV4() ? 32 : 128));
}

std::vector<net::PortRange> RandomRanges(Random& random) {
  std::vector<net::PortRange> out;
  int from = random.Chance(20) ? 0 : random.Between(0, 70000);
  while (from <= 65535 && out.size() < 3) {
    int to = std::min(65535,
                      from + (random.Chance(50) ? random.Between(0, 3) : random.Between(0, 70000)));
    out.push_back({static_cast<uint16_t>(from), static_cast<uint16_t>(to)});
    from = to + 2 + random.Between(0, 3000);
  }
  return out;
}

policy::PortSet RandomPorts(Random& random) {
  policy::PortSet out;
  if (random.Chance(70)) out.tcp = RandomRanges(random);
  if (random.Chance(40)) out.udp = RandomRanges(random);
  if (random.Chance(30)) out.sctp = RandomRanges(random);
  return out;
}

constexpr int kPods = 8;
constexpr policy::IdentityId kIdentities = 9;

model::ObjectName PodName(int i) { return {"ns", "pod" + std::to_string(i)}; }

policy::IdentityId RandomIdentity(Random& random) {
  return static_cast<policy::IdentityId>(random.Below(kIdentities));  // 0 included
}

// A number that no image of this sequence had.
uint32_t FreshNumber() {
  static uint32_t last = 1000;
  return ++last;
}

policy::PortSetId RandomPortSet(Random& random, Image& image, policy::Changes& changes) {
  if (random.Chance(15)) {
    policy::PortSetId id = FreshNumber();
    image.port_sets[id] = RandomPorts(random);
    changes.port_sets.insert(id);
    return id;
  }
  size_t pick = random.Below(image.port_sets.size() + 2);
  if (pick < 2) return static_cast<policy::PortSetId>(pick);
  return std::next(image.port_sets.begin(), static_cast<long>(pick - 2))->first;
}

policy::SetId RandomSet(Random& random, const Image& image) {
  size_t pick = random.Below(image.sets.size() + 1);
  return pick == 0 ? policy::kNoSet
                   : std::next(image.sets.begin(), static_cast<long>(pick - 1))->first;
}

policy::PolicySet RandomPolicySet(Random& random, Image& image, policy::Changes& changes) {
  policy::PolicySet out;
  out.any = RandomPortSet(random, image, changes);
  for (policy::IdentityId id = 1; id < kIdentities; ++id) {
    policy::PortSetId ports = RandomPortSet(random, image, changes);
    if (random.Chance(50) && ports != out.any) out.rules[id] = ports;
  }
  return out;
}

void ChangePeer(Random& random, Image& image, policy::Changes& changes) {
  const net::Address& address = random.Pick(Addresses());
  changes.peers.insert(address);
  if (random.Chance(40)) {
    image.peers.erase(address);
  } else {
    image.peers[address] = RandomIdentity(random);
  }
}

void ChangePrefix(Random& random, Image& image, policy::Changes& changes) {
  net::Cidr cidr = RandomCidr(random);
  if (random.Chance(50) && !image.prefixes.empty())
    cidr = std::next(image.prefixes.begin(), static_cast<long>(random.Below(image.prefixes.size())))
               ->first;
  changes.prefixes.insert(cidr);
  if (random.Chance(40)) {
    image.prefixes.erase(cidr);
  } else {
    image.prefixes[cidr] = RandomIdentity(random);
  }
}

void ChangeSet(Random& random, Image& image, policy::Changes& changes) {
  policy::SetId id = RandomSet(random, image);
  if (id == policy::kNoSet || random.Chance(30)) {
    id = FreshNumber();
    image.sets[id] = RandomPolicySet(random, image, changes);
  } else if (random.Chance(50)) {
    image.sets[id] = RandomPolicySet(random, image, changes);
  } else {
    policy::PolicySet& set = image.sets[id];
    policy::IdentityId identity =
        1 + static_cast<policy::IdentityId>(random.Below(kIdentities + 3));
    policy::PortSetId ports = RandomPortSet(random, image, changes);
    set.rules.erase(identity);
    if (random.Chance(60) && ports != set.any) set.rules[identity] = ports;
    changes.rules.insert({id, identity});
    return;
  }
  changes.sets.insert(id);
}

void ChangeEndpoint(Random& random, Image& image, policy::Changes& changes) {
  model::ObjectName name = PodName(random.Between(0, kPods - 1));
  changes.endpoints.insert(name);
  if (random.Chance(25)) {
    image.endpoints.erase(name);
  } else {
    image.endpoints[name] = {{}, RandomSet(random, image), RandomSet(random, image)};
  }
}

// Port sets that nothing refers to go, and sometimes sets, as a Compiler's do.
void Sweep(Random& random, Image& image, policy::Changes& changes) {
  std::set<policy::SetId> used;
  for (const auto& [name, endpoint] : image.endpoints)
    used.insert({endpoint.egress, endpoint.ingress});
  bool sets = random.Chance(50);
  for (auto it = image.sets.begin(); sets && it != image.sets.end();) {
    if (!used.contains(it->first)) changes.sets.insert(it->first);
    it = used.contains(it->first) ? std::next(it) : image.sets.erase(it);
  }
  std::set<policy::PortSetId> ports;
  for (const auto& [id, set] : image.sets) {
    ports.insert(set.any);
    for (const auto& [identity, number] : set.rules) ports.insert(number);
  }
  for (auto it = image.port_sets.begin(); it != image.port_sets.end();) {
    if (!ports.contains(it->first)) changes.port_sets.insert(it->first);
    it = ports.contains(it->first) ? std::next(it) : image.port_sets.erase(it);
  }
}

}  // namespace

Image RandomImage(Random& random) {
  Image image;
  for (int i = 0; i < 12; ++i) RandomChange(random, image);
  return image;
}

policy::Changes RandomChange(Random& random, Image& image) {
  policy::Changes changes;
  int count = random.Between(1, 6);
  for (int i = 0; i < count; ++i) {
    switch (random.Below(8)) {
      case 0:
        ChangePeer(random, image, changes);
        break;
      case 1:
        ChangePrefix(random, image, changes);
        break;
      case 2:
      case 3:
        ChangeSet(random, image, changes);
        break;
      case 4:
        ChangeEndpoint(random, image, changes);
        break;
      case 5: {
        const net::Address& address = random.Pick(Addresses());
        if (!image.service_addresses.erase(address)) image.service_addresses.insert(address);
        changes.service_addresses.insert(address);
        break;
      }
      case 6: {
        const net::Address& address = random.Pick(Addresses());
        if (!image.other_nodes.erase(address)) image.other_nodes.insert(address);
        changes.peers.insert(address);
        break;
      }
      default: {
        const net::Address& address = random.Pick(Addresses());
        if (!image.node_addresses.erase(address)) image.node_addresses.insert(address);
        changes.node_addresses = true;
      }
    }
  }
  Sweep(random, image, changes);
  return changes;
}

dataplane::Bindings RandomBindings(Random& random, const Image& image) {
  dataplane::Bindings out;
  for (int i = 0; i < kPods; ++i) {
    bool wanted = image.endpoints.contains(PodName(i)) ? random.Chance(85) : random.Chance(20);
    if (!wanted) continue;
    dataplane::Binding binding{static_cast<uint32_t>(10 + i), {}, random.Chance(50)};
    const auto& addresses = Addresses();
    if (random.Chance(80)) binding.addresses.push_back(addresses[static_cast<size_t>(i)]);
    if (random.Chance(50)) binding.addresses.push_back(addresses[static_cast<size_t>(9 + i)]);
    if (!binding.addresses.empty() && binding.addresses.back().IsV4() &&
        binding.addresses.size() == 2)
      binding.addresses.pop_back();
    out[PodName(i)] = binding;
  }
  return out;
}

std::string Question::ToString() const {
  return pod.ToString() + " (" + std::to_string(ifindex) + ") " +
         (direction == SP_EGRESS ? "egress to " : "ingress from ") + peer.ToString() + " port " +
         std::to_string(port) + "/" + net::ToString(protocol);
}

std::vector<Question> RandomQuestions(Random& random, size_t count) {
  static const std::vector<net::Protocol> protocols = {net::Protocol::kTcp, net::Protocol::kUdp,
                                                       net::Protocol::kSctp, net::Protocol::kIcmp};
  std::vector<Question> out;
  for (size_t i = 0; i < count; ++i) {
    int pod = random.Between(0, kPods - 1);
    net::Address peer = random.Pick(Addresses());
    if (random.Chance(30)) {
      net::Address::Bytes bytes = peer.bytes();
      bytes[random.Below(4) + 12] ^= static_cast<uint8_t>(1u << random.Below(8));
      peer = net::Address(bytes);
    }
    out.push_back({PodName(pod), static_cast<uint32_t>(10 + pod),
                   random.Chance(50) ? SP_EGRESS : SP_INGRESS, peer, random.Pick(protocols),
                   static_cast<uint16_t>(random.Chance(20) ? random.Pick(std::vector<int>{0, 65535})
                                                           : random.Between(0, 65535))});
  }
  return out;
}

Judgement Answer(const Image& image, const dataplane::Bindings& bindings,
                 const Question& question) {
  auto endpoint = image.endpoints.find(question.pod);
  if (endpoint == image.endpoints.end() || !bindings.contains(question.pod))
    return Judgement::kClosed;
  policy::SetId set =
      question.direction == SP_EGRESS ? endpoint->second.egress : endpoint->second.ingress;
  return image.Allows(set, image.IdentityOf(question.peer), question.protocol, question.port)
             ? Judgement::kAllowed
             : Judgement::kDenied;
}

}  // namespace sallyport::test
