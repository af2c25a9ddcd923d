// SPDX-License-Identifier: Apache-2.0
// What an API server says beside the objects themselves: why it refuses, where it is. Pure.
#pragma once

#include <string>
#include <string_view>

namespace sallyport::watch {

// A failure as the API says it: meta/v1 Status. Empty where the text is none.
struct ApiStatus {
  int code = 0;
  std::string reason, message;
};
ApiStatus ReadStatus(std::string_view text);

// A refusal, for a person: "the server answered 403 Forbidden: ... (does the role allow ...?)".
std::string Describe(int code, const ApiStatus& status);

// Whether this is the body of an API server's 404: it does not have the resource. What somebody in
// between says with a 404 is nothing of the kind.
bool SaysAbsent(std::string_view body);

// metadata of an object or a list: its version, and whether it ends the initial events.
struct EventMeta {
  std::string version;
  bool ends_initial = false;
};
EventMeta ReadMeta(std::string_view object);

// The version `a` comes before `b`: as numbers, as the server compares them. False where one of
// them is none.
bool IsOlder(std::string_view a, std::string_view b);

}  // namespace sallyport::watch
