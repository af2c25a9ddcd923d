// SPDX-License-Identifier: Apache-2.0
#include "cli/lab_world.h"

#include <algorithm>
#include <map>

#include "cli/agent_events.h"
#include "cli/unix_http.h"
#include "lab/state.h"

namespace sallyport::cli {
namespace {

template <typename Places>
std::string Names(const Places& places) {
  std::string out;
  for (const auto& place : places) out += (out.empty() ? "" : ", ") + place.name;
  return out;
}

}  // namespace

Result<std::string> LabName(const std::string& named) {
  if (!named.empty()) return named;
  std::vector<std::string> labs = lab::ListWholeLabs();
  if (labs.empty()) return Error{"no lab is up; make one with: sallyport lab up -f MANIFESTS"};
  if (labs.size() == 1) return labs.front();
  std::string names;
  for (const std::string& name : labs) names += (names.empty() ? "" : ", ") + name;
  return Error{"several labs are up (" + names + "); say which with --lab NAME"};
}

Result<LabWorld> LabWorld::Open(const std::string& name) {
  auto lab = LabName(name);
  if (!lab) return std::move(lab).error();
  auto inventory = lab::ReadInventory(*lab);
  if (!inventory) return std::move(inventory).error();
  return LabWorld(std::move(*inventory));
}

Reach LabWorld::InReach() const {
  Reach out{inventory_.outside_addresses, {}};
  for (const lab::NodePlace& node : inventory_.nodes) {
    out.nodes.insert(out.nodes.end(), node.addresses.begin(), node.addresses.end());
  }
  return out;
}

std::string LabWorld::NetnsOf(const Side& side) const {
  if (side.pod) {
    for (const lab::PodPlace& place : inventory_.pods) {
      if (place.pod == side.pod->name) return place.netns_path;
    }
    return "";
  }
  const auto& outside = inventory_.outside_addresses;
  bool known = std::find(outside.begin(), outside.end(), side.addresses.front()) != outside.end();
  if (known) return inventory_.outside_netns_path;
  for (const lab::NodePlace& node : inventory_.nodes) {
    const auto& own = node.addresses;
    if (std::find(own.begin(), own.end(), side.addresses.front()) != own.end()) {
      return node.netns_path;
    }
  }
  return "";
}

Status LabWorld::Probe(std::vector<Row>& rows, const probe::Options& options) const {
  std::map<std::string, std::vector<Row*>> by_netns;
  for (Row& row : rows) {
    std::string netns = NetnsOf(row.from);
    if (netns.empty()) {
      row.seen = probe::Answer{
          probe::Outcome::kError, {}, row.from.name + " is nowhere in lab " + inventory_.name};
    } else if (row.to.made_up || row.from.made_up) {
      const Side& side = row.to.made_up ? row.to : row.from;
      row.seen = probe::Answer{probe::Outcome::kError, {}, side.name + " has no address yet"};
    } else {
      by_netns[netns].push_back(&row);
    }
  }
  std::vector<probe::Source> sources;
  for (const auto& [netns, of_netns] : by_netns) {
    probe::Source source{netns, {}};
    for (const Row* row : of_netns) {
      // The outside has many addresses, and is asked to speak from one; a pod speaks as it does.
      std::optional<net::Address> from;
      if (!row->from.pod) from = row->source;
      source.targets.push_back({row->destination, row->port, from});
    }
    sources.push_back(std::move(source));
  }
  auto answers = probe::Probe(sources, options);
  if (!answers) return std::move(answers).error();
  size_t s = 0;
  for (const auto& [netns, of_netns] : by_netns) {
    for (size_t i = 0; i < of_netns.size(); ++i) of_netns[i]->seen = (*answers)[s][i];
    ++s;
  }
  return Ok();
}

void LabWorld::AskAgents(std::vector<Row>& rows, WallTime start) const {
  bool any = std::any_of(rows.begin(), rows.end(), [](const Row& row) {
    return row.seen && row.seen->outcome == probe::Outcome::kBlocked;
  });
  if (!any) return;
  for (const lab::NodePlace& node : inventory_.nodes) {
    auto events = Get(node.agent_socket, "/v1/events");
    if (events) AttachEvents(*events, node.name, start, rows);
  }
}

Result<std::vector<AgentPlace>> AgentsOf(const std::string& lab, const std::string& node) {
  auto name = LabName(lab);
  if (!name) return std::move(name).error();
  auto inventory = lab::ReadInventory(*name);
  if (!inventory) return std::move(inventory).error();
  std::vector<AgentPlace> out;
  for (const lab::NodePlace& place : inventory->nodes) {
    if (node.empty() || place.name == node) out.push_back({place.name, place.agent_socket});
  }
  if (!out.empty()) return out;
  return Error{"lab " + *name + " has no node \"" + node + "\"; there are " +
               Names(inventory->nodes)};
}

}  // namespace sallyport::cli
