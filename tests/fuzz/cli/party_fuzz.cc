// SPDX-License-Identifier: Apache-2.0
// Questions as people write them: what is understood means the same when it is written out in
// full, names are names, and what is not understood gets a reason.
//
// The input: a party or a destination.
#include <algorithm>

#include "base/check.h"
#include "cli/ports.h"
#include "cli/question.h"
#include "fuzz/input.h"

namespace sallyport::cli {
namespace {

void CheckParty(const Party& party) {
  auto again = ParseParty(ToString(party));
  CHECK(again && *again == party) << ToString(party);
  const auto* pod = std::get_if<model::ObjectName>(&party);
  if (pod == nullptr) return;
  for (const std::string& name : {pod->ns, pod->name}) {
    CHECK(!name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    })) << name;
  }
}

std::string Written(const Destination& to) {
  std::string out = ToString(to.party);
  const auto* address = std::get_if<net::Address>(&to.party);
  if (address != nullptr && !address->IsV4()) out = "[" + out + "]";
  if (const auto* number = std::get_if<uint16_t>(&to.port)) {
    return out + ":" + std::to_string(*number) + "/" + net::ToString(to.protocol);
  }
  if (const auto* name = std::get_if<std::string>(&to.port)) {
    return out + ":" + *name + "/" + net::ToString(to.protocol);
  }
  return out + "/" + net::ToString(to.protocol);
}

void CheckDestination(const Destination& to) {
  CheckParty(to.party);
  bool has_port = !std::holds_alternative<std::monostate>(to.port);
  CHECK(has_port == net::HasPorts(to.protocol)) << net::ToString(to.protocol);
  if (const auto* number = std::get_if<uint16_t>(&to.port)) CHECK(*number > 0);
  if (const auto* name = std::get_if<std::string>(&to.port)) CHECK(!name->empty());
  auto again = ParseDestination(Written(to));
  CHECK(again) << Written(to) << ": " << again.error().message;
  CHECK(*again == to) << Written(to);
}

}  // namespace
}  // namespace sallyport::cli

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::cli;
  std::string_view text = sallyport::fuzz::Text(data, size);
  if (auto party = ParseParty(text)) {
    CheckParty(*party);
  } else {
    CHECK(!party.error().message.empty());
  }
  if (auto to = ParseDestination(text)) {
    CheckDestination(*to);
  } else {
    CHECK(!to.error().message.empty());
  }
  auto ports = sallyport::probe::ParsePorts(text);
  if (!ports) return 0;
  std::string all;
  for (const auto& port : *ports) all += (all.empty() ? "" : ",") + port.ToString();
  auto again = sallyport::probe::ParsePorts(all);
  CHECK(again && *again == *ports) << all;
  return 0;
}
