// SPDX-License-Identifier: Apache-2.0
#include "policy/port_spec.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"
#include "policy/hash.h"

namespace sallyport::policy {
namespace {

using Ranges = std::vector<net::PortRange>;

// Joins ranges that overlap or touch. Requires that they are sorted.
void Join(Ranges& ranges) {
  size_t kept = 0;
  for (const net::PortRange& range : ranges) {
    if (kept > 0 && range.first <= ranges[kept - 1].last + 1) {
      ranges[kept - 1].last = std::max(ranges[kept - 1].last, range.last);
    } else {
      ranges[kept++] = range;
    }
  }
  ranges.resize(kept);
}

void Normalise(Ranges& ranges) {
  std::sort(ranges.begin(), ranges.end());
  Join(ranges);
}

void Normalise(PortSet& set) {
  Normalise(set.tcp);
  Normalise(set.udp);
  Normalise(set.sctp);
}

template <typename T>
void Append(std::vector<T>& list, const std::vector<T>& more) {
  list.insert(list.end(), more.begin(), more.end());
}

bool CoversRanges(const Ranges& outer, const Ranges& inner) {
  return std::all_of(inner.begin(), inner.end(), [&](const net::PortRange& range) {
    return std::any_of(outer.begin(), outer.end(), [&](const net::PortRange& o) {
      return o.first <= range.first && range.last <= o.last;
    });
  });
}

// Both normal, here and below.
Ranges Merged(const Ranges& a, const Ranges& b) {
  Ranges out;
  out.reserve(a.size() + b.size());
  std::merge(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  Join(out);
  return out;
}

Ranges Less(const Ranges& ranges, const Ranges& less) {
  Ranges out;
  auto hole = less.begin();
  for (const net::PortRange& range : ranges) {
    uint32_t first = range.first;
    while (hole != less.end() && hole->last < first) ++hole;
    for (; hole != less.end() && hole->first <= range.last; ++hole) {
      if (hole->first > first) {
        out.push_back({static_cast<uint16_t>(first), static_cast<uint16_t>(hole->first - 1)});
      }
      first = hole->last + 1u;
      if (first > range.last) break;  // the hole may go on in the next range
    }
    if (first <= range.last) out.push_back({static_cast<uint16_t>(first), range.last});
  }
  return out;
}

// The ranges of a protocol that has ports; nullptr for others.
Ranges* RangesOf(PortSet& set, net::Protocol protocol) {
  switch (protocol) {
    case net::Protocol::kTcp:
      return &set.tcp;
    case net::Protocol::kUdp:
      return &set.udp;
    case net::Protocol::kSctp:
      return &set.sctp;
    default:
      return nullptr;
  }
}

uint64_t HashRanges(const Ranges& ranges) {
  return HashItems(ranges, [](const net::PortRange& r) {
    return static_cast<uint64_t>(r.first) << 16 | r.last;
  });
}

}  // namespace

PortSpec Union(const std::vector<const PortSpec*>& specs) {
  PortSpec out;
  for (const PortSpec* spec : specs) {
    if (spec->everything) return *spec;
    Append(out.numbers.tcp, spec->numbers.tcp);
    Append(out.numbers.udp, spec->numbers.udp);
    Append(out.numbers.sctp, spec->numbers.sctp);
    Append(out.names, spec->names);
  }
  if (specs.size() < 2) return out;
  Normalise(out.numbers);
  SortUnique(out.names);
  return out;
}

bool Covers(const PortSpec& outer, const PortSpec& inner) {
  if (outer.everything) return true;
  return !inner.everything && CoversRanges(outer.numbers.tcp, inner.numbers.tcp) &&
         CoversRanges(outer.numbers.udp, inner.numbers.udp) &&
         CoversRanges(outer.numbers.sctp, inner.numbers.sctp) &&
         std::includes(outer.names.begin(), outer.names.end(), inner.names.begin(),
                       inner.names.end());
}

PortSpec Resolved(const PortSpec& spec, const Resolution& resolution, const NamedPorts& names) {
  PortSpec out = spec;
  out.names.clear();
  for (const auto& [name, number] : resolution) {
    if (!Has(spec.names, name)) continue;
    if (Ranges* ranges = RangesOf(out.numbers, names.protocol(name))) {
      ranges->push_back({number, number});
    }
  }
  Normalise(out.numbers);
  return out;
}

PortSpec SpecOf(const std::vector<model::PolicyPort>& ports, NamedPorts& names) {
  PortSpec out;
  out.everything = ports.empty();
  for (const model::PolicyPort& port : ports) {
    Ranges* ranges = RangesOf(out.numbers, port.protocol);
    if (!ranges) continue;  // a protocol without ports cannot be listed: it allows nothing
    if (const auto* name = std::get_if<std::string>(&port.port)) {
      NamedPortId id = names.Acquire(*name, port.protocol);
      if (Has(out.names, id)) names.Release(id);
      Insert(out.names, id);
    } else if (const auto* range = std::get_if<net::PortRange>(&port.port)) {
      if (range->first <= range->last) ranges->push_back(*range);
    } else {
      ranges->push_back({0, 0xffff});
    }
  }
  Normalise(out.numbers);
  return out;
}

PortSet Without(const PortSet& set, const PortSet& less) {
  return {Less(set.tcp, less.tcp), Less(set.udp, less.udp), Less(set.sctp, less.sctp)};
}

PortSet Union(const PortSet& a, const PortSet& b) {
  return {Merged(a.tcp, b.tcp), Merged(a.udp, b.udp), Merged(a.sctp, b.sctp)};
}

void Append(PortSet& set, net::Protocol protocol, uint16_t port) {
  Ranges* ranges = RangesOf(set, protocol);
  CHECK(ranges) << net::ToString(protocol) << " has no ports";
  if (!ranges->empty() && ranges->back().last + 1 >= port) {
    ranges->back().last = port;
  } else {
    ranges->push_back({port, port});
  }
}

size_t PortSetHash::operator()(const PortSet& set) const {
  return Mix(Mix(HashRanges(set.tcp), HashRanges(set.udp)), HashRanges(set.sctp));
}

size_t PortSpecHash::operator()(const PortSpec& spec) const {
  return Mix(Mix(PortSetHash{}(spec.numbers), HashNumbers(spec.names)), spec.everything ? 1 : 0);
}

size_t NamedPorts::Hash::operator()(const Key& key) const {
  return Mix(HashText(key.first), static_cast<uint64_t>(key.second));
}

NamedPortId NamedPorts::Acquire(const std::string& name, net::Protocol protocol) {
  return names_.Acquire({name, protocol}).first;
}

NamedPortId NamedPorts::Find(const std::string& name, net::Protocol protocol) const {
  return names_.Find({name, protocol});
}

std::optional<uint16_t> NamedPorts::Resolve(NamedPortId id, const model::Pod& pod) const {
  const auto& [name, protocol] = names_.key(id);
  for (const model::ContainerPort& port : pod.ports) {
    if (port.protocol == protocol && port.name == name) return port.port;
  }
  return std::nullopt;
}

void NamedPorts::Sweep() {
  names_.Sweep([](NamedPortId, const Key&, NoData&) {});
}

}  // namespace sallyport::policy
