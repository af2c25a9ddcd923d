// SPDX-License-Identifier: Apache-2.0
// Names: where a lab keeps its files, and what its namespaces are called. Pure.
//
//   /run/sallyport-lab/<lab>.lock         held by whoever changes the lab
//   /run/sallyport-lab/<lab>/
//     state.json  scratch/                how it was planned; where files are written first
//     apiserver/                          all that the API server keeps
//     kubeconfig                          for people, on this machine
//     node.kubeconfig  agent.kubeconfig   for the nodes, and the agents, from where they are
//     cluster.json                        the cluster as it was last seen
//     pods/<ns>.<pod>/                    spec, status, volumes of a pod
//     nodes/<node>/cni/{results,networks} result cache of libcni, leases of host-local
//     nodes/<node>/agent.sock, bell, services
//     processes/                          numbers of the lab's processes
//     bpf/<node>/                         a bpffs: what the agents pin
//     logs/
//   /run/netns/spt-<lab>.fabric, .outside, .node.<node>, .pod.<ns>.<pod>
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "model/objects.h"

namespace sallyport::lab {

inline constexpr const char* kRunRoot = "/run/sallyport-lab";
// In the environment of every process of a lab, with the lab's name.
inline constexpr const char* kMarker = "SPT_LAB_MEMBER";

// Small letters, digits and '-', at most 32: it becomes part of file names.
Status CheckLabName(const std::string& name);

class Layout {
 public:
  explicit Layout(std::string lab) : lab_(std::move(lab)) {}

  const std::string& lab() const { return lab_; }
  std::string marker() const { return std::string(kMarker) + "=" + lab_; }
  std::string run() const { return std::string(kRunRoot) + "/" + lab_; }
  std::string lock() const { return run() + ".lock"; }
  std::string state() const { return run() + "/state.json"; }
  std::string apiserver() const { return run() + "/apiserver"; }
  std::string kubeconfig() const { return run() + "/kubeconfig"; }
  std::string node_kubeconfig() const { return run() + "/node.kubeconfig"; }
  std::string agent_kubeconfig() const { return run() + "/agent.kubeconfig"; }
  std::string cluster() const { return run() + "/cluster.json"; }
  std::string processes() const { return run() + "/processes"; }
  std::string scratch() const { return run() + "/scratch"; }
  std::string logs() const { return run() + "/logs"; }
  std::string bpf() const { return run() + "/bpf"; }
  std::string pods() const { return run() + "/pods"; }
  std::string pod(const model::ObjectName& name) const { return pods() + "/" + Dotted(name); }
  std::string node(const std::string& name) const { return run() + "/nodes/" + name; }
  std::string cni_results(const std::string& node_name) const {
    return node(node_name) + "/cni/results";
  }
  std::string cni_networks(const std::string& node_name) const {
    return node(node_name) + "/cni/networks";
  }
  std::string pins(const std::string& node_name) const { return bpf() + "/" + node_name; }
  std::string socket(const std::string& node_name) const { return node(node_name) + "/agent.sock"; }
  std::string bell(const std::string& node_name) const { return node(node_name) + "/bell"; }
  // What the node's Service proxy has brought into force (settle.h).
  std::string services(const std::string& node_name) const { return node(node_name) + "/services"; }
  std::string log(const std::string& what) const { return logs() + "/" + what + ".log"; }

  // Names in /run/netns. Those of one lab are no prefix of another's: lab names have no dot.
  std::string netns_prefix() const { return "spt-" + lab_ + "."; }
  std::string fabric_netns() const { return netns_prefix() + "fabric"; }
  std::string outside_netns() const { return netns_prefix() + "outside"; }
  std::string node_netns(const std::string& node_name) const {
    return netns_prefix() + "node." + node_name;
  }
  // Shortened, with a hash, where ns and name are longer than a file name may be.
  std::string pod_netns(const model::ObjectName& name) const;

 private:
  static std::string Dotted(const model::ObjectName& name) { return name.ns + "." + name.name; }
  std::string lab_;
};

// The lab to which a namespace of this name belongs; "" for a name that is no lab's.
std::string LabOfNetns(std::string_view netns_name);

}  // namespace sallyport::lab
