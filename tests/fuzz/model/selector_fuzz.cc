// SPDX-License-Identifier: Apache-2.0
// Selectors mean what the API text says, by the shortest way to say it, and the order in which
// requirements and values are written makes no difference.
//
// The input: "key op value,value\n" for each requirement, an empty line, "key=value\n" for each
// label. The op is one of i, n, e, d.
#include <algorithm>

#include "base/check.h"
#include "fuzz/input.h"
#include "model/labels.h"

namespace sallyport::model {
namespace {

using fuzz::TakeUntil;

Requirement ParseRequirement(std::string_view line) {
  Requirement out;
  out.key = TakeUntil(line, ' ');
  std::string_view op = TakeUntil(line, ' ');
  out.op = op == "i"   ? Operator::kIn
           : op == "n" ? Operator::kNotIn
           : op == "e" ? Operator::kExists
                       : Operator::kDoesNotExist;
  if (out.op == Operator::kExists || out.op == Operator::kDoesNotExist) return out;
  do {
    out.values.emplace_back(TakeUntil(line, ','));
  } while (!line.empty());
  return out;
}

bool Holds(const Requirement& r, const std::vector<Labels::Entry>& labels) {
  const std::string* value = nullptr;
  for (const auto& [key, text] : labels) {
    if (key == r.key) value = &text;
  }
  bool in = value && std::count(r.values.begin(), r.values.end(), *value) > 0;
  if (r.op == Operator::kIn) return in;
  if (r.op == Operator::kNotIn) return !in;
  return (r.op == Operator::kExists) == (value != nullptr);
}

}  // namespace
}  // namespace sallyport::model

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::model;
  std::string_view text = sallyport::fuzz::Text(data, size);
  std::vector<Requirement> requirements;
  std::vector<Labels::Entry> entries;
  for (std::string_view line; !(line = TakeUntil(text, '\n')).empty();) {
    requirements.push_back(ParseRequirement(line));
  }
  for (std::string_view line; !(line = TakeUntil(text, '\n')).empty();) {
    std::string key(TakeUntil(line, '='));
    entries.emplace_back(std::move(key), line);
  }
  Labels labels(entries);
  Selector selector(requirements);
  bool want = std::all_of(requirements.begin(), requirements.end(),
                          [&](const Requirement& r) { return Holds(r, entries); });
  CHECK(selector.Matches(labels) == want) << selector.ToString() << " on " << labels.ToString();
  CHECK(selector.MatchesEverything() == requirements.empty());

  std::reverse(requirements.begin(), requirements.end());
  for (Requirement& r : requirements) std::reverse(r.values.begin(), r.values.end());
  CHECK(Selector(requirements) == selector) << selector.ToString();
  CHECK(Selector(selector.requirements()) == selector);
  CHECK(Labels(labels.entries()) == labels);
  return 0;
}
