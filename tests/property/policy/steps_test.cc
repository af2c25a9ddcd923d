// SPDX-License-Identifier: Apache-2.0
// From one policy to the next there is nothing in between: over random changes of objects and of
// interfaces, each single store into the tables is looked at, by packets that began before it and
// by packets that begin after it. The writer is killed after stores, and its successor, and the
// successor's; grace periods fail, each in turn; tables are too small.
//
// Rule: what neither policy lets through never passes; what both do passes at each moment, unless a
// table had no room for all of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <utility>

#include "dataplane/encoder.h"
#include "policy/compile.h"
#include "property/policy/moments.h"
#include "support/table_twin.h"
#include "support/world.h"

namespace sallyport::test {
namespace {

using dataplane::Encoder;
using dataplane::Surroundings;

constexpr char kHere[] = "here";
constexpr int kWorlds = 100, kSteps = 8;

// How much was looked at: a class that is empty proves nothing.
struct Seen {
  uint64_t states = 0, straddling = 0, kills = 0, kills_of_successors = 0, failed_graces = 0,
           full_tables = 0, made_room = 0, healed = 0, readdressed = 0;
};
Seen seen;

// The pen and the grace periods of one Encoder: the packets that may be running.
class Watcher {
 public:
  Watcher(HeapTables& memory, const Questions& questions)
      : tables_(memory.tables()), twin_(tables_), questions_(questions) {}

  Surroundings Around() {
    Surroundings out;
    out.pen = dataplane::Pen([this] { AfterStore(); });
    out.grace_period = [this] { return GracePeriod(); };
    return out;
  }
  // What all policies let through and did not pass, since Watch(). "": nothing.
  const std::string& denied() const { return denied_; }

  // From now on each store is looked at; what may be in force are these.
  void Watch(std::vector<Answers> moments) {
    denied_.clear();
    moments_ = std::move(moments);
    readers_ = {twin_.Generation()};
    watching_ = true;
    AfterGrace();
    Look();
  }
  void Rest() { watching_ = false; }
  // The n-th grace period from now on fails, counted from 0.
  void FailGrace(int n) { graces_left_ = n; }
  bool failed_a_grace() const { return failed_; }
  // After each store, when it has been looked at.
  std::function<void()> then;

  // "" or the first question that is not answered so; where a table is `full`, denied may be all.
  std::string WrongNow(const Answers& exactly, bool full = false) const {
    for (size_t i = 0; i < questions_.size(); ++i)
      if (Passes(twin_.Generation(), i) != exactly[i] && !(full && exactly[i]))
        return questions_[i].ToString() + (exactly[i] ? " is denied" : " is allowed");
    return "";
  }

