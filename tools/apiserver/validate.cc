// SPDX-License-Identifier: Apache-2.0
#include "apiserver/validate.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "apiserver/custom.h"
#include "model/validate_names.h"
#include "net/address.h"

namespace sallyport::apiserver {
namespace {

using Causes = std::vector<Cause>;

std::string Index(const std::string& path, size_t i) {
  return path + "[" + std::to_string(i) + "]";
}

void CheckLabels(const Value* labels, const std::string& path, Causes* out) {
  for (const auto& [key, value] : Members(labels)) {
    if (std::string wrong = model::CheckQualifiedName(key); !wrong.empty())
      out->push_back(BadValue(path, key, "name part " + wrong));
    if (std::string wrong = model::CheckLabelValue(Text(&value)); !wrong.empty())
      out->push_back(BadValue(path, Text(&value), wrong));
  }
}

// meta/v1 LabelSelector.
void CheckSelector(const Value* selector, const std::string& path, Causes* out) {
  if (!selector) return;
  CheckLabels(selector->Find("matchLabels"), path + ".matchLabels", out);
  const std::vector<Value>& expressions = Items(selector->Find("matchExpressions"));
  for (size_t i = 0; i < expressions.size(); ++i) {
    std::string at = Index(path + ".matchExpressions", i);
    std::string op = TextAt(expressions[i], {"operator"});
    std::vector<std::string> values = Texts(expressions[i].Find("values"));
    if (std::string wrong = model::CheckQualifiedName(TextAt(expressions[i], {"key"}));
        !wrong.empty())
      out->push_back(BadValue(at + ".key", TextAt(expressions[i], {"key"}), wrong));
    if (op == "In" || op == "NotIn") {
      if (values.empty())
        out->push_back(
            Required(at + ".values", "must be specified when `operator` is 'In' or 'NotIn'"));
    } else if (op == "Exists" || op == "DoesNotExist") {
      if (!values.empty())
        out->push_back(Prohibited(
            at + ".values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
    } else {
      out->push_back(BadValue(at + ".operator", op, "not a valid selector operator"));
    }
    for (size_t j = 0; j < values.size(); ++j)
      if (std::string wrong = model::CheckLabelValue(values[j]); !wrong.empty())
        out->push_back(BadValue(Index(at + ".values", j), values[j], wrong));
  }
}

void CheckPort(const Value* port, const std::string& path, Causes* out) {
  int64_t number = port ? port->integer : 0;
  if (number < 1 || number > 65'535)
    out->push_back(BadValue(path, Integer(number), "must be between 1 and 65535, inclusive"));
}

// A number or a name (IANA_SVC_NAME).
void CheckPortOrName(const Value& port, const std::string& path, Causes* out) {
  if (port.type == Value::Type::kInteger) {
    CheckPort(&port, path, out);
  } else if (std::string wrong = model::CheckPortName(port.text); !wrong.empty()) {
    out->push_back(BadValue(path, port.text, wrong));
  }
}

void CheckProtocol(const Value& parent, const std::string& path, Causes* out) {
  std::string protocol = TextAt(parent, {"protocol"});
  if (protocol != "TCP" && protocol != "UDP" && protocol != "SCTP")
    out->push_back(Unsupported(path + ".protocol", protocol, {"SCTP", "TCP", "UDP"}));
}

void CheckIp(const std::string& text, const std::string& path, Causes* out) {
  if (!net::Address::Parse(text))
    out->push_back(
        BadValue(path, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"));
}

bool Same(const Value* a, const Value* b) {
  if (!a || !b) return IsNull(a) && IsNull(b);
  return SameContent(*a, *b);
}

void CheckImmutable(const Value& object, const Value* old,
                    std::initializer_list<std::string_view> path, const std::string& field,
                    Causes* out) {
  if (!old || Same(At(object, path), At(*old, path))) return;
  const Value* now = At(object, path);
  out->push_back(BadValue(field, now ? *now : Value(), "field is immutable"));
}

// ---- pods

void CheckContainerPorts(const Value& container, const std::string& path, Causes* out) {
  const std::vector<Value>& ports = Items(container.Find("ports"));
  std::set<std::string> names;
  for (size_t i = 0; i < ports.size(); ++i) {
    std::string at = Index(path + ".ports", i);
    std::string name = TextAt(ports[i], {"name"});
    if (!name.empty()) {
      if (std::string wrong = model::CheckPortName(name); !wrong.empty())
        out->push_back(BadValue(at + ".name", name, wrong));
      if (!names.insert(name).second) out->push_back(Duplicate(at + ".name", name));
    }
    if (!ports[i].Find("containerPort")) {
      out->push_back(Required(at + ".containerPort"));
    } else {
      CheckPort(ports[i].Find("containerPort"), at + ".containerPort", out);
    }
    CheckProtocol(ports[i], at, out);
  }
}

void CheckContainer(const Value& container, const std::string& path,
                    const std::set<std::string>& volumes, Causes* out) {
  std::string name = TextAt(container, {"name"});
  if (name.empty()) {
    out->push_back(Required(path + ".name"));
  } else if (std::string wrong = model::CheckDnsLabel(name); !wrong.empty()) {
    out->push_back(BadValue(path + ".name", name, wrong));
  }
  if (TextAt(container, {"image"}).empty()) out->push_back(Required(path + ".image"));
  std::string pull = TextAt(container, {"imagePullPolicy"});
  if (pull != "Always" && pull != "IfNotPresent" && pull != "Never")
    out->push_back(
        Unsupported(path + ".imagePullPolicy", pull, {"Always", "IfNotPresent", "Never"}));
  CheckContainerPorts(container, path, out);
  const std::vector<Value>& env = Items(container.Find("env"));
  for (size_t i = 0; i < env.size(); ++i)
    if (TextAt(env[i], {"name"}).empty())
      out->push_back(Required(Index(path + ".env", i) + ".name"));
  const std::vector<Value>& mounts = Items(container.Find("volumeMounts"));
  std::set<std::string> paths;
  for (size_t i = 0; i < mounts.size(); ++i) {
    std::string at = Index(path + ".volumeMounts", i);
    std::string volume = TextAt(mounts[i], {"name"});
    std::string mount = TextAt(mounts[i], {"mountPath"});
    if (!volumes.count(volume))
      out->push_back({"FieldValueNotFound", "Not found: " + Quote(volume), at + ".name"});
    if (mount.empty()) out->push_back(Required(at + ".mountPath"));
    if (!paths.insert(mount).second)
      out->push_back(BadValue(at + ".mountPath", mount, "must be unique"));
  }
  for (const char* probe : {"livenessProbe", "readinessProbe", "startupProbe"}) {
    const Value* one = container.Find(probe);
    if (!one) continue;
    int handlers = 0;
    for (const char* handler : {"exec", "httpGet", "tcpSocket", "grpc"})
      if (one->Find(handler)) ++handlers;
    if (handlers == 0) out->push_back(Required(path + "." + probe, "must specify a handler type"));
    if (handlers > 1)
      out->push_back(Prohibited(path + "." + probe, "may not specify more than 1 handler type"));
  }
}

std::set<std::string> CheckVolumes(const Value& spec, const std::string& path, Causes* out) {
  std::set<std::string> names;
  const std::vector<Value>& volumes = Items(spec.Find("volumes"));
  for (size_t i = 0; i < volumes.size(); ++i) {
    std::string at = Index(path + ".volumes", i);
    std::string name = TextAt(volumes[i], {"name"});
    if (name.empty()) {
      out->push_back(Required(at + ".name"));
    } else if (std::string wrong = model::CheckDnsLabel(name); !wrong.empty()) {
      out->push_back(BadValue(at + ".name", name, wrong));
    }
    if (!names.insert(name).second) out->push_back(Duplicate(at + ".name", name));
    if (volumes[i].members.size() > 2)
      out->push_back(Prohibited(at, "may not specify more than 1 volume type"));
    if (volumes[i].members.size() < 2) out->push_back(Required(at, "must specify a volume type"));
  }
  return names;
}

void CheckPodSpec(const Value* spec, const std::string& path, Causes* out) {
  static const Value kEmpty = Mapping();
  if (!spec) spec = &kEmpty;
  std::set<std::string> volumes = CheckVolumes(*spec, path, out);
  if (Items(spec->Find("containers")).empty()) out->push_back(Required(path + ".containers"));
  std::set<std::string> names;
  for (const char* list : {"containers", "initContainers"}) {
    const std::vector<Value>& containers = Items(spec->Find(list));
    for (size_t i = 0; i < containers.size(); ++i) {
      std::string at = Index(path + "." + list, i);
      CheckContainer(containers[i], at, volumes, out);
      std::string name = TextAt(containers[i], {"name"});
      if (!names.insert(name).second) out->push_back(Duplicate(at + ".name", name));
    }
  }
  std::string restart = TextAt(*spec, {"restartPolicy"});
  if (restart != "Always" && restart != "OnFailure" && restart != "Never")
    out->push_back(Unsupported(path + ".restartPolicy", restart, {"Always", "Never", "OnFailure"}));
  static const std::set<std::string> kDns = {"ClusterFirst", "ClusterFirstWithHostNet", "Default",
                                             "None"};
  std::string dns = TextAt(*spec, {"dnsPolicy"});
  if (!kDns.count(dns))
    out->push_back(Unsupported(path + ".dnsPolicy", dns, {kDns.begin(), kDns.end()}));
  if (dns == "None" && Items(At(*spec, {"dnsConfig", "nameservers"})).empty())
    out->push_back(Required(path + ".dnsConfig.nameservers",
                            "must provide at least one DNS nameserver when `dnsPolicy` is None"));
  for (const char* key : {"hostname", "subdomain"})
    if (std::string text = TextAt(*spec, {key}); !text.empty())
      if (std::string wrong = model::CheckDnsLabel(text); !wrong.empty())
        out->push_back(BadValue(path + "." + key, text, wrong));
  CheckLabels(spec->Find("nodeSelector"), path + ".nodeSelector", out);
}

constexpr const char* kPodUpdates =
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)";

// What may change in a pod, made equal.
Value FixedPart(const Value& spec) {
  Value out = spec;
  for (const char* key :
       {"activeDeadlineSeconds", "tolerations", "schedulingGates", "terminationGracePeriodSeconds"})
    Erase(out, key);
  for (const char* list : {"containers", "initContainers"})
    if (Value* containers = Find(out, list))
      for (Value& container : containers->items) {
        Erase(container, "image");
        Erase(container, "imagePullPolicy");
      }
  return out;
}

void CheckPod(const Value& pod, const Value* old, Causes* out) {
  CheckPodSpec(pod.Find("spec"), "spec", out);
  if (!old || !out->empty()) return;
  Value before = FixedPart(*old->Find("spec"));
  Value after = FixedPart(*pod.Find("spec"));
  if (!SameContent(before, after)) out->push_back(Prohibited("spec", kPodUpdates));
}

// ---- workloads

// A StatefulSet's pod spec with the volumes that its claims become.
Value WithClaims(Value pod, const Value* claims) {
  for (const Value& claim : Items(claims)) {
    std::string name = TextAt(claim, {"metadata", "name"});
    Value& volumes = Child(pod, "volumes");
    if (volumes.type != Value::Type::kSequence) volumes = Sequence();
    std::erase_if(volumes.items,
                  [&](const Value& volume) { return TextAt(volume, {"name"}) == name; });
    volumes.items.push_back(Mapping({{"name", String(name)}, {"emptyDir", Mapping()}}));
  }
  return pod;
}

void CheckTemplate(const Value& spec, const Value* selector, bool only_always, Causes* out) {
  const Value* labels = At(spec, {"template", "metadata", "labels"});
  CheckLabels(labels, "spec.template.labels", out);
  if (selector) {
    for (const auto& [key, value] : Members(selector)) {
      const Value* have = labels ? labels->Find(key) : nullptr;
      if (!have || Text(have) != Text(&value)) {
        out->push_back(BadValue("spec.template.metadata.labels", labels ? *labels : Mapping(),
                                "`selector` does not match template `labels`"));
        break;
      }
    }
  }
  if (const Value* pod = At(spec, {"template", "spec"})) {
    Value whole = WithClaims(*pod, spec.Find("volumeClaimTemplates"));
    CheckPodSpec(&whole, "spec.template.spec", out);
  } else {
    CheckPodSpec(nullptr, "spec.template.spec", out);
  }
  std::string restart = TextAt(spec, {"template", "spec", "restartPolicy"});
  if (only_always && !restart.empty() && restart != "Always")
    out->push_back(Unsupported("spec.template.spec.restartPolicy", restart, {"Always"}));
}

void CheckWorkload(const Value& object, const Value* old, Causes* out) {
  const Value& spec = *object.Find("spec");
  if (auto replicas = IntegerAt(spec, {"replicas"}); replicas && *replicas < 0)
    out->push_back(
        BadValue("spec.replicas", Integer(*replicas), "must be greater than or equal to 0"));
  const Value* selector = spec.Find("selector");
  if (!selector) {
    out->push_back(Required("spec.selector"));
  } else if (selector->members.empty()) {
    out->push_back(BadValue("spec.selector", *selector, "empty selector is invalid"));
  }
  CheckSelector(selector, "spec.selector", out);
  CheckTemplate(spec, selector ? selector->Find("matchLabels") : nullptr, true, out);
  CheckImmutable(object, old, {"spec", "selector"}, "spec.selector", out);
}

void CheckStatefulSet(const Value& object, const Value* old, Causes* out) {
  CheckWorkload(object, old, out);
  if (!old) return;
  for (const char* key : {"serviceName", "podManagementPolicy", "volumeClaimTemplates"}) {
    if (Same(At(object, {"spec", key}), At(*old, {"spec", key}))) continue;
    out->push_back(Prohibited(
        "spec",
        "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
        "'updateStrategy', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are "
        "forbidden"));
    return;
  }
}

void CheckReplicationController(const Value& object, const Value*, Causes* out) {
  const Value& spec = *object.Find("spec");
  if (Members(spec.Find("selector")).empty()) out->push_back(Required("spec.selector"));
  CheckTemplate(spec, spec.Find("selector"), true, out);
}

void CheckJob(const Value& job, const Value* old, Causes* out) {
  const Value& spec = *job.Find("spec");
  if (const Value* pod = At(spec, {"template", "spec"})) {
    Value whole = WithClaims(*pod, spec.Find("volumeClaimTemplates"));
    CheckPodSpec(&whole, "spec.template.spec", out);
  } else {
    CheckPodSpec(nullptr, "spec.template.spec", out);
  }
  std::string restart = TextAt(spec, {"template", "spec", "restartPolicy"});
  if (restart == "Always")
    out->push_back(
        Unsupported("spec.template.spec.restartPolicy", restart, {"Never", "OnFailure"}));
  CheckImmutable(job, old, {"spec", "completions"}, "spec.completions", out);
  CheckImmutable(job, old, {"spec", "selector"}, "spec.selector", out);
  CheckImmutable(job, old, {"spec", "template"}, "spec.template", out);
}

void CheckCronJob(const Value& object, const Value*, Causes* out) {
  if (TextAt(object, {"spec", "schedule"}).empty()) out->push_back(Required("spec.schedule"));
  CheckPodSpec(At(object, {"spec", "jobTemplate", "spec", "template", "spec"}),
               "spec.jobTemplate.spec.template.spec", out);
}

// ---- services and what belongs to them

void CheckServicePorts(const Value& spec, bool headless, Causes* out) {
  const std::vector<Value>& ports = Items(spec.Find("ports"));
  if (ports.empty() && !headless && TextAt(spec, {"type"}) != "ExternalName")
    out->push_back(Required("spec.ports"));
  std::set<std::string> names;
  std::set<std::string> numbers;
  for (size_t i = 0; i < ports.size(); ++i) {
    std::string at = Index("spec.ports", i);
    std::string name = TextAt(ports[i], {"name"});
    if (name.empty() && ports.size() > 1) out->push_back(Required(at + ".name"));
    if (!name.empty()) {
      if (std::string wrong = model::CheckDnsLabel(name); !wrong.empty())
        out->push_back(BadValue(at + ".name", name, wrong));
      if (!names.insert(name).second) out->push_back(Duplicate(at + ".name", name));
    }
    CheckPort(ports[i].Find("port"), at + ".port", out);
    CheckProtocol(ports[i], at, out);
    if (const Value* target = ports[i].Find("targetPort"))
      CheckPortOrName(*target, at + ".targetPort", out);
    std::string key = Text(ports[i].Find("port")) + "/" + TextAt(ports[i], {"protocol"});
    if (!numbers.insert(key).second)
      out->push_back({"FieldValueDuplicate", "Duplicate value: " + ToJson(ports[i]), at});
    if (IntegerAt(ports[i], {"nodePort"}).value_or(0) && TextAt(spec, {"type"}) == "ClusterIP")
      out->push_back(Prohibited(at + ".nodePort", "may not be used when `type` is 'ClusterIP'"));
  }
}

void CheckServiceChange(const Value& service, const Value& old, Causes* out) {
  std::string type = TextAt(service, {"spec", "type"});
  std::string ip = TextAt(service, {"spec", "clusterIP"});
  std::string before = TextAt(old, {"spec", "clusterIP"});
  if (type == "ExternalName" || before.empty() || ip.empty() || ip == before) return;
  out->push_back(BadValue("spec.clusterIPs[0]", ip, "may not change once set"));
}

void CheckService(const Value& service, const Value* old, Causes* out) {
  const Value& spec = *service.Find("spec");
  static const std::set<std::string> kTypes = {"ClusterIP", "ExternalName", "LoadBalancer",
                                               "NodePort"};
  std::string type = TextAt(spec, {"type"});
  std::string ip = TextAt(spec, {"clusterIP"});
  if (!kTypes.count(type))
    out->push_back(Unsupported("spec.type", type, {kTypes.begin(), kTypes.end()}));
  bool headless = ip == "None";
  CheckServicePorts(spec, headless, out);
  if (!ip.empty() && !headless && type != "ExternalName") CheckIp(ip, "spec.clusterIPs[0]", out);
  if (headless && type != "ClusterIP")
    out->push_back(
        BadValue("spec.clusterIPs[0]", ip, "may not be set to 'None' for " + type + " services"));
  if (type == "ExternalName") {
    std::string name = TextAt(spec, {"externalName"});
    if (std::string wrong = model::CheckDnsSubdomain(name); !wrong.empty())
      out->push_back(BadValue("spec.externalName", name, wrong));
  }
  CheckLabels(spec.Find("selector"), "spec.selector", out);
  std::string affinity = TextAt(spec, {"sessionAffinity"});
  if (affinity != "None" && affinity != "ClientIP")
    out->push_back(Unsupported("spec.sessionAffinity", affinity, {"ClientIP", "None"}));
  for (const char* key : {"externalTrafficPolicy", "internalTrafficPolicy"}) {
    std::string policy = TextAt(spec, {key});
    if (!policy.empty() && policy != "Cluster" && policy != "Local")
      out->push_back(Unsupported(std::string("spec.") + key, policy, {"Cluster", "Local"}));
  }
  std::vector<std::string> externals = Texts(spec.Find("externalIPs"));
  for (size_t i = 0; i < externals.size(); ++i)
    CheckIp(externals[i], Index("spec.externalIPs", i), out);
  std::vector<std::string> ranges = Texts(spec.Find("loadBalancerSourceRanges"));
  for (size_t i = 0; i < ranges.size(); ++i)
    if (!net::Cidr::Parse(ranges[i]))
      out->push_back(BadValue(Index("spec.LoadBalancerSourceRanges", i), ranges[i],
                              "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"));
  if (old) CheckServiceChange(service, *old, out);
}

void CheckEndpointSlice(const Value& slice, const Value* old, Causes* out) {
  std::string type = TextAt(slice, {"addressType"});
  if (type != "IPv4" && type != "IPv6" && type != "FQDN")
    out->push_back(type.empty() ? Required("addressType")
                                : Unsupported("addressType", type, {"FQDN", "IPv4", "IPv6"}));
  CheckImmutable(slice, old, {"addressType"}, "addressType", out);
  const std::vector<Value>& endpoints = Items(slice.Find("endpoints"));
  if (endpoints.size() > 1000)
    out->push_back(
        {"FieldValueTooMany",
         "Too many: " + std::to_string(endpoints.size()) + ": must have at most 1000 items",
         "endpoints"});
  for (size_t i = 0; i < endpoints.size(); ++i) {
    std::string at = Index("endpoints", i);
    std::vector<std::string> addresses = Texts(endpoints[i].Find("addresses"));
    if (addresses.empty())
      out->push_back(Required(at + ".addresses", "must contain at least 1 address"));
    for (size_t j = 0; j < addresses.size() && type != "FQDN"; ++j) {
      auto address = net::Address::Parse(addresses[j]);
      if (!address || address->IsV4() != (type == "IPv4"))
        out->push_back(BadValue(Index(at + ".addresses", j), addresses[j],
                                "must be a valid " + type + " address"));
    }
  }
}

// ---- network policies

void CheckIpBlock(const Value& block, const std::string& path, Causes* out) {
  std::string text = TextAt(block, {"cidr"});
  if (text.empty()) {
    out->push_back(Required(path + ".cidr"));
    return;
  }
  auto cidr = net::Cidr::Parse(text);
  if (!cidr) {
    out->push_back(BadValue(path + ".cidr", text,
                            "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"));
    return;
  }
  std::vector<std::string> excepts = Texts(block.Find("except"));
  for (size_t i = 0; i < excepts.size(); ++i) {
    std::string at = Index(path + ".except", i);
    auto except = net::Cidr::Parse(excepts[i]);
    if (!except) {
      out->push_back(BadValue(at, excepts[i],
                              "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"));
    } else if (!cidr->Contains(*except) || *cidr == *except) {
      out->push_back(BadValue(at, excepts[i], "must be a strict subset of `cidr`"));
    }
  }
}

void CheckPeer(const Value& peer, const std::string& path, Causes* out) {
  int given = 0;
  for (const char* key : {"podSelector", "namespaceSelector"}) {
    if (!peer.Find(key)) continue;
    ++given;
    CheckSelector(peer.Find(key), path + "." + key, out);
  }
  if (const Value* block = peer.Find("ipBlock")) {
    if (given > 0)
      out->push_back(Prohibited(path, "may not specify both ipBlock and another peer"));
    ++given;
    CheckIpBlock(*block, path + ".ipBlock", out);
  }
  if (given == 0) out->push_back(Required(path, "must specify a peer"));
}

void CheckPolicyPort(const Value& port, const std::string& path, Causes* out) {
  CheckProtocol(port, path, out);
  const Value* number = port.Find("port");
  if (number) CheckPortOrName(*number, path + ".port", out);
  const Value* end = port.Find("endPort");
  if (!end) return;
  if (!number) {
    out->push_back(Required(path + ".port", "must be specified when endPort is specified"));
  } else if (number->type != Value::Type::kInteger) {
    out->push_back(
        BadValue(path + ".endPort", *end, "may not be specified when `port` is non-numeric"));
  } else if (end->integer < number->integer) {
    out->push_back(BadValue(path + ".endPort", *end, "must be greater than or equal to `port`"));
  } else {
    CheckPort(end, path + ".endPort", out);
  }
}

void CheckNetworkPolicy(const Value& policy, const Value*, Causes* out) {
  const Value& spec = *policy.Find("spec");
  CheckSelector(spec.Find("podSelector"), "spec.podSelector", out);
  for (auto [direction, peers] : {std::pair{"ingress", "from"}, std::pair{"egress", "to"}}) {
    const std::vector<Value>& rules = Items(spec.Find(direction));
    for (size_t i = 0; i < rules.size(); ++i) {
      std::string at = Index(std::string("spec.") + direction, i);
      const std::vector<Value>& ports = Items(rules[i].Find("ports"));
      for (size_t j = 0; j < ports.size(); ++j)
        CheckPolicyPort(ports[j], Index(at + ".ports", j), out);
      const std::vector<Value>& list = Items(rules[i].Find(peers));
      for (size_t j = 0; j < list.size(); ++j) CheckPeer(list[j], Index(at + "." + peers, j), out);
    }
  }
  std::vector<std::string> types = Texts(spec.Find("policyTypes"));
  if (types.size() > 2) {
    out->push_back(BadValue("spec.policyTypes", *spec.Find("policyTypes"),
                            "may not specify more than two policyTypes"));
    return;
  }
  for (size_t i = 0; i < types.size(); ++i)
    if (types[i] != "Ingress" && types[i] != "Egress")
      out->push_back(Unsupported(Index("spec.policyTypes", i), types[i], {"Egress", "Ingress"}));
}

// ---- others

void CheckData(const Value& object, const Value* old, Causes* out) {
  for (const char* key : {"data", "binaryData"}) {
    for (const auto& [name, value] : Members(object.Find(key))) {
      bool good =
          !name.empty() && name.size() <= 253 && name != "." && name != ".." &&
          std::all_of(name.begin(), name.end(), [](char c) {
            return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
          });
      if (!good)
        out->push_back(BadValue(std::string(key) + "[" + name + "]", name,
                                "a valid config key must consist of alphanumeric characters, "
                                "'-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
                                "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"));
    }
  }
  if (!old || !IsTrue(old->Find("immutable"))) return;
  if (!IsTrue(object.Find("immutable")))
    out->push_back(Prohibited("immutable", "field is immutable when `immutable` is set"));
  for (const char* key : {"data", "binaryData"})
    if (!Same(object.Find(key), old->Find(key)))
      out->push_back(Prohibited(key, "field is immutable when `immutable` is set"));
}

void CheckSecret(const Value& secret, const Value* old, Causes* out) {
  CheckData(secret, old, out);
  CheckImmutable(secret, old, {"type"}, "type", out);
}

void CheckRole(const Value& role, const Value*, Causes* out) {
  const std::vector<Value>& rules = Items(role.Find("rules"));
  for (size_t i = 0; i < rules.size(); ++i) {
    std::string at = Index("rules", i);
    if (Items(rules[i].Find("verbs")).empty())
      out->push_back(Required(at + ".verbs", "verbs must contain at least one value"));
    if (!Items(rules[i].Find("nonResourceURLs")).empty()) continue;
    if (Items(rules[i].Find("apiGroups")).empty())
      out->push_back(
          Required(at + ".apiGroups", "resource rules must supply at least one api group"));
    if (Items(rules[i].Find("resources")).empty())
      out->push_back(
          Required(at + ".resources", "resource rules must supply at least one resource"));
  }
}

void CheckRoleBinding(const Value& binding, const Value* old, Causes* out) {
  std::string kind = TextAt(binding, {"roleRef", "kind"});
  if (kind != "Role" && kind != "ClusterRole")
    out->push_back(Unsupported("roleRef.kind", kind, {"ClusterRole", "Role"}));
  if (TextAt(binding, {"roleRef", "name"}).empty()) out->push_back(Required("roleRef.name"));
  if (old && !Same(binding.Find("roleRef"), old->Find("roleRef")))
    out->push_back(BadValue("roleRef", *binding.Find("roleRef"), "cannot change roleRef"));
  const std::vector<Value>& subjects = Items(binding.Find("subjects"));
  for (size_t i = 0; i < subjects.size(); ++i)
    if (TextAt(subjects[i], {"kind"}) == "ServiceAccount" &&
        TextAt(subjects[i], {"namespace"}).empty())
      out->push_back(Required(Index("subjects", i) + ".namespace"));
}

void CheckNode(const Value& node, const Value* old, Causes* out) {
  std::vector<std::string> cidrs = Texts(At(node, {"spec", "podCIDRs"}));
  for (size_t i = 0; i < cidrs.size(); ++i)
    if (!net::Cidr::Parse(cidrs[i]))
      out->push_back(BadValue(Index("spec.podCIDRs", i), cidrs[i],
                              "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"));
  if (old && At(*old, {"spec", "podCIDRs"}) &&
      !Same(At(node, {"spec", "podCIDRs"}), At(*old, {"spec", "podCIDRs"})))
    out->push_back(Prohibited("spec.podCIDRs",
                              "node updates may not change podCIDR except from "
                              "\"\" to valid"));
}

void CheckDefinition(const Value& definition, const Value* old, Causes* out) {
  Causes causes = ValidateDefinition(definition, old);
  out->insert(out->end(), causes.begin(), causes.end());
}

using Check = void (*)(const Value& object, const Value* old, Causes* out);

Check CheckOf(const std::string& store_key) {
  static const std::map<std::string, Check> all = {
      {"pods", CheckPod},
      {"nodes", CheckNode},
      {"services", CheckService},
      {"configmaps", CheckData},
      {"secrets", CheckSecret},
      {"replicationcontrollers", CheckReplicationController},
      {"deployments.apps", CheckWorkload},
      {"replicasets.apps", CheckWorkload},
      {"daemonsets.apps", CheckWorkload},
      {"statefulsets.apps", CheckStatefulSet},
      {"jobs.batch", CheckJob},
      {"cronjobs.batch", CheckCronJob},
      {"networkpolicies.networking.k8s.io", CheckNetworkPolicy},
      {"endpointslices.discovery.k8s.io", CheckEndpointSlice},
      {"roles.rbac.authorization.k8s.io", CheckRole},
      {"clusterroles.rbac.authorization.k8s.io", CheckRole},
      {"rolebindings.rbac.authorization.k8s.io", CheckRoleBinding},
      {"clusterrolebindings.rbac.authorization.k8s.io", CheckRoleBinding},
      {"customresourcedefinitions.apiextensions.k8s.io", CheckDefinition},
  };
  auto found = all.find(store_key);
  return found == all.end() ? nullptr : found->second;
}

// RFC 1035: names of Services begin with a letter.
std::string CheckServiceName(std::string_view name) {
  bool good = !name.empty() && name.size() <= 63 && name.front() >= 'a' && name.front() <= 'z' &&
              name.back() != '-' && std::all_of(name.begin(), name.end(), [](char c) {
                return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
              });
  if (good) return "";
  return "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with "
         "an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or "
         "'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
}

std::string CheckPathSegment(std::string_view name) {
  if (name == "." || name == ".." || name.find_first_of("/%") != name.npos)
    return "may not be '.' or '..', or contain '/' or '%'";
  return "";
}

std::string CheckName(const Kind& kind, std::string_view name) {
  if (kind.StoreKey() == "services") return CheckServiceName(name);
  if (kind.StoreKey() == "namespaces") return model::CheckDnsLabel(name);
  if (kind.group == "rbac.authorization.k8s.io") return CheckPathSegment(name);
  return model::CheckDnsSubdomain(name);
}

}  // namespace

std::vector<Cause> ValidateMetadata(const Kind& kind, const Value& object, const Value*) {
  Causes out;
  std::string name = TextAt(object, {"metadata", "name"});
  if (name.empty()) {
    out.push_back(Required("metadata.name", "name or generateName is required"));
  } else if (std::string wrong = CheckName(kind, name); !wrong.empty()) {
    out.push_back(BadValue("metadata.name", name, wrong));
  }
  CheckLabels(At(object, {"metadata", "labels"}), "metadata.labels", &out);
  size_t total = 0;
  for (const auto& [key, value] : Members(At(object, {"metadata", "annotations"}))) {
    if (std::string wrong = model::CheckQualifiedName(key); !wrong.empty())
      out.push_back(BadValue("metadata.annotations", key, "name part " + wrong));
    total += key.size() + Text(&value).size();
  }
  if (total > 256 * 1024)
    out.push_back(
        {"FieldValueTooLong", "Too long: must have at most 262144 bytes", "metadata.annotations"});
  std::vector<std::string> finalizers = Texts(At(object, {"metadata", "finalizers"}));
  for (size_t i = 0; i < finalizers.size(); ++i)
    if (std::string wrong = model::CheckQualifiedName(finalizers[i]); !wrong.empty())
      out.push_back(BadValue("metadata.finalizers", finalizers[i], wrong));
  return out;
}

std::vector<Cause> Validate(const Kind& kind, const Value& object, const Value* old) {
  Causes out = ValidateMetadata(kind, object, old);
  Check check = CheckOf(kind.StoreKey());
  if (!check) return out;
  if (object.Find("spec")) {
    check(object, old, &out);
    return out;
  }
  // Without a spec the checks would have nothing to stand on.
  Value whole = object;
  Set(whole, "spec", Mapping());
  check(whole, old, &out);
  return out;
}

}  // namespace sallyport::apiserver
