// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "lab/dns_command.h"

namespace sallyport::lab {
namespace {

constexpr const char* kAccess = R"(apiVersion: v1
kind: ServiceAccount
metadata: {name: coredns, namespace: kube-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "system:coredns"}
rules:
- {apiGroups: [""], resources: [services, pods], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "system:coredns"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:coredns"}
subjects:
- {kind: ServiceAccount, name: coredns, namespace: kube-system}
---
)";

constexpr const char* kService = R"(apiVersion: v1
kind: Service
metadata:
  name: kube-dns
  namespace: kube-system
  labels: {k8s-app: kube-dns, kubernetes.io/cluster-service: "true", kubernetes.io/name: CoreDNS}
spec:
  selector: {k8s-app: kube-dns}
  ports:
  - {name: dns, port: 53, targetPort: 53, protocol: UDP}
  - {name: dns-tcp, port: 53, targetPort: 53, protocol: TCP}
)";

constexpr const char* kDeploymentToReplicas = R"(---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: coredns
  namespace: kube-system
  labels: {k8s-app: kube-dns, kubernetes.io/name: CoreDNS}
spec:
  replicas: )";

constexpr const char* kReplicasToArgs = R"(
  selector: {matchLabels: {k8s-app: kube-dns}}
  strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 1}}
  template:
    metadata:
      labels: {k8s-app: kube-dns}
    spec:
      serviceAccountName: coredns
      dnsPolicy: Default
      tolerations:
      - {key: CriticalAddonsOnly, operator: Exists}
      - {key: node-role.kubernetes.io/control-plane, effect: NoSchedule}
      containers:
      - name: coredns
        image: coredns
        args: )";

constexpr const char* kArgsToEnd = R"(
        ports:
        - {name: dns, containerPort: 53, protocol: UDP}
        - {name: dns-tcp, containerPort: 53, protocol: TCP}
        readinessProbe:
          tcpSocket: {port: 53}
          periodSeconds: 1
        securityContext:
          allowPrivilegeEscalation: false
          capabilities: {add: [NET_BIND_SERVICE], drop: [ALL]}
        volumeMounts:
        - {name: hosts, mountPath: /etc/coredns, readOnly: true}
      volumes:
      - name: hosts
        configMap: {name: coredns}
)";

std::string HostsConfig(const std::vector<DnsHost>& hosts) {
  std::string out =
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: coredns, namespace: kube-system}\n"
      "data:\n  hosts: |\n    # address, names: hosts outside the cluster\n";
  for (const DnsHost& host : hosts) {
    out += "    " + host.address.ToString();
    for (const std::string& name : host.names) out += " " + name;
    out += "\n";
  }
  return out + "---\n";
}

std::string List(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out += (out.empty() ? "[\"" : ", \"") + item + "\"";
  return out + "]";
}

std::string ServiceAddresses(const std::vector<net::Address>& addresses) {
  if (addresses.empty()) return "";
  std::vector<std::string> texts;
  std::vector<std::string> families;
  for (const net::Address& address : addresses) {
    texts.push_back(address.ToString());
    families.emplace_back(address.IsV4() ? "IPv4" : "IPv6");
  }
  return "  clusterIP: \"" + texts.front() + "\"\n  clusterIPs: " + List(texts) +
         "\n  ipFamilies: " + List(families) +
         "\n  ipFamilyPolicy: " + (texts.size() > 1 ? "RequireDualStack" : "SingleStack") + "\n";
}

}  // namespace

std::vector<net::Address> DnsAddresses(const std::vector<net::Cidr>& service_cidrs) {
  constexpr unsigned kOffset = 10;
  std::vector<net::Address> out;
  for (const net::Cidr& cidr : service_cidrs) {
    net::Address::Bytes bytes = cidr.address().bytes();
    for (size_t i = bytes.size(), carry = kOffset; i > 0 && carry; --i) {
      carry += bytes[i - 1];
      bytes[i - 1] = static_cast<uint8_t>(carry);
      carry >>= 8;
    }
    out.emplace_back(bytes);
  }
  return out;
}

std::string DnsManifests(const DnsDeployment& deployment) {
  return kAccess + HostsConfig(deployment.hosts) + kService +
         ServiceAddresses(deployment.addresses) + kDeploymentToReplicas +
         std::to_string(deployment.replicas) + kReplicasToArgs +
         List({"--domain", deployment.domain, "--hosts", "/etc/coredns/hosts"}) + kArgsToEnd;
}

}  // namespace sallyport::lab
