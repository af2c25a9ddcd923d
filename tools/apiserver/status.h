// SPDX-License-Identifier: Apache-2.0
// Failures as the Kubernetes API tells them: meta/v1 Status. Pure.
//
// Inside this folder a request that cannot be served ends in a thrown Failure, which Api::Handle
// turns into an answer; none leaves the folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apiserver/tree.h"

namespace sallyport::apiserver {

// One of details.causes. `message` does not name the field.
struct Cause {
  std::string reason;  // "FieldValueInvalid", ...
  std::string message;
  std::string field;
};

struct Failure {
  int code = 500;
  std::string reason;
  std::string message;
  // Of the object in question, "" where there is none. `kind` is what the API puts there: the
  // resource's plural, or the Kind for what is invalid.
  std::string group = {};
  std::string kind = {};
  std::string name = {};
  std::vector<Cause> causes = {};
  int retry_after = 0;              // seconds
  std::string continue_token = {};  // metadata.continue

  Value ToTree() const;
  std::string ToJson() const;
};

// Which kind of object a failure is about: "deployments", "apps".
struct ResourceName {
  std::string plural;
  std::string group;
  // "deployments.apps", "pods"
  std::string ToString() const { return group.empty() ? plural : plural + "." + group; }
};

Failure BadRequest(std::string message);
Failure Unauthorized();
Failure Forbidden(const ResourceName& resource, std::string_view name, std::string_view why);
Failure NotFound(const ResourceName& resource, std::string_view name);
// A path that nothing is served at.
Failure NoSuchPath();
Failure MethodNotAllowed();
Failure AlreadyExists(const ResourceName& resource, std::string_view name);
Failure Conflict(const ResourceName& resource, std::string_view name, std::string_view why);
// The object was changed since the version that the request names.
Failure Stale(const ResourceName& resource, std::string_view name);
Failure Invalid(std::string_view group, std::string_view kind, std::string_view name,
                std::vector<Cause> causes);
Failure Expired(std::string message);
Failure UnsupportedMediaType(std::string message);

// The causes of field validation (apimachinery util/validation/field).
Cause Required(std::string field, std::string_view detail = "");
Cause BadValue(std::string field, const Value& value, std::string_view detail);
Cause BadValue(std::string field, std::string_view value, std::string_view detail);
Cause Unsupported(std::string field, std::string_view value, std::vector<std::string> supported);
Cause Duplicate(std::string field, std::string_view value);
Cause Prohibited(std::string field, std::string_view detail);
Cause WrongType(std::string field, const Value& value, std::string_view detail);

}  // namespace sallyport::apiserver
