// SPDX-License-Identifier: Apache-2.0
// Whatever answers in the agent's place: what is shown has no control characters, whose terminal
// would obey them, keeps to its lines, and as JSON it is the same answer.
//
// The input: an answer.
#include <algorithm>
#include <sstream>

#include "base/check.h"
#include "cli/agent_views.h"
#include "fuzz/input.h"

namespace sallyport::cli {
namespace {

bool IsShowable(std::string_view text) {
  // U+009B begins what ESC [ does.
  if (text.find("\xc2\x9b") != std::string_view::npos) return false;
  return std::none_of(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f;
  });
}

void CheckShown(const std::string& text, long most) {
  CHECK(IsShowable(text)) << text;
  CHECK(text.ends_with('\n') && std::count(text.begin(), text.end(), '\n') <= most) << text;
}

long SizeOf(const model::Value& value) { return static_cast<long>(value.items.size()); }

}  // namespace
}  // namespace sallyport::cli

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::cli;
  auto answer = ParseAnswer(sallyport::fuzz::Text(data, size));
  if (!answer) {
    CHECK(answer.error().message.starts_with("not understood"));
    return 0;
  }
  std::ostringstream out, err;
  Terminal terminal{out, err};
  CheckShown(RenderEndpoints(*answer, terminal), SizeOf(*answer) + 1);
  CheckShown(RenderPolicies(*answer, terminal), SizeOf(*answer) + 1);
  CheckShown(RenderFlows(*answer, terminal), SizeOf(*answer) + 1);
  CheckShown(RenderEvent(*answer, terminal), 2);
  CHECK(IsShowable(RenderStatus(*answer, terminal)));
  std::string json = RenderJson(*answer);
  auto again = ParseAnswer(json);
  CHECK(again) << json << again.error().message;
  CHECK(RenderJson(*again) == json) << json;
  CHECK(RenderEvent(*again, terminal) == RenderEvent(*answer, terminal)) << json;
  return 0;
}
