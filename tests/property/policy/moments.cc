// SPDX-License-Identifier: Apache-2.0
#include "property/policy/moments.h"

#include <algorithm>
#include <map>
#include <set>

#include "policy/evaluate.h"
#include "support/world.h"

namespace sallyport::test {
namespace {

using dataplane::Bindings;
using policy::Direction;

constexpr uint32_t kFirstInterface = 10, kInterfaces = 10;

// Addresses that pods here have, or had.
std::vector<net::Address> AddressesOf(const Moment& a, const Moment& b) {
  std::set<net::Address> out;
  for (const Moment* m : {&a, &b}) {
    for (const auto& [name, endpoint] : m->image.endpoints)
      out.insert(endpoint.addresses.begin(), endpoint.addresses.end());
    for (const auto& [name, binding] : m->bindings)
      out.insert(binding.addresses.begin(), binding.addresses.end());
  }
  return {out.begin(), out.end()};
}

// Interfaces come and go, and change their addresses and their pods.
class Wires {
 public:
  Wires(Random& random, const Moment& before, const Moment& after)
      : random_(random), image_(after.image), out_(before.bindings) {
    addresses_ = AddressesOf(before, after);
  }

  Bindings Change() {
    for (auto it = out_.begin(); it != out_.end();)
      it = image_.endpoints.contains(it->first) ? std::next(it) : out_.erase(it);
    for (const auto& [name, endpoint] : image_.endpoints)
      if (!out_.contains(name) && random_.Chance(80)) Bind(name, endpoint.addresses);
    for (int i = random_.Chance(60) ? random_.Between(1, 2) : 0; i > 0 && !out_.empty(); --i)
      ChangeOne(*std::next(out_.begin(), static_cast<long>(random_.Below(out_.size()))));
    return out_;
  }

 private:
  void Bind(const model::ObjectName& name, const std::vector<net::Address>& addresses) {
    uint32_t ifindex = FreeInterface();
    if (ifindex == 0) return;
    dataplane::Binding& binding = out_[name];
    binding = {ifindex, {}, random_.Chance(50)};
    for (const net::Address& address : addresses) Give(binding, address);
  }
  void ChangeOne(Bindings::value_type& bound) {
    dataplane::Binding& binding = bound.second;
    switch (random_.Below(6)) {
      case 0:
        out_.erase(bound.first);
        break;
      case 1:
        if (uint32_t ifindex = FreeInterface()) binding.ifindex = ifindex;
        break;
      case 2:  // one family less
        if (!binding.addresses.empty())
          binding.addresses.erase(binding.addresses.begin() +
                                  static_cast<long>(random_.Below(binding.addresses.size())));
        break;
      case 3:  // another address, or one more
      case 4: {
        if (addresses_.empty()) break;
        net::Address address = random_.Pick(addresses_);
        if (random_.Chance(60))
          std::erase_if(binding.addresses,
                        [&](const net::Address& a) { return a.IsV4() == address.IsV4(); });
        Give(binding, address);
        break;
      }
      default:  // another pod on the interface
        for (auto& [name, other] : out_)
          if (random_.Chance(50)) return std::swap(other, binding);
    }
  }
  void Give(dataplane::Binding& binding, const net::Address& address) {
    for (const auto& [name, other] : out_)
      for (const net::Address& a : other.addresses)
        if (a == address) return;
    for (const net::Address& a : binding.addresses)
      if (a.IsV4() == address.IsV4()) return;
    binding.addresses.push_back(address);
  }
  uint32_t FreeInterface() const {
    std::set<uint32_t> used;
    for (const auto& [name, binding] : out_) used.insert(binding.ifindex);
    for (uint32_t i = kFirstInterface; i < kFirstInterface + kInterfaces; ++i)
      if (!used.contains(i)) return i;
    return 0;
  }

