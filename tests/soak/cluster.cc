// SPDX-License-Identifier: Apache-2.0
#include "soak/cluster.h"

#include <iterator>
#include <utility>

namespace sallyport::soak {
namespace {

constexpr size_t kNamespaces = 4;
const std::vector<std::string> kApps = {"web", "api", "db", "job"};

std::string Name(size_t ns) { return "soak" + std::to_string(ns); }

std::string Quoted(const std::string& name) {
  size_t slash = name.find('/');
  return "name: " + name.substr(slash + 1) + ", namespace: " + name.substr(0, slash);
}

std::vector<std::string> Deletion(const char* kind, const std::string& name) {
  size_t slash = name.find('/');
  return {kind, "-n", name.substr(0, slash), name.substr(slash + 1)};
}

}  // namespace

Cluster::Cluster(uint64_t seed, size_t pods, int nodes)
    : random_(seed), pods_wanted_(pods), nodes_(nodes) {
  for (size_t i = 0; i < kNamespaces; ++i) now_.namespaces.push_back(Namespace(i));
  for (size_t i = 0; i < pods; ++i) {
    std::string name = NewName("p");
    now_.pods[name] = Pod(name);
  }
  for (size_t i = 0; i < pods / 2; ++i) {
    std::string name = NewName("np");
    now_.policies[name] = Policy(name);
  }
  first_ = now_;
}

std::string Cluster::NewName(const char* prefix) {
  return Name(random_.Below(kNamespaces)) + "/" + prefix + std::to_string(++numbers_);
}

std::string Cluster::Namespace(size_t number) {
  return "---\n{apiVersion: v1, kind: Namespace, metadata: {name: " + Name(number) +
         ", labels: {team: t" + std::to_string(random_.Below(3)) + "}}}\n";
}

std::string Cluster::Pod(const std::string& name) {
  return "---\n{apiVersion: v1, kind: Pod, metadata: {" + Quoted(name) +
         ", labels: {app: " + random_.Pick(kApps) + ", tier: \"" +
         std::to_string(random_.Below(2)) + "\"}}, spec: {nodeName: node" +
         std::to_string(random_.Between(1, nodes_)) +
         ", terminationGracePeriodSeconds: 0, containers: [{name: c, image: none, ports: ["
         "{name: http, containerPort: 80}, {containerPort: 53, protocol: UDP}]}]}}\n";
}

std::string Cluster::Ports() {
  switch (random_.Below(4)) {
    case 0:
      return "";
    case 1:
      return ", ports: [{port: http}]";
    case 2:
      return ", ports: [{protocol: UDP, port: 53}]";
    default:
      return ", ports: [{port: 1, endPort: 79}, {port: 80}]";
  }
}

std::string Cluster::Peer() {
  std::string pods = "podSelector: {matchLabels: {app: " + random_.Pick(kApps) + "}}";
  std::string namespaces =
      "namespaceSelector: {matchLabels: {team: t" + std::to_string(random_.Below(3)) + "}}";
  switch (random_.Below(6)) {
    case 0:
      return "{" + pods + "}";
    case 1:
      return "{" + namespaces + "}";
    case 2:
      return "{" + namespaces + ", " + pods + "}";
    case 3:
      return "{podSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [\"1\"]}]}}";
    case 4:
      return "{ipBlock: {cidr: 10.244.0.0/16, except: [10.244.1.0/24]}}";
    default:
      return "{ipBlock: {cidr: \"fd00:10:244::/48\"}}";
  }
}

std::string Cluster::Policy(const std::string& name) {
  std::string rules;
  for (const char* direction : {"ingress", "egress"}) {
    if (random_.Chance(30)) continue;
    rules += std::string(", ") + direction + ": [";
    for (size_t i = random_.Below(3); i > 0; --i)
      rules += std::string("{") + (*direction == 'i' ? "from" : "to") + ": [" + Peer() + ", " +
               Peer() + "]" + Ports() + "}" + (i > 1 ? ", " : "");
    rules += "]";
  }
  std::string selector =
      random_.Chance(20) ? "{}" : "{matchLabels: {app: " + random_.Pick(kApps) + "}}";
  return "---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {" + Quoted(name) +
         "}, spec: {podSelector: " + selector + rules + "}}\n";
}

std::string Cluster::Beginning() const {
  std::string out;
  for (const std::string& text : first_.namespaces) out += text;
  for (const auto& [name, text] : first_.pods) out += text;
  for (const auto& [name, text] : first_.policies) out += text;
  return out;
}

void Cluster::ChangePod() {
  bool more = random_.Below(2 * pods_wanted_) >= now_.pods.size();
  if (more || now_.pods.empty()) {
    std::string name = NewName("p");
    now_.pods[name] = Pod(name);
    return;
  }
  auto it = std::next(now_.pods.begin(), static_cast<long>(random_.Below(now_.pods.size())));
  if (random_.Chance(50)) {
    now_.pods.erase(it);
    return;
  }
  // Its labels; where it runs cannot be changed.
  std::string node = it->second.substr(it->second.find("nodeName"));
  std::string changed = Pod(it->first);
  it->second = changed.substr(0, changed.find("nodeName")) + node;
}

void Cluster::ChangePolicy() {
  if (now_.policies.empty() || random_.Below(pods_wanted_) >= now_.policies.size()) {
    std::string name = NewName("np");
    now_.policies[name] = Policy(name);
    return;
  }
  auto it =
      std::next(now_.policies.begin(), static_cast<long>(random_.Below(now_.policies.size())));
  if (random_.Chance(50)) {
    now_.policies.erase(it);
    return;
  }
  it->second = Policy(it->first);
}

void Cluster::ChangeOne() {
  int what = random_.Between(0, 99);
  if (what < 50) return ChangePod();
  if (what < 90) return ChangePolicy();
  size_t ns = random_.Below(kNamespaces);
  now_.namespaces[ns] = Namespace(ns);
}

// From `before` to now.
Step Cluster::StepFrom(const State& before) const {
  Step step;
  auto compare = [&](const Objects& was, const Objects& is, const char* kind) {
    for (const auto& [name, text] : was)
      if (!is.contains(name)) step.deletions.push_back(Deletion(kind, name));
    for (const auto& [name, text] : is)
      if (auto it = was.find(name); it == was.end() || it->second != text) {
        step.apply += text;
        ++step.changes;
      }
  };
  for (size_t i = 0; i < kNamespaces; ++i)
    if (before.namespaces[i] != now_.namespaces[i]) {
      step.apply += now_.namespaces[i];
      ++step.changes;
    }
  compare(before.pods, now_.pods, "pod");
  compare(before.policies, now_.policies, "networkpolicy");
  step.changes += step.deletions.size();
  return step;
}

Step Cluster::Next(size_t changes) {
  State before = now_;
  for (; changes > 0; --changes) ChangeOne();
  return StepFrom(before);
}

Step Cluster::Back() { return StepFrom(std::exchange(now_, first_)); }

}  // namespace sallyport::soak
