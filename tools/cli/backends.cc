// SPDX-License-Identifier: Apache-2.0
#include "cli/backends.h"

#include "model/backends.h"

namespace sallyport::cli {
namespace {

using Found = std::optional<model::ServiceTarget>;

model::PortName NameOf(const Destination& to) {
  if (const auto* name = std::get_if<std::string>(&to.port)) return *name;
  const auto* number = std::get_if<uint16_t>(&to.port);
  return number ? *number : uint16_t{0};
}

Result<Found> Find(const model::Snapshot& snapshot, const model::Pod* sender, std::string_view to) {
  bool named = to.starts_with(model::kServicePrefix);
  auto destination = ParseDestination(named ? to.substr(model::kServicePrefix.size()) : to);
  if (!destination) return std::move(destination).error();
  const auto* address = std::get_if<net::Address>(&destination->party);
  if (!named) {
    if (!address) return Found();
    return model::FindServiceAt(snapshot, sender, *address, destination->protocol,
                                NameOf(*destination));
  }
  if (address) return Error{"svc/ goes with a Service's name, not with an address"};
  const auto& name = std::get<model::ObjectName>(destination->party);
  auto found = model::FindService(snapshot, name, destination->protocol, NameOf(*destination));
  if (!found) return std::move(found).error();
  return Found(*std::move(found));
}

Side SideOf(const World& world, const model::ServiceTarget& target, const model::Backend& backend) {
  auto of_pod = backend.pod ? world.Resolve(backend.pod->name) : Result<Side>(Error{""});
  Side side = of_pod ? *std::move(of_pod) : *world.Resolve(backend.addresses.front());
  // Of a pod with made-up addresses only these are its own.
  if (!side.made_up) side.addresses = backend.addresses;
  std::erase_if(side.addresses, [&target](const net::Address& address) {
    return target.address && target.address->IsV4() != address.IsV4();
  });
  return side;
}

}  // namespace

Result<std::optional<ServiceBackends>> BackendsOf(const World& world, const model::Pod* sender,
                                                  std::string_view to) {
  std::optional<ServiceBackends> out;
  auto found = Find(world.snapshot(), sender, to);
  if (!found) return std::move(found).error();
  if (!*found) return out;
  const model::ServiceTarget& target = **found;
  auto backends = model::BackendsOf(world.snapshot(), sender, target);
  if (!backends) return std::move(backends).error();
  out.emplace().service = target.ToString();
  for (const model::Backend& backend : *backends) {
    out->backends.push_back({SideOf(world, target, backend), {target.port.protocol, backend.port}});
  }
  return out;
}

}  // namespace sallyport::cli
