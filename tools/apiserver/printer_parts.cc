// SPDX-License-Identifier: Apache-2.0
#include "apiserver/printer_parts.h"

namespace sallyport::apiserver {

std::string OrNone(std::string text) { return text.empty() ? "<none>" : text; }

std::string Since(const std::string& time, WallTime now) {
  auto then = ParseTime(time);
  if (!then) return "<unknown>";
  return HumanDuration(std::chrono::system_clock::to_time_t(now) - *then);
}

std::string Age(const Value& object, WallTime now) {
  return Since(TextAt(object, {"metadata", "creationTimestamp"}), now);
}

std::string Number(const Value& object, std::initializer_list<std::string_view> path) {
  return std::to_string(IntegerAt(object, path).value_or(0));
}

std::string Join(const std::vector<std::string>& texts, const char* with) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : with) + text;
  return out;
}

std::string Count(const Value* collection) {
  if (!collection) return "0";
  return std::to_string(collection->items.size() + collection->members.size());
}

std::string MapText(const Value* map) {
  std::vector<std::string> out;
  for (const auto& [key, value] : Members(map)) out.push_back(key + "=" + Text(&value));
  std::sort(out.begin(), out.end());
  return OrNone(Join(out));
}

std::string SelectorText(const Value* selector) {
  if (!selector) return "<none>";
  std::vector<std::string> out;
  for (const auto& [key, value] : Members(selector->Find("matchLabels")))
    out.push_back(key + "=" + Text(&value));
  for (const Value& expression : Items(selector->Find("matchExpressions"))) {
    std::string key = TextAt(expression, {"key"});
    std::string op = TextAt(expression, {"operator"});
    std::string values = "(" + Join(Texts(expression.Find("values"))) + ")";
    if (op == "In") out.push_back(key + " in " + values);
    if (op == "NotIn") out.push_back(key + " notin " + values);
    if (op == "Exists") out.push_back(key);
    if (op == "DoesNotExist") out.push_back("!" + key);
  }
  std::sort(out.begin(), out.end());
  return OrNone(Join(out));
}

std::pair<std::string, std::string> ContainersOf(const Value& object) {
  std::vector<std::string> names;
  std::vector<std::string> images;
  for (const Value& one : Items(At(object, {"spec", "template", "spec", "containers"}))) {
    names.push_back(TextAt(one, {"name"}));
    images.push_back(TextAt(one, {"image"}));
  }
  return {Join(names), Join(images)};
}

std::string ConditionStatus(const Value& object, std::string_view type) {
  for (const Value& condition : Items(At(object, {"status", "conditions"})))
    if (TextAt(condition, {"type"}) == type) return TextAt(condition, {"status"});
  return "";
}

std::vector<Column> Columns(std::initializer_list<const char*> names,
                            std::initializer_list<const char*> wide) {
  std::vector<Column> out;
  for (const char* name : names) out.push_back({.name = name});
  for (const char* name : wide) out.push_back({.name = name, .priority = 1});
  return out;
}

Printer Simple(std::initializer_list<const char*> names, std::function<Cells(const Value&)> cells) {
  Printer out;
  out.columns = Columns(names);
  out.columns.push_back({.name = "Age"});
  out.cells = [cells = std::move(cells)](const Value& object, WallTime now) {
    Cells row = cells(object);
    row.push_back(Age(object, now));
    return row;
  };
  return out;
}

}  // namespace sallyport::apiserver
