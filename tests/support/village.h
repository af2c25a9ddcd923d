// SPDX-License-Identifier: Apache-2.0
// A small cluster that tests put their policies into.
#pragma once

#include <string>

namespace sallyport::test {

// Namespaces shop (team red) and bank (team blue), nodes n1 and n2; pods:
//
//   shop/web      app=web, tier=front            n1  10.1.0.1  fd00:1::1
//   shop/db       app=db, tier=back              n1  10.1.0.2  fd00:1::2   ports sql 5432,
//                                                    metrics 9187, dns 53/UDP, m3 2905/SCTP
//   shop/cache    app=cache                      n2  10.2.0.1  fd00:2::1   port metrics 9121
//   bank/web      app=web, tier=front            n2  10.2.0.2  fd00:2::2
//   bank/teller   app=teller, env=prod           n1  10.1.0.3  fd00:1::3   port metrics 8080/UDP
inline const std::string kVillage = R"(
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: red}}
---
apiVersion: v1
kind: Namespace
metadata: {name: bank, labels: {team: blue}}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}, {type: InternalIP, address: "fd00:a::1"}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2}
status: {addresses: [{type: InternalIP, address: 192.168.0.2}, {type: InternalIP, address: "fd00:a::2"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web, tier: front}}
spec: {nodeName: n1, containers: [{name: main, image: web}]}
status: {phase: Running, podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}, {ip: "fd00:1::1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db, tier: back}}
spec:
  nodeName: n1
  containers:
  - name: main
    image: db
    ports:
    - {name: sql, containerPort: 5432}
    - {name: metrics, containerPort: 9187}
    - {name: dns, containerPort: 53, protocol: UDP}
    - {name: m3, containerPort: 2905, protocol: SCTP}
status: {phase: Running, podIP: 10.1.0.2, podIPs: [{ip: 10.1.0.2}, {ip: "fd00:1::2"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: cache, namespace: shop, labels: {app: cache}}
spec: {nodeName: n2, containers: [{name: main, image: cache, ports: [{name: metrics, containerPort: 9121}]}]}
status: {phase: Running, podIP: 10.2.0.1, podIPs: [{ip: 10.2.0.1}, {ip: "fd00:2::1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: bank, labels: {app: web, tier: front}}
spec: {nodeName: n2, containers: [{name: main, image: web}]}
status: {phase: Running, podIP: 10.2.0.2, podIPs: [{ip: 10.2.0.2}, {ip: "fd00:2::2"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: teller, namespace: bank, labels: {app: teller, env: prod}}
spec: {nodeName: n1, containers: [{name: main, image: teller, ports: [{name: metrics, containerPort: 8080, protocol: UDP}]}]}
status: {phase: Running, podIP: 10.1.0.3, podIPs: [{ip: 10.1.0.3}, {ip: "fd00:1::3"}]}
---
)";

// The village and a policy called shop/NAME with this spec (YAML in flow style).
inline std::string Policy(const std::string& name, const std::string& spec) {
  return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: " + name +
         ", namespace: shop}\nspec: " + spec + "\n---\n";
}
inline std::string VillageWith(const std::string& spec) {
  return kVillage + Policy("policy", spec);
}

}  // namespace sallyport::test
