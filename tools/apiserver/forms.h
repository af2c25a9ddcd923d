// SPDX-License-Identifier: Apache-2.0
// How objects are shown: in the asked-for version, as tables, as metadata. Pure.
#pragma once

#include <string>
#include <vector>

#include "apiserver/kinds.h"
#include "apiserver/reader.h"
#include "base/clock.h"

namespace sallyport::apiserver {

struct Column {
  std::string name;
  std::string type = "string";
  std::string format = "";
  std::string description = "";
  int64_t priority = 0;  // above 0: with -o wide only
};

std::vector<Column> ColumnsOf(const Kind& kind);
// The cells of one row, as many as there are columns.
std::vector<Value> CellsOf(const Kind& kind, const Value& object, WallTime now);

// One row: with the object, its metadata or nothing, as includeObject says.
std::string RowJson(const Kind& kind, const Value& object, const std::string& include,
                    WallTime now);
std::string ColumnsJson(const Kind& kind);
// {"kind":"Table",...,"rows":[...]} with the rows' JSON; `metadata` is JSON.
std::string TableJson(const std::string& columns, const std::string& metadata,
                      const std::vector<std::string>& rows);
std::string MetadataJson(const Value& object);

// "5m12s", as kubectl writes ages (apimachinery util/duration HumanDuration).
std::string HumanDuration(int64_t seconds);
// Seconds since the epoch of an RFC 3339 time; nullopt where it is none.
std::optional<int64_t> ParseTime(const std::string& text);
// "2026-01-31T09:05:00Z"
std::string TimeText(WallTime time);

// The values that a JSON path (the part of it that CRDs may use) finds.
std::vector<const Value*> FindPath(const Value& object, const std::string& path);

}  // namespace sallyport::apiserver
