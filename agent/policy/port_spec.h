// SPDX-License-Identifier: Apache-2.0
// What the `ports` of rules allow, as a value: numbers, and names that are not resolved yet.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/objects.h"
#include "policy/image.h"
#include "policy/interner.h"
#include "policy/number_list.h"

namespace sallyport::policy {

// A port's name and protocol, numbered: two rules that say "metrics/TCP" mean the same name.
using NamedPortId = uint32_t;

// Names and the numbers that one pod gives them; sorted by name.
using Resolution = std::vector<std::pair<NamedPortId, uint16_t>>;

struct PortSpec {
  bool everything = false;  // any port of any protocol; then the rest is empty
  PortSet numbers;
  Numbers names;  // NamedPortId
  friend auto operator<=>(const PortSpec&, const PortSpec&) = default;
};

// All that any of them allows. Ranges come out sorted, disjoint and not adjacent.
PortSpec Union(const std::vector<const PortSpec*>& specs);
// Everything that `inner` allows, on any pod, `outer` allows.
bool Covers(const PortSpec& outer, const PortSpec& inner);
// The same without names: each is what the resolution says, or nothing.
PortSpec Resolved(const PortSpec& spec, const Resolution& resolution,
                  const class NamedPorts& names);

// What is in `set` and not in `less`; what is in one or both.
PortSet Without(const PortSet& set, const PortSet& less);
PortSet Union(const PortSet& a, const PortSet& b);
// Adds a port of a protocol that has ports. Requires that none of the protocol's is larger.
void Append(PortSet& set, net::Protocol protocol, uint16_t port);
inline PortSet EveryPort() { return {{{0, 0xffff}}, {{0, 0xffff}}, {{0, 0xffff}}}; }

struct PortSetHash {
  size_t operator()(const PortSet& set) const;
};
struct PortSpecHash {
  size_t operator()(const PortSpec& spec) const;
};

// The names in use.
class NamedPorts {
 public:
  // Takes a reference.
  NamedPortId Acquire(const std::string& name, net::Protocol protocol);
  void Retain(NamedPortId id) { names_.Retain(id); }
  void Release(NamedPortId id) { names_.Release(id); }
  void Sweep();

  net::Protocol protocol(NamedPortId id) const { return names_.key(id).second; }
  bool empty() const { return names_.size() == 0; }
  // 0 if nothing mentions it.
  NamedPortId Find(const std::string& name, net::Protocol protocol) const;
  // The number that the pod gives the name: that of its first port so called.
  std::optional<uint16_t> Resolve(NamedPortId id, const model::Pod& pod) const;

 private:
  using Key = std::pair<std::string, net::Protocol>;
  struct Hash {
    size_t operator()(const Key& key) const;
  };
  Interner<Key, Hash, NoData> names_{1};
};

// A rule's `ports`. Takes a reference to each name, for the caller to release.
PortSpec SpecOf(const std::vector<model::PolicyPort>& ports, NamedPorts& names);

}  // namespace sallyport::policy
