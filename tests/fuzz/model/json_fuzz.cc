// SPDX-License-Identifier: Apache-2.0
// What nlohmann::json takes for an object is read as one, to the same value; what our JSON parser
// takes is JSON.
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "fuzz/input.h"
#include "model/parse.h"

namespace {

using nlohmann::json;
using sallyport::model::Value;

json ToJson(const Value& value) {
  switch (value.type) {
    case Value::Type::kNull:
      return nullptr;
    case Value::Type::kBool:
      return value.boolean;
    case Value::Type::kInteger:
      return value.integer;
    case Value::Type::kNumber:
      return json::parse(value.text);
    case Value::Type::kString:
      return value.text;
    case Value::Type::kSequence: {
      json out = json::array();
      for (const Value& item : value.items) out.push_back(ToJson(item));
      return out;
    }
    case Value::Type::kMapping: {
      json out = json::object();
      for (const auto& member : value.members) out[member.first] = ToJson(member.second);
      return out;
    }
  }
  return nullptr;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text = sallyport::fuzz::Text(data, size);
  // A 0 byte is refused before; to nlohmann::json it is the end.
  if (text.empty() || text[0] != '{' || text.find('\0') != std::string_view::npos) return 0;
  auto parsed = sallyport::model::ParseJson(text, 1);
  json oracle = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (oracle.is_discarded()) {
    CHECK(parsed.error || parsed.documents.size() != 1);
    return 0;
  }
  bool bounded = parsed.error && parsed.error->message.find("levels deep") != std::string::npos;
  if (bounded || !parsed.repeats.empty()) return 0;
  CHECK(!parsed.error) << parsed.error->message;
  CHECK(parsed.documents.size() == 1);
  CHECK(ToJson(parsed.documents[0]) == oracle);
  return 0;
}
