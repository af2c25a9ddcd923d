// SPDX-License-Identifier: Apache-2.0
// Whatever bytes are in names, the agent's JSON is one line that both parsers read, and what was
// proper text is the same text again.
//
// The input: a byte, then texts, each behind a byte with its length.
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "fuzz/input.h"
#include "model/document.h"
#include "observe/json.h"

namespace sallyport::observe {
namespace {

using nlohmann::json;

struct Texts {
  std::string Next() {
    if (rest.empty()) return "";
    size_t length = std::min<size_t>(static_cast<uint8_t>(rest[0]), rest.size() - 1);
    std::string out(rest.substr(1, length));
    rest.remove_prefix(1 + length);
    return out;
  }
  std::string_view rest;
};

json Read(const std::string& text) {
  CHECK(text.find('\n') == std::string::npos);
  model::ParsedText ours = model::ParseText(text, "answer");
  CHECK(!model::HasErrors(ours.diagnostics)) << ours.diagnostics.front().ToString() << text;
  CHECK(ours.documents.size() == 1) << text;
  return json::parse(text);
}

bool IsUtf8(const std::string& text) {
  auto dump = [&](json::error_handler_t handler) {
    return json(text).dump(-1, ' ', false, handler);
  };
  return dump(json::error_handler_t::replace) == dump(json::error_handler_t::ignore);
}

// What is read back for a text: the text, or one with replacements.
void CheckText(const json& read, const std::string& text) {
  if (IsUtf8(text)) {
    CHECK(read.get<std::string>() == text) << read.dump();
  } else {
    CHECK(read.get<std::string>().find("\xef\xbf\xbd") != std::string::npos) << read.dump();
  }
}

void CheckEvent(Texts texts, uint8_t choice) {
  EventView view;
  view.time = WallTime(std::chrono::milliseconds(choice * 1000003));
  view.reason = texts.Next();
  view.description = texts.Next();
  view.endpoint = texts.Next();
  view.interface = texts.Next();
  view.isolating = {texts.Next(), texts.Next()};
  view.near_miss = texts.Next();
  view.suppressed = choice;
  json read = Read(ToJson(view));
  CheckText(read.at("reason"), view.reason);
  CheckText(read.at("description"), view.description);
  CheckText(read.at("endpoint"), view.endpoint);
  CheckText(read.at("interface"), view.interface);
  CheckText(read.at("isolating").at(1), view.isolating[1]);
  CheckText(read.at("near_miss"), view.near_miss);
  CHECK(read.at("suppressed") == choice);
}

void CheckEndpoint(Texts texts, uint8_t choice) {
  EndpointView view;
  view.pod = texts.Next();
  view.why_closed = texts.Next();
  view.open = choice & 1;
  std::string reason = texts.Next();
  view.dropped[reason] = choice;
  json read = Read(ToJson(std::vector{view})).at(0);
  CheckText(read.at("pod"), view.pod);
  CheckText(read.at("why_closed"), view.why_closed);
  CHECK(read.at("state") == (view.open ? "open" : "closed"));
  if (IsUtf8(reason)) CHECK(read.at("dropped").at(reason) == choice);
}

void CheckStatus(Texts texts) {
  StatusView view;
  view.node = texts.Next();
  view.reasons = {texts.Next(), texts.Next()};
  WatchView watch;
  watch.resource = texts.Next();
  watch.last_error = texts.Next();
  view.watches = {watch};
  json read = Read(ToJson(view));
  CheckText(read.at("node"), view.node);
  CheckText(read.at("reasons").at(0), view.reasons[0]);
  CheckText(read.at("watches").at(0).at("last_error"), watch.last_error);
}

}  // namespace
}  // namespace sallyport::observe

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::observe;
  if (size == 0) return 0;
  Texts texts{sallyport::fuzz::Text(data + 1, size - 1)};
  CheckEvent(texts, data[0]);
  CheckEndpoint(texts, data[0]);
  CheckStatus(texts);
  std::string error = texts.Next();
  CheckText(Read(ErrorJson(error)).at("error"), error);
  return 0;
}
