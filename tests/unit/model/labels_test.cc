// SPDX-License-Identifier: Apache-2.0
#include "model/labels.h"

#include <gtest/gtest.h>

namespace sallyport::model {
namespace {

Selector Of(std::vector<Requirement> requirements) { return Selector(std::move(requirements)); }

TEST(Labels, AreSortedByKeyAndTheLastOfAKeyWins) {
  Labels labels({{"b", "2"}, {"a", "1"}, {"b", "3"}, {"b", "4"}, {"c", ""}});
  EXPECT_EQ(labels.ToString(), "a=1,b=4,c=");
  EXPECT_EQ(labels, Labels({{"c", ""}, {"b", "4"}, {"a", "1"}}));
}

TEST(Labels, FindSeesWholeKeysOnly) {
  Labels labels({{"app", "web"}, {"app.kubernetes.io/name", ""}});
  ASSERT_NE(labels.Find("app"), nullptr);
  EXPECT_EQ(*labels.Find("app"), "web");
  EXPECT_EQ(*labels.Find("app.kubernetes.io/name"), "");
  EXPECT_EQ(labels.Find("ap"), nullptr);
  EXPECT_EQ(labels.Find("appl"), nullptr);
  EXPECT_EQ(labels.Find(""), nullptr);
  EXPECT_EQ(Labels().Find("app"), nullptr);
}

struct MatchCase {
  const char* name;
  Requirement requirement;
  bool on_equal;   // app=web
  bool on_other;   // app=db
  bool on_absent;  // no app
};

class RequirementTest : public testing::TestWithParam<MatchCase> {};

TEST_P(RequirementTest, Matches) {
  const MatchCase& c = GetParam();
  Selector selector{c.requirement};
  EXPECT_EQ(selector.Matches(Labels({{"app", "web"}, {"x", "y"}})), c.on_equal);
  EXPECT_EQ(selector.Matches(Labels({{"app", "db"}})), c.on_other);
  EXPECT_EQ(selector.Matches(Labels({{"x", "web"}})), c.on_absent);
}

INSTANTIATE_TEST_SUITE_P(
    All, RequirementTest,
    testing::Values(
        MatchCase{"In", {"app", Operator::kIn, {"web"}}, true, false, false},
        MatchCase{"InUnsorted", {"app", Operator::kIn, {"web", "db"}}, true, true, false},
        MatchCase{"InEmptyValue", {"app", Operator::kIn, {""}}, false, false, false},
        MatchCase{"NotInHoldsWhereAbsent", {"app", Operator::kNotIn, {"web"}}, false, true, true},
        MatchCase{"NotInTwo", {"app", Operator::kNotIn, {"web", "db"}}, false, false, true},
        MatchCase{"Exists", {"app", Operator::kExists, {}}, true, true, false},
        MatchCase{"DoesNotExistHoldsWhereAbsent",
                  {"app", Operator::kDoesNotExist, {}},
                  false,
                  false,
                  true}),
    [](const auto& c) { return c.param.name; });

TEST(Selector, WithoutRequirementsMatchesEverything) {
  EXPECT_TRUE(Selector().Matches(Labels()));
  EXPECT_TRUE(Selector().MatchesEverything());
  EXPECT_EQ(Selector().ToString(), "<everything>");
}

TEST(Selector, RequirementsAreAnded) {
  Selector s{{"app", Operator::kIn, {"web"}}, {"tier", Operator::kNotIn, {"test"}}};
  EXPECT_TRUE(s.Matches(Labels({{"app", "web"}})));
  EXPECT_FALSE(s.Matches(Labels({{"app", "web"}, {"tier", "test"}})));
  EXPECT_FALSE(s.Matches(Labels({{"tier", "prod"}})));
}

TEST(Selector, ContradictionMatchesNothing) {
  Selector s{{"app", Operator::kExists, {}}, {"app", Operator::kDoesNotExist, {}}};
  EXPECT_FALSE(s.Matches(Labels()));
  EXPECT_FALSE(s.Matches(Labels({{"app", "web"}})));
}

TEST(Selector, EqualMeaningByConstructionComparesEqual) {
  Requirement a{"a", Operator::kIn, {"2", "1", "2"}};
  Requirement b{"b", Operator::kExists, {}};
  EXPECT_EQ(Of({a, b}), Of({b, {"a", Operator::kIn, {"1", "2"}}, b}));
  EXPECT_NE(Of({a}), Of({a, b}));
  EXPECT_NE(Of({{"a", Operator::kIn, {"1"}}}), Of({{"a", Operator::kNotIn, {"1"}}}));
}

TEST(Selector, Prints) {
  EXPECT_EQ(Of({{"tier", Operator::kIn, {"b", "a"}},
                {"app", Operator::kIn, {"web"}},
                {"old", Operator::kDoesNotExist, {}},
                {"new", Operator::kExists, {}},
                {"z", Operator::kNotIn, {"1"}},
                {"y", Operator::kNotIn, {"1", "2"}}})
                .ToString(),
            "app=web,new,!old,tier in (a,b),y notin (1,2),z!=1");
}

}  // namespace
}  // namespace sallyport::model
