// SPDX-License-Identifier: Apache-2.0
#include "apiserver/defaults.h"

#include <algorithm>
#include <functional>
#include <map>

#include "apiserver/encoding.h"

namespace sallyport::apiserver {
namespace {

void EachItem(Value& parent, std::string_view key, const std::function<void(Value&)>& work) {
  Value* list = Find(parent, key);
  if (!IsSequence(list)) return;
  for (Value& item : list->items)
    if (IsMapping(&item)) work(item);
}

// An empty mapping where absent.
Value& Spec(Value& object) { return Child(object, "spec"); }

void ContainerDefaults(Value& container) {
  std::string image = TextAt(container, {"image"});
  size_t slash = image.rfind('/');
  size_t colon = image.find(':', slash == image.npos ? 0 : slash);
  bool latest =
      image.find('@') == image.npos && (colon == image.npos || image.substr(colon + 1) == "latest");
  Default(container, "imagePullPolicy", String(latest ? "Always" : "IfNotPresent"));
  Default(container, "terminationMessagePath", String("/dev/termination-log"));
  Default(container, "terminationMessagePolicy", String("File"));
  Default(container, "resources", Mapping());
  EachItem(container, "ports", [](Value& port) { Default(port, "protocol", String("TCP")); });
  EachItem(container, "env", [](Value& env) {
    if (Value* field = FindAt(env, {"valueFrom", "fieldRef"}))
      Default(*field, "apiVersion", String("v1"));
  });
  for (const char* name : {"livenessProbe", "readinessProbe", "startupProbe"}) {
    Value* probe = Find(container, name);
    if (!probe) continue;
    Default(*probe, "timeoutSeconds", Integer(1));
    Default(*probe, "periodSeconds", Integer(10));
    Default(*probe, "successThreshold", Integer(1));
    Default(*probe, "failureThreshold", Integer(3));
    if (Value* http = Find(*probe, "httpGet")) {
      Default(*http, "path", String("/"));
      Default(*http, "scheme", String("HTTP"));
    }
  }
}

void VolumeDefaults(Value& volume) {
  for (const char* name : {"secret", "configMap", "downwardAPI", "projected"})
    if (Value* source = Find(volume, name)) Default(*source, "defaultMode", Integer(420));
  if (Value* host_path = Find(volume, "hostPath")) Default(*host_path, "type", String(""));
  if (Value* projected = Find(volume, "projected")) {
    EachItem(*projected, "sources", [](Value& source) {
      if (Value* token = Find(source, "serviceAccountToken"))
        Default(*token, "expirationSeconds", Integer(3600));
    });
  }
}

void PodSpecDefaults(Value& spec) {
  Default(spec, "restartPolicy", String("Always"));
  Default(spec, "terminationGracePeriodSeconds", Integer(30));
  Default(spec, "dnsPolicy", String("ClusterFirst"));
  Default(spec, "securityContext", Mapping());
  Default(spec, "schedulerName", String("default-scheduler"));
  for (const char* list : {"containers", "initContainers"}) EachItem(spec, list, ContainerDefaults);
  EachItem(spec, "volumes", VolumeDefaults);
  if (!IsTrue(spec.Find("hostNetwork"))) return;
  for (const char* list : {"containers", "initContainers"}) {
    EachItem(spec, list, [](Value& container) {
      EachItem(container, "ports", [](Value& port) {
        if (const Value* number = port.Find("containerPort")) Default(port, "hostPort", *number);
      });
    });
  }
}

void PodDefaults(Value& pod) {
  Value& spec = Spec(pod);
  PodSpecDefaults(spec);
  Default(spec, "serviceAccountName", String("default"));
  Default(spec, "serviceAccount", String(TextAt(spec, {"serviceAccountName"})));
  Default(spec, "enableServiceLinks", Boolean(true));
  Default(spec, "preemptionPolicy", String("PreemptLowerPriority"));
  Default(spec, "priority", Integer(0));
  EachItem(spec, "containers", [](Value& container) {
    // Requests default to limits.
    const Value* limits = At(container, {"resources", "limits"});
    Value copy = limits ? *limits : Mapping();
    for (const auto& [name, limit] : copy.members)
      Default(Child(Child(container, "resources"), "requests"), name, limit);
  });
  // The DefaultTolerationSeconds admission plugin's.
  for (const char* taint : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
    Value* tolerations = Find(spec, "tolerations");
    if (!IsSequence(tolerations)) tolerations = &Set(spec, "tolerations", Sequence());
    bool there =
        std::any_of(tolerations->items.begin(), tolerations->items.end(), [&](const Value& one) {
          std::string key = TextAt(one, {"key"});
          std::string effect = TextAt(one, {"effect"});
          return (key == taint || key.empty()) && (effect == "NoExecute" || effect.empty());
        });
    if (there) continue;
    tolerations->items.push_back(Mapping({{"key", String(taint)},
                                          {"operator", String("Exists")},
                                          {"effect", String("NoExecute")},
                                          {"tolerationSeconds", Integer(300)}}));
  }
}

void TemplateDefaults(Value& spec) {
  if (Value* template_spec = FindAt(spec, {"template", "spec"})) PodSpecDefaults(*template_spec);
}

void DeploymentDefaults(Value& object) {
  Value& spec = Spec(object);
  Default(spec, "replicas", Integer(1));
  Default(spec, "revisionHistoryLimit", Integer(10));
  Default(spec, "progressDeadlineSeconds", Integer(600));
  Value& strategy = Child(spec, "strategy");
  Default(strategy, "type", String("RollingUpdate"));
  if (TextAt(strategy, {"type"}) == "RollingUpdate") {
    Value& rolling = Child(strategy, "rollingUpdate");
    Default(rolling, "maxUnavailable", String("25%"));
    Default(rolling, "maxSurge", String("25%"));
  }
  TemplateDefaults(spec);
}

void ReplicaSetDefaults(Value& object) {
  Default(Spec(object), "replicas", Integer(1));
  TemplateDefaults(Spec(object));
}

void ReplicationControllerDefaults(Value& object) {
  Value& spec = Spec(object);
  Default(spec, "replicas", Integer(1));
  if (const Value* labels = At(spec, {"template", "metadata", "labels"})) {
    Value copy = *labels;
    Default(spec, "selector", copy);
    Default(Child(object, "metadata"), "labels", std::move(copy));
  }
  TemplateDefaults(Spec(object));
}

void StatefulSetDefaults(Value& object) {
  Value& spec = Spec(object);
  Default(spec, "replicas", Integer(1));
  Default(spec, "revisionHistoryLimit", Integer(10));
  Default(spec, "podManagementPolicy", String("OrderedReady"));
  Default(spec, "serviceName", String(""));
  Value& strategy = Child(spec, "updateStrategy");
  Default(strategy, "type", String("RollingUpdate"));
  if (TextAt(strategy, {"type"}) == "RollingUpdate")
    Default(Child(strategy, "rollingUpdate"), "partition", Integer(0));
  Value& retention = Child(spec, "persistentVolumeClaimRetentionPolicy");
  Default(retention, "whenDeleted", String("Retain"));
  Default(retention, "whenScaled", String("Retain"));
  EachItem(spec, "volumeClaimTemplates", [](Value& claim) {
    Default(claim, "apiVersion", String("v1"));
    Default(claim, "kind", String("PersistentVolumeClaim"));
    Default(Spec(claim), "volumeMode", String("Filesystem"));
    Default(Child(claim, "status"), "phase", String("Pending"));
  });
  TemplateDefaults(spec);
}

void DaemonSetDefaults(Value& object) {
  Value& spec = Spec(object);
  Default(spec, "revisionHistoryLimit", Integer(10));
  Value& strategy = Child(spec, "updateStrategy");
  Default(strategy, "type", String("RollingUpdate"));
  if (TextAt(strategy, {"type"}) == "RollingUpdate") {
    Value& rolling = Child(strategy, "rollingUpdate");
    Default(rolling, "maxUnavailable", Integer(1));
    Default(rolling, "maxSurge", Integer(0));
  }
  TemplateDefaults(spec);
}

void JobSpecDefaults(Value& spec) {
  bool open = !spec.Find("completions") && !spec.Find("parallelism");
  if (open) Default(spec, "completions", Integer(1));
  Default(spec, "parallelism", Integer(1));
  Default(spec, "backoffLimit", Integer(6));
  Default(spec, "completionMode", String("NonIndexed"));
  Default(spec, "suspend", Boolean(false));
  Default(spec, "manualSelector", Boolean(false));
  Default(spec, "podReplacementPolicy", String("TerminatingOrFailed"));
  TemplateDefaults(spec);
}

// A job's pods carry its uid, which is its selector.
void JobDefaults(Value& job) {
  Value& spec = Spec(job);
  JobSpecDefaults(spec);
  std::string uid = TextAt(job, {"metadata", "uid"});
  if (uid.empty() || IsTrue(spec.Find("manualSelector")) || spec.Find("selector")) return;
  std::string name = TextAt(job, {"metadata", "name"});
  Set(spec, "selector",
      Mapping({{"matchLabels", Mapping({{"batch.kubernetes.io/controller-uid", String(uid)}})}}));
  Value& labels = Child(Child(Child(spec, "template"), "metadata"), "labels");
  Set(labels, "batch.kubernetes.io/controller-uid", String(uid));
  Set(labels, "batch.kubernetes.io/job-name", String(name));
  Set(labels, "controller-uid", String(uid));
  Set(labels, "job-name", String(name));
}

void CronJobDefaults(Value& object) {
  Value& spec = Spec(object);
  Default(spec, "concurrencyPolicy", String("Allow"));
  Default(spec, "suspend", Boolean(false));
  Default(spec, "successfulJobsHistoryLimit", Integer(3));
  Default(spec, "failedJobsHistoryLimit", Integer(1));
  if (Value* job = FindAt(spec, {"jobTemplate", "spec"})) TemplateDefaults(*job);
}

void ServiceDefaults(Value& object) {
  Value& spec = Spec(object);
  Default(spec, "sessionAffinity", String("None"));
  Default(spec, "type", String("ClusterIP"));
  if (TextAt(spec, {"sessionAffinity"}) == "ClientIP") {
    Value& client = Child(Child(spec, "sessionAffinityConfig"), "clientIP");
    Default(client, "timeoutSeconds", Integer(10'800));
  }
  std::string type = TextAt(spec, {"type"});
  EachItem(spec, "ports", [](Value& port) {
    Default(port, "protocol", String("TCP"));
    const Value* target = port.Find("targetPort");
    bool open = IsNull(target) || (target->type == Value::Type::kInteger && target->integer == 0) ||
                (target->IsString() && target->text.empty());
    const Value* number = port.Find("port");
    if (open && number) {
      Value copy = *number;
      Set(port, "targetPort", std::move(copy));
    }
  });
  if (type == "NodePort" || type == "LoadBalancer" || spec.Find("externalIPs"))
    Default(spec, "externalTrafficPolicy", String("Cluster"));
  if (type != "ExternalName") Default(spec, "internalTrafficPolicy", String("Cluster"));
  if (type == "LoadBalancer") Default(spec, "allocateLoadBalancerNodePorts", Boolean(true));
  if (!Find(object, "status")) Set(object, "status", Mapping({{"loadBalancer", Mapping()}}));
}

void NetworkPolicyDefaults(Value& object) {
  Value& spec = Spec(object);
  Default(spec, "podSelector", Mapping());
  const Value* types = spec.Find("policyTypes");
  if (IsNull(types) || types->items.empty()) {
    Value made = Sequence({String("Ingress")});
    if (!Items(spec.Find("egress")).empty()) made.items.push_back(String("Egress"));
    Set(spec, "policyTypes", std::move(made));
  }
  for (const char* direction : {"ingress", "egress"}) {
    EachItem(spec, direction, [](Value& rule) {
      EachItem(rule, "ports", [](Value& port) { Default(port, "protocol", String("TCP")); });
    });
  }
}

void SecretDefaults(Value& secret) {
  Default(secret, "type", String("Opaque"));
  const Value* plain = secret.Find("stringData");
  if (!plain) return;
  Value copy = *plain;
  for (const auto& [key, value] : copy.members)
    Set(Child(secret, "data"), key, String(EncodeBase64(Text(&value))));
  Erase(secret, "stringData");
}

void EndpointSliceDefaults(Value& slice) {
  EachItem(slice, "ports", [](Value& port) {
    Default(port, "name", String(""));
    Default(port, "protocol", String("TCP"));
  });
}

void EndpointsDefaults(Value& endpoints) {
  EachItem(endpoints, "subsets", [](Value& subset) {
    EachItem(subset, "ports", [](Value& port) { Default(port, "protocol", String("TCP")); });
  });
}

void SubjectDefaults(Value& binding) {
  if (Value* role = Find(binding, "roleRef"))
    Default(*role, "apiGroup", String("rbac.authorization.k8s.io"));
  EachItem(binding, "subjects", [](Value& subject) {
    if (TextAt(subject, {"kind"}) != "ServiceAccount")
      Default(subject, "apiGroup", String("rbac.authorization.k8s.io"));
  });
}

void ClaimDefaults(Value& claim) { Default(Spec(claim), "volumeMode", String("Filesystem")); }

void PriorityClassDefaults(Value& object) {
  Default(object, "preemptionPolicy", String("PreemptLowerPriority"));
}

void StorageClassDefaults(Value& object) {
  Default(object, "reclaimPolicy", String("Delete"));
  Default(object, "volumeBindingMode", String("Immediate"));
}

void DefinitionDefaults(Value& definition) {
  Value& spec = Spec(definition);
  Value& names = Child(spec, "names");
  std::string kind = TextAt(names, {"kind"});
  std::string lower = kind;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  Default(names, "singular", String(lower));
  Default(names, "listKind", String(kind + "List"));
  Default(Child(spec, "conversion"), "strategy", String("None"));
}

using Defaults = std::map<std::string, void (*)(Value&), std::less<>>;

const Defaults& AllDefaults() {
  static const Defaults all = {
      {"pods", PodDefaults},
      {"services", ServiceDefaults},
      {"secrets", SecretDefaults},
      {"endpoints", EndpointsDefaults},
      {"persistentvolumeclaims", ClaimDefaults},
      {"replicationcontrollers", ReplicationControllerDefaults},
      {"deployments.apps", DeploymentDefaults},
      {"replicasets.apps", ReplicaSetDefaults},
      {"statefulsets.apps", StatefulSetDefaults},
      {"daemonsets.apps", DaemonSetDefaults},
      {"jobs.batch", JobDefaults},
      {"cronjobs.batch", CronJobDefaults},
      {"networkpolicies.networking.k8s.io", NetworkPolicyDefaults},
      {"endpointslices.discovery.k8s.io", EndpointSliceDefaults},
      {"rolebindings.rbac.authorization.k8s.io", SubjectDefaults},
      {"clusterrolebindings.rbac.authorization.k8s.io", SubjectDefaults},
      {"priorityclasses.scheduling.k8s.io", PriorityClassDefaults},
      {"storageclasses.storage.k8s.io", StorageClassDefaults},
      {"customresourcedefinitions.apiextensions.k8s.io", DefinitionDefaults},
  };
  return all;
}

}  // namespace

void ApplyDefaults(const Kind& kind, Value& object) {
  auto found = AllDefaults().find(kind.StoreKey());
  if (found != AllDefaults().end()) found->second(object);
}

}  // namespace sallyport::apiserver
