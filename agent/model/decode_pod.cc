// SPDX-License-Identifier: Apache-2.0
// Pod: what decides whether and how policy concerns it. The rest of its large spec is known by name
// only, so that real manifests give no warnings.
#include <algorithm>
#include <set>

#include "model/decode.h"
#include "model/validate_names.h"

namespace sallyport::model {
namespace {

const std::vector<std::string_view> kPodSpecFields = {"activeDeadlineSeconds",
                                                      "affinity",
                                                      "automountServiceAccountToken",
                                                      "containers",
                                                      "dnsConfig",
                                                      "dnsPolicy",
                                                      "enableServiceLinks",
                                                      "ephemeralContainers",
                                                      "hostAliases",
                                                      "hostIPC",
                                                      "hostNetwork",
                                                      "hostPID",
                                                      "hostUsers",
                                                      "hostname",
                                                      "hostnameOverride",
                                                      "imagePullSecrets",
                                                      "initContainers",
                                                      "nodeName",
                                                      "nodeSelector",
                                                      "os",
                                                      "overhead",
                                                      "preemptionPolicy",
                                                      "priority",
                                                      "priorityClassName",
                                                      "readinessGates",
                                                      "resourceClaims",
                                                      "resources",
                                                      "restartPolicy",
                                                      "runtimeClassName",
                                                      "schedulerName",
                                                      "schedulingGates",
                                                      "schedulingGroup",
                                                      "securityContext",
                                                      "serviceAccount",
                                                      "serviceAccountName",
                                                      "setHostnameAsFQDN",
                                                      "shareProcessNamespace",
                                                      "subdomain",
                                                      "terminationGracePeriodSeconds",
                                                      "tolerations",
                                                      "topologySpreadConstraints",
                                                      "volumes",
                                                      "workloadRef"};
const std::vector<std::string_view> kContainerFields = {"args",
                                                        "command",
                                                        "env",
                                                        "envFrom",
                                                        "image",
                                                        "imagePullPolicy",
                                                        "lifecycle",
                                                        "livenessProbe",
                                                        "name",
                                                        "ports",
                                                        "readinessProbe",
                                                        "resizePolicy",
                                                        "resources",
                                                        "restartPolicy",
                                                        "restartPolicyRules",
                                                        "securityContext",
                                                        "startupProbe",
                                                        "stdin",
                                                        "stdinOnce",
                                                        "terminationMessagePath",
                                                        "terminationMessagePolicy",
                                                        "tty",
                                                        "volumeDevices",
                                                        "volumeMounts",
                                                        "workingDir"};
const std::vector<std::string_view> kContainerPortFields = {"containerPort", "hostIP", "hostPort",
                                                            "name", "protocol"};
const std::vector<std::string_view> kStatusFields = {"allocatedResources",
                                                     "conditions",
                                                     "containerStatuses",
                                                     "ephemeralContainerStatuses",
                                                     "extendedResourceClaimStatus",
                                                     "hostIP",
                                                     "hostIPs",
                                                     "initContainerStatuses",
                                                     "message",
                                                     "nominatedNodeName",
                                                     "observedGeneration",
                                                     "phase",
                                                     "podIP",
                                                     "podIPs",
                                                     "qosClass",
                                                     "reason",
                                                     "resize",
                                                     "resourceClaimStatuses",
                                                     "resources",
                                                     "startTime"};
const std::vector<std::string_view> kPodIpFields = {"ip"};

// The port's name, unique in its container.
std::string DecodePortName(const Cursor& item, std::set<std::string>& names) {
  const std::string* name = item.String("name");
  if (!name || name->empty()) return "";
  if (std::string wrong = CheckPortName(*name); !wrong.empty()) {
    item.ErrorAt("name", Quoted(*name) + " " + wrong);
  } else if (!names.insert(*name).second) {
    item.ErrorAt("name", Quoted(*name) + " is the name of another port of this container already");
  }
  return *name;
}

ContainerPort DecodeContainerPort(const Cursor& item, bool host_network,
                                  std::set<std::string>& names) {
  ContainerPort out;
  if (!item.IsMapping()) return out;
  item.Known(kContainerPortFields);
  out.name = DecodePortName(item, names);
  if (auto port = item.Integer("containerPort"); port && *port != 0) {
    out.port = CheckPort(*item.Child("containerPort"), *port);
  } else if (port || !item.Child("containerPort")) {
    item.ErrorAt("containerPort", "is required: a number between 1 and 65535");
  }
  if (auto host_port = item.Integer("hostPort").value_or(0); host_port != 0) {
    uint16_t valid = CheckPort(*item.Child("hostPort"), host_port);
    if (valid != 0 && host_network && valid != out.port) {
      item.ErrorAt("containerPort", "must be the hostPort when hostNetwork is true");
    }
  }
  item.String("hostIP");
  auto protocol = item.Child("protocol");
  if (protocol && !(protocol->value().IsString() && protocol->text().empty())) {
    out.protocol = DecodeProtocol(*protocol);
  }
  return out;
}

void CheckContainerName(const Cursor& item, std::set<std::string>& names) {
  const std::string* name = item.String("name");
  if (name ? name->empty() : !item.Child("name")) {
    item.ErrorAt("name", "is required");
  } else if (name) {
    if (std::string wrong = CheckDnsLabel(*name); !wrong.empty()) {
      item.ErrorAt("name", Quoted(*name) + " " + wrong);
    } else if (!names.insert(*name).second) {
      item.ErrorAt("name", Quoted(*name) + " is the name of another container already");
    }
  }
}

void DecodeContainers(const Cursor& spec, Pod& pod) {
  std::set<std::string> names;
  int containers = 0;
  auto decode = [&](const Cursor& item, bool runs) {
    if (!item.IsMapping()) return;
    item.Known(kContainerFields);
    CheckContainerName(item, names);
    std::set<std::string> port_names;
    item.Each("ports", [&](const Cursor& port) {
      ContainerPort decoded = DecodeContainerPort(port, pod.host_network, port_names);
      if (runs) pod.ports.push_back(std::move(decoded));
    });
  };
  spec.Each("containers", [&](const Cursor& item) {
    ++containers;
    decode(item, true);
  });
  // A sidecar runs beside the containers; other init containers have ended before.
  spec.Each("initContainers", [&](const Cursor& item) {
    const std::string* restart = item.IsMapping() ? item.String("restartPolicy") : nullptr;
    decode(item, restart && *restart == "Always");
  });
  std::optional<Cursor> list = spec.Child("containers");
  bool reported = list && list->value().type != Value::Type::kSequence;
  if (containers == 0 && !reported) spec.ErrorAt("containers", "is required: at least one");
}

void DecodeSpec(const Cursor& object, Pod& pod) {
  auto spec = object.Mapping("spec");
  if (!spec) {
    if (!object.Child("spec")) object.ErrorAt("spec", "is required, with its containers");
    return;
  }
  spec->Known(kPodSpecFields);
  pod.host_network = spec->Bool("hostNetwork").value_or(false);
  if (const std::string* node = spec->String("nodeName"); node && !node->empty()) {
    if (std::string wrong = CheckDnsSubdomain(*node); !wrong.empty()) {
      spec->ErrorAt("nodeName", Quoted(*node) + " " + wrong);
    }
    pod.node = *node;
  }
  DecodeContainers(*spec, pod);
}

PodPhase DecodePhase(const Cursor& status) {
  constexpr std::pair<std::string_view, PodPhase> kPhases[] = {
      {"", PodPhase::kUnknown},        {"Pending", PodPhase::kPending},
      {"Running", PodPhase::kRunning}, {"Succeeded", PodPhase::kSucceeded},
      {"Failed", PodPhase::kFailed},   {"Unknown", PodPhase::kUnknown}};
  const std::string* text = status.String("phase");
  if (!text) return PodPhase::kUnknown;
  for (const auto& [name, phase] : kPhases) {
    if (*text == name) return phase;
  }
  status.ErrorAt("phase",
                 Quoted(*text) + " must be one of Pending, Running, Succeeded, Failed, Unknown");
  return PodPhase::kUnknown;
}

void DecodePodIp(const Cursor& item, std::vector<net::Address>& out) {
  if (!item.IsMapping()) return;
  item.Known(kPodIpFields);
  const std::string* text = item.String("ip");
  if (!text) {
    if (!item.Child("ip")) item.ErrorAt("ip", "is required");
    return;
  }
  auto address = net::Address::Parse(*text);
  if (!address) {
    item.ErrorAt("ip", address.error().message);
  } else if (std::find(out.begin(), out.end(), *address) != out.end()) {
    item.ErrorAt("ip", *text + " is listed already");
  } else {
    out.push_back(*address);
  }
}

// status.podIP is the first of status.podIPs; where they differ the API server takes it alone.
std::vector<net::Address> DecodeAddresses(const Cursor& status) {
  std::vector<net::Address> out;
  status.Each("podIPs", [&](const Cursor& item) { DecodePodIp(item, out); });
  if (!OnePerFamily(out)) {
    status.ErrorAt("podIPs", "may have no more than one address for each IP family");
  }
  const std::string* single = status.String("podIP");
  if (!single || single->empty()) return out;
  auto address = net::Address::Parse(*single);
  if (!address) {
    status.ErrorAt("podIP", address.error().message);
    return out;
  }
  if (!out.empty() && out[0] == *address) return out;
  if (!out.empty()) {
    status.Child("podIP")->Warn("is not the first of podIPs: podIP is used alone");
  }
  return {*address};
}

}  // namespace

PodPtr DecodePod(const Cursor& object, Meta meta) {
  object.Known(kObjectFields);
  auto out = std::make_shared<Pod>();
  out->name = std::move(meta.name);
  out->uid = std::move(meta.uid);
  out->labels = std::move(meta.labels);
  out->place = PlaceOf(object);
  DecodeSpec(object, *out);
  if (auto status = object.Mapping("status")) {
    status->Known(kStatusFields);
    out->phase = DecodePhase(*status);
    out->addresses = DecodeAddresses(*status);
  }
  return out;
}

}  // namespace sallyport::model
