// SPDX-License-Identifier: Apache-2.0
#include "watch/manifest_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "unit/watch/world.h"

namespace sallyport::watch {
namespace {

using State = FileContent::State;

const FileContent kGone{State::kGone, ""};
const FileContent kEmpty{State::kText, ""};
const FileContent kPending{State::kPending, ""};
const FileContent kGarbage{State::kText, "kind: [\n"};

FileContent Text(std::string text) { return {State::kText, std::move(text)}; }
FileContent Ns(const std::string& name, const std::string& version) {
  return Text(NamespaceText(name, version));
}
FileContent Broken(const std::string& name) { return Text(BrokenText(name)); }

// A set and what its consumer has.
class Bench {
 public:
  explicit Bench(const ManifestSet::Files& files) { Take(set_.ApplyAll(files)); }
  Bench& Write(const std::string& path, const FileContent& content) {
    Take(set_.Apply({{path, content}}));
    return *this;
  }
  Bench& WriteAll(const ManifestSet::Files& files) {
    Take(set_.Apply(files));
    return *this;
  }
  Bench& Rescan(const ManifestSet::Files& files) {
    Take(set_.ApplyAll(files));
    return *this;
  }
  Bench& Settle() {
    Take(set_.Settle());
    return *this;
  }
  std::string Text() const { return world_.Text(); }
  std::string Reports() { return world_.TakeReports(); }
  bool complete() const { return world_.complete(); }
  bool unsettled() const { return set_.unsettled(); }
  std::string Standing() const {
    std::string out;
    for (const auto& d : set_.Standing()) out += d.ToString() + "\n";
    return out;
  }

