// SPDX-License-Identifier: Apache-2.0
// Wherever the parser of the plain subset has an answer, it is that of the full parser: the same
// values on the same lines, the same repeated keys.
#include <algorithm>

#include "base/check.h"
#include "fuzz/input.h"
#include "model/parse.h"

namespace sallyport::model {
namespace {

void CheckSame(const Value& a, const Value& b) {
  CHECK(a.type == b.type && a.text == b.text) << a.text << " / " << b.text;
  // yaml-cpp says of an empty item where the next one begins.
  CHECK(a.line == b.line || a.type == Value::Type::kNull) << a.line << " / " << b.line;
  CHECK(a.boolean == b.boolean && a.integer == b.integer && a.flawed == b.flawed);
  CHECK(a.items.size() == b.items.size() && a.members.size() == b.members.size());
  for (size_t i = 0; i < a.items.size(); ++i) CheckSame(a.items[i], b.items[i]);
  for (size_t i = 0; i < a.members.size(); ++i) {
    CHECK(a.members[i].first == b.members[i].first);
    CheckSame(a.members[i].second, b.members[i].second);
  }
}

// The lower parsers see valid UTF-8 without control characters only.
bool IsPlainText(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t' || c == '\r';
  });
}

}  // namespace
}  // namespace sallyport::model

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::model;
  std::string_view text = sallyport::fuzz::Text(data, size);
  if (!IsPlainText(text)) return 0;
  std::optional<Parsed> plain = ParsePlainYaml(text, 1);
  if (!plain) return 0;
  Parsed full = ParseYaml(text, 1);
  CHECK(!full.error) << full.error->message;
  CHECK(plain->documents.size() == 1 && full.documents.size() == 1);
  CheckSame(plain->documents[0], full.documents[0]);
  CHECK(plain->repeats.size() == full.repeats.size());
  for (size_t i = 0; i < full.repeats.size(); ++i) {
    CHECK(plain->repeats[i].line == full.repeats[i].line);
    CHECK(plain->repeats[i].message == full.repeats[i].message);
  }
  return 0;
}
