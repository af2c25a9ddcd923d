// SPDX-License-Identifier: Apache-2.0
// Any text is answered: nothing throws, hangs or overflows. What is accepted has valid names, is
// the same when it is read again, and whatever is not said to be well has a reason that is
// reported.
#include <algorithm>
#include <set>

#include "base/check.h"
#include "fuzz/input.h"
#include "model/manifest.h"
#include "model/validate_names.h"

namespace sallyport::model {
namespace {

void CheckLabels(const Labels& labels) {
  for (const auto& [key, value] : labels.entries()) {
    CHECK(CheckQualifiedName(key).empty()) << key;
    CHECK(CheckLabelValue(value).empty()) << value;
  }
}

void CheckPort(const PolicyPort& port) {
  CHECK(net::HasPorts(port.protocol));
  if (const auto* range = std::get_if<net::PortRange>(&port.port)) {
    CHECK(range->first >= 1 && range->first <= range->last);
  } else if (const auto* name = std::get_if<std::string>(&port.port)) {
    CHECK(CheckPortName(*name).empty()) << *name;
  }
}

void CheckRules(const std::vector<Rule>& rules) {
  for (const Rule& rule : rules) {
    for (const PolicyPort& port : rule.ports) CheckPort(port);
    for (const Peer& peer : rule.peers) {
      if (const auto* pods = std::get_if<PodPeer>(&peer)) {
        CHECK(pods->namespaces || pods->pods);
        continue;
      }
      const auto& block = std::get<IpBlock>(peer);
      for (const net::Cidr& hole : block.except) {
        CHECK(block.cidr.Contains(hole) && block.cidr != hole) << block.ToString();
      }
    }
  }
}

void CheckObject(const NamespacePtr& object) {
  CheckLabels(object->labels);
  CHECK(object->labels.Find(kNamespaceNameLabel));
}
void CheckObject(const NodePtr& object) { CheckLabels(object->labels); }
void CheckObject(const PodPtr& object) {
  CheckLabels(object->labels);
  CHECK(object->addresses.size() <= 2);
  for (const ContainerPort& port : object->ports) CHECK(port.port != 0);
}
void CheckObject(const NetworkPolicyPtr& object) {
  CheckRules(object->ingress);
  CheckRules(object->egress);
  CHECK(object->isolates_ingress || object->isolates_egress);
}
void CheckObject(const ServicePtr& object) {
  CHECK(object->cluster_ips.size() <= 2);
  CHECK(!object->headless || object->cluster_ips.empty());
  for (const ServicePort& port : object->ports) CHECK(port.port != 0);
}
void CheckObject(const EndpointSlicePtr& object) {
  int v4 = 0;
  int v6 = 0;
  for (const SliceEndpoint& endpoint : object->endpoints) {
    for (const net::Address& address : endpoint.addresses) ++(address.IsV4() ? v4 : v6);
  }
  CHECK(v4 == 0 || v6 == 0);
  for (const SlicePort& port : object->ports) CHECK(!port.port || *port.port != 0);
}
void CheckObject(const EgressGatewayPtr& object) {
  CHECK(!object->egress_ips.empty() && object->egress_ips.size() <= 16);
  for (const net::Cidr& hole : object->except) {
    auto around = [&](const net::Cidr& cidr) { return cidr.Contains(hole); };
    CHECK(object->destinations.empty() ||
          std::any_of(object->destinations.begin(), object->destinations.end(), around))
        << hole.ToString();
  }
  CHECK(object->interface.size() <= 15);
  int size = object->port_block_size;
  CHECK(size >= 64 && size <= 16384 && (size & (size - 1)) == 0) << size;
}
void CheckObject(const LocalAddresses&) { CHECK(false) << "not from a manifest"; }
void CheckObject(const NamespacesListed&) { CHECK(false) << "not from a manifest"; }
void CheckObject(std::monostate) { CHECK(false) << "a manifest removes nothing"; }

}  // namespace
}  // namespace sallyport::model

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::model;
  std::string_view text = sallyport::fuzz::Text(data, size);
  Manifest manifest = ReadManifest(text, "f");
  Manifest again = ReadManifest(text, "f");
  CHECK(manifest.objects.size() == again.objects.size());
  Snapshot snapshot;
  for (const Delta& delta : manifest.objects) {
    std::visit([](const auto& object) { CheckObject(object); }, delta.object);
    CHECK(CheckDnsSubdomain(delta.name.name).empty()) << delta.name.ToString();
    snapshot.Apply(delta);
    CHECK(!snapshot.Apply(delta));
  }
  CHECK(HasErrors(manifest.diagnostics) || (manifest.broken.empty() && !manifest.unreadable));
  int lines = 1;
  for (char c : text) lines += c == '\n';
  for (const Diagnostic& d : manifest.diagnostics) {
    CHECK(d.place.line >= 0 && d.place.line <= lines) << d.ToString();
    CHECK(!d.message.empty());
  }
  return 0;
}
