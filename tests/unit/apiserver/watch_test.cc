// SPDX-License-Identifier: Apache-2.0
// Lists, watches and persistence: what a real API server was seen to do.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "unit/apiserver/fixture.h"

namespace sallyport::apiserver {
namespace {

class WatchTest : public ApiTest {
 protected:
  const std::string pods_ = "/api/v1/namespaces/default/pods";

  Answer Make(const std::string& name, const std::string& labels = "{}") {
    return Post(pods_, Pod(name, labels));
  }
};

TEST_F(WatchTest, ChangesAfterAVersionComeInOrder) {
  std::string from = Make("a").Version();
  Make("b");
  Merge(pods_ + "/a", R"({"metadata":{"labels":{"x":"y"}}})");
  Call("DELETE", pods_ + "/b");
  Answer watch = Get(pods_ + "?watch=true&resourceVersion=" + from);
  EXPECT_EQ(Brief(NextEvent(watch)), "ADDED b");
  EXPECT_EQ(Brief(NextEvent(watch)), "MODIFIED a");
  EXPECT_EQ(Brief(NextEvent(watch)), "DELETED b");
}

TEST_F(WatchTest, WithoutAVersionTheStateComesAsAdded) {
  Make("a");
  Make("b");
  for (const char* version : {"", "&resourceVersion=0"}) {
    Answer watch = Get(pods_ + "?watch=true" + version);
    EXPECT_EQ(Brief(NextEvent(watch)), "ADDED a");
    EXPECT_EQ(Brief(NextEvent(watch)), "ADDED b");
  }
}

TEST_F(WatchTest, WhatLeavesTheSelectionIsDeletedWithOldLabelsAndTheNewVersion) {
  std::string from = Make("a", R"({"app":"web"})").Version();
  Answer watch = Get(pods_ + "?watch=true&labelSelector=app=web&resourceVersion=" + from);
  std::string version = Merge(pods_ + "/a", R"({"metadata":{"labels":{"app":"db"}}})").Version();
  Value event = NextEvent(watch);
  EXPECT_EQ(Brief(event), "DELETED a");
  EXPECT_EQ(TextAt(event, {"object", "metadata", "labels", "app"}), "web");
  EXPECT_EQ(TextAt(event, {"object", "metadata", "resourceVersion"}), version);
  Merge(pods_ + "/a", R"({"metadata":{"labels":{"app":"web"}}})");
  EXPECT_EQ(Brief(NextEvent(watch)), "ADDED a");
}

TEST_F(WatchTest, OfOneNode) {
  Answer watch = Get("/api/v1/pods?watch=true&fieldSelector=spec.nodeName=n1&resourceVersion=" +
                     Get(pods_).Version());
  Make("a");
  Make("b");
  Post(pods_ + "/b/binding", R"({"target":{"kind":"Node","name":"n1"}})");
  Value event = NextEvent(watch);
  EXPECT_EQ(Brief(event), "ADDED b");
  EXPECT_EQ(TextAt(event, {"object", "spec", "nodeName"}), "n1");
}

TEST_F(WatchTest, LostHistoryIsAnErrorLineAndTheEnd) {
  std::string from = Make("a").Version();
  Make("b");
  Restart();
  Answer watch = Get(pods_ + "?watch=true&resourceVersion=" + from);
  EXPECT_EQ(watch.code, 200);
  Value event = NextEvent(watch);
  EXPECT_EQ(TextAt(event, {"type"}), "ERROR");
  EXPECT_EQ(TextAt(event, {"object", "kind"}), "Status");
  EXPECT_EQ(TextAt(event, {"object", "code"}), "410");
  EXPECT_EQ(TextAt(event, {"object", "reason"}), "Expired");
  EXPECT_EQ(NextEvent(watch).type, Value::Type::kNull);
}

TEST_F(WatchTest, HistoryThatRolledOverIsLost) {
  history_ = 3;
  Restart();
  std::string from = Make("a").Version();
  for (int i = 0; i < 5; ++i)
    Merge(pods_ + "/a", R"({"metadata":{"labels":{"n":")" + std::to_string(i) + "\"}}}");
  Answer watch = Get(pods_ + "?watch=true&resourceVersion=" + from);
  EXPECT_EQ(TextAt(NextEvent(watch), {"object", "code"}), "410");
}

TEST_F(WatchTest, AVersionOfTheFutureIsSilentAndAWordIsAnError) {
  Answer watch = Get(pods_ + "?watch=true&timeoutSeconds=1&resourceVersion=1000000");
  EXPECT_EQ(watch.code, 200);
  Make("a");
  EXPECT_EQ(NextEvent(watch).type, Value::Type::kNull);
  EXPECT_EQ(Get(pods_ + "?watch=true&resourceVersion=soon").code, 500);
}

TEST_F(WatchTest, BookmarksOnlyWhenTheVersionMoved) {
  bookmark_every_ = std::chrono::milliseconds(1);
  Restart();
  Make("a");
  std::string from = Get(pods_).Version();
  Answer watch = Get(pods_ + "?watch=true&allowWatchBookmarks=true&resourceVersion=" + from);
  auto silence = watch.stream->Next(SystemClock().Now() + std::chrono::milliseconds(20));
  EXPECT_EQ(*silence, "");
  // Another resource moves the version.
  std::string version =
      Post("/api/v1/namespaces/default/configmaps", R"({"metadata":{"name":"c"}})").Version();
  Value event = NextEvent(watch);
  EXPECT_EQ(TextAt(event, {"type"}), "BOOKMARK");
  EXPECT_EQ(ToJson(*event.Find("object")),
            R"({"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":")" + version +
                R"(","creationTimestamp":null},"spec":{"containers":null},"status":{}})");
}

