// SPDX-License-Identifier: Apache-2.0
// Cluster DNS as pods of the cluster: what runs in them, and the manifests that bring them there.
//
//   API server ──watch──► Services, EndpointSlices, Pods ──► dns_records.h ──► dns_server.h
//
// In the cluster it is the image "coredns" (images.h) of a Deployment in kube-system behind Service
// kube-dns: pods labelled k8s-app: kube-dns, so that policies written for a cluster meet it. It
// reaches the API server as any pod does, by its service account; when the API server is away, the
// last records stand. It answers once it has seen everything, so its readiness is its port.
#pragma once

#include <string>
#include <vector>

#include "lab/dns_records.h"

namespace CLI {
class App;
}

namespace sallyport::lab {

struct DnsDeployment {
  std::string domain = "cluster.local";
  std::vector<net::Address> addresses;  // of Service kube-dns: one, or one of each family
  std::vector<DnsHost> hosts;           // names outside the cluster
  int replicas = 1;
};

// The tenth address of each service CIDR: 10.96.0.10 and fd00:10:96::a by default.
std::vector<net::Address> DnsAddresses(const std::vector<net::Cidr>& service_cidrs);

// ServiceAccount, ClusterRole and -Binding, ConfigMap (the hosts), Service and Deployment, as YAML
// documents in the order in which they are to be created.
std::string DnsManifests(const DnsDeployment& deployment);

// Adds `dns` to `sallyport lab`, hidden: it is the pods' command. Leaves its exit code in
// *exit_code.
void AddDnsCommand(CLI::App& lab, int* exit_code);

}  // namespace sallyport::lab