 private:
  bool Passes(uint32_t generation, size_t i) const {
    const Question& q = questions_[i];
    return twin_.Passes(generation, q.from, q.to, q.flow);
  }
  void AfterStore() {
    if (!watching_) return;
    uint32_t now = twin_.Generation();
    if (readers_.back() != now) readers_.push_back(now);
    Look();
    if (then) then();
  }
  void Look() {
    ++seen.states;
    seen.straddling += readers_.size() - 1;
    for (uint32_t generation : readers_) {
      for (size_t i = 0; i < questions_.size() && !::testing::Test::HasFailure(); ++i) {
        bool all = true, any = false;
        for (const Answers& moment : moments_) all = all && moment[i], any = any || moment[i];
        if (all != any) continue;
        bool passes = Passes(generation, i);
        if (passes == all) continue;
        std::string what = questions_[i].ToString() + " for a packet of generation " +
                           std::to_string(generation) + " under " + std::to_string(readers_.back());
        if (passes) {
          ADD_FAILURE() << what;
        } else if (denied_.empty()) {
          denied_ = what;
        }
      }
      LookAtKeys(generation & 1);
    }
  }
  // A place that somebody may read is not another's before all of them have gone.
  void LookAtKeys(uint32_t half) {
    for (size_t i = 0; i < tables_.endpoints.size(); ++i) {
      const sp_endpoint& e = tables_.endpoints[i];
      if (!(e.flags[half] & SP_ENDPOINT_OPEN)) continue;
      if (ifindex_[i] == 0) ifindex_[i] = e.ifindex;
      EXPECT_EQ(ifindex_[i], e.ifindex) << "place " << i << " of endpoints";
    }
    for (size_t i = 0; i < peer_.size(); ++i) {
      const sp_peer& p = tables_.peers[i / SP_PEER_WAYS].peer[i % SP_PEER_WAYS];
      if (p.identity[half] == 0) continue;
      auto key = std::pair<uint64_t, uint64_t>(p.address.halves[0], p.address.halves[1]);
      if (peer_[i] == std::pair<uint64_t, uint64_t>()) peer_[i] = key;
      EXPECT_EQ(peer_[i], key) << "place " << i << " of peers";
    }
  }
  Status GracePeriod() {
    if (graces_left_-- == 0) {
      failed_ = true;
      return Error{"interrupted"};
    }
    AfterGrace();
    return Ok();
  }
  void AfterGrace() {
    readers_ = {twin_.Generation()};
    ifindex_.assign(tables_.endpoints.size(), 0);
    peer_.assign(tables_.peers.size() * SP_PEER_WAYS, {});
  }

  dataplane::Tables tables_;
  TableTwin twin_;
  const Questions& questions_;
  std::vector<Answers> moments_;
  std::vector<uint32_t> readers_;  // generations that packets still running have read
  std::vector<uint32_t> ifindex_;  // seen open since the last grace period, by place
  std::vector<std::pair<uint64_t, uint64_t>> peer_;
  bool watching_ = false;
  std::string denied_;
  int graces_left_ = -1;
  bool failed_ = false;
};

void ExpectOk(const Status& status) { EXPECT_TRUE(status.ok()) << status.error().message; }

bool IsFull(const Encoder& encoder) { return !encoder.shortfalls().empty(); }

std::map<std::string, uint64_t> Used(const Encoder& encoder) {
  std::map<std::string, uint64_t> out;
  for (const dataplane::TableUse& use : encoder.Use()) out[use.name] = use.used;
  return out;
}

// One change, from one moment to the next, on tables that hold the first one.
class Step {
 public:
  // `ample`: no table can become full.
  Step(Random& random, const Moment& before, const Moment& after, bool ample)
      : random_(random), before_(before), after_(after), ample_(ample) {
    questions_ = TellingQuestions(random, before, after);
    // What a successor finds: the same objects, or one more change, told in another order.
    later_ = after;
    if (random.Chance(50))
      for (int i = random.Between(1, 3); i > 0; --i)
        later_.snapshot.Apply(RandomDelta(random, later_.snapshot));
    std::vector<model::Delta> objects = AllOf(later_.snapshot);
    for (size_t i = objects.size(); i > 1; --i) std::swap(objects[i - 1], objects[random.Below(i)]);
    policy::Compiler compiler(kHere);
    compiler.Apply(objects);
    later_.image = compiler.image();
    if (random.Chance(30)) later_.bindings = ChangedBindings(random, after, later_);
    was_ = before.AllowsEach(questions_);
    is_ = after.AllowsEach(questions_);
    will_be_ = later_.AllowsEach(questions_);
  }

  // By the writer of the first moment.
  void Run(Encoder& encoder, HeapTables& memory, Watcher& watcher, const policy::Changes* changes) {
    was_full_ = IsFull(encoder);
    uint32_t generation = encoder.generation();
    encoder.Defer(after_.defer);
    watcher.Watch({was_, is_});
    watcher.then = [&] {
      if (random_.Below(24) == 0) Succeed(memory, 2, random_.Below(4) == 0);
    };
    ExpectOk(encoder.Apply(after_.image, changes, after_.bindings));
    watcher.then = nullptr;
    ExpectOk(encoder.Settle());
    watcher.Rest();
    EXPECT_EQ(watcher.WrongNow(is_, IsFull(encoder)), "");
    if (!was_full_ && !IsFull(encoder) && encoder.generation() <= generation + 1)
      EXPECT_EQ(watcher.denied(), "");
    seen.full_tables += IsFull(encoder);
    seen.made_room += !IsFull(encoder) && encoder.generation() > generation + 1;
    seen.healed += was_full_ && !IsFull(encoder);
  }

