// SPDX-License-Identifier: Apache-2.0
// EgressGateway. The CustomResourceDefinition (daemonset/egressgateways.yaml) says the same in its
// schema, as far as a schema can.
#include <algorithm>
#include <array>

#include "model/decode.h"

namespace sallyport::model {
namespace {

const std::vector<std::string_view> kGatewaySpecFields = {"egressIPs", "pods", "destinations",
                                                          "gateways", "portBlockSize"};
const std::vector<std::string_view> kGatewayPodsFields = {"namespaceSelector", "podSelector"};
const std::vector<std::string_view> kDestinationFields = {"cidrs", "except"};
const std::vector<std::string_view> kGatewayNodesFields = {"nodeSelector", "interface"};

constexpr size_t kMostEgressIps = 16;
constexpr size_t kMostCidrs = 1024;
constexpr int64_t kLeastBlock = 64;
constexpr int64_t kMostBlock = 16384;
constexpr size_t kMostInterface = 15;  // IFNAMSIZ with its zero

// Addresses that no router brings a packet to; "" where it is another.
std::string_view Unroutable(const net::Address& address) {
  struct Range {
    const char* cidr;
    std::string_view what;
  };
  static constexpr std::array<Range, 9> kRanges = {{{"0.0.0.0/8", "an unspecified address"},
                                                    {"127.0.0.0/8", "a loopback address"},
                                                    {"169.254.0.0/16", "a link-local address"},
                                                    {"224.0.0.0/4", "a multicast address"},
                                                    {"240.0.0.0/4", "a reserved address"},
                                                    {"::/128", "the unspecified address"},
                                                    {"::1/128", "the loopback address"},
                                                    {"fe80::/10", "a link-local address"},
                                                    {"ff00::/8", "a multicast address"}}};
  for (const Range& range : kRanges) {
    if (net::Cidr::Parse(range.cidr).value().Contains(address)) return range.what;
  }
  return "";
}

void DecodeEgressIp(const Cursor& item, std::vector<net::Address>& out) {
  if (!item.IsString()) return;
  auto address = net::Address::Parse(item.text());
  if (!address) {
    std::string message = address.error().message;
    if (net::Cidr::Parse(item.text())) message += ": write one address, without a length";
    item.Error(message);
  } else if (address->IsV4() && item.text().find(':') != std::string::npos) {
    item.Error(Quoted(item.text()) + " is an IPv4 address: write " + address->ToString());
  } else if (std::string_view what = Unroutable(*address); !what.empty()) {
    item.Error(address->ToString() + " is " + std::string(what) +
               ", from which nothing is answered: write an address that is routed to the gateways");
  } else if (std::find(out.begin(), out.end(), *address) != out.end()) {
    item.Error(address->ToString() + " is listed already");
  } else {
    out.push_back(*address);
  }
}

void DecodeEgressIps(const Cursor& spec, EgressGateway& out) {
  std::optional<Cursor> list = spec.Child("egressIPs");
  if (!list) {
    spec.ErrorAt("egressIPs", "is required: the addresses that the destinations see");
    return;
  }
  spec.Each("egressIPs", [&](const Cursor& item) { DecodeEgressIp(item, out.egress_ips); });
  if (list->value().type != Value::Type::kSequence) return;
  size_t size = list->value().items.size();
  if (size == 0) list->Error("must have at least one address");
  if (size > kMostEgressIps) {
    list->Error("must have no more than " + std::to_string(kMostEgressIps) +
                " addresses, but has " + std::to_string(size));
  }
}

void DecodeGatewayPods(const Cursor& spec, EgressGateway& out) {
  std::optional<Cursor> pods = spec.Mapping("pods");
  if (!pods) {
    if (!spec.Child("pods")) {
      spec.ErrorAt("pods", "is required: a podSelector, a namespaceSelector, or both");
    }
    return;
  }
  pods->Known(kGatewayPodsFields);
  out.namespaces = DecodeSelectorAt(*pods, "namespaceSelector");
  out.pods = DecodeSelectorAt(*pods, "podSelector");
  if (!pods->Child("namespaceSelector") && !pods->Child("podSelector")) {
    pods->Warn("is empty: it selects every pod of the cluster; write podSelector: {} to say so");
  }
}

// A list of CIDRs; `check` may refuse one (and says so).
template <typename Check>
std::vector<net::Cidr> DecodeCidrs(const Cursor& parent, std::string_view key, Check check) {
  std::vector<net::Cidr> out;
  parent.Each(key, [&](const Cursor& item) {
    std::optional<net::Cidr> cidr = DecodeCidr(item);
    if (!cidr || !check(item, *cidr)) return;
    if (std::find(out.begin(), out.end(), *cidr) != out.end()) {
      item.Warn(cidr->ToString() + " is listed already");
    } else {
      out.push_back(*cidr);
    }
  });
  if (out.size() > kMostCidrs) {
    parent.ErrorAt(key, "must have no more than " + std::to_string(kMostCidrs) +
                            " CIDRs, but has " + std::to_string(out.size()));
  }
  std::sort(out.begin(), out.end());
  return out;
}

void DecodeDestinations(const Cursor& spec, EgressGateway& out) {
  std::optional<Cursor> at = spec.Mapping("destinations");
  if (!at) return;
  at->Known(kDestinationFields);
  size_t understood = 0;
  out.destinations = DecodeCidrs(*at, "cidrs", [&](const Cursor&, const net::Cidr&) {
    ++understood;
    return true;
  });
  std::optional<Cursor> cidrs = at->Child("cidrs");
  // Whatever lies within those that were reported is not reported again.
  bool all_known = cidrs && understood > 0 && understood == cidrs->value().items.size();
  out.except = DecodeCidrs(*at, "except", [&](const Cursor& item, const net::Cidr& hole) {
    const std::vector<net::Cidr>& all = out.destinations;
    auto around = [&](const net::Cidr& cidr) { return cidr.Contains(hole); };
    if (all_known && std::none_of(all.begin(), all.end(), around)) {
      item.Error(hole.ToString() + " must lie within one of cidrs");
      return false;
    }
    if (std::find(all.begin(), all.end(), hole) != all.end()) {
      item.Warn("leaves nothing of " + hole.ToString() + " in cidrs");
    }
    return true;
  });
}

void DecodeInterface(const Cursor& gateways, EgressGateway& out) {
  const std::string* name = gateways.String("interface");
  if (!name) return;
  bool good = !name->empty() && name->size() <= kMostInterface && *name != "." && *name != ".." &&
              std::all_of(name->begin(), name->end(),
                          [](char c) { return c > ' ' && c != 0x7f && c != '/' && c != ':'; });
  if (!good) {
    gateways.ErrorAt("interface", Quoted(*name) +
                                      " is not the name of a network interface (such as eth1): it "
                                      "has 1 to 15 characters, without spaces, '/' and ':'");
    return;
  }
  out.interface = *name;
}

void DecodeGatewayNodes(const Cursor& spec, EgressGateway& out) {
  std::optional<Cursor> gateways = spec.Mapping("gateways");
  if (!gateways) {
    if (!spec.Child("gateways")) {
      spec.ErrorAt("gateways",
                   "is required: a nodeSelector for the nodes that may hold the "
                   "addresses");
    }
    return;
  }
  gateways->Known(kGatewayNodesFields);
  if (auto nodes = DecodeSelectorAt(*gateways, "nodeSelector")) {
    out.gateways = std::move(*nodes);
  } else if (!gateways->Child("nodeSelector")) {
    gateways->WarnAt("nodeSelector",
                     "is missing: every node may hold the addresses; write nodeSelector: {} to say "
                     "so");
  }
  DecodeInterface(*gateways, out);
}

void DecodeBlockSize(const Cursor& spec, EgressGateway& out) {
  std::optional<int64_t> size = spec.Integer("portBlockSize");
  if (!size) return;
  bool power = *size > 0 && (*size & (*size - 1)) == 0;
  if (!power || *size < kLeastBlock || *size > kMostBlock) {
    spec.ErrorAt("portBlockSize",
                 std::to_string(*size) + " must be a power of two from 64 to 16384 (such as 1024)");
    return;
  }
  out.port_block_size = static_cast<int>(*size);
}

// Once for each family.
void WarnOfLostFamilies(const Cursor& spec, const EgressGateway& gateway) {
  for (bool v4 : {true, false}) {
    auto of_family = [&](const auto& x) { return x.IsV4() == v4; };
    const std::vector<net::Cidr>& all = gateway.destinations;
    auto lost = std::find_if(all.begin(), all.end(), of_family);
    if (lost == all.end() ||
        std::any_of(gateway.egress_ips.begin(), gateway.egress_ips.end(), of_family)) {
      continue;
    }
    std::string family = v4 ? "IPv4" : "IPv6";
    spec.WarnAt("egressIPs", "has no " + family + " address: packets to " + lost->ToString() +
                                 " are dropped, as to all of destinations that is " + family);
  }
}

}  // namespace

EgressGatewayPtr DecodeEgressGateway(const Cursor& object, Meta meta) {
  object.Known(kObjectFields);
  auto out = std::make_shared<EgressGateway>();
  out->name = std::move(meta.name.name);
  out->uid = std::move(meta.uid);
  out->created = std::move(meta.created);
  out->generation = meta.generation;
  out->place = PlaceOf(object);
  std::optional<Cursor> spec = object.Mapping("spec");
  if (!spec) {
    if (!object.Child("spec")) object.ErrorAt("spec", "is required");
    return out;
  }
  // It may narrow what is pinned, and nobody else reads this kind.
  object.report().RefuseUnknown();
  spec->Known(kGatewaySpecFields);
  DecodeEgressIps(*spec, *out);
  DecodeGatewayPods(*spec, *out);
  DecodeDestinations(*spec, *out);
  DecodeGatewayNodes(*spec, *out);
  DecodeBlockSize(*spec, *out);
  if (!object.report().failed()) WarnOfLostFamilies(*spec, *out);
  return out;
}

}  // namespace sallyport::model