TEST_F(WatchTest, SendInitialEvents) {
  Make("a");
  std::string watch_path = pods_ + "?watch=true&allowWatchBookmarks=true&sendInitialEvents=true";
  EXPECT_EQ(Get(watch_path).code, 422);
  Answer watch = Get(watch_path + "&resourceVersionMatch=NotOlderThan");
  EXPECT_EQ(Brief(NextEvent(watch)), "ADDED a");
  Value event = NextEvent(watch);
  EXPECT_EQ(TextAt(event, {"type"}), "BOOKMARK");
  EXPECT_EQ(TextAt(event, {"object", "metadata", "annotations", "k8s.io/initial-events-end"}),
            "true");
  watch_list_ = false;
  Restart();
  EXPECT_EQ(Get(watch_path + "&resourceVersionMatch=NotOlderThan").code, 422);
}

TEST_F(WatchTest, AsTable) {
  Make("a");
  Answer watch =
      Call("GET", pods_ + "?watch=true", "", "", "application/json;as=Table;v=v1;g=meta.k8s.io");
  Value event = NextEvent(watch);
  EXPECT_EQ(TextAt(event, {"object", "kind"}), "Table");
  const Value& row = At(event, {"object", "rows"})->items[0];
  EXPECT_EQ(Texts(row.Find("cells"))[0], "a");
  EXPECT_EQ(Texts(row.Find("cells"))[2], "Pending");
}

class ListTest : public WatchTest {};

TEST_F(ListTest, PagesAreOfOneVersion) {
  for (const char* name : {"a", "b", "c", "d", "e"}) Make(name);
  Answer first = Get(pods_ + "?limit=2");
  EXPECT_EQ(Items(first.tree.Find("items")).size(), 2u);
  EXPECT_EQ(TextAt(first.tree, {"metadata", "remainingItemCount"}), "3");
  Call("DELETE", pods_ + "/d");
  Make("c2");
  Answer second = Get(pods_ + "?limit=2&continue=" + TextAt(first.tree, {"metadata", "continue"}));
  Answer third = Get(pods_ + "?limit=2&continue=" + TextAt(second.tree, {"metadata", "continue"}));
  std::vector<std::string> names;
  for (const Answer* page : {&first, &second, &third})
    for (const Value& pod : Items(page->tree.Find("items")))
      names.push_back(TextAt(pod, {"metadata", "name"}));
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b", "c", "d", "e"}));
  EXPECT_EQ(second.Version(), first.Version());
  EXPECT_EQ(At(third.tree, {"metadata", "continue"}), nullptr);
}

TEST_F(ListTest, AStaleTokenIs410WithAFreshOneThatGoesOn) {
  for (const char* name : {"a", "b", "c"}) Make(name);
  std::string token = TextAt(Get(pods_ + "?limit=2").tree, {"metadata", "continue"});
  Call("DELETE", pods_ + "/b");
  Restart();
  Make("d");
  Answer stale = Get(pods_ + "?limit=2&continue=" + token);
  EXPECT_EQ(stale.code, 410);
  EXPECT_EQ(stale.Reason(), "Expired");
  Answer rest = Get(pods_ + "?limit=5&continue=" + TextAt(stale.tree, {"metadata", "continue"}));
  ASSERT_EQ(Items(rest.tree.Find("items")).size(), 2u);
  EXPECT_EQ(TextAt(Items(rest.tree.Find("items"))[0], {"metadata", "name"}), "c");
  EXPECT_EQ(Get(pods_ + "?continue=nonsense").code, 400);
}

TEST_F(ListTest, AtExactlyAVersion) {
  Make("a");
  std::string then = Make("b").Version();
  Call("DELETE", pods_ + "/a");
  Answer old = Get(pods_ + "?resourceVersionMatch=Exact&resourceVersion=" + then);
  EXPECT_EQ(Items(old.tree.Find("items")).size(), 2u);
  EXPECT_EQ(old.Version(), then);
  EXPECT_EQ(Items(Get(pods_).tree.Find("items")).size(), 1u);
  Restart();
  EXPECT_EQ(Get(pods_ + "?resourceVersionMatch=Exact&resourceVersion=" + then).code, 410);
}