  // The same from a copy of the tables, over and over: each grace period fails once.
  void FailEachGrace(const HeapTables& start, const policy::Changes* changes) {
    for (int n = 0; n < 64 && !::testing::Test::HasFailure(); ++n) {
      HeapTables memory = start;
      Watcher watcher(memory, questions_);
      Encoder encoder(memory.tables(), watcher.Around());
      encoder.Defer(before_.defer);
      ExpectOk(encoder.Adopt());
      ExpectOk(encoder.Apply(before_.image, nullptr, before_.bindings));
      ExpectOk(encoder.Settle());
      bool full = IsFull(encoder);
      encoder.Defer(after_.defer);
      watcher.Watch({was_, is_});
      watcher.FailGrace(n);
      Status status = encoder.Apply(after_.image, changes, after_.bindings);
      if (status.ok()) status = encoder.Settle();
      if (!watcher.failed_a_grace()) return;
      ++seen.failed_graces;
      EXPECT_FALSE(status.ok());
      full |= IsFull(encoder);
      if (!IsReaddressed(before_, after_))
        EXPECT_TRUE(watcher.WrongNow(was_, full).empty() || watcher.WrongNow(is_, full).empty());
      ExpectOk(encoder.Apply(after_.image, changes, after_.bindings));
      ExpectOk(encoder.Settle());
      EXPECT_EQ(watcher.WrongNow(is_, IsFull(encoder)), "") << "grace period " << n;
      if (ample_) EXPECT_EQ(watcher.denied(), "") << "grace period " << n;
    }
  }

  const Questions& questions() const { return questions_; }

 private:
  // The writer of `memory` is no more: another one takes over, and is killed as well.
  void Succeed(const HeapTables& memory, int depth, bool watched) {
    ++(depth == 2 ? seen.kills : seen.kills_of_successors);
    HeapTables copy = memory;
    Watcher watcher(copy, questions_);
    Encoder encoder(copy.tables(), watcher.Around());
    encoder.Defer(later_.defer);
    watcher.Watch({was_, is_, will_be_});
    if (!watched) watcher.Rest();
    watcher.then = [&] {
      if (depth > 0 && random_.Below(64) == 0) Succeed(copy, depth - 1, false);
    };
    ExpectOk(encoder.Adopt());
    ExpectOk(encoder.Apply(later_.image, nullptr, later_.bindings));
    ExpectOk(encoder.Settle());
    watcher.then = nullptr;
    watcher.Rest();
    EXPECT_EQ(watcher.WrongNow(will_be_, IsFull(encoder)), "") << "after a kill";
    if (ample_) EXPECT_EQ(watcher.denied(), "") << "after a kill";
    if (IsFull(encoder)) return;
    if (random_.Below(8) == 0) ExpectNoLeak(encoder);
  }
  void ExpectNoLeak(const Encoder& encoder) {
    HeapTables afresh;
    Encoder other(afresh.tables(), {});
    ExpectOk(other.Adopt());
    ExpectOk(other.Apply(later_.image, nullptr, later_.bindings));
    ExpectOk(other.Settle());
    EXPECT_EQ(Used(encoder), Used(other));
  }

