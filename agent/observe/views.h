// SPDX-License-Identifier: Apache-2.0
// What the agent tells about itself: values, made on the reconciler's thread, read on any.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "egress/pin_plan.h"
#include "net/address.h"
#include "net/flow.h"
#include "observe/egress_view.h"
#include "policy/evaluate.h"

namespace sallyport::observe {

struct TableView {
  std::string name;
  uint64_t used = 0, capacity = 0;
  uint64_t left_out = 0;  // entries that found no place: what they would allow is denied
};

// One resource of the API server, as the agent follows it.
struct WatchView {
  std::string resource;    // with its group, if it has one: "networkpolicies.networking.k8s.io"
  bool installed = true;   // false: the server does not have this resource now
  bool synced = false;     // listed completely, once; stays true
  bool connected = false;  // a watch is open at this moment
  std::optional<WallTime> lost_since;  // nothing is heard; nothing while all is well
  std::optional<WallTime> last_event;  // or bookmark, or complete list
  uint64_t events = 0;                 // changes told by watches, bookmarks included
  uint64_t reconnects = 0;             // watches opened after the first
  uint64_t relists = 0;                // complete lists after the first
  uint64_t errors = 0;                 // requests that failed, and watches that ended in an error
  std::string last_error;              // for a person; "" once a request succeeded again
};

struct StatusView {
  std::string node, version;
  uint32_t generation = 0;
  bool ready = false;                // the latest known policy is in force on every endpoint
  std::vector<std::string> reasons;  // why it is not
  std::vector<TableView> tables;
  std::vector<std::string> diagnostics;
  std::string cluster;  // fingerprint of the objects known: agents that know the same have the same
  std::vector<WatchView> watches;  // none where objects come from manifests
};

struct EndpointView {
  std::string pod;  // "ns/name"; "" for an interface that is guarded but nobody's yet
  std::string interface;
  uint32_t ifindex = 0;
  std::vector<net::Address> addresses;
  bool open = false;
  std::string why_closed;                    // "" if open
  uint32_t egress_set = 0, ingress_set = 0;  // 0: not isolated
  std::vector<std::string> keeps;            // directions of which established connections stay
  uint64_t packets[2] = {}, bytes[2] = {};   // [egress, ingress]
  std::map<std::string, uint64_t> dropped;   // by reason, both directions together
};

struct PolicyView {
  std::string policy;
  std::vector<std::string> selects;  // pods of this node
  std::vector<std::string> directions;
  std::string place;   // "file:line"
  bool keeps = false;  // asks that established connections stay
};

struct FlowView {
  net::FlowTuple tuple;
  std::string source_pod, destination_pod;  // "" where it is no known pod
  int idle_seconds = 0;
  bool answered = false, closing = false, cut = false;
  bool kept = false;                      // policy allows no new one like it
  std::optional<bool> egress, ingress;    // nothing where that end is no endpoint of this node
  bool pinned = false;                    // the outside sees it as the following
  std::optional<net::Address> egress_ip;  // nothing: it has got no port yet
  uint16_t egress_port = 0;
};

struct EventView {
  WallTime time;
  std::string reason, description;
  std::string direction;  // "egress" or "ingress", of the endpoint that denies
  std::string endpoint;   // its pod
  std::string interface;  // where the packet was seen
  net::FlowTuple tuple;
  std::string source_pod, destination_pod;
  std::vector<std::string> isolating;
  std::string near_miss;
  uint64_t suppressed = 0;  // events that were not sent before this one
};

// May `from` reach `to`? Each is a pod ("ns/name") or an address. `to` may be a Service
// ("svc/ns/name") or an address of one: then its backends are asked about.
struct ExplainQuestion {
  std::string from, to;
  net::Protocol protocol = net::Protocol::kTcp;  // kIcmp: of either family
  std::string port;                              // a number, or a name that `to` has
};

struct ExplainView {
  std::string from, to;  // as asked; of a Service, the backend: a pod, or an address
  net::FlowTuple tuple;
  policy::FlowVerdict verdict;
  std::vector<std::string> closed;  // endpoints of this node that let nothing through yet, and why
  std::string service;              // that was asked about: "shop/front:8080/TCP"; "" if none was
  std::optional<egress::PinAnswer> pin;  // nothing: with its own address, or as the node makes it
  bool Passes() const;                   // policy allows it, nothing is closed, and no pin drops it
};

// Where the local API gets its answers. Thread-safe; each call may wait for the reconciler, and
// fails when it takes too long.
class Source {
 public:
  virtual ~Source() = default;
  virtual Result<StatusView> ReadStatus() = 0;
  virtual Result<std::vector<EndpointView>> ReadEndpoints() = 0;
  virtual Result<std::vector<PolicyView>> ReadPolicies() = 0;
  // At most `limit`; with `endpoint` ("ns/pod") only flows that it is an end of.
  virtual Result<std::vector<FlowView>> ReadFlows(size_t limit, const std::string& endpoint) = 0;
  // One answer for each family that both have, of each backend of a Service. EINVAL: a question
  // that has no answer, and why.
  virtual Result<std::vector<ExplainView>> Explain(const ExplainQuestion& question) = 0;
  // Without egress IPs: none.
  virtual Result<EgressView> ReadEgress() = 0;
};

}  // namespace sallyport::observe
