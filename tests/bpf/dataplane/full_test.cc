// SPDX-License-Identifier: Apache-2.0
// Tables that are too small, on the real kernel: each in turn.
#include "bpf/dataplane/two_pods.h"

namespace sallyport::dataplane {
namespace {

// More of one table than TwoPods has room for, which nothing of theirs needs.
void Overflow(const std::string& table, policy::Image& image, Bindings& bindings) {
  policy::PolicySet big{.rules = {}, .any = policy::kNoPorts};
  for (uint32_t i = 0; i < 1000; ++i) {
    model::ObjectName pod{"ns", "more" + std::to_string(i)};
    if (table == "endpoints" && i < 100) {
      image.endpoints[pod] = {};
      bindings[pod] = {100000 + i, {}, false};
    } else if (table == "peers") {
      image.peers[net::Address::V4(0x0a000000 + i)] = 7;
    } else if (table == "prefixes") {
      image.prefixes[net::Cidr(net::Address::V4(0xc6000000 + i * 74747), 32)] = 7;
    } else if (table == "rules") {
      big.rules[100 + i] = policy::kAllPorts;
    } else if (table == "port_sets" || table == "port_pages") {
      auto port = static_cast<uint16_t>(table == "port_sets" ? 1 + i % 100 : 1 + i * 65);
      image.port_sets[100 + i] = {.tcp = {{port, port}}, .udp = {}, .sctp = {}};
      if (table == "port_sets" && i >= 100) image.port_sets[100 + i].udp = {{port, port}};
      big.rules[100 + i] = 100 + i;
    }
  }
  if (big.rules.empty()) return;
  image.sets[9] = big;
  image.endpoints[{"ns", "big"}] = {{}, 9, 9};
  bindings[{"ns", "big"}] = {99999, {}, false};
}

class FullTable : public TwoPods, public testing::WithParamInterface<const char*> {
 protected:
  std::vector<std::string> Short() {
    std::vector<std::string> out;
    for (const Shortfall& shortfall : dataplane_->shortfalls()) out.push_back(shortfall.use.name);
    return out;
  }
};

TEST_P(FullTable, DeniesWhatFindsNoRoomAndNothingElse) {
  Open();
  AttachBoth();
  AllowIngress({.tcp = {}, .udp = {{kPort, kPort}}, .sctp = {}});
  Apply();
  EXPECT_TRUE(Reaches());
  policy::Image kept = image_;
  Bindings bound = bindings_;
  auto is_short_of_it = testing::Contains(std::string(GetParam()));

  Overflow(GetParam(), image_, bindings_);
  Apply();
  EXPECT_THAT(Short(), is_short_of_it);
  EXPECT_TRUE(Reaches()) << "its set did not change";
  for (const TableUse& use : dataplane_->ReadUse()) EXPECT_LE(use.used, use.capacity) << use.name;

  image_.sets[3] = {.rules = {}, .any = policy::kNoPorts};
  image_.endpoints[Name(b_)].ingress = 3;
  Apply();
  EXPECT_THAT(Short(), is_short_of_it);
  EXPECT_FALSE(Reaches()) << "the policy that denies is in force";

  image_ = kept;
  bindings_ = bound;
  Apply();
  EXPECT_THAT(Short(), testing::IsEmpty());
  EXPECT_TRUE(Reaches());
}

INSTANTIATE_TEST_SUITE_P(Each, FullTable,
                         testing::Values("endpoints", "peers", "rules", "port_sets", "port_pages",
                                         "prefixes"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace sallyport::dataplane
