// SPDX-License-Identifier: Apache-2.0
// A second opinion: what a command of the shell says.
#pragma once

#include <algorithm>
#include <cstdio>
#include <string>

#include "base/check.h"
#include "model/document.h"

namespace sallyport::gateway {

inline std::string Output(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  CHECK(pipe != nullptr) << command;
  std::string out;
  char bytes[4096];
  while (size_t size = fread(bytes, 1, sizeof bytes, pipe)) out.append(bytes, size);
  CHECK(pclose(pipe) == 0) << "failed: " << command;
  return out;
}

// The JSON list that it writes, such as `ip -j` does.
inline model::Value List(const std::string& command) {
  // What is nested between brackets alone is a document too: "[{},{...}]".
  model::ParsedText parsed = model::ParseText("{\"list\":" + Output(command) + "}", command);
  CHECK(parsed.documents.size() == 1) << command;
  return *parsed.documents[0].Find("list");
}

// "a.b.c" of a tree of mappings, as text; "" where there is none.
inline std::string Text(const model::Value& tree, const std::string& path) {
  const model::Value* at = &tree;
  for (size_t begin = 0; at && begin <= path.size();) {
    size_t end = std::min(path.find('.', begin), path.size());
    at = at->Find(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return at ? at->text : "";
}

}  // namespace sallyport::gateway
