// SPDX-License-Identifier: Apache-2.0
// The tables say what the image says: after every change, and after every single store on the way.
#include "dataplane/encoder.h"

#include <gtest/gtest.h>

#include <atomic>
#include <shared_mutex>
#include <thread>

#include "support/world.h"
#include "unit/dataplane/images.h"

namespace sallyport::dataplane {
namespace {

using policy::Image;
using test::Answer;
using test::ExpectOk;
using test::HeapTables;
using test::Judgement;
using test::Question;
using test::Random;
using test::TableTwin;
using test::Watching;

// "" or the first question that the tables, as a reader under `generation` sees them, answer
// otherwise than the image.
std::string Wrong(const Tables& tables, const Image& image, const Bindings& bindings,
                  const std::vector<Question>& questions) {
  TableTwin twin(tables);
  uint32_t generation = twin.Generation();
  for (const Question& q : questions) {
    Judgement got = twin.Judge(generation, q.ifindex, q.direction, q.peer, q.protocol, q.port);
    if (got != Answer(image, bindings, q))
      return q.ToString() + ": " + std::to_string(static_cast<int>(got));
    if (twin.FindPeer(q.peer, generation & 1).is_node != image.node_addresses.contains(q.peer))
      return q.peer.ToString() + ": is it the node?";
    if (twin.FindPeer(q.peer, generation & 1).is_other_node != image.other_nodes.contains(q.peer))
      return q.peer.ToString() + ": is it another node?";
    if (twin.FindPeer(q.peer, generation & 1).is_service !=
        image.service_addresses.contains(q.peer))
      return q.peer.ToString() + ": is it a Service's?";
  }
  return "";
}

// Endpoints by address, once everything has settled.
std::string WrongHints(const Tables& tables, const Image& image, const Bindings& bindings) {
  TableTwin twin(tables);
  for (uint32_t half : {0u, 1u})
    for (const auto& [name, binding] : bindings)
      for (const net::Address& address : binding.addresses) {
        uint32_t wanted = image.endpoints.contains(name) ? binding.ifindex : 0;
        if (twin.FindPeer(address, half).ifindex != wanted) return address.ToString();
      }
  return "";
}

// Mostly such that the images answer differently.
std::vector<Question> TellingQuestions(Random& random, const Image& before, const Image& after,
                                       const Bindings& bindings) {
  std::vector<Question> out = test::RandomQuestions(random, 10);
  for (Question& q : test::RandomQuestions(random, 1000))
    if (out.size() < 40 && Answer(before, bindings, q) != Answer(after, bindings, q))
      out.push_back(std::move(q));
  return out;
}

// What the tables hold beyond one image: everything an encoder counts, for finding leaks.
std::map<std::string, uint64_t> Used(const Encoder& encoder) {
  std::map<std::string, uint64_t> out;
  for (const TableUse& use : encoder.Use()) out[use.name] = use.used;
  return out;
}

TEST(Encoder, SaysWhatTheImageSays) {
  for (uint64_t seed : test::Seeds(40)) {
    SCOPED_TRACE(seed);
    Random random(seed);
    HeapTables memory;
    Encoder encoder(memory.tables(), {});
    ExpectOk(encoder.Adopt());
    for (int step = 0; step < 5; ++step) {
      Image image = test::RandomImage(random);
      Bindings bindings = test::RandomBindings(random, image);
      std::vector<Question> questions = test::RandomQuestions(random, 200);
      ExpectOk(encoder.Apply(image, nullptr, bindings));
      ASSERT_EQ(Wrong(memory.tables(), image, bindings, questions), "");
      ExpectOk(encoder.Settle());
      ASSERT_EQ(Wrong(memory.tables(), image, bindings, questions), "");
      ASSERT_EQ(WrongHints(memory.tables(), image, bindings), "");
    }
  }
}

TEST(Encoder, ChangesLeadToWhatComparingEverythingLeadsTo) {
  for (uint64_t seed : test::Seeds(40)) {
    SCOPED_TRACE(seed);
    Random random(seed);
    HeapTables memory;
    Encoder encoder(memory.tables(), {});
    ExpectOk(encoder.Adopt());
    Image image = test::RandomImage(random);
    Bindings bindings = test::RandomBindings(random, image);
    ExpectOk(encoder.Apply(image, nullptr, bindings));
    for (int step = 0; step < 20; ++step) {
      policy::Changes changes = test::RandomChange(random, image);
      if (random.Chance(30)) bindings = test::RandomBindings(random, image);
      ExpectOk(encoder.Apply(image, &changes, bindings));
      ASSERT_EQ(Wrong(memory.tables(), image, bindings, test::RandomQuestions(random, 100)), "");
    }
    ExpectOk(encoder.Settle());
    HeapTables afresh;
    Encoder other(afresh.tables(), {});
    ExpectOk(other.Adopt());
    ExpectOk(other.Apply(image, nullptr, bindings));
    ExpectOk(other.Settle());
    EXPECT_EQ(Used(encoder), Used(other));
    uint32_t generation = encoder.generation();
    ExpectOk(encoder.Apply(image, nullptr, bindings));
    EXPECT_EQ(encoder.generation(), generation) << "comparing everything found a difference";
  }
}

TEST(Encoder, NoStoreShowsAnythingBetweenOldAndNew) {
  for (uint64_t seed : test::Seeds(20)) {
    SCOPED_TRACE(seed);
    Random random(seed);
    HeapTables memory;
    std::function<void()> check;
    Encoder encoder(memory.tables(), Watching([&] {
                      if (check) check();
                    }));
    ExpectOk(encoder.Adopt());
    Image image = test::RandomImage(random);
    Bindings bindings = test::RandomBindings(random, image);
    ExpectOk(encoder.Apply(image, nullptr, bindings));
    for (int step = 0; step < 8 && !::testing::Test::HasFailure(); ++step) {
      Image before = image;
      policy::Changes changes = test::RandomChange(random, image);
      bool whole = random.Chance(50);
      if (whole && random.Chance(50)) image = test::RandomImage(random);
      std::vector<Question> questions = TellingQuestions(random, before, image, bindings);
      uint32_t old_generation = encoder.generation();
      check = [&] {
        bool is_old = encoder.generation() == old_generation;
        ASSERT_EQ(Wrong(memory.tables(), is_old ? before : image, bindings, questions), "");
      };
      ExpectOk(encoder.Apply(image, whole ? nullptr : &changes, bindings));
      ExpectOk(encoder.Settle());
      check = nullptr;
      ASSERT_LE(encoder.generation(), old_generation + 1);
    }
  }
}

// The process is killed after any store; the next one finds a complete image, and arrives.
TEST(Encoder, AnyStoreMayBeTheLast) {
  for (uint64_t seed : test::Seeds(2)) {
    SCOPED_TRACE(seed);
    Random random(seed);
    HeapTables memory;
    std::function<void()> check;
    Encoder encoder(memory.tables(), Watching([&] {
                      if (check) check();
                    }));
    ExpectOk(encoder.Adopt());
    Image image = test::RandomImage(random);
    Bindings bindings = test::RandomBindings(random, image);
    ExpectOk(encoder.Apply(image, nullptr, bindings));
    for (int step = 0; step < 4 && !::testing::Test::HasFailure(); ++step) {
      Image before = image;
      policy::Changes changes = test::RandomChange(random, image);
      std::vector<Question> questions = TellingQuestions(random, before, image, bindings);
      uint32_t old_generation = encoder.generation();
      check = [&] {
        bool is_old = encoder.generation() == old_generation;
        HeapTables copy = memory;
        Encoder next(copy.tables(), {});
        ExpectOk(next.Adopt());
        ASSERT_EQ(Wrong(copy.tables(), is_old ? before : image, bindings, questions), "");
        ExpectOk(next.Apply(image, nullptr, bindings));
        ASSERT_EQ(Wrong(copy.tables(), image, bindings, questions), "");
        ExpectOk(next.Settle());
        ASSERT_EQ(Wrong(copy.tables(), image, bindings, questions), "");
      };
      ExpectOk(encoder.Apply(image, &changes, bindings));
      ExpectOk(encoder.Settle());
      check = nullptr;
    }
  }
}

TEST(Encoder, NothingIsLeftOfWhatCameAndWent) {
  HeapTables memory;
  Encoder encoder(memory.tables(), {});
  ExpectOk(encoder.Adopt());
  auto empty = Used(encoder);
  Random random(1);
  Image image = test::RandomImage(random);
  for (int round = 0; round < 50; ++round) {
    ExpectOk(encoder.Apply(image, nullptr, test::RandomBindings(random, image)));
    image = test::RandomImage(random);
  }
  ExpectOk(encoder.Apply(Image{}, nullptr, {}));
  ExpectOk(encoder.Settle());
  EXPECT_EQ(Used(encoder), empty);
}

TEST(Encoder, ARestartOnTheSamePolicyWritesNothing) {
  HeapTables memory;
  Random random(2);
  Image image = test::RandomImage(random);
  Bindings bindings = test::RandomBindings(random, image);
  {
    Encoder encoder(memory.tables(), {});
    ExpectOk(encoder.Adopt());
    ExpectOk(encoder.Apply(image, nullptr, bindings));
    ExpectOk(encoder.Settle());
  }
  int stores = 0;
  Encoder encoder(memory.tables(), Watching([&] { ++stores; }));
  ExpectOk(encoder.Adopt());
  uint32_t generation = encoder.generation();
  ExpectOk(encoder.Apply(image, nullptr, bindings));
  // Sets that no endpoint uses were not adopted, and are written again.
  std::set<policy::SetId> used;
  for (const auto& [name, endpoint] : image.endpoints)
    if (bindings.contains(name)) used.insert({endpoint.egress, endpoint.ingress});
  if (std::all_of(image.sets.begin(), image.sets.end(),
                  [&](const auto& set) { return used.contains(set.first); })) {
    EXPECT_EQ(encoder.generation(), generation);
    EXPECT_EQ(stores, 0);
  }
  EXPECT_EQ(Wrong(memory.tables(), image, bindings, test::RandomQuestions(random, 500)), "");
}

TEST(Encoder, AGracePeriodMayFailAtAnyTime) {
  for (uint64_t seed : test::Seeds(40)) {
    SCOPED_TRACE(seed);
    Random random(seed);
    HeapTables memory({.endpoints = 64,
                       .peer_buckets = 8,
                       .rule_buckets = 64,
                       .port_sets = 256,
                       .port_pages = 1024,
                       .prefixes = 2048});
    Surroundings around;
    bool may_fail = false;
    around.grace_period = [&] {
      return may_fail && random.Chance(60) ? Status(Error{"interrupted"}) : Ok();
    };
    Encoder encoder(memory.tables(), around);
    ExpectOk(encoder.Adopt());
    Image image = test::RandomImage(random);
    Bindings bindings = test::RandomBindings(random, image);
    ExpectOk(encoder.Apply(image, nullptr, bindings));
    for (int step = 0; step < 10; ++step) {
      Image before = image;
      policy::Changes changes = test::RandomChange(random, image);
      std::vector<Question> questions = TellingQuestions(random, before, image, bindings);
      may_fail = true;
      for (bool done = false; !done;) {
        uint32_t generation = encoder.generation();
        done = encoder.Apply(image, &changes, bindings).ok();
        ASSERT_LE(encoder.generation(), generation + (done ? 1 : 0));
        ASSERT_EQ(Wrong(memory.tables(), done ? image : before, bindings, questions), "");
      }
      while (!encoder.Settle().ok()) {
      }
      may_fail = false;
    }
  }
}

// With the policy that says so: the endpoint's other half, then the flip.
TEST(Encoder, WhatKeepsEstablishedConnectionsIsOfItsGeneration) {
  constexpr uint32_t kEither = SP_ENDPOINT_KEEP << SP_EGRESS | SP_ENDPOINT_KEEP << SP_INGRESS;
  HeapTables memory;
  std::vector<uint32_t> seen;
  Encoder encoder(memory.tables(), Watching([&] {
                    TableTwin twin(memory.tables());
                    const sp_endpoint* e = twin.FindEndpoint(7);
                    uint32_t now = e ? e->flags[twin.Generation() & 1] & kEither : 0;
                    if (seen.empty() || seen.back() != now) seen.push_back(now);
                  }));
  ExpectOk(encoder.Adopt());
  model::ObjectName pod{"ns", "pod"};
  Image image;
  policy::Endpoint& endpoint = image.endpoints[pod];
  Bindings bindings{{pod, {7, {*net::Address::Parse("10.0.0.1")}, false}}};
  for (auto [egress, ingress] :
       {std::pair(false, false), {true, false}, {true, true}, {false, true}, {false, false}}) {
    endpoint.keep_egress = egress;
    endpoint.keep_ingress = ingress;
    ExpectOk(encoder.Apply(image, nullptr, bindings));
    ExpectOk(encoder.Settle());
  }
  EXPECT_EQ(seen, (std::vector<uint32_t>{0, SP_ENDPOINT_KEEP << SP_EGRESS, kEither,
                                         SP_ENDPOINT_KEEP << SP_INGRESS, 0}));
}

// Nothing is left to be judged further on: neither by Services that stay, nor by one that goes.
TEST(Encoder, NoServiceKeepsItsMarkWhenNothingIsDeferred) {
  HeapTables memory;
  Encoder encoder(memory.tables(), {});
  ExpectOk(encoder.Adopt());
  net::Address stays = *net::Address::Parse("10.96.0.1"), goes = *net::Address::Parse("192.0.2.7");
  TableTwin twin(memory.tables());
  auto is_service = [&](const net::Address& address) {
    return twin.FindPeer(address, encoder.generation() & 1).is_service;
  };
  auto is_deferring = [&] { return memory.tables().control->deferring[encoder.generation() & 1]; };
  Image image;
  image.service_addresses = {stays, goes};
  ExpectOk(encoder.Apply(image, nullptr, {}));
  EXPECT_TRUE(is_service(stays) && is_service(goes));
  EXPECT_EQ(is_deferring(), 1u);

  image.service_addresses = {stays};
  policy::Changes changes;
  changes.service_addresses = {goes};
  encoder.Defer(false);
  ExpectOk(encoder.Apply(image, &changes, {}));
  EXPECT_FALSE(is_service(stays) || is_service(goes));
  EXPECT_EQ(is_deferring(), 0u);
}

// Readers take the lock shared for one packet; a grace period is the lock taken alone.
TEST(Encoder, ReadersNeverSeeAMixture) {
  for (uint64_t seed : test::Seeds(4)) {
    SCOPED_TRACE(seed);
    Random random(seed);
    HeapTables memory({.endpoints = 64,
                       .peer_buckets = 8,
                       .rule_buckets = 64,
                       .port_sets = 256,
                       .port_pages = 1024,
                       .prefixes = 2048});
    std::shared_mutex packets;
    Surroundings around;
    around.grace_period = [&] {
      std::unique_lock all(packets);
      return Ok();
    };
    Encoder encoder(memory.tables(), around);
    ExpectOk(encoder.Adopt());
    std::vector<Question> questions = test::RandomQuestions(random, 64);
    // By generation; the last one may be about to come into force.
    std::vector<std::vector<Judgement>> answers(1, std::vector<Judgement>(64, Judgement::kClosed));
    std::vector<Image> images;
    Bindings bindings;
    for (int i = 0; i < 80; ++i) images.push_back(test::RandomImage(random));
    bindings = test::RandomBindings(random, images[0]);
    for (const Image& image : images) {
      std::vector<Judgement>& row = answers.emplace_back();
      for (const Question& q : questions) row.push_back(Answer(image, bindings, q));
    }
    std::atomic<bool> stop = false;
    std::atomic<int> wrong = 0;
    auto read = [&] {
      TableTwin twin(memory.tables());
      for (size_t i = 0; !stop; i = (i + 1) % questions.size()) {
        std::shared_lock packet(packets);
        uint32_t generation = twin.Generation();
        const Question& q = questions[i];
        Judgement got = twin.Judge(generation, q.ifindex, q.direction, q.peer, q.protocol, q.port);
        if (got != answers[generation][i]) ++wrong;
      }
    };
    std::thread first(read), second(read);
    uint32_t applied = 0;
    for (const Image& image : images) {
      ExpectOk(encoder.Apply(image, nullptr, bindings));
      if (encoder.generation() != ++applied) break;  // nothing differed: the rows would not fit
    }
    stop = true;
    first.join();
    second.join();
    EXPECT_EQ(wrong, 0);
  }
}

}  // namespace
}  // namespace sallyport::dataplane
