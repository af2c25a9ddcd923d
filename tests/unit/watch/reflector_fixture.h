// SPDX-License-Identifier: Apache-2.0
// A reflector against a script: each step is answered by the reply that the test gives.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "unit/watch/api_texts.h"
#include "watch/reflector.h"

namespace sallyport::watch {

// What a server does with one request.
struct Reply {
  int status = 200;
  std::string body = "";
  std::optional<Error> error = {};  // after the body
  std::optional<Duration> retry_after = {};
  Duration lasts = {};  // none: at once; of a watch that ends in good order, all of its time
  bool early = false;   // a watch that ends in good order ends at once
};

class Recorder : public ObjectSink {
 public:
  void BeginList() override { told.push_back("("); }
  void EndList() override { told.push_back(")"); }
  void Set(std::string_view object) override { told.push_back("+" + Name(object)); }
  void Remove(std::string_view object) override { told.push_back("-" + Name(object)); }
  std::vector<std::string> told;

 private:
  static std::string Name(std::string_view object) {
    size_t at = object.find("\"name\":\"") + 8;
    return std::string(object.substr(at, object.find('"', at) - at));
  }
};

class ReflectorTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.try_initial_events = false;
    options_.seed = 1;
    options_.page_size = 2;
    options_.watch_time = std::chrono::seconds(300);
    Make();
  }
  void Make(bool optional = false) {
    Resource resource{"pods", "/api/v1/pods", "", optional};
    auto transport = [this](const kube::Request& request, const kube::StreamEvents& events,
                            Duration idle) { return Serve(request, events, idle); };
    reflector_ = std::make_unique<Reflector>(resource, transport, sink_, clock_, options_);
  }
  Result<kube::Response> Serve(const kube::Request& request, const kube::StreamEvents& events,
                               Duration idle) {
    asked_ = request.path;
    idle_ = idle;
    EXPECT_FALSE(replies_.empty()) << request.path;
    if (replies_.empty()) return Error{"no more", kube::kStopped};
    Reply reply = std::move(replies_.front());
    replies_.pop_front();
    answer_within_ = request.answer_within;
    if (reply.status < 300 && reply.status > 0) {
      if (events.opened) events.opened();
      connected_ = state().connected;
      if (!events.bytes(reply.body)) return Error{"stopped", kube::kStopped};
      reply.body.clear();
    }
    clock_.Advance(reply.lasts);
    if (reply.error) return *reply.error;
    size_t time = asked_.find("timeoutSeconds=");
    bool whole = time != std::string::npos && !reply.early && reply.lasts == Duration();
    if (whole) clock_.Advance(std::chrono::seconds(std::stoi(asked_.substr(time + 15))));
    return kube::Response{reply.status, reply.body, reply.retry_after};
  }
  // Steps once against the reply.
  Duration Step(Reply reply) {
    replies_.push_back(std::move(reply));
    Duration wait = reflector_->Step();
    clock_.Advance(wait);
    return wait;
  }
  std::vector<std::string> Told() { return std::exchange(sink_.told, {}); }
  const WatchState& state() const { return reflector_->state(); }
  // Listed at version 5, with a.
  void Sync() {
    Step({.body = List(Object("a", 3), 5)});
    Told();
  }

  ReflectorOptions options_;
  FakeClock clock_;
  Recorder sink_;
  std::deque<Reply> replies_;
  std::string asked_;
  Duration idle_{};
  std::optional<Duration> answer_within_;
  bool connected_ = false;
  std::unique_ptr<Reflector> reflector_;
};

}  // namespace sallyport::watch
