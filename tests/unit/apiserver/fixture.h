// SPDX-License-Identifier: Apache-2.0
// An API server without HTTP, on a directory of its own.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "apiserver/api.h"
#include "support/temporary.h"

namespace sallyport::apiserver {

class ApiTest : public testing::Test {
 protected:
  void SetUp() override { Start(); }
  void TearDown() override { Stop(); }

  void Start() {
    auto store = Store::Open(directory_.path(), {history_}, &note_);
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
    ApiOptions options{
        .reader = {bookmark_every_, watch_list_},
        .service_cidrs = {*net::Cidr::Parse("10.96.0.0/16"), *net::Cidr::Parse("fd00:10:96::/112")},
        .token_secret = "secret",
        .admin_token = "admin"};
    api_ = std::make_unique<Api>(*store_, options, SystemClock());
    ASSERT_TRUE(api_->Bootstrap({}, 6443));
  }
  // As `kill -9` leaves it: the journal is all there is.
  void Stop() {
    api_.reset();
    store_.reset();
  }
  void Restart() {
    Stop();
    Start();
  }

  struct Answer {
    int code = 0;
    std::string text;
    Value tree;
    std::shared_ptr<Stream> stream;
    std::vector<std::string> warnings;
    std::string Message() const { return TextAt(tree, {"message"}); }
    std::string Reason() const { return TextAt(tree, {"reason"}); }
    std::string Version() const { return TextAt(tree, {"metadata", "resourceVersion"}); }
  };

  // `target`: "/api/v1/pods?limit=1", nothing encoded.
  Answer Call(const std::string& method, const std::string& target, const std::string& body = "",
              const std::string& content_type = "application/json",
              const std::string& accept = "application/json") {
    Request request;
    request.method = method;
    request.path = target.substr(0, target.find('?'));
    for (size_t at = request.path.size(); at < target.size();) {
      size_t end = std::min(target.find('&', at + 1), target.size());
      std::string one = target.substr(at + 1, end - at - 1);
      size_t equals = one.find('=');
      request.query.emplace(one.substr(0, equals),
                            equals == one.npos ? "" : one.substr(equals + 1));
      at = end;
    }
    request.body = body;
    request.content_type = content_type;
    request.accept = accept;
    request.user = user_;
    Response response = api_->Handle(request);
    Answer out{.code = response.code,
               .text = "",
               .tree = {},
               .stream = response.stream,
               .warnings = response.warnings};
    for (const auto& piece : response.body) out.text += *piece;
    if (!out.text.empty() && out.text.front() == '{') out.tree = ParseJsonText(out.text);
    return out;
  }
  Answer Get(const std::string& target) { return Call("GET", target); }
  Answer Post(const std::string& target, const std::string& body) {
    return Call("POST", target, body);
  }
  Answer Merge(const std::string& target, const std::string& body) {
    return Call("PATCH", target, body, "application/merge-patch+json");
  }
  Answer Strategic(const std::string& target, const std::string& body) {
    return Call("PATCH", target, body, "application/strategic-merge-patch+json");
  }

  // What a watch says next, parsed; waits for it. An empty tree at its end, or if nothing comes.
  Value NextEvent(Answer& watch) {
    const MonotonicTime until = SystemClock().Now() + std::chrono::seconds(60);
    while (lines_.find('\n') == std::string::npos) {
      auto text = watch.stream->Next(until);
      if (!text || (text->empty() && SystemClock().Now() >= until)) return Value();
      lines_ += *text;
    }
    size_t end = lines_.find('\n');
    Value event = ParseJsonText(lines_.substr(0, end));
    lines_.erase(0, end + 1);
    return event;
  }
  static std::string Brief(const Value& event) {
    return TextAt(event, {"type"}) + " " + TextAt(event, {"object", "metadata", "name"});
  }

  static std::string Pod(const std::string& name, const std::string& labels = "{}",
                         const std::string& more = "") {
    return R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name + R"(","labels":)" +
           labels + R"(},"spec":{"containers":[{"name":"c","image":"i"}])" + more + "}}";
  }

  test::TemporaryDirectory directory_;
  std::string note_;
  std::string lines_;
  size_t history_ = 1000;
  Duration bookmark_every_ = std::chrono::seconds(60);
  bool watch_list_ = true;
  User user_{"kubernetes-admin", "", {"system:masters"}};
  std::unique_ptr<Store> store_;
  std::unique_ptr<Api> api_;
};

}  // namespace sallyport::apiserver
