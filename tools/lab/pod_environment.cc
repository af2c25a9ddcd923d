// SPDX-License-Identifier: Apache-2.0
#include "lab/pod_environment.h"

#include <algorithm>
#include <utility>

namespace sallyport::lab {
namespace {

constexpr const char* kTokenVolume = "kube-api-access-lab";

Value TokenVolume() {
  Value token = Mapping({{"path", String("token")}, {"expirationSeconds", Integer(3607)}});
  Value ca = Mapping(
      {{"name", String("kube-root-ca.crt")},
       {"items", Sequence({Mapping({{"key", String("ca.crt")}, {"path", String("ca.crt")}})})}});
  Value field = Mapping({{"fieldPath", String("metadata.namespace")}});
  Value ns = Mapping(
      {{"items",
        Sequence({Mapping({{"path", String("namespace")}, {"fieldRef", std::move(field)}})})}});
  Value sources = Sequence({Mapping({{"serviceAccountToken", std::move(token)}}),
                            Mapping({{"configMap", std::move(ca)}}),
                            Mapping({{"downwardAPI", std::move(ns)}})});
  return Mapping(
      {{"name", String(kTokenVolume)}, {"projected", Mapping({{"sources", std::move(sources)}})}});
}

// Adds the mount where there is none at that path; false where no container needed it.
bool MountToken(Value* containers) {
  bool any = false;
  for (Value& container : containers->items) {
    Value mounts = Sequence(Items(container.Find("volumeMounts")));
    bool there = std::any_of(mounts.items.begin(), mounts.items.end(), [](const Value& mount) {
      return TextAt(mount, {"mountPath"}) == kTokenPath;
    });
    if (there) continue;
    mounts.items.push_back(Mapping({{"name", String(kTokenVolume)},
                                    {"readOnly", Boolean(true)},
                                    {"mountPath", String(kTokenPath)}}));
    Set(container, "volumeMounts", std::move(mounts));
    any = true;
  }
  return any;
}

std::string Resolver(const Value& pod, const ClusterFacts& cluster) {
  std::string policy = TextAt(pod, {"spec", "dnsPolicy"});
  bool on_host = IsTrue(At(pod, {"spec", "hostNetwork"}));
  // The API: ClusterFirst on the host's network means Default, which is the node's own resolver;
  // a node of the lab has none.
  bool by_cluster = policy == "ClusterFirstWithHostNet" ||
                    ((policy.empty() || policy == "ClusterFirst") && !on_host);
  std::vector<std::string> servers;
  std::vector<std::string> searches;
  std::vector<std::pair<std::string, std::string>> options;
  if (by_cluster) {
    servers = cluster.nameservers;
    std::string ns = NameOf(pod).ns;
    searches = {ns + ".svc." + cluster.domain, "svc." + cluster.domain, cluster.domain};
    options.emplace_back("ndots", "5");
  }
  const Value* config = At(pod, {"spec", "dnsConfig"});
  if (config) {
    for (const std::string& server : Texts(config->Find("nameservers"))) servers.push_back(server);
    for (const std::string& search : Texts(config->Find("searches"))) searches.push_back(search);
    for (const Value& option : Items(config->Find("options"))) {
      std::string name = TextAt(option, {"name"});
      std::erase_if(options, [&](const auto& old) { return old.first == name; });
      options.emplace_back(name, TextAt(option, {"value"}));
    }
  }
  std::string out;
  for (const std::string& server : servers) out += "nameserver " + server + "\n";
  if (!searches.empty()) {
    out += "search";
    for (const std::string& search : searches) out += " " + search;
    out += "\n";
  }
  if (!options.empty()) {
    out += "options";
    for (const auto& [name, value] : options)
      out += " " + name + (value.empty() ? "" : ":" + value);
    out += "\n";
  }
  return out;
}

std::string Hosts(const Value& pod, const std::string& hostname,
                  const std::vector<std::string>& addresses, const ClusterFacts& cluster) {
  std::string out =
      "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"
      "::1\tlocalhost ip6-localhost ip6-loopback\n";
  std::string names = hostname;
  if (std::string subdomain = TextAt(pod, {"spec", "subdomain"}); !subdomain.empty())
    names = hostname + "." + subdomain + "." + NameOf(pod).ns + ".svc." + cluster.domain + "\t" +
            hostname;
  for (const std::string& address : addresses) out += address + "\t" + names + "\n";
  for (const Value& alias : Items(At(pod, {"spec", "hostAliases"}))) {
    out += TextAt(alias, {"ip"});
    for (const std::string& name : Texts(alias.Find("hostnames"))) out += "\t" + name;
    out += "\n";
  }
  return out;
}

}  // namespace

std::string AccountOf(const Value& pod) {
  std::string name = TextAt(pod, {"spec", "serviceAccountName"});
  return name.empty() ? "default" : name;
}

Value WithServiceAccount(Value pod, const Value* account) {
  const Value* wish = At(pod, {"spec", "automountServiceAccountToken"});
  if (!wish && account) wish = account->Find("automountServiceAccountToken");
  if (wish && wish->type == Value::Type::kBool && !wish->boolean) return pod;
  Value& spec = Child(pod, "spec");
  bool mounted = false;
  for (const char* list : {"containers", "initContainers"}) {
    Value containers = Sequence(Items(spec.Find(list)));
    if (!MountToken(&containers)) continue;
    Set(spec, list, std::move(containers));
    mounted = true;
  }
  if (!mounted) return pod;
  Value volumes = Sequence(Items(spec.Find("volumes")));
  volumes.items.push_back(TokenVolume());
  Set(spec, "volumes", std::move(volumes));
  return pod;
}

bool WantsToken(const Value& pod) {
  for (const Value& volume : Items(At(pod, {"spec", "volumes"})))
    for (const Value& source : Items(At(volume, {"projected", "sources"})))
      if (source.Find("serviceAccountToken")) return true;
  return false;
}

std::map<std::string, std::string> EtcFiles(const Value& pod, const std::string& hostname,
                                            const std::vector<std::string>& addresses,
                                            const ClusterFacts& cluster) {
  return {{"hostname", hostname + "\n"},
          {"hosts", Hosts(pod, hostname, addresses, cluster)},
          {"resolv.conf", Resolver(pod, cluster)}};
}

}  // namespace sallyport::lab
