// SPDX-License-Identifier: Apache-2.0
// NodePorts, as what is behind them.
//
// What is sent to a NodePort of another node goes to a backend that the other node chooses: so a
// policy set allows it if it allows every usable backend. Of a backend only its signature and port
// count. NodePorts with the same behind them are one entry of a table, one table for each family:
// every other node has the same. A table has a number, which becomes part of those nodes'
// signatures; a table that changes gets another.
#pragma once

#include <compare>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "model/node_port.h"
#include "policy/identities.h"
#include "policy/port_spec.h"

namespace sallyport::policy {

// What is behind a NodePort.
struct Backing {
  struct Need {
    uint32_t signature = 0;  // of a backend; NodePorts has the content
    uint16_t port = 0;
    friend auto operator<=>(const Need&, const Need&) = default;
  };
  net::Protocol protocol = net::Protocol::kTcp;
  bool nowhere = false;     // a Service that has the NodePort has no usable backend
  std::vector<Need> needs;  // sorted, unique: all must be allowed
  friend auto operator<=>(const Backing&, const Backing&) = default;
};

// All NodePorts of one family, and what is behind each. Sorted.
struct NodePortTable {
  using Key = std::pair<net::Protocol, uint16_t>;
  std::vector<Backing> backings;  // each once
  std::vector<std::pair<Key, size_t>> ports;
};

class NodePorts {
 public:
  // A Service or an EndpointSlice came (no `before`), changed or went (no `after`).
  void Change(const model::ServicePtr& before, const model::ServicePtr& after);
  void Change(const model::EndpointSlicePtr& before, const model::EndpointSlicePtr& after);
  // Some change concerns a NodePort.
  bool changed() const { return !dirty_services_.empty(); }

  // Looks up what the changed Services lead to. Returns the addresses that have become backends
  // (true), for Learn to tell of before Settle, and those that are none any more.
  std::vector<std::pair<net::Address, bool>> Refresh(const model::Snapshot& snapshot);
  // The signature of a backend's address, without its own NodePorts. Requires that Refresh said so.
  void Learn(const net::Address& backend, const Signature& signature);

  // Ends a change; `in_use`: some policy set can tell NodePorts apart. True for a family (IPv4,
  // IPv6) whose table is another now.
  std::pair<bool, bool> Settle(bool in_use);

  // The table of the family; kNoNodePorts if there is none, or none is in use.
  NodePortsId id(bool v4) const { return families_[v4 ? 0 : 1].id; }
  // Requires that it is the number of a table.
  const NodePortTable& table(NodePortsId id) const;
  const Signature& signature(uint32_t id) const { return signatures_.key(id); }

 private:
  using Key = NodePortTable::Key;
  struct Exposed {
    Key key;
    std::vector<model::NodePortBackend> backends[2];
  };
  struct BackendUse {
    uint32_t signature = 0;  // 0: not learned yet
    std::multiset<model::ObjectName> services;
  };
  struct Family {
    std::map<Key, Backing> ports;
    NodePortTable table;  // the same, once it has a number
    NodePortsId id = kNoNodePorts;
  };

  void Expose(const model::ObjectName& name, const model::Service& service,
              const model::Snapshot& snapshot, std::set<net::Address>& touched);
  void Withdraw(const model::ObjectName& name, std::set<net::Address>& touched);
  Backing BackingOf(const Key& key, size_t family) const;
  bool SettleFamily(size_t family, bool in_use);
  static NodePortTable TableOf(const std::map<Key, Backing>& ports);

  std::map<model::ObjectName, std::set<model::ObjectName>> slices_;  // by Service
  std::set<model::ObjectName> nodeport_services_;
  std::map<model::ObjectName, std::vector<Exposed>> exposed_;
  std::map<Key, std::multiset<model::ObjectName>> users_;  // of a NodePort: one, but in passing
  std::map<net::Address, BackendUse> backends_;
  Interner<Signature, SignatureHash, NoData> signatures_{1};
  Family families_[2];  // IPv4, IPv6
  NodePortsId next_ = kNoNodePorts + 1;

  // Of the change that is under way.
  std::set<model::ObjectName> dirty_services_;
  std::set<Key> dirty_;
};

}  // namespace sallyport::policy
