// SPDX-License-Identifier: Apache-2.0
#include "apiserver/forms.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <utility>

#include "apiserver/printers.h"
#include "apiserver/status.h"

namespace sallyport::apiserver {
namespace {

// The filter of a path, "?(@.type=="Ready")": the member's path and the value that it must have.
bool PassesFilter(const Value& item, std::string_view filter) {
  size_t equals = filter.find("==");
  if (!filter.starts_with("?(@.") || equals == filter.npos || filter.back() != ')') return false;
  std::string path(filter.substr(3, equals - 3));
  std::string value(filter.substr(equals + 2, filter.size() - equals - 3));
  std::erase_if(path, [](char c) { return c == ' '; });
  std::erase_if(value, [](char c) { return c == ' ' || c == '"' || c == '\''; });
  for (const Value* found : FindPath(item, path))
    if (Text(found) == value) return true;
  return false;
}

void StepInto(std::vector<const Value*>* values, std::string_view key) {
  std::vector<const Value*> next;
  for (const Value* value : *values)
    if (const Value* found = value->Find(key)) next.push_back(found);
  *values = std::move(next);
}

void StepIndex(std::vector<const Value*>* values, std::string_view index) {
  std::vector<const Value*> next;
  for (const Value* value : *values) {
    if (index.size() > 1 && (index.front() == '\'' || index.front() == '"')) {
      if (const Value* found = value->Find(index.substr(1, index.size() - 2)))
        next.push_back(found);
      continue;
    }
    for (size_t i = 0; i < value->items.size(); ++i) {
      bool take = index == "*" || index == std::to_string(i) ||
                  (index == "-1" && i + 1 == value->items.size()) ||
                  PassesFilter(value->items[i], index);
      if (take) next.push_back(&value->items[i]);
    }
  }
  *values = std::move(next);
}

Value CellOf(const PrinterColumn& column, const Value& object, WallTime now) {
  std::vector<const Value*> found = FindPath(object, column.json_path);
  if (found.empty()) return Value();
  if (column.type == "date") {
    auto time = ParseTime(Text(found[0]));
    if (!time) return String("<unknown>");
    return String(HumanDuration(std::chrono::system_clock::to_time_t(now) - *time));
  }
  // Of several the first, as the real one has it.
  const Value& value = *found[0];
  bool scalar = value.type != Value::Type::kSequence && value.type != Value::Type::kMapping;
  if (scalar && column.type != "string") return value;
  return String(scalar ? Text(&value) : ToJson(value));
}

Value MetadataTree(const Value& object) {
  const Value* metadata = object.Find("metadata");
  return Mapping({{"kind", String("PartialObjectMetadata")},
                  {"apiVersion", String("meta.k8s.io/v1")},
                  {"metadata", metadata ? *metadata : Mapping()}});
}

}  // namespace

std::vector<const Value*> FindPath(const Value& object, const std::string& path) {
  std::vector<const Value*> values = {&object};
  std::string_view rest = path;
  if (!rest.empty() && rest.front() == '{') rest = rest.substr(1, rest.size() - 2);
  while (!rest.empty() && !values.empty()) {
    if (rest.front() == '.') {
      rest.remove_prefix(1);
      std::string key;
      while (!rest.empty() && rest.front() != '.' && rest.front() != '[') {
        if (rest.front() == '\\' && rest.size() > 1) rest.remove_prefix(1);
        key += rest.front();
        rest.remove_prefix(1);
      }
      if (!key.empty()) StepInto(&values, key);
    } else if (rest.front() == '[') {
      size_t end = rest.find(']');
      if (end == rest.npos) return {};
      StepIndex(&values, rest.substr(1, end - 1));
      rest.remove_prefix(end + 1);
    } else {
      return {};
    }
  }
  return values;
}

std::string HumanDuration(int64_t seconds) {
  auto number = [](int64_t n, const char* unit) { return std::to_string(n) + unit; };
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  if (seconds < 120) return number(seconds, "s");
  int64_t minutes = seconds / 60;
  if (minutes < 10) {
    int64_t rest = seconds % 60;
    return number(minutes, "m") + (rest ? number(rest, "s") : "");
  }
  if (minutes < 180) return number(minutes, "m");
  int64_t hours = minutes / 60;
  if (hours < 8) {
    int64_t rest = minutes % 60;
    return number(hours, "h") + (rest ? number(rest, "m") : "");
  }
  if (hours < 48) return number(hours, "h");
  int64_t days = hours / 24;
  if (hours < 192) {
    int64_t rest = hours % 24;
    return number(days, "d") + (rest ? number(rest, "h") : "");
  }
  if (days < 730) return number(days, "d");
  int64_t years = days / 365;
  if (years < 8) {
    int64_t rest = days % 365;
    return number(years, "y") + (rest ? number(rest, "d") : "");
  }
  return number(years, "y");
}

std::optional<int64_t> ParseTime(const std::string& text) {
  std::tm time{};
  int end = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &time.tm_year, &time.tm_mon,
                  &time.tm_mday, &time.tm_hour, &time.tm_min, &time.tm_sec, &end) != 6) {
    return std::nullopt;
  }
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  int64_t seconds = timegm(&time);
  int hours = 0;
  int minutes = 0;
  char sign = 0;
  size_t zone = text.find_first_of("Z+-", static_cast<size_t>(end));
  if (zone == text.npos) return std::nullopt;
  if (std::sscanf(text.c_str() + zone, "%c%2d:%2d", &sign, &hours, &minutes) == 3)
    seconds -= (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
  return seconds;
}

