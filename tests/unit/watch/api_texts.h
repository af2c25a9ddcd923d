// SPDX-License-Identifier: Apache-2.0
// What an API server says, as text.
#pragma once

#include <string>

namespace sallyport::watch {

inline std::string Object(const std::string& name, int version) {
  return R"({"metadata":{"name":")" + name + R"(","resourceVersion":")" + std::to_string(version) +
         "\"}}";
}
inline std::string Event(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}\n";
}
inline std::string Bookmark(int version, bool end = false) {
  return Event("BOOKMARK",
               R"({"kind":"Pod","metadata":{"resourceVersion":")" + std::to_string(version) +
                   R"(","creationTimestamp":null)" +
                   (end ? R"(,"annotations":{"k8s.io/initial-events-end":"true"})" : "") +
                   R"(},"spec":{"containers":null}})");
}
inline std::string List(const std::string& items, int version, const std::string& more = "") {
  return R"({"kind":"PodList","metadata":{"resourceVersion":")" + std::to_string(version) +
         R"(","continue":")" + more + R"("},"items":[)" + items + "]}";
}
inline std::string StatusText(int code, const std::string& reason) {
  return R"({"kind":"Status","code":)" + std::to_string(code) + R"(,"reason":")" + reason +
         R"(","message":"because"})";
}

}  // namespace sallyport::watch
