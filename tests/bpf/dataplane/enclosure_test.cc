// SPDX-License-Identifier: Apache-2.0
// What the kernel is told of where none but pods are: in force at once, and when no agent runs.
#include <optional>
#include <set>
#include <vector>

#include "bpf/dataplane/start_fixture.h"

namespace sallyport::dataplane {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

class EnclosureTest : public StartTest {
 protected:
  void Enclose(std::initializer_list<const char*> home,
               const std::optional<std::set<uint32_t>>& entrances = std::nullopt) {
    Enclosure inside{.home = {}, .entrances = entrances};
    for (const char* cidr : home) inside.home.push_back(*net::Cidr::Parse(cidr));
    Status status = dataplane_->Enclose(inside);
    EXPECT_TRUE(status.ok()) << status.error().message;
  }
  uint32_t HomeLength() { return ReadControl().home_length; }
  std::vector<uint32_t> Home() {
    sp_control control = ReadControl();
    return {control.home, control.home + 4};
  }
  std::vector<uint32_t> Entrances() { return KeysOf(Map("entrances").get()); }
};

TEST_F(EnclosureTest, AddressesAreInTheControlEntry) {
  Open();
  EXPECT_EQ(HomeLength(), 0u);
  Enclose({"10.244.3.0/24", "fd00:10:244:3::/64"});
  EXPECT_EQ(HomeLength(), 24u | 64u << 8);
  EXPECT_THAT(Home(), ElementsAre(0x0af40300, 0xfd000010, 0x02440003, 0));
  Open();
  EXPECT_EQ(HomeLength(), 24u | 64u << 8);
  Enclose({"fd00:10:244:3:1:2::/96"});
  EXPECT_EQ(HomeLength(), 96u << 8);
  EXPECT_THAT(Home(), ElementsAre(0, 0xfd000010, 0x02440003, 0x00010002));
  Enclose({"fd00:10:244:3:1:2:3:0/112", "10.0.0.0/8"});
  EXPECT_EQ(HomeLength(), 8u) << "as much as there are bits for";
  Enclose({});
  EXPECT_EQ(HomeLength(), 0u);
}

TEST_F(EnclosureTest, EntrancesAreInATable) {
  Open();
  Enclose({"10.244.3.0/24"}, {{1, 7}});
  EXPECT_THAT(Entrances(), UnorderedElementsAre(1, 7));
  EXPECT_EQ(HomeLength(), 24u | SP_ENCLOSED);
  End();
  EXPECT_THAT(Entrances(), UnorderedElementsAre(1, 7));
  Open();
  EXPECT_EQ(HomeLength(), 24u | SP_ENCLOSED);
  Enclose({}, {{7, 8}});
  EXPECT_THAT(Entrances(), UnorderedElementsAre(7, 8));
  EXPECT_EQ(HomeLength(), SP_ENCLOSED);
  Enclose({"10.244.3.0/24"});
  EXPECT_EQ(HomeLength(), 24u);
}

}  // namespace
}  // namespace sallyport::dataplane
