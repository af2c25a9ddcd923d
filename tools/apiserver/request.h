// SPDX-License-Identifier: Apache-2.0
// What goes into the API and what comes out, without HTTP.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/kinds.h"
#include "base/clock.h"

namespace sallyport::apiserver {

// Who asks. Names as Kubernetes has them: "system:serviceaccount:default:web", "system:masters".
struct User {
  std::string name;
  std::string uid = {};
  std::vector<std::string> groups = {};
};

struct Request {
  std::string method;  // "GET"
  std::string path;    // decoded, without the query
  std::multimap<std::string, std::string> query = {};
  std::string accept = {};
  std::string content_type = {};
  std::string body = {};
  User user = {};

  // The first value of that name, "" where absent.
  std::string Query(std::string_view name) const;
  bool HasQuery(std::string_view name) const;
};

// The lines of a watch. Used by one thread.
class Stream {
 public:
  virtual ~Stream() = default;
  // Waits for the next piece of text, at most until `until` (then "" is returned, to be called
  // again); nullopt at the end.
  virtual std::optional<std::string> Next(MonotonicTime until) = 0;
};

struct Response {
  int code = 200;
  std::string content_type = "application/json";
  // The body in pieces, so that lists need not be copied together; null once it is a stream.
  std::vector<std::shared_ptr<const std::string>> body = {};
  std::shared_ptr<Stream> stream = nullptr;
  int retry_after = 0;  // seconds; 0: no such header
  std::vector<std::string> warnings = {};
  std::string etag = {};
};

Response JsonResponse(std::string text, int code = 200);

// What a path names: objects of a kind.
struct Target {
  KindPtr kind;
  std::string ns;           // "" for all, and for kinds of the cluster
  std::string name;         // "" for the collection
  std::string subresource;  // "status", "scale", ...
};

}  // namespace sallyport::apiserver
