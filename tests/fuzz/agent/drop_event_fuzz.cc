// SPDX-License-Identifier: Apache-2.0
// Whatever bytes the kernel's events hold: each is told of once, in one line without control
// characters, with the addresses and numbers that the bytes have.
//
// The input: up to four events, as bpf/abi/tables.h lays them out.
#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "control/drops.h"
#include "dataplane/flows.h"
#include "fuzz/agent/small_agent.h"
#include "observe/json.h"

namespace sallyport::control {
namespace {

using nlohmann::json;

// ::ffff:a.b.c.d, and nothing else, is IPv4.
net::Address AddressOf(const sp_address& address) {
  net::Address::Bytes bytes;
  memcpy(bytes.data(), &address, bytes.size());
  return net::Address(bytes);
}

void CheckLine(const std::string& text) {
  CHECK(std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  })) << text;
}

void CheckView(const observe::EventView& view, const sp_event& event) {
  CHECK(view.tuple.source == AddressOf(event.source));
  CHECK(view.tuple.destination == AddressOf(event.destination));
  CHECK(static_cast<uint8_t>(view.tuple.protocol) == event.protocol);
  bool ports = event.protocol == 6 || event.protocol == 17 || event.protocol == 132;
  CHECK(view.tuple.source_port == (ports ? __builtin_bswap16(event.source_port) : 0));
  CHECK(view.tuple.destination_port == (ports ? __builtin_bswap16(event.destination_port) : 0));
  CHECK(view.direction == (event.direction == SP_EGRESS ? "egress" : "ingress"));
  CHECK(!view.reason.empty() && !view.description.empty());
  CHECK(view.suppressed == event.suppressed);
  CHECK(view.endpoint == (event.endpoint == 3 ? "shop/web" : ""));
  CHECK(view.interface == (event.ifindex == 3 ? "veth3" : std::to_string(event.ifindex)));
  bool of_policies = event.reason == SP_DROP_POLICY || event.reason == SP_DROP_NO_ROOM;
  bool policy = of_policies && event.endpoint == 3;
  if (!policy) CHECK(view.isolating.empty() && view.near_miss.empty());
  if (policy && event.direction != SP_EGRESS) {
    CHECK(view.isolating == std::vector<std::string>{"shop/policy"});
  }
}

void CheckJson(const observe::EventView& view) {
  std::string text = observe::ToJson(view);
  CheckLine(text);
  json read = json::parse(text);
  CHECK(read.at("source").get<std::string>() == view.tuple.source.ToString());
  CHECK(read.at("destination_port").get<int>() == view.tuple.destination_port);
  CHECK(read.at("protocol").get<std::string>() == net::ToString(view.tuple.protocol));
  CHECK(read.at("reason").get<std::string>() == view.reason);
  for (const char* words : {"description", "near_miss", "source_pod", "destination_pod"}) {
    CheckLine(read.at(words).get<std::string>());
  }
}

}  // namespace
}  // namespace sallyport::control

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport;
  static fuzz::SmallAgent agent;
  observe::EventLog log;
  control::DropReporter reporter(log, agent.clock);
  for (size_t events = 1; events <= 4 && size >= sizeof(sp_event); ++events) {
    sp_event event;
    memcpy(&event, data, sizeof(event));
    data += sizeof(event);
    size -= sizeof(event);
    reporter.Report(dataplane::ToDropEvent(event, agent.clock.WallNow()), agent.reconciler);
    agent.clock.Advance(std::chrono::seconds(1));
    CHECK(reporter.reported() == events);
    auto view = log.Read(log.End() - 1, 1, Duration::zero()).events.at(0);
    control::CheckView(*view, event);
    control::CheckJson(*view);
  }
  return 0;
}
