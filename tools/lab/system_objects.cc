// SPDX-License-Identifier: Apache-2.0
#include "lab/system_objects.h"

#include <agent_objects.h>  // daemonset/rbac.yaml, daemonset/egressgateways.yaml

#include <utility>

#include "lab/dns_command.h"
#include "lab/files.h"
#include "model/document.h"

namespace sallyport::lab {
namespace {

constexpr const char* kAgentNamespace =
    "{apiVersion: v1, kind: Namespace, metadata: {name: sallyport-system}}\n---\n";

Status Add(const std::string& text, const std::string& what, std::vector<Value>* out) {
  model::ParsedText parsed = model::ParseText(text, what);
  if (model::HasErrors(parsed.diagnostics)) return Error{parsed.diagnostics.front().ToString(), 0};
  for (Value& document : parsed.documents) out->push_back(std::move(document));
  return Ok();
}

Result<DnsDeployment> DnsOf(const LabState& state, const std::vector<std::string>& hosts) {
  DnsDeployment dns;
  dns.addresses = DnsAddresses(state.networks.services);
  for (const std::string& path : hosts) {
    auto text = ReadFile(path);
    if (!text) return std::move(text).error();
    auto more = ParseHosts(*text);
    if (!more) return std::move(more).error().Context(path);
    dns.hosts.insert(dns.hosts.end(), more->begin(), more->end());
  }
  return dns;
}

}  // namespace

Result<std::vector<Value>> SystemObjects(const LabState& state,
                                         const std::vector<std::string>& hosts) {
  std::vector<Value> out;
  Status added =
      Add(std::string(kAgentNamespace) + kAgentKinds + "\n---\n" + kAgentRbac, "agents", &out);
  if (added && state.dns) {
    auto dns = DnsOf(state, hosts);
    if (!dns) return std::move(dns).error();
    added = Add("{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}\n---\n" +
                    DnsManifests(*dns),
                "cluster DNS", &out);
  }
  if (!added) return std::move(added).error();
  return out;
}

}  // namespace sallyport::lab
