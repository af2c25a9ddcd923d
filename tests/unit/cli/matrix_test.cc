// SPDX-License-Identifier: Apache-2.0
#include "cli/matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/table.h"
#include "unit/cli/small_world.h"

namespace sallyport::cli {
namespace {

using ::testing::HasSubstr;

class MatrixTest : public ::testing::Test {
 protected:
  std::ostringstream out_, err_;
  Terminal terminal_{out_, err_};
  World world_{SmallSnapshot()};

  // With no ports: those that the pods declare.
  MatrixQuestion All(const std::string& ports = "") {
    MatrixQuestion question;
    question.from = world_.LivePods();
    for (const Side& side : question.from) {
      question.to.push_back(
          {side, ports.empty() ? DeclaredPorts(side) : *probe::ParsePorts(ports)});
    }
    return question;
  }
};

TEST_F(MatrixTest, AsksEveryDeclaredPortOfEveryPodInBothFamilies) {
  // To shop/db-0: two ports; each from mon/scraper (IPv4), itself and shop/web (both). To shop/web:
  // one port.
  EXPECT_EQ(AskAll(world_, All()).size(), 2u * (1 + 2 + 2) + 1u * (1 + 2 + 2));
  MatrixQuestion question = All("80,81/UDP");
  question.family = Family::kV4;
  EXPECT_EQ(AskAll(world_, question).size(), 3u * 3 * 2);
}

TEST_F(MatrixTest, TheOutsideDoesNotAskTheOutside) {
  MatrixQuestion question = All("80");
  Side outside = SideOf(world_, "192.0.2.1");
  question.from.push_back(outside);
  question.to.push_back({outside, *probe::ParsePorts("80")});
  question.family = Family::kV4;
  EXPECT_EQ(AskAll(world_, question).size(), 4u * 4 - 1);
}

TEST_F(MatrixTest, ATableToReadAtAGlance) {
  auto rows = AskAll(world_, All());
  EXPECT_EQ(RenderRows(rows, {}, terminal_),
            "to             shop\n"
            "               db-0        web\n"
            "from           5432 5433u  80\n"
            "mon   scraper  ✗    ✗      ✓\n"
            "shop  db-0     ✓    ✓      ✓\n"
            "      web      ✓    ✗      ✓\n"
            "\n"
            "✓ allowed   ✗ denied   u UDP\n");
}

TEST_F(MatrixTest, MarksWhatDiffersAndFamiliesThatDisagree) {
  MatrixQuestion question = All();
  question.from = {SideOf(world_, "shop/web")};
  std::erase_if(question.to, [](const auto& target) { return target.side.name != "shop/db-0"; });
  auto rows = AskAll(world_, question);
  ASSERT_EQ(rows.size(), 4u);
  using probe::Outcome;
  rows[0].seen = probe::Answer{Outcome::kOpen, {}, ""};
  rows[1].seen = probe::Answer{Outcome::kBlocked, {}, ""};
  rows[2].seen = probe::Answer{Outcome::kRefused, {}, ""};
  rows[3].seen = probe::Answer{Outcome::kRefused, {}, ""};
  auto differences = Contradictions(rows);
  ASSERT_EQ(differences.size(), 3u);
  EXPECT_EQ(RenderRows(rows, differences, terminal_),
            "to         shop\n"
            "           db-0\n"
            "from       5432 5433u\n"
            "shop  web  ✓/✗* !*\n"
            "\n"
            "✓ open   ✗ blocked   ! refused (it got through; nothing listens)   u UDP   "
            "IPv4/IPv6 where they differ   * not as expected\n");
  EXPECT_THAT(RenderDifferences(differences, rows.size(), terminal_),
              HasSubstr("3 of 4 not as expected:\n\n"
                        "shop/web -> shop/db-0:5432/TCP (fd00::2)\n"
                        "  expected: allowed (by the manifests)\n"
                        "  seen: blocked\n"
                        "  egress of shop/web: allowed: no policy isolates it for egress\n"
                        "  ingress of shop/db-0: allowed: rule shop/db ingress[0] (db.yaml:9)\n"));
}

TEST_F(MatrixTest, WhatCouldNotBeToldIsADifference) {
  auto rows = AskAll(world_, All());
  for (Row& row : rows) {
    row.expected = Expected{row.verdict.allowed, "as it is"};
  }
  EXPECT_TRUE(Unexpected(rows).empty());
  rows[0].seen = probe::Answer{probe::Outcome::kError, {}, "no route"};
  ASSERT_EQ(Unexpected(rows).size(), 1u);
  EXPECT_EQ(Unexpected(rows)[0].expected, "denied (as it is)");
  EXPECT_EQ(SeenInWords(rows[0]), "error (no route)");
}

TEST_F(MatrixTest, WrapsBetweenGroupsWhereTheTerminalIsNarrow) {
  Matrix matrix;
  matrix.lines = {{"a", "x"}, {"b", "y"}};
  for (const char* group : {"a", "b"}) {
    for (const char* name : {"one", "two"}) {
      for (const char* port : {"80", "81"}) matrix.columns.push_back({group, name, port});
    }
  }
  matrix.cells.assign(2, std::vector<Matrix::Cell>(8, {"✓", Colour::kGreen}));
  terminal_.width = 22;
  EXPECT_EQ(RenderMatrix(matrix, terminal_),
            "to    a\n"
            "      one    two\n"
            "from  80 81  80 81\n"
            "a  x  ✓  ✓   ✓  ✓\n"
            "b  y  ✓  ✓   ✓  ✓\n"
            "\n"
            "to    b\n"
            "      one    two\n"
            "from  80 81  80 81\n"
            "a  x  ✓  ✓   ✓  ✓\n"
            "b  y  ✓  ✓   ✓  ✓\n");
  terminal_.width = 10;
  EXPECT_THAT(RenderMatrix(matrix, terminal_), HasSubstr("to    a\n      two\nfrom  80 81\n"));
  terminal_.width = 200;
  EXPECT_THAT(RenderMatrix(matrix, terminal_), HasSubstr("from  80 81  80 81   80 81  80 81\n"));
}

TEST_F(MatrixTest, GeneratedNamesAreShortened) {
  model::Snapshot snapshot = SmallSnapshot();
  Add(snapshot, MakePod("shop", "api-6d4cf56db6-x7k2p", {"10.0.0.5"}));
  Add(snapshot, MakePod("shop", "job-x7k2p", {"10.0.0.6"}));
  Add(snapshot, MakePod("shop", "job-zzzzz", {"10.0.0.7"}));
  world_ = World(snapshot);
  std::string table = RenderRows(AskAll(world_, All("80")), {}, terminal_);
  EXPECT_THAT(table, HasSubstr("api  db-0  job-x7k2p  job-zzzzz  web\n"));
  EXPECT_THAT(table, HasSubstr("shop  api        ✓"));
}

TEST_F(MatrixTest, ColoursOnlyATerminal) {
  auto rows = AskAll(world_, All());
  EXPECT_EQ(RenderRows(rows, {}, terminal_).find('\033'), std::string::npos);
  terminal_.colour = true;
  EXPECT_NE(RenderRows(rows, {}, terminal_).find('\033'), std::string::npos);
}

TEST_F(MatrixTest, ListsLineUp) {
  EXPECT_EQ(RenderList({"POD", "PACKETS", "STATE"},
                       {{"shop/web", "7", "open"}, {"a/b", "1200", ""}}, terminal_),
            "POD       PACKETS  STATE\n"
            "shop/web        7  open\n"
            "a/b          1200  -\n");
}

}  // namespace
}  // namespace sallyport::cli