  Random& random_;
  const policy::Image& image_;
  Bindings out_;
  std::vector<net::Address> addresses_;
};

uint32_t InterfaceOf(Random& random, const net::Address& address, const Moment& before,
                     const Moment& after) {
  std::vector<uint32_t> has, all = {0};
  for (const Moment* m : {&before, &after})
    for (const auto& [name, binding] : m->bindings) {
      all.push_back(binding.ifindex);
      for (const net::Address& a : binding.addresses)
        if (a == address) has.push_back(binding.ifindex);
    }
  if (!has.empty() && random.Chance(85)) return random.Pick(has);
  return random.Chance(15) ? random.Pick(all) : 0;
}

}  // namespace

bool Moment::Allows(const Question& q) const {
  const net::FlowTuple& flow = q.flow;
  return (q.from == 0 ||
          AllowsAt(q.from, Direction::kEgress, flow.source, flow.destination, flow)) &&
         (q.to == 0 || AllowsAt(q.to, Direction::kIngress, flow.destination, flow.source, flow));
}

Answers Moment::AllowsEach(const Questions& questions) const {
  Answers out;
  for (const Question& q : questions) out.push_back(Allows(q));
  return out;
}

bool Moment::AllowsAt(uint32_t ifindex, Direction direction, const net::Address& own,
                      const net::Address& peer, const net::FlowTuple& flow) const {
  for (const auto& [name, binding] : bindings) {
    auto has = [&all = binding.addresses](const net::Address& address) {
      return std::find(all.begin(), all.end(), address) != all.end();
    };
    auto endpoint = image.endpoints.find(name);
    if (binding.ifindex != ifindex || endpoint == image.endpoints.end() || !has(own)) continue;
    if (has(peer)) return true;
    bool egress = direction == Direction::kEgress;
    bool deferred = defer && image.service_addresses.contains(peer);
    if (egress && (deferred || image.node_addresses.contains(peer))) return true;
    auto verdict = policy::Judge(snapshot, *snapshot.pods.at(name), direction, peer, flow.protocol,
                                 flow.destination_port);
    if (verdict.why != policy::Why::kSelf && verdict.why != policy::Why::kOwnNode)
      return verdict.allowed;
    return image.Allows(egress ? endpoint->second.egress : endpoint->second.ingress,
                        image.IdentityOf(peer), flow.protocol, flow.destination_port);
  }
  return false;
}

Bindings ChangedBindings(Random& random, const Moment& before, const Moment& after) {
  return Wires(random, before, after).Change();
}

bool IsReaddressed(const Moment& before, const Moment& after) {
  std::map<uint32_t, std::vector<net::Address>> was;
  for (const auto& [name, binding] : before.bindings) was[binding.ifindex] = binding.addresses;
  for (const auto& [name, binding] : after.bindings) {
    auto it = was.find(binding.ifindex);
    if (it != was.end() && it->second != binding.addresses) return true;
  }
  return false;
}

Questions TellingQuestions(Random& random, const Moment& before, const Moment& after) {
  Questions by_kind[3];
  std::vector<net::FlowTuple> flows = RandomFlows(random, after.snapshot, 50);
  std::vector<net::Address> own = AddressesOf(before, after);
  for (net::FlowTuple flow : RandomFlows(random, before.snapshot, 50)) {
    if (!own.empty()) {
      net::Address address = random.Pick(own);
      net::Address& end = random.Chance(50) ? flow.source : flow.destination;
      if (address.IsV4() == end.IsV4()) end = address;
    }
    flows.push_back(flow);
  }
  for (const net::FlowTuple& flow : flows) {
    Question q{InterfaceOf(random, flow.source, before, after),
               InterfaceOf(random, flow.destination, before, after), flow};
    if (q.from == 0 && q.to == 0) continue;
    bool was = before.Allows(q), is = after.Allows(q);
    by_kind[was != is ? 0 : is ? 1 : 2].push_back(q);
  }
  Questions out;
  for (Questions& kind : by_kind) {
    kind.resize(std::min(kind.size(), size_t{12}), Question{});
    out.insert(out.end(), kind.begin(), kind.end());
  }
  return out;
}

}  // namespace sallyport::test
