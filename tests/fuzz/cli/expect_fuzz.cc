// SPDX-License-Identifier: Apache-2.0
// An expect file is understood or refused with a reason, whatever it holds. What is denied by a
// line of the file stays denied when lines are added that allow.
//
// The input: an expect file.
#include <memory>

#include "base/check.h"
#include "cli/expect.h"
#include "fuzz/input.h"

namespace sallyport::cli {
namespace {

World SomeWorld() {
  model::Snapshot snapshot;
  for (const char* name : {"web", "db-0", "api-6d4cf56db6-x7k2p"}) {
    model::Pod pod;
    pod.name = {"shop", name};
    pod.addresses = {net::Address::V4(static_cast<uint32_t>(0x0a000001 + snapshot.pods.size()))};
    pod.ports = {{"http", net::Protocol::kTcp, 80}};
    snapshot.pods[pod.name] = std::make_shared<const model::Pod>(pod);
  }
  return World(std::move(snapshot));
}

std::vector<Row> EveryRow(const World& world) {
  std::vector<Row> rows;
  for (const Side& from : world.LivePods()) {
    for (const Side& to : world.LivePods()) {
      auto some = Ask(world, from, to, {net::Protocol::kTcp, 80});
      CHECK(some) << some.error().message;
      rows.insert(rows.end(), some->begin(), some->end());
    }
  }
  return rows;
}

}  // namespace
}  // namespace sallyport::cli

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::cli;
  static const World world = SomeWorld();
  static const std::vector<Row> rows = EveryRow(world);
  std::string text(sallyport::fuzz::Text(data, size));
  auto expectations = Expectations::Parse(text, "f");
  if (!expectations) {
    CHECK(!expectations.error().message.empty());
    return 0;
  }
  if (auto bound = expectations->Bind(world); !bound) CHECK(!bound.error().message.empty());
  for (const Row& row : rows) CHECK(!expectations->Of(row).why.empty());
  auto more = Expectations::Parse(text + "\nallowed:\n- any -> any\n", "f");
  if (!more) return 0;  // the text has such a list already, or ends within something
  (void)more->Bind(world).ok();
  for (const Row& row : rows) {
    bool listed = expectations->Of(row).why.rfind("denied by", 0) == 0;
    if (listed) CHECK(!more->Of(row).allowed) << text;
  }
  return 0;
}
