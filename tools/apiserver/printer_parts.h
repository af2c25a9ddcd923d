// SPDX-License-Identifier: Apache-2.0
// What printers are made of: texts of parts of objects, and columns. Pure.
#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apiserver/printers.h"

namespace sallyport::apiserver {

using Cells = std::vector<std::string>;
using Printers = std::map<std::string, Printer, std::less<>>;  // by store key

std::string OrNone(std::string text);
std::string Since(const std::string& time, WallTime now);
std::string Age(const Value& object, WallTime now);
std::string Number(const Value& object, std::initializer_list<std::string_view> path);
std::string Join(const std::vector<std::string>& texts, const char* with = ",");
std::string Count(const Value* collection);
std::string MapText(const Value* map);
std::string SelectorText(const Value* selector);
std::pair<std::string, std::string> ContainersOf(const Value& object);
std::string ConditionStatus(const Value& object, std::string_view type);
std::vector<Column> Columns(std::initializer_list<const char*> names,
                            std::initializer_list<const char*> wide = {});
Printer Simple(std::initializer_list<const char*> names, std::function<Cells(const Value&)> cells);

// Pods, and what makes them.
void AddWorkloads(Printers* all);

}  // namespace sallyport::apiserver
