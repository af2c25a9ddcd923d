// SPDX-License-Identifier: Apache-2.0
#include "apiserver/tree.h"

#include <utility>

#include "apiserver/status.h"

namespace sallyport::apiserver {

Value* Find(Value& mapping, std::string_view key) {
  for (Value::Member& member : mapping.members)
    if (member.first == key) return &member.second;
  return nullptr;
}

Value* FindAt(Value& value, std::initializer_list<std::string_view> path) {
  Value* at = &value;
  for (std::string_view key : path)
    if (!(at = Find(*at, key))) return nullptr;
  return at;
}

void Default(Value& mapping, std::string_view key, Value value) {
  if (IsNull(mapping.Find(key))) Set(mapping, key, std::move(value));
}

std::string Quote(std::string_view text) { return ToJson(String(std::string(text))); }

Value ParseJsonText(std::string_view text) {
  // The parser takes objects only; a patch may be a list.
  std::string wrapped = "{\"value\":";
  wrapped += text;
  wrapped += "\n}";
  model::ParsedText parsed = model::ParseText(wrapped, "");
  if (!parsed.diagnostics.empty()) throw BadRequest(parsed.diagnostics.front().message);
  if (parsed.documents.size() != 1 || parsed.documents[0].members.size() != 1 ||
      parsed.documents[0].members[0].first != "value") {
    throw BadRequest("not valid JSON: text after the value");
  }
  return std::move(parsed.documents[0].members[0].second);
}

}  // namespace sallyport::apiserver
