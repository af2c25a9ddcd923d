// SPDX-License-Identifier: Apache-2.0
// A reflector and a server of many moods: whatever happens on the way, in the end it knows what
// there is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "unit/watch/api_texts.h"
#include "watch/object_set.h"
#include "watch/reflector.h"

namespace sallyport::watch {
namespace {

using std::chrono::seconds;
using testing::IsEmpty;

// A server with some objects, a history of limited length, and moods.
class MoodyServer {
 public:
  explicit MoodyServer(unsigned seed) : random_(seed) {}

  void Change() {
    std::string name(1, static_cast<char>('a' + Random(8)));
    ++version_;
    bool gone = objects_.contains(name) && Random(3) == 0;
    std::string type = gone ? "DELETED" : objects_.contains(name) ? "MODIFIED" : "ADDED";
    std::string text = R"({"metadata":{"name":")" + name + R"(","resourceVersion":")" +
                       std::to_string(version_) + R"(","labels":{"v":")" +
                       std::to_string(version_) + "\"}}}";
    history_[version_] = Event(type, text);
    if (gone) {
      objects_.erase(name);
    } else {
      objects_[name] = text;
    }
    if (Random(6) == 0)
      history_.erase(history_.begin(), history_.lower_bound(version_ - Random(4)));
    begins_ = history_.empty() ? version_ : history_.begin()->first - 1;
  }

  Result<kube::Response> Serve(const kube::Request& request, const kube::StreamEvents& events) {
    if (calm_ || Random(4) != 0) return Answer(request.path, events);
    switch (Random(4)) {
      case 0:
        return Error{"refused", ECONNREFUSED};
      case 1:
        return kube::Response{500 + Random(4), "{}", {}};
      case 2:
        return kube::Response{429, "{}", seconds(1)};
      default:
        cut_ = true;
        return Answer(request.path, events);
    }
  }

  void Calm() { calm_ = true; }
  // What there is, by name: at which version it changed.
  std::map<std::string, std::string> Versions() const {
    std::map<std::string, std::string> out;
    for (const auto& [name, text] : objects_) {
      size_t at = text.find("\"v\":\"") + 5;
      out[name] = text.substr(at, text.find('"', at) - at);
    }
    return out;
  }

 private:
  int Random(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }

  static std::string Parameter(const std::string& path, const std::string& name) {
    size_t at = path.find(name + "=");
    if (at == std::string::npos) return "";
    at += name.size() + 1;
    return path.substr(at, path.find('&', at) - at);
  }

  Result<kube::Response> Send(std::string body, const kube::StreamEvents& events) {
    bool cut = std::exchange(cut_, false);
    if (cut) body.resize(static_cast<size_t>(Random(static_cast<int>(body.size()) + 1)));
    if (events.opened) events.opened();
    for (size_t at = 0; at < body.size();) {
      size_t piece = 1 + static_cast<size_t>(Random(90));
      if (!events.bytes(std::string_view(body).substr(at, piece))) {
        return Error{"stopped", kube::kStopped};
      }
      at += piece;
    }
    if (cut && Random(2) == 0) return Error{"reset", ECONNRESET};
    return kube::Response{200, "", {}};
  }

  Result<kube::Response> Answer(const std::string& path, const kube::StreamEvents& events) {
    bool watch = path.find("watch=true") != std::string::npos;
    if (watch && path.find("sendInitialEvents") != std::string::npos) {
      if (!initial_events_) return kube::Response{422, "{}", {}};
      std::string body;
      for (const auto& [name, text] : objects_) body += Event("ADDED", text);
      return Send(body + Bookmark(version_, true), events);
    }
    if (watch) return Watch(std::stoi(Parameter(path, "resourceVersion")), events);
    if (!Parameter(path, "resourceVersion").empty()) return Send(List("", version_), events);
    return Page(path, events);
  }

  Result<kube::Response> Watch(int from, const kube::StreamEvents& events) {
    std::string body;
    for (auto it = history_.upper_bound(from); it != history_.end(); ++it) body += it->second;
    if (from < begins_) body = Event("ERROR", StatusText(410, "Expired"));
    if (from >= begins_ && Random(2) == 0) body += Bookmark(version_);
    return Send(body, events);
  }

  // The token is the list's version and the last name; what it lists is that version's.
  Result<kube::Response> Page(const std::string& path, const kube::StreamEvents& events) {
    std::string token = Parameter(path, "continue");
    int version = token.empty() ? version_ : std::stoi(token.substr(1));
    if (token.empty()) {
      pages_[version_] = objects_;
    } else if (version < begins_ || !pages_.contains(version)) {
      return kube::Response{410, R"({"code":410,"metadata":{"continue":"x"}})", {}};
    }
    std::string limit = Parameter(path, "limit"), items, more;
    size_t count = 0, most = limit.empty() ? 1000 : std::stoul(limit);
    const auto& all = pages_[version];
    for (auto it = token.empty() ? all.begin() : all.upper_bound(token.substr(0, 1));
         it != all.end(); ++it) {
      if (count++ == most) break;
      items += (items.empty() ? "" : ",") + it->second;
      more = std::next(it) == all.end() ? "" : it->first + std::to_string(version);
    }
    return Send(List(items, version, more), events);
  }

  std::minstd_rand random_;
  std::map<std::string, std::string> objects_;
  bool calm_ = false, cut_ = false;
  bool initial_events_ = Random(2) == 0;
  int version_ = 10, begins_ = 10;
  std::map<int, std::string> history_;
  std::map<int, std::map<std::string, std::string>> pages_;
};

TEST(ReflectorPropertyTest, EndsWithWhatThereIs) {
  for (unsigned seed = 1; seed <= 150; ++seed) {
    MoodyServer server(seed);
    model::Snapshot snapshot;
    ObjectSet set(model::Kind::kNamespace, [&](ObjectUpdate update) {
      EXPECT_THAT(update.standing, IsEmpty()) << seed;
      for (const model::Delta& delta : update.deltas) snapshot.Apply(delta);
    });
    std::minstd_rand random(seed);
    bool calm = false;
    auto transport = [&](const kube::Request& request, const kube::StreamEvents& events, Duration) {
      for (auto i = calm ? 0 : random() % 5; i > 0; --i) server.Change();
      return server.Serve(request, events);
    };
    FakeClock clock;
    ReflectorOptions options;
    options.seed = seed;
    options.page_size = 3;
    Reflector reflector({"things", "/things", "", false}, transport, set, clock, options);
    for (int i = 0; i < 100; ++i) clock.Advance(reflector.Step());
    calm = true;
    server.Calm();
    for (int i = 0; i < 20; ++i) clock.Advance(reflector.Step());
    std::map<std::string, std::string> known;
    for (const auto& [name, object] : snapshot.namespaces) known[name] = *object->labels.Find("v");
    ASSERT_EQ(known, server.Versions()) << seed;
  }
}

}  // namespace
}  // namespace sallyport::watch