 private:
  void Take(const Update& update) { world_.Take(update); }
  ManifestSet set_;
  World world_;
};

constexpr char kNotString[] = "metadata.labels[v]: must be a string";

TEST(ManifestSet, FirstScan) {
  Bench b({{"a", Ns("a", "1")}, {"b", Ns("b", "1")}});
  EXPECT_EQ(b.Text(), "a=v1 b=v1");
  EXPECT_TRUE(b.complete());
  EXPECT_EQ(Bench({}).Text(), "");
  EXPECT_TRUE(Bench({}).complete());
}

TEST(ManifestSet, ChangeAddRemove) {
  Bench b({{"a", Ns("a", "1")}});
  EXPECT_EQ(b.Write("a", Ns("a", "2")).Text(), "a=v2");
  EXPECT_EQ(b.Write("b", Ns("b", "1")).Text(), "a=v2 b=v1");
  EXPECT_EQ(b.Write("a", kGone).Text(), "a=v2 b=v1");
  EXPECT_EQ(b.Settle().Text(), "b=v1");
  EXPECT_EQ(b.Write("b", Text("# nothing\n")).Settle().Text(), "");
  EXPECT_EQ(b.Reports(), "");
}

TEST(ManifestSet, SameContentSaysNothing) {
  Bench b({{"a", Ns("a", "1")}});
  b.Settle();
  b.Write("a", Ns("a", "1"));
  EXPECT_FALSE(b.unsettled());
}

TEST(ManifestSet, BrokenObjectKeepsItsLastGoodVersionAndIsReportedOnce) {
  Bench b({{"a", Text(NamespaceText("a", "1") + NamespaceText("b", "1"))}});
  b.Write("a", Text(BrokenText("a") + NamespaceText("b", "2"))).Settle();
  EXPECT_EQ(b.Text(), "a=v1 b=v2");
  EXPECT_NE(b.Reports().find("a:3: error: Namespace a: " + std::string(kNotString)),
            std::string::npos);
  b.Write("a", Text(BrokenText("a") + NamespaceText("b", "2"))).Settle();
  EXPECT_EQ(b.Reports(), "");
  EXPECT_NE(b.Standing().find(kNotString), std::string::npos);
  b.Write("a", Text(BrokenText("a") + NamespaceText("b", "3"))).Settle();
  EXPECT_NE(b.Reports().find(kNotString), std::string::npos);
  EXPECT_EQ(b.Text(), "a=v1 b=v3");
  b.Write("a", Text(NamespaceText("a", "4"))).Settle();
  EXPECT_EQ(b.Text(), "a=v4");
  EXPECT_EQ(b.Standing(), "");
}

TEST(ManifestSet, UnreadableFileKeepsAllItHad) {
  Bench b({{"a", Text(NamespaceText("a", "1") + NamespaceText("b", "1"))}});
  EXPECT_EQ(b.Write("a", kGarbage).Settle().Text(), "a=v1 b=v1");
  EXPECT_NE(b.Reports().find("a:1: error: not valid YAML"), std::string::npos);
  // What can be read of it counts.
  EXPECT_EQ(b.Write("a", Text(NamespaceText("b", "2") + "kind: [\n")).Settle().Text(), "a=v1 b=v2");
  EXPECT_EQ(b.Write("a", Ns("b", "3")).Settle().Text(), "b=v3");
}

TEST(ManifestSet, GarbageThatIsYamlKeepsAllItHadToo) {
  for (const char* garbage :
       {"hello", "- a\n", "5", "a: b\n", "apiVersion: v1\nkind: Namespac\nmetadata: {name: a}\n",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: A}\n",
        "apiVersion: v1\nkind: Namespace\n", "{", "\x01", "\xff\xfe"}) {
    Bench b({{"a", Ns("a", "1")}});
    EXPECT_EQ(b.Write("a", Text(garbage)).Settle().Text(), "a=v1") << garbage;
    EXPECT_NE(b.Reports(), "") << garbage;
    EXPECT_EQ(b.Write("a", kGone).Settle().Text(), "") << garbage;
  }
}

TEST(ManifestSet, EmptyFileRemovesNothingUntilItIsDeleted) {
  Bench b({{"a", Ns("a", "1")}});
  EXPECT_EQ(b.Write("a", kEmpty).Settle().Text(), "a=v1");
  EXPECT_NE(b.Reports().find("a: warning: is empty: it counts as half-written"), std::string::npos);
  EXPECT_EQ(b.Write("a", kEmpty).Settle().Reports(), "");
  EXPECT_EQ(b.Write("a", kGone).Settle().Text(), "");
}

TEST(ManifestSet, FileThatCannotBeReadKeepsAllItHad) {
  Bench b({{"a", Ns("a", "1")}});
  FileContent failed{State::kFailed, "open a: Permission denied"};
  EXPECT_EQ(b.Write("a", failed).Settle().Text(), "a=v1");
  EXPECT_EQ(b.Reports(),
            "a: error: open a: Permission denied; what it had before stays in force\n");
  EXPECT_EQ(b.Write("a", failed).Settle().Reports(), "");
  EXPECT_EQ(b.Write("a", Ns("a", "1")).Settle().Standing(), "");
}

TEST(ManifestSet, ReplacedByRenameIsNeverGone) {
  // As vim does it: the old file is renamed away, a new one is created, written and closed.
  Bench b({{"a", Ns("a", "1")}});
  EXPECT_EQ(b.Write("a", kGone).Text(), "a=v1");
  EXPECT_EQ(b.Write("a", kPending).Text(), "a=v1");
  EXPECT_EQ(b.Settle().Text(), "a=v1");  // a slow writer
  EXPECT_EQ(b.Write("a", Ns("a", "2")).Settle().Text(), "a=v2");
  // The new one does not have it: gone, as soon as that is known.
  b.Write("a", kGone).Write("a", kPending).Settle();
  EXPECT_EQ(b.Text(), "a=v2");
  EXPECT_EQ(b.Write("a", Ns("b", "1")).Settle().Text(), "b=v1");
}

TEST(ManifestSet, ObjectThatMovesBetweenFilesIsNeverGone) {
  for (bool first_away : {true, false}) {
    Bench b({{"a", Text(NamespaceText("a", "1") + NamespaceText("x", "1"))}});
    if (first_away) b.Write("a", Ns("a", "1"));
    EXPECT_EQ(b.Text(), "a=v1 x=v1");
    b.Write("b", Ns("x", "1"));
    EXPECT_EQ(b.Text(), "a=v1 x=v1");
    if (!first_away) {
      EXPECT_NE(b.Reports().find("Namespace x: is in a:5 too, and that one is in force"),
                std::string::npos);
      b.Write("a", Ns("a", "1"));
    }
    EXPECT_EQ(b.Settle().Text(), "a=v1 x=v1");
    EXPECT_EQ(b.Reports(), "");
    EXPECT_EQ(b.Standing(), "");
    EXPECT_EQ(b.Write("a", kGone).Settle().Text(), "x=v1");
  }
}

TEST(ManifestSet, ObjectThatMovesAndBreaksKeepsItsLastGoodVersion) {
  Bench b({{"a", Ns("x", "1")}});
  b.WriteAll({{"a", kGone}, {"b", Broken("x")}}).Settle();
  EXPECT_EQ(b.Text(), "x=v1");
  EXPECT_EQ(b.Write("b", Ns("x", "2")).Settle().Text(), "x=v2");
  EXPECT_EQ(b.Write("b", kGone).Settle().Text(), "");
}

TEST(ManifestSet, ObjectThatMovedWhileAFileBecameUnreadableMayBeInThere) {
  for (const FileContent& unreadable :
       {kGarbage, kEmpty, kPending, FileContent{State::kFailed, "x"}}) {
    Bench b({{"a", Ns("x", "1")}, {"b", Ns("b", "1")}});
    b.Write("b", unreadable).Write("a", kGone).Settle();
    EXPECT_EQ(b.Text(), "b=v1 x=v1");
    EXPECT_NE(b.Reports().find("Namespace x: is not there any more, but may be in b"),
              std::string::npos);
    // It is not: then it is gone.
    EXPECT_EQ(b.Write("b", Ns("b", "2")).Text(), "b=v2 x=v1");
    EXPECT_EQ(b.Settle().Text(), "b=v2");
    EXPECT_EQ(b.Standing(), "");
  }
}

TEST(ManifestSet, AFileThatHasLongBeenUnreadableHoldsNothingElse) {
  Bench b({{"a", Ns("x", "1")}, {"b", Ns("b", "1")}});
  b.Write("b", kGarbage).Settle();
  EXPECT_EQ(b.Write("a", kGone).Settle().Text(), "b=v1");
}

TEST(ManifestSet, ObjectInTwoFilesTheFirstInForceStays) {
  Bench b({{"b", Ns("x", "1")}});
  b.Write("a", Ns("x", "2")).Settle();
  EXPECT_EQ(b.Text(), "x=v1");
  EXPECT_EQ(b.Reports(),
            "a:1: error: Namespace x: is in b:1 too, and that one is in force: keep one of them\n");
  EXPECT_EQ(b.Standing(),
            "a:1: error: Namespace x: is in b:1 too, and that one is in force: keep one of them\n");
  // The owner may change it, break it, and give it up.
  EXPECT_EQ(b.Write("b", Ns("x", "3")).Settle().Text(), "x=v3");
  EXPECT_EQ(b.Write("b", Broken("x")).Settle().Text(), "x=v3");
  EXPECT_EQ(b.Write("b", kGarbage).Settle().Text(), "x=v3");
  EXPECT_EQ(b.Write("b", kGone).Text(), "x=v2");
  b.Reports();
  EXPECT_EQ(b.Settle().Text(), "x=v2");
  EXPECT_EQ(b.Standing(), "");
}

TEST(ManifestSet, ObjectTwiceInOneFile) {
  Bench b({{"a", Text(NamespaceText("x", "1") + NamespaceText("x", "2"))}});
  EXPECT_EQ(b.Text(), "x=v1");
  EXPECT_EQ(b.Reports(), "a:5: error: Namespace x: is given already at a:1: keep one of them\n");
}

TEST(ManifestSet, GoodVersionBeatsABrokenOneWhenNothingIsInForce) {
  Bench b({{"a", Broken("x")}, {"b", Ns("x", "1")}});
  EXPECT_EQ(b.Text(), "x=v1");
  EXPECT_TRUE(b.complete());
}

TEST(ManifestSet, NotCompleteUntilEverythingWasUnderstoodOnce) {
  for (const FileContent& bad :
       {kGarbage, kEmpty, kPending, Broken("x"), FileContent{State::kFailed, "open: no"}}) {
    Bench b({{"a", Ns("a", "1")}, {"b", bad}});
    EXPECT_EQ(b.Text(), "a=v1");
    EXPECT_FALSE(b.complete()) << bad.text;
    EXPECT_FALSE(b.Settle().complete());
    EXPECT_FALSE(b.Write("a", Ns("a", "2")).complete());
    EXPECT_TRUE(b.Write("b", Ns("x", "1")).complete());
    // Once and for all.
    EXPECT_TRUE(b.Write("b", bad).Settle().complete());
  }
  Bench deleted({{"b", kGarbage}});
  EXPECT_TRUE(deleted.Write("b", kGone).complete());
}

TEST(ManifestSet, NotCompleteBeforeTheFirstScan) {
  ManifestSet set;
  EXPECT_FALSE(set.Apply({{"a", Ns("a", "1")}}).complete);
  EXPECT_TRUE(set.ApplyAll({{"a", Ns("a", "1")}}).complete);
}

TEST(ManifestSet, RescanFindsWhatWasMissed) {
  Bench b({{"a", Ns("a", "1")}, {"b", Ns("b", "1")}});
  EXPECT_EQ(b.Rescan({{"b", Ns("b", "2")}, {"c", Ns("c", "1")}}).Settle().Text(), "b=v2 c=v1");
}

TEST(ManifestSet, SkippedKindsOfWhatChanged) {
  ManifestSet set;
  Update update = set.ApplyAll({{"a", Text("apiVersion: v1\nkind: Secret\n")}});
  EXPECT_EQ(update.skipped, (std::map<std::string, int>{{"v1 Secret", 1}}));
  EXPECT_TRUE(set.Apply({{"b", Ns("b", "1")}}).skipped.empty());
}

TEST(ManifestSet, PlacesFollowTheObject) {
  ManifestSet set;
  set.ApplyAll({{"a", Ns("x", "1")}});
  Update update = set.Apply({{"a", Text("# moved down\n" + NamespaceText("x", "1"))}});
  ASSERT_EQ(update.deltas.size(), 1u);
  EXPECT_EQ(update.deltas[0].place().ToString(), "a:2");
}

// Sequences of writes, each also reversed, split, squashed and with rests between: files that end
// the same end in the same state.
class SequenceTest : public testing::TestWithParam<unsigned> {};

std::pair<std::string, FileContent> RandomWrite(std::mt19937& random) {
  auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  std::string path(1, static_cast<char>('a' + below(3)));
  // Each object has a home, so that no two files contend for it.
  std::string own = path + std::to_string(below(2));
  switch (below(8)) {
    case 0:
      return {path, kGone};
    case 1:
      return {path, kGarbage};
    case 2:
      return {path, Broken(own)};
    case 3:
      return {path, kEmpty};
    default:
      return {path, Text(NamespaceText(own, std::to_string(below(3))) +
                         (below(2) ? NamespaceText(path + "2", "0") : ""))};
  }
}

TEST_P(SequenceTest, EndsTheSame) {
  std::mt19937 random(GetParam());
  std::vector<std::pair<std::string, FileContent>> writes;
  for (int i = 0; i < 12; ++i) writes.push_back(RandomWrite(random));
  ManifestSet::Files last = {{"a", Ns("a0", "9")}, {"b", Ns("b0", "9")}, {"c", Ns("c1", "9")}};
  for (bool reversed : {false, true}) {
    for (int rest_every : {1, 2, 5, 100}) {
      Bench b({});
      auto sequence = writes;
      if (reversed) std::reverse(sequence.begin(), sequence.end());
      int n = 0;
      for (const auto& [path, content] : sequence) {
        b.Write(path, content);
        if (++n % rest_every == 0) b.Settle();
      }
      for (const auto& [path, content] : last) b.Write(path, content);
      EXPECT_EQ(b.Settle().Text(), "a0=v9 b0=v9 c1=v9") << "seed " << GetParam();
      EXPECT_EQ(b.Standing(), "") << "seed " << GetParam();
    }
  }
  Bench squashed({});
  ManifestSet::Files all;
  for (const auto& [path, content] : writes) all[path] = content;
  squashed.WriteAll(all).WriteAll(last).Settle();
  EXPECT_EQ(squashed.Text(), "a0=v9 b0=v9 c1=v9") << "seed " << GetParam();
}

// What is in force never loses an object but by a file that is well and does not have it.
TEST_P(SequenceTest, BadInputRemovesNothing) {
  std::mt19937 random(GetParam());
  Bench b({{"a", Ns("a0", "1")}, {"b", Ns("b0", "1")}, {"c", Ns("c0", "1")}});
  for (int i = 0; i < 30; ++i) {
    std::string before = b.Text();
    auto [path, content] = RandomWrite(random);
    bool good = content.state == State::kGone || content.text.find("{v: v") != std::string::npos;
    if (good) continue;
    b.Write(path, content);
    if (content.text == BrokenText(path + "0") || content.text == BrokenText(path + "1")) {
      // A broken file that is readable takes away what it does not have: not tried here.
      b = Bench({{"a", Ns("a0", "1")}, {"b", Ns("b0", "1")}, {"c", Ns("c0", "1")}});
      continue;
    }
    EXPECT_EQ(b.Settle().Text(), before) << "seed " << GetParam() << " step " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SequenceTest, testing::Range(0u, 20u));

}  // namespace
}  // namespace sallyport::watch