std::string TimeText(WallTime time) {
  std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::vector<Column> ColumnsOf(const Kind& kind) {
  std::vector<Column> out = {
      {"Name", "string", "name",
       "Name must be unique within a namespace. Is required when creating resources.", 0}};
  if (kind.custom) {
    for (const PrinterColumn& column : kind.custom->columns) {
      out.push_back({column.name, column.type, column.format, column.description, column.priority});
    }
    return out;
  }
  for (const Column& column : PrinterOf(kind.StoreKey()).columns) out.push_back(column);
  return out;
}

std::vector<Value> CellsOf(const Kind& kind, const Value& object, WallTime now) {
  std::vector<Value> out = {String(TextAt(object, {"metadata", "name"}))};
  if (kind.custom) {
    for (const PrinterColumn& column : kind.custom->columns)
      out.push_back(CellOf(column, object, now));
    return out;
  }
  for (std::string& cell : PrinterOf(kind.StoreKey()).cells(object, now))
    out.push_back(String(std::move(cell)));
  return out;
}

std::string ColumnsJson(const Kind& kind) {
  Value out = Sequence();
  for (const Column& column : ColumnsOf(kind)) {
    out.items.push_back(Mapping({{"name", String(column.name)},
                                 {"type", String(column.type)},
                                 {"format", String(column.format)},
                                 {"description", String(column.description)},
                                 {"priority", Integer(column.priority)}}));
  }
  return ToJson(out);
}

std::string RowJson(const Kind& kind, const Value& object, const std::string& include,
                    WallTime now) {
  std::string out = "{\"cells\":" + ToJson(Sequence(CellsOf(kind, object, now)));
  if (include == "Object") out += ",\"object\":" + ToJson(object);
  if (include != "Object" && include != "None") out += ",\"object\":" + MetadataJson(object);
  return out + "}";
}

std::string TableJson(const std::string& columns, const std::string& metadata,
                      const std::vector<std::string>& rows) {
  std::string out =
      "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":" + metadata +
      ",\"columnDefinitions\":" + (columns.empty() ? "null" : columns) + ",\"rows\":[";
  for (size_t i = 0; i < rows.size(); ++i) out += (i ? "," : "") + rows[i];
  return out + "]}";
}

std::string MetadataJson(const Value& object) { return ToJson(MetadataTree(object)); }

}  // namespace sallyport::apiserver
