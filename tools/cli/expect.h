// SPDX-License-Identifier: Apache-2.0
// Expect files: the reachability that manifests must give, short enough to write by hand. Pure.
//
//   namespace: shop                 # of names without one; default "default"
//   allowed:                        # everything else is denied
//   - frontend -> backend:8080
//   - monitoring/* -> any:9090,9187
//   - 198.51.100.0/24 -> api:3000
//   - any -> kube-system/coredns:53/UDP,53/TCP
//   denied:                         # wins over allowed
//   - frontend -> backend:8080/UDP
//
// A line is `source -> destination[:ports]`, either side one of
//   name, ns/name    the pod of that name; if there is none, the pods that a workload of that name
//                    owns (backend matches backend-0 and backend-6d4cf56db6-x7k2p, not backend-db)
//   with * or ?      any pod whose namespace and name match, part by part
//   address, CIDR    an address outside, or all of a block
//   any              whoever it is;  pods: any pod;  outside: any address that is no pod's
//   cluster-dns      the cluster's DNS pods (kube-system, k8s-app: kube-dns), if there are any
// and ports a comma-separated list of 80, 80/UDP, ICMP, a port's name on the destination, or *.
// Without ports: every port. Quote a line that starts with *.
//
// A pod's path to itself is always allowed and need not be listed. Pods that policy does not see,
// on their node's network or ended, are nobody here.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cli/row.h"

namespace sallyport::cli {

class Expectations {
 public:
  // `file` is used in messages. The error lists everything that is wrong with the text.
  static Result<Expectations> Parse(std::string_view text, const std::string& file);

  // Finds the pods that names stand for. The error lists the lines that name a pod, a workload or
  // a port that is not in the world: an expectation about nobody would never fail.
  Status Bind(const World& world);

  // Nothing but these ports is asked about. The error lists the lines about others.
  Status CheckPorts(const std::vector<Port>& asked, const World& world) const;
  // Of addresses outside, only these can be tried; the error lists the lines about others. A block
  // needs one of `outside` in it, an address may also be one of `nodes`.
  Status CheckAddresses(const std::vector<net::Address>& outside,
                        const std::vector<net::Address>& nodes) const;
  // A line says `outside`, or names one of these addresses or a block with one of them in it.
  bool NamesOutside(const std::vector<net::Address>& outside) const;

  // Requires Bind().
  Expected Of(const Row& row) const;

  // What the file speaks of by number: addresses outside, and ports, to ask about.
  std::vector<net::Address> Sources() const;
  std::vector<net::Address> Destinations() const;
  // Requires Bind(). Those of the lines about this destination.
  std::vector<Port> PortsOf(const Side& to) const;

 private:
  struct AnyPort {};
  struct NamedPort {
    std::string name;
    net::Protocol protocol;
  };
  using PortPattern = std::variant<AnyPort, Port, NamedPort>;
  enum class Word { kAny, kPods, kOutside, kClusterDns };
  using Who = std::variant<Word, model::ObjectName, net::Cidr>;
  struct Line {
    bool allows = false;
    int number = 0;
    std::string text;
    Who from, to;
    std::vector<PortPattern> ports;  // empty: every port
  };
  class Reader;

  // Who is not to be found in the world, and why; empty where somebody is.
  std::string WhyNobody(const Who& who, const World& world) const;
  // The ports that a pattern (not *) stands for on the pods that the line has for destination.
  std::vector<Port> PortsMeant(const Line& line, const PortPattern& pattern,
                               const World& world) const;
  // One line of an error each, for what `complaints` returns about each line.
  template <typename Complaints>
  Status CheckLines(Complaints complaints) const;

  std::vector<net::Address> Addresses(Who Line::*side) const;
  bool Matches(const Who& who, const Side& side, const net::Address& address) const;
  bool Matches(const Line& line, const Row& row) const;
  bool IsWorkloadName(const model::ObjectName& name) const;

  std::string file_;
  std::vector<Line> lines_;
  std::vector<model::ObjectName> pods_;  // of the world, sorted
};

// Is this pod's name one that a controller gives to the pods of a workload of that name?
// backend-0, backend-x7k2p, backend-6d4cf56db6-x7k2p.
bool IsOwnedName(std::string_view workload, std::string_view pod);
// The name of the workload that a controller generated this pod's name from: backend for
// backend-x7k2p and backend-6d4cf56db6-x7k2p. Of any other name: all of it.
std::string_view WorkloadOf(std::string_view pod);
// `*` any text, `?` any character.
bool GlobMatches(std::string_view pattern, std::string_view text);

}  // namespace sallyport::cli
