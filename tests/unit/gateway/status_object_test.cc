// SPDX-License-Identifier: Apache-2.0
#include "gateway/status_object.h"

#include <gmock/gmock.h>

#include "model/document.h"

namespace sallyport::gateway {
namespace {

using testing::HasSubstr;
using testing::Not;

GatewayStatus Wanted() {
  return {.name = "g",
          .generation = 2,
          .conditions = {{"Ready", "True", "Held", "all of them"}},
          .addresses = {{"203.0.113.10", "n1"}, {"2001:db8::10", ""}}};
}
constexpr const char* kNow = "2026-01-02T03:04:05Z";

std::string WithStatus(const std::string& status) {
  return R"({"metadata":{"name":"g","resourceVersion":"7","generation":2},"spec":{},"status":)" +
         status + "}";
}
std::string Patch(const GatewayStatus& wanted, const std::string& status,
                  const std::string& now = kNow) {
  return StatusPatch(wanted, WithStatus(status), now).value().value_or("nothing");
}

TEST(StatusPatch, FirstOne) {
  EXPECT_EQ(
      Patch(Wanted(), "null"),
      R"({"metadata":{"resourceVersion":"7"},"status":{"addresses":[)"
      R"({"ip":"203.0.113.10","node":"n1","since":"2026-01-02T03:04:05Z"},{"ip":"2001:db8::10"}],)"
      R"("conditions":[{"lastTransitionTime":"2026-01-02T03:04:05Z","message":"all of them",)"
      R"("observedGeneration":2,"reason":"Held","status":"True","type":"Ready"}],)"
      R"("observedGeneration":2}})");
}

TEST(StatusPatch, SinceWhenStays) {
  std::string patch = Patch(Wanted(), "{}");
  size_t at = patch.find("\"status\":") + 9;
  const std::string stands = patch.substr(at, patch.size() - at - 1);
  const std::string later = "2026-01-02T09:09:09Z";
  EXPECT_EQ(Patch(Wanted(), stands, later), "nothing");

  GatewayStatus wanted = Wanted();
  wanted.conditions[0].message = "in other words";
  EXPECT_THAT(Patch(wanted, stands, later), Not(HasSubstr(later)));
  wanted = Wanted();
  wanted.conditions[0].status = "False";
  EXPECT_THAT(Patch(wanted, stands, later), HasSubstr(R"("lastTransitionTime":")" + later));
  EXPECT_THAT(Patch(wanted, stands, later), HasSubstr(R"("since":"2026-01-02T03:04:05Z")"));
  wanted = Wanted();
  wanted.addresses[0].node = "n2";
  EXPECT_THAT(Patch(wanted, stands, later), HasSubstr(R"("since":")" + later));
  EXPECT_THAT(Patch(wanted, stands, later),
              HasSubstr(R"("lastTransitionTime":"2026-01-02T03:04:05Z")"));
  wanted = Wanted();
  wanted.generation = 1;
  EXPECT_EQ(Patch(wanted, stands, later), "nothing") << "the status speaks of a later one";
}

TEST(StatusPatch, OthersConditionsStay) {
  const std::string other =
      R"({"lastTransitionTime":"2025-01-01T00:00:00Z","message":"","reason":"R",)"
      R"("status":"True","type":"example.com/Audited"})";
  EXPECT_THAT(Patch(Wanted(), R"({"conditions":[)" + other + "]}"), HasSubstr(other));
}

TEST(StatusPatch, OddObjectsDoNoHarm) {
  for (const char* odd :
       {"[]", "1", "\"x\"", R"({"conditions":{},"addresses":"x","observedGeneration":"2"})",
        R"({"conditions":[1,null,{"type":3}],"addresses":[[],{"ip":null}]})"}) {
    EXPECT_THAT(Patch(Wanted(), odd), HasSubstr(R"("ip":"203.0.113.10","node":"n1")")) << odd;
  }
  for (const char* none : {"", "{", "[]", "{}", R"({"metadata":{"resourceVersion":7}})"})
    EXPECT_FALSE(StatusPatch(Wanted(), none, kNow)) << none;
}

TEST(EventObject, SaysWhoAndAboutWhat) {
  GatewayEvent event{"g", "u-1", true, "AddressMoved", "203.0.113.10 went from n1 to n2"};
  EventCount times{3, "2026-01-02T03:04:05Z", "2026-01-02T03:09:05Z"};
  EXPECT_EQ(EventObject(event, times, "g.1", "n2"),
            R"({"apiVersion":"v1","count":3,"firstTimestamp":"2026-01-02T03:04:05Z",)"
            R"("involvedObject":{"apiVersion":"sallyport.io/v1alpha1","kind":"EgressGateway",)"
            R"("name":"g","uid":"u-1"},"kind":"Event","lastTimestamp":"2026-01-02T03:09:05Z",)"
            R"("message":"203.0.113.10 went from n1 to n2",)"
            R"("metadata":{"name":"g.1","namespace":"default"},"reason":"AddressMoved",)"
            R"("reportingComponent":"sallyport","reportingInstance":"n2",)"
            R"("source":{"component":"sallyport","host":"n2"},"type":"Warning"})");
  EXPECT_EQ(EventPatch(event, times), R"({"count":3,"lastTimestamp":"2026-01-02T03:09:05Z",)"
                                      R"("message":"203.0.113.10 went from n1 to n2"})");
}

TEST(EventObject, LongMessagesAreCutBetweenCharacters) {
  GatewayEvent event{"g", "", false, "R", ""};
  for (int i = 0; i < 700; ++i) event.message += "\xc3\xa4";  // two bytes each
  std::string patch = EventPatch(event, {});
  EXPECT_THAT(patch, HasSubstr("\xc3\xa4...\""));
  EXPECT_LT(patch.size(), 1100u);
  event.message = "\xff quoted \"\n";
  EXPECT_THAT(EventPatch(event, {}), HasSubstr(R"( quoted \"\n)"));
}

}  // namespace
}  // namespace sallyport::gateway
