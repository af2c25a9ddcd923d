// SPDX-License-Identifier: Apache-2.0
#include "apiserver/checks.h"

#include <map>
#include <set>

#include "model/validate_names.h"

namespace sallyport::apiserver {
namespace {

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

}  // namespace

void CheckPod(const Value& pod, const Value* old, Causes* out) {
  CheckPodSpec(pod.Find("spec"), "spec", out);
  if (!old || !out->empty()) return;
  Value before = FixedPart(*old->Find("spec"));
  Value after = FixedPart(*pod.Find("spec"));
  if (!SameContent(before, after)) out->push_back(Prohibited("spec", kPodUpdates));
}

namespace {

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

void CheckTemplateSpec(const Value& spec, Causes* out) {
  const std::string path = "spec.template.spec";
  if (const Value* pod = At(spec, {"template", "spec"})) {
    Value whole = WithClaims(*pod, spec.Find("volumeClaimTemplates"));
    CheckPodSpec(&whole, path, out);
  } else {
    CheckPodSpec(nullptr, path, out);
  }
}

void CheckTemplate(const Value& spec, const Value* selector, Causes* out) {
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
  CheckTemplateSpec(spec, out);
  std::string restart = TextAt(spec, {"template", "spec", "restartPolicy"});
  if (!restart.empty() && restart != "Always")
    out->push_back(Unsupported("spec.template.spec.restartPolicy", restart, {"Always"}));
}

}  // namespace

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
  CheckTemplate(spec, selector ? selector->Find("matchLabels") : nullptr, out);
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
  CheckTemplate(spec, spec.Find("selector"), out);
}

void CheckJob(const Value& job, const Value* old, Causes* out) {
  const Value& spec = *job.Find("spec");
  CheckTemplateSpec(spec, out);
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

}  // namespace sallyport::apiserver