  Random& random_;
  const Moment& before_;
  const Moment& after_;
  const bool ample_;
  Moment later_;
  Questions questions_;
  Answers was_, is_, will_be_;
  bool was_full_ = false;
};

// One table is small in most worlds: crowded, so that entries move, or full.
const HeapTables::Sizes kAmple{.endpoints = 32};
HeapTables::Sizes RandomSizes(Random& random) {
  HeapTables::Sizes out = kAmple;
  switch (random.Below(7)) {
    case 0:
      break;
    case 1:
      out.prefixes = static_cast<uint32_t>(random.Between(4, 250));
      break;
    case 2:
      out.port_sets = static_cast<uint32_t>(random.Between(3, 12));
      break;
    case 3:
      out.port_pages = static_cast<uint32_t>(random.Between(3, 24));
      break;
    case 4:
      out.peer_buckets = 1u << random.Below(4);
      break;
    case 5:
      out.endpoints = 8;
      break;
    default:
      out.rule_buckets = 1u << random.Between(0, 4);
  }
  return out;
}

// The same without policies: room returns.
std::vector<model::Delta> WithoutPolicies(const model::Snapshot& snapshot) {
  std::vector<model::Delta> out;
  for (const auto& [name, policy] : snapshot.policies)
    out.push_back(model::Delta::Remove(model::Kind::kNetworkPolicy, name));
  return out;
}

void RunWorld(uint64_t seed) {
  Random random(seed);
  HeapTables::Sizes sizes = RandomSizes(random);
  auto total = [](const HeapTables::Sizes& s) {
    return s.endpoints + s.prefixes + s.port_sets + s.port_pages + s.peer_buckets + s.rule_buckets;
  };
  bool ample = total(sizes) == total(kAmple);
  HeapTables memory(sizes);
  Questions questions;
  Watcher watcher(memory, questions);
  Encoder encoder(memory.tables(), watcher.Around());
  ExpectOk(encoder.Adopt());
  policy::Compiler compiler(kHere);
  Moment in_force;
  std::vector<model::Delta> deltas = AllOf(RandomWorld(seed).snapshot);
  bool is_in_force = false;
  for (int step = 0; step < kSteps && !::testing::Test::HasFailure(); ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    policy::Changes changes = compiler.Apply(deltas);
    Moment next{compiler.snapshot(), compiler.image(), {}, random.Chance(70)};
    next.bindings = ChangedBindings(random, in_force, next);
    seen.readdressed += IsReaddressed(in_force, next);
    Step one(random, in_force, next, ample);
    questions = one.questions();
    const policy::Changes* told = is_in_force ? &changes : nullptr;
    HeapTables start = memory;
    one.Run(encoder, memory, watcher, told);
    is_in_force = true;
    one.FailEachGrace(start, told);
    in_force = next;
    deltas.clear();
    for (int i = random.Between(0, 4); i > 0; --i)
      deltas.push_back(RandomDelta(random, compiler.snapshot()));
    if (random.Chance(10) || step + 2 == kSteps) deltas = WithoutPolicies(compiler.snapshot());
  }
}

TEST(StepsProperty, NoStoreShowsAnythingBetweenOldAndNew) {
  seen = {};
  std::vector<uint64_t> seeds = Seeds(kWorlds);
  for (uint64_t seed : seeds) {
    SCOPED_TRACE("SALLYPORT_SEED=" + std::to_string(seed) + " SALLYPORT_WORLDS=1");
    RunWorld(seed);
    if (::testing::Test::HasFailure()) return;
  }
  std::cout << seen.states << " states looked at, " << seen.straddling
            << " times by packets of an earlier generation; " << seen.kills << " writers killed, "
            << seen.kills_of_successors << " of their successors; " << seen.failed_graces
            << " grace periods failed; " << seen.full_tables << " times a table was full, "
            << seen.made_room << " until the former policy had gone, " << seen.healed
            << " times no more; " << seen.readdressed << " changes of addresses\n";
  if (seeds.size() < kWorlds) return;
  for (uint64_t count :
       {seen.states, seen.straddling, seen.kills, seen.kills_of_successors, seen.failed_graces,
        seen.full_tables, seen.made_room, seen.healed, seen.readdressed})
    EXPECT_GT(count, 0u) << "nothing was looked at";
}

}  // namespace
}  // namespace sallyport::test
