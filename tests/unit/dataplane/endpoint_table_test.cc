// SPDX-License-Identifier: Apache-2.0
// Endpoints come, go and change their addresses, and nobody is refused for where others stand.
#include "dataplane/endpoint_table.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/encoder.h"
#include "support/table_twin.h"
#include "unit/dataplane/images.h"

namespace sallyport::dataplane {
namespace {

using policy::Image;
using test::ExpectOk;
using test::HeapTables;
using test::TableTwin;
using test::Watching;

TEST(EndpointTable, AnEndpointHasNoAddressBetweenTwo) {
  HeapTables memory;
  std::vector<std::string> seen;
  auto look = [&] {
    TableTwin twin(memory.tables());
    const sp_endpoint* e = twin.FindEndpoint(7);
    uint32_t half = twin.Generation() & 1;
    bool open = e && e->flags[half] & SP_ENDPOINT_OPEN;
    std::string now = open ? FromAbi(e->address[0]).ToString() : "closed";
    if (seen.empty() || seen.back() != now) seen.push_back(now);
  };
  Encoder encoder(memory.tables(), Watching(look));
  ExpectOk(encoder.Adopt());
  model::ObjectName pod{"ns", "pod"};
  Image image;
  image.endpoints[pod] = {};
  for (const char* address : {"10.0.0.1", "10.0.0.2"})
    ExpectOk(encoder.Apply(image, nullptr, {{pod, {7, {*net::Address::Parse(address)}, false}}}));
  ExpectOk(encoder.Settle());
  EXPECT_EQ(seen, (std::vector<std::string>{"closed", "10.0.0.1", "::", "10.0.0.2"}));
}

// One family comes, another goes, an address becomes another one: what stays is there all along.
TEST(EndpointTable, AnEndpointKeepsTheAddressesThatStay) {
  HeapTables memory;
  TableTwin twin(memory.tables());
  std::vector<net::Address> stay;
  auto look = [&] {
    const sp_endpoint* e = twin.FindEndpoint(7);
    for (const net::Address& address : stay) {
      ASSERT_NE(e, nullptr);
      ASSERT_TRUE(e->flags[twin.Generation() & 1] & SP_ENDPOINT_OPEN) << address.ToString();
      ASSERT_TRUE(TableTwin::Has(*e, address)) << address.ToString();
    }
  };
  Encoder encoder(memory.tables(), Watching(look));
  ExpectOk(encoder.Adopt());
  model::ObjectName pod{"ns", "pod"};
  Image image;
  image.endpoints[pod] = {};
  auto four = *net::Address::Parse("10.0.0.1"), other_four = *net::Address::Parse("10.0.0.2");
  auto six = *net::Address::Parse("fd00::1"), other_six = *net::Address::Parse("fd00:1::2");
  std::vector<net::Address> before;
  for (const std::vector<net::Address>& now :
       std::vector<std::vector<net::Address>>{{four},
                                              {four, six},
                                              {other_four, six},
                                              {other_four, other_six},
                                              {other_six},
                                              {},
                                              {six}}) {
    stay.clear();
    for (const net::Address& address : now)
      if (std::find(before.begin(), before.end(), address) != before.end()) stay.push_back(address);
    ExpectOk(encoder.Apply(image, nullptr, {{pod, {7, now, false}}}));
    for (const net::Address& address : {four, other_four, six, other_six})
      EXPECT_EQ(TableTwin::Has(*twin.FindEndpoint(7), address),
                std::find(now.begin(), now.end(), address) != now.end())
          << address.ToString();
    before = now;
  }
}

TEST(EndpointTable, AFailureLeavesAnEndpointItsAddresses) {
  HeapTables memory({.peer_buckets = 1});
  bool works = true;
  Surroundings around;
  around.grace_period = [&] { return works ? Ok() : Status(Error{"interrupted"}); };
  Encoder encoder(memory.tables(), around);
  ExpectOk(encoder.Adopt());
  TableTwin twin(memory.tables());
  model::ObjectName pod{"ns", "pod"};
  Image image;
  image.endpoints[pod] = {};
  auto four = *net::Address::Parse("10.0.0.1"), six = *net::Address::Parse("fd00::1");
  image.peers = {{net::Address::V4(1), 1}, {net::Address::V4(2), 1}};
  ExpectOk(encoder.Apply(image, nullptr, {{pod, {7, {four, six}, false}}}));
  image.peers.erase(net::Address::V4(1));
  ExpectOk(encoder.Apply(image, nullptr, {{pod, {7, {four, six}, false}}}));
  ExpectOk(encoder.Settle());
  works = false;  // the place that was freed is not free yet
  auto other = *net::Address::Parse("fd00::2");
  Status status = encoder.Apply(image, nullptr, {{pod, {7, {other}, false}}});
  ASSERT_FALSE(status.ok());
  const sp_endpoint* e = twin.FindEndpoint(7);
  ASSERT_NE(e, nullptr);
  EXPECT_TRUE(e->flags[twin.Generation() & 1] & SP_ENDPOINT_OPEN);
  EXPECT_TRUE(TableTwin::Has(*e, four) && TableTwin::Has(*e, six));
}

TEST(EndpointTable, APlaceForCountersStartsAtZero) {
  HeapTables memory;
  std::vector<uint32_t> reset;
  Surroundings around;
  around.reset_counters = [&](uint32_t place) { reset.push_back(place); };
  Encoder encoder(memory.tables(), around);
  ExpectOk(encoder.Adopt());
  model::ObjectName pod{"ns", "pod"};
  Image image;
  image.endpoints[pod] = {};
  ExpectOk(encoder.Apply(image, nullptr, {{pod, {7, {}, false}}}));
  ExpectOk(encoder.Apply(image, nullptr, {{pod, {8, {}, false}}}));
  EXPECT_EQ(reset, (std::vector<uint32_t>{7, 8}));
}

// The kernel numbers interfaces in a row: pods that started together have a run of numbers, and
// those that come as many interfaces later as there are places have the same homes.
TEST(EndpointTable, ARunOfInterfacesRefusesNobody) {
  constexpr uint32_t kPlaces = 4096, kRun = 100;
  HeapTables memory({.endpoints = kPlaces});
  Encoder encoder(memory.tables(), {});
  ExpectOk(encoder.Adopt());
  Image image;
  Bindings bindings;
  auto bind = [&](uint32_t ifindex) {
    model::ObjectName pod{"ns", "pod" + std::to_string(ifindex)};
    image.endpoints[pod] = {};
    bindings[pod] = {ifindex, {}, false};
    return pod;
  };
  for (uint32_t i = 1; i <= kRun; ++i) bind(i);
  for (uint32_t i = kPlaces + 1; i <= kPlaces + kRun; ++i) {
    model::ObjectName newcomer = bind(i);
    ExpectOk(encoder.Apply(image, nullptr, bindings));
    EXPECT_NE(TableTwin(memory.tables()).FindEndpoint(i), nullptr) << i;
    if (i % 2 == 0) bindings.erase(newcomer);  // a job of a minute
  }
  ExpectOk(encoder.Settle());
}

}  // namespace
}  // namespace sallyport::dataplane