TEST_F(ListTest, AFutureVersionIsTooLarge) {
  Answer answer = Get(pods_ + "?resourceVersionMatch=NotOlderThan&resourceVersion=1000000");
  EXPECT_EQ(answer.code, 504);
  EXPECT_EQ(Items(At(answer.tree, {"details", "causes"}))[0].Find("reason")->text,
            "ResourceVersionTooLarge");
  EXPECT_EQ(TextAt(answer.tree, {"details", "retryAfterSeconds"}), "1");
}

TEST_F(ListTest, Selectors) {
  Make("a", R"({"app":"web","tier":"x"})");
  Make("b", R"({"app":"db"})");
  auto names = [&](const std::string& query) {
    std::string out;
    Answer answer = Get(pods_ + "?" + query);
    for (const Value& pod : Items(answer.tree.Find("items")))
      out += TextAt(pod, {"metadata", "name"});
    return out;
  };
  EXPECT_EQ(names("labelSelector=app=web"), "a");
  EXPECT_EQ(names("labelSelector=app==web,tier"), "a");
  EXPECT_EQ(names("labelSelector=!tier"), "b");
  EXPECT_EQ(names("labelSelector=tier!=x"), "b");
  EXPECT_EQ(names("labelSelector=app in (web,db)"), "ab");
  EXPECT_EQ(names("labelSelector=app notin (web)"), "b");
  EXPECT_EQ(names("fieldSelector=metadata.name=b"), "b");
  EXPECT_EQ(names("fieldSelector=status.phase!=Pending"), "");
  EXPECT_EQ(Get(pods_ + "?labelSelector=app in web").code, 400);
  EXPECT_EQ(Get(pods_ + "?labelSelector=a=-").code, 400);
  EXPECT_EQ(Get(pods_ + "?fieldSelector=spec.color=red").code, 400);
}

// The first object of its kind, written at the moment when a reader gives up waiting for it.
TEST_F(WatchTest, NothingIsLostBetweenTheEndOfAWaitAndItsAnswer) {
  for (int i = 0; i < 200; ++i) {
    std::string kind = "kind-" + std::to_string(i);
    uint64_t known = store_->version();
    size_t seen = 0;
    std::atomic<bool> written = false;
    std::thread writer([&] {
      EXPECT_TRUE(store_->Put(kind, ParseJsonText(Pod("a"))));
      written = true;
    });
    for (bool last = false; !last;) {
      last = written;
      Store::Changes news = store_->Read(kind, known, 10, SystemClock().Now());
      seen += news.changes.size();
      known = news.version;
    }
    writer.join();
    ASSERT_EQ(seen, 1u) << kind;
  }
}

class PersistenceTest : public WatchTest {};

TEST_F(PersistenceTest, ObjectsAndTheCounterSurvive) {
  Answer made = Make("a");
  std::string last = Make("b").Version();
  Call("DELETE", pods_ + "/b");
  Restart();
  Answer again = Get(pods_ + "/a");
  EXPECT_EQ(again.text, Get(pods_ + "/a").text);
  EXPECT_EQ(again.Version(), made.Version());
  EXPECT_EQ(Get(pods_ + "/b").code, 404);
  EXPECT_GT(std::stoull(Make("c").Version()), std::stoull(last) + 1);
}

TEST_F(PersistenceTest, ADamagedTailIsCutAndTold) {
  Make("a");
  Make("b");
  Stop();
  std::string path = directory_ / "journal";
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 5);
  Start();
  EXPECT_NE(note_.find("damaged"), std::string::npos);
  EXPECT_EQ(Get(pods_ + "/a").code, 200);
  EXPECT_EQ(Get(pods_ + "/b").code, 404);
  note_.clear();
  Make("c");
  Restart();
  EXPECT_EQ(note_, "");
  EXPECT_EQ(Get(pods_ + "/c").code, 200);
}

TEST_F(PersistenceTest, EveryCutOfTheJournalCanBeRead) {
  Make("a");
  Make("b");
  Stop();
  std::string path = directory_ / "journal";
  std::ifstream in(path, std::ios::binary);
  std::string whole((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  for (size_t length = 0; length < whole.size(); length += 97) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << whole.substr(0, length);
    std::string note;
    EXPECT_TRUE(Store::Open(directory_.path(), {}, &note)) << length;
  }
}

TEST_F(PersistenceTest, AddressesStayTaken) {
  Post("/api/v1/namespaces/default/services",
       R"({"metadata":{"name":"s"},"spec":{"clusterIP":"10.96.7.7","ports":[{"port":80}]}})");
  Restart();
  Answer second = Post("/api/v1/namespaces/default/services",
                       R"({"metadata":{"name":"t"},"spec":{"clusterIP":"10.96.7.7",)"
                       R"("ports":[{"port":80}]}})");
  EXPECT_EQ(second.code, 422);
  EXPECT_NE(second.Message().find("provided IP is already allocated"), std::string::npos);
}

}  // namespace
}  // namespace sallyport::apiserver
