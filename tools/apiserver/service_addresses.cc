// SPDX-License-Identifier: Apache-2.0
#include "apiserver/service_addresses.h"

#include <algorithm>
#include <cstdint>

#include "apiserver/encoding.h"

namespace sallyport::apiserver {
namespace {

constexpr int kFirstNodePort = 30'000;
constexpr int kLastNodePort = 32'767;
constexpr int kTries = 4096;

std::string FamilyOf(const net::Cidr& cidr) { return cidr.IsV4() ? "IPv4" : "IPv6"; }

std::string NameOf(const Value& service) {
  return TextAt(service, {"metadata", "namespace"}) + "/" + TextAt(service, {"metadata", "name"});
}

net::Address Plus(const net::Cidr& cidr, uint64_t number) {
  net::Address::Bytes bytes = cidr.address().bytes();
  for (size_t i = bytes.size(); i-- > 0 && number > 0;) {
    number += bytes[i];
    bytes[i] = static_cast<uint8_t>(number);
    number >>= 8;
  }
  return net::Address(bytes);
}

// How many addresses a prefix has, at most 2^32.
uint64_t SizeOf(const net::Cidr& cidr) {
  int bits = (cidr.IsV4() ? 32 : 128) - cidr.length();
  return uint64_t{1} << std::min(bits, 32);
}

uint64_t RandomBelow(uint64_t limit) {
  uint64_t number = 0;
  for (unsigned char byte : RandomBytes(8)) number = number << 8 | byte;
  return number % limit;
}

bool WantsAddress(const Value& spec) {
  return TextAt(spec, {"type"}) != "ExternalName" && TextAt(spec, {"clusterIP"}) != "None";
}

bool WantsPorts(const Value& spec) {
  std::string type = TextAt(spec, {"type"});
  return type == "NodePort" ||
         (type == "LoadBalancer" && Text(spec.Find("allocateLoadBalancerNodePorts")) != "false");
}

std::string PortKey(int64_t port, const std::string& protocol) {
  return std::to_string(port) + "/" + protocol;
}

// What was allotted before and is not mentioned now stays.
void KeepFromOld(Value& spec, const Value* old) {
  const Value* before = old ? old->Find("spec") : nullptr;
  if (!before) return;
  if (WantsAddress(spec) && WantsAddress(*before)) {
    for (const char* key : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"})
      if (const Value* value = before->Find(key)) Default(spec, key, *value);
    // An empty text counts as not mentioned.
    if (TextAt(spec, {"clusterIP"}).empty() && before->Find("clusterIP"))
      Set(spec, "clusterIP", *before->Find("clusterIP"));
  }
  if (!WantsPorts(spec) || !WantsPorts(*before)) return;
  Value* ports = Find(spec, "ports");
  if (!ports) return;
  for (Value& port : ports->items) {
    if (IntegerAt(port, {"nodePort"}).value_or(0) != 0) continue;
    for (const Value& other : Items(before->Find("ports"))) {
      const Value* node_port = other.Find("nodePort");
      if (node_port && Text(other.Find("port")) == Text(port.Find("port")) &&
          Text(other.Find("protocol")) == Text(port.Find("protocol")))
        Set(port, "nodePort", *node_port);
    }
  }
}

// A service that is no longer of a type gives up what came with it.
void DropUnfit(Value& spec, const Value* old) {
  const Value* before = old ? old->Find("spec") : nullptr;
  if (!before) return;
  if (TextAt(spec, {"type"}) == "ExternalName" && TextAt(*before, {"type"}) != "ExternalName")
    for (const char* key : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"})
      Erase(spec, key);
  if (WantsPorts(spec) || !WantsPorts(*before)) return;
  if (Value* ports = Find(spec, "ports"))
    for (Value& port : ports->items) Erase(port, "nodePort");
}

}  // namespace

std::vector<Cause> ServiceAddresses::Fill(Value& service, const Value* old) const {
  std::vector<Cause> causes;
  Value& spec = Child(service, "spec");
  KeepFromOld(spec, old);
  DropUnfit(spec, old);
  if (TextAt(spec, {"type"}) != "ExternalName") {
    FillFamilies(spec, old, &causes);
    if (causes.empty()) FillAddresses(spec, old, &causes);
  }
  FillPorts(spec, old, NameOf(service), &causes);
  return causes;
}

void ServiceAddresses::FillFamilies(Value& spec, const Value*, std::vector<Cause>* causes) const {
  std::vector<std::string> families = Texts(spec.Find("ipFamilies"));
  if (families.empty()) {
    // By the addresses that were asked for.
    std::vector<std::string> asked = Texts(spec.Find("clusterIPs"));
    if (asked.empty()) asked = {TextAt(spec, {"clusterIP"})};
    for (const std::string& text : asked)
      if (auto address = net::Address::Parse(text))
        families.push_back(address->IsV4() ? "IPv4" : "IPv6");
  }
  if (families.empty()) families.push_back(FamilyOf(cidrs_[0]));
  std::string policy = TextAt(spec, {"ipFamilyPolicy"});
  if (policy.empty()) policy = families.size() > 1 ? "RequireDualStack" : "SingleStack";
  bool dual = policy != "SingleStack";
  if (!dual && families.size() > 1) {
    if (spec.Find("ipFamilyPolicy") && Texts(spec.Find("ipFamilies")).size() > 1)
      families.resize(1);
  }
  for (const net::Cidr& cidr : cidrs_)
    if (dual && families.size() < cidrs_.size() && families[0] != FamilyOf(cidr))
      families.push_back(FamilyOf(cidr));
  for (size_t i = 0; i < families.size(); ++i) {
    bool there = std::any_of(cidrs_.begin(), cidrs_.end(),
                             [&](const net::Cidr& cidr) { return FamilyOf(cidr) == families[i]; });
    if (!there)
      causes->push_back(BadValue("spec.ipFamilies[" + std::to_string(i) + "]", families[i],
                                 "not configured on this cluster"));
  }
  if (policy == "RequireDualStack" && cidrs_.size() < 2)
    causes->push_back(BadValue("spec.ipFamilyPolicy", policy,
                               "this cluster is not configured for dual-stack services"));
  Value list = Sequence();
  for (const std::string& family : families) list.items.push_back(String(family));
  Set(spec, "ipFamilies", std::move(list));
  Set(spec, "ipFamilyPolicy", String(policy));
}

std::string ServiceAddresses::FreeAddress(const net::Cidr& cidr, std::vector<Cause>* causes) const {
  // The first ones are left to those who ask for them (KEP 3070).
  uint64_t size = SizeOf(cidr);
  uint64_t low = std::min<uint64_t>(256, std::max<uint64_t>(16, size / 16));
  if (size <= low + 2) low = 1;
  for (int i = 0; i < kTries; ++i) {
    std::string text = Plus(cidr, low + RandomBelow(size - low - 1)).ToString();
    if (!addresses_.count(text)) return text;
  }
  for (uint64_t i = 1; i + 1 < std::min<uint64_t>(size, 1u << 20); ++i) {
    std::string text = Plus(cidr, i).ToString();
    if (!addresses_.count(text)) return text;
  }
  causes->push_back({"InternalError",
                     "failed to allocate IP: range " + cidr.ToString() + " is full",
                     "spec.clusterIPs"});
  return "";
}

void ServiceAddresses::FillAddresses(Value& spec, const Value* old,
                                     std::vector<Cause>* causes) const {
  if (TextAt(spec, {"clusterIP"}) == "None") {
    Set(spec, "clusterIPs", Sequence({String("None")}));
    return;
  }
  std::vector<std::string> before =
      old ? Texts(At(*old, {"spec", "clusterIPs"})) : std::vector<std::string>();
  std::vector<std::string> asked = Texts(spec.Find("clusterIPs"));
  std::string first = TextAt(spec, {"clusterIP"});
  if (asked.empty() && !first.empty()) asked.push_back(first);
  std::vector<std::string> families = Texts(spec.Find("ipFamilies"));
  asked.resize(families.size());
  for (size_t i = 0; i < families.size(); ++i) {
    auto cidr = std::find_if(cidrs_.begin(), cidrs_.end(),
                             [&](const net::Cidr& one) { return FamilyOf(one) == families[i]; });
    if (cidr == cidrs_.end()) continue;  // told by FillFamilies
    if (asked[i].empty()) {
      asked[i] = FreeAddress(*cidr, causes);
      continue;
    }
    if (std::find(before.begin(), before.end(), asked[i]) != before.end()) continue;
    std::string field = "spec.clusterIPs";
    auto address = net::Address::Parse(asked[i]);
    if (!address) {
      causes->push_back(BadValue(field + "[" + std::to_string(i) + "]", asked[i],
                                 "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"));
    } else if (!cidr->Contains(*address)) {
      Value list = Sequence({String(asked[i])});
      causes->push_back(BadValue(
          field, list,
          "failed to allocate IP " + asked[i] + ": the provided IP (" + asked[i] +
              ") is not in the valid range. The range of valid IPs is " + cidr->ToString()));
    } else if (addresses_.count(address->ToString())) {
      Value list = Sequence({String(asked[i])});
      causes->push_back(BadValue(
          field, list, "failed to allocate IP " + asked[i] + ": provided IP is already allocated"));
    }
  }
  Value list = Sequence();
  for (const std::string& address : asked) list.items.push_back(String(address));
  if (!asked.empty()) Set(spec, "clusterIP", String(asked[0]));
  Set(spec, "clusterIPs", std::move(list));
}

void ServiceAddresses::FillPorts(Value& spec, const Value*, const std::string& owner,
                                 std::vector<Cause>* causes) const {
  Value* ports = Find(spec, "ports");
  if (!WantsPorts(spec) || !IsSequence(ports)) return;
  auto taken = [&](int64_t port, const std::string& protocol) {
    auto found = ports_.find(PortKey(port, protocol));
    return found != ports_.end() && found->second != owner;
  };
  std::vector<std::string> own;
  auto mine = [&](int64_t port, const std::string& protocol) {
    return std::find(own.begin(), own.end(), PortKey(port, protocol)) != own.end();
  };
  for (const Value& port : ports->items)
    if (int64_t number = IntegerAt(port, {"nodePort"}).value_or(0))
      own.push_back(PortKey(number, TextAt(port, {"protocol"})));
  for (size_t i = 0; i < ports->items.size(); ++i) {
    Value& port = ports->items[i];
    std::string field = "spec.ports[" + std::to_string(i) + "].nodePort";
    std::string protocol = TextAt(port, {"protocol"});
    int64_t number = IntegerAt(port, {"nodePort"}).value_or(0);
    if (number != 0) {
      if (number < kFirstNodePort || number > kLastNodePort)
        causes->push_back(BadValue(field, Integer(number),
                                   "provided port is not in the valid range. The range of valid "
                                   "ports is 30000-32767"));
      else if (taken(number, protocol))
        causes->push_back(BadValue(field, Integer(number), "provided port is already allocated"));
      continue;
    }
    for (int attempt = 0; attempt < kTries && number == 0; ++attempt) {
      int64_t candidate =
          kFirstNodePort + static_cast<int64_t>(RandomBelow(kLastNodePort - kFirstNodePort + 1));
      if (!ports_.count(PortKey(candidate, protocol)) && !mine(candidate, protocol))
        number = candidate;
    }
    if (number == 0) causes->push_back({"InternalError", "no node port is free", field});
    own.push_back(PortKey(number, protocol));
    Set(port, "nodePort", Integer(number));
  }
}

void ServiceAddresses::Take(const Value& service) {
  Release(service);
  std::string name = NameOf(service);
  for (const std::string& text : Texts(At(service, {"spec", "clusterIPs"})))
    if (auto address = net::Address::Parse(text)) addresses_[address->ToString()] = name;
  for (const Value& port : Items(At(service, {"spec", "ports"})))
    if (int64_t number = IntegerAt(port, {"nodePort"}).value_or(0))
      ports_[PortKey(number, TextAt(port, {"protocol"}))] = name;
}

void ServiceAddresses::Release(const Value& service) {
  std::string name = NameOf(service);
  std::erase_if(addresses_, [&](const auto& entry) { return entry.second == name; });
  std::erase_if(ports_, [&](const auto& entry) { return entry.second == name; });
}

}  // namespace sallyport::apiserver
