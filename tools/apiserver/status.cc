// SPDX-License-Identifier: Apache-2.0
#include "apiserver/status.h"

#include <algorithm>
#include <utility>

namespace sallyport::apiserver {
namespace {

Failure About(int code, std::string reason, const ResourceName& resource, std::string_view name,
              std::string message) {
  return {.code = code,
          .reason = std::move(reason),
          .message = std::move(message),
          .group = resource.group,
          .kind = resource.plural,
          .name = std::string(name)};
}

std::string Named(const ResourceName& resource, std::string_view name) {
  return resource.ToString() + " " + Quote(name);
}

std::string Detail(std::string_view detail) {
  return detail.empty() ? "" : ": " + std::string(detail);
}

}  // namespace

Value Failure::ToTree() const {
  Value details = Mapping();
  if (!name.empty()) Set(details, "name", String(name));
  if (!group.empty()) Set(details, "group", String(group));
  if (!kind.empty()) Set(details, "kind", String(kind));
  Value list = Sequence();
  for (const Cause& cause : causes) {
    Value entry = Mapping({{"reason", String(cause.reason)}, {"message", String(cause.message)}});
    if (!cause.field.empty()) Set(entry, "field", String(cause.field));
    list.items.push_back(std::move(entry));
  }
  if (!list.items.empty()) Set(details, "causes", std::move(list));
  if (retry_after > 0) Set(details, "retryAfterSeconds", Integer(retry_after));

  Value metadata = Mapping();
  if (!continue_token.empty()) Set(metadata, "continue", String(continue_token));
  Value status = Mapping({{"kind", String("Status")},
                          {"apiVersion", String("v1")},
                          {"metadata", std::move(metadata)},
                          {"status", String("Failure")},
                          {"message", String(message)}});
  if (!reason.empty()) Set(status, "reason", String(reason));
  if (!details.members.empty()) Set(status, "details", std::move(details));
  Set(status, "code", Integer(code));
  return status;
}

std::string Failure::ToJson() const { return apiserver::ToJson(ToTree()); }

Failure BadRequest(std::string message) {
  return {.code = 400, .reason = "BadRequest", .message = std::move(message)};
}

Failure Unauthorized() {
  return {.code = 401, .reason = "Unauthorized", .message = "Unauthorized"};
}

Failure Forbidden(const ResourceName& resource, std::string_view name, std::string_view why) {
  std::string what =
      resource.plural.empty()
          ? std::string("forbidden")
          : resource.ToString() + (name.empty() ? " is" : " " + Quote(name) + " is") + " forbidden";
  return About(403, "Forbidden", resource, name, what + ": " + std::string(why));
}

Failure NotFound(const ResourceName& resource, std::string_view name) {
  return About(404, "NotFound", resource, name, Named(resource, name) + " not found");
}

Failure NoSuchPath() {
  return {.code = 404,
          .reason = "NotFound",
          .message = "the server could not find the requested resource"};
}

Failure MethodNotAllowed() {
  return {.code = 405,
          .reason = "MethodNotAllowed",
          .message = "the server does not allow this method on the requested resource"};
}

Failure AlreadyExists(const ResourceName& resource, std::string_view name) {
  return About(409, "AlreadyExists", resource, name, Named(resource, name) + " already exists");
}

Failure Conflict(const ResourceName& resource, std::string_view name, std::string_view why) {
  return About(
      409, "Conflict", resource, name,
      "Operation cannot be fulfilled on " + Named(resource, name) + ": " + std::string(why));
}

Failure Stale(const ResourceName& resource, std::string_view name) {
  return Conflict(resource, name,
                  "the object has been modified; please apply your changes to the latest version "
                  "and try again");
}

Failure Invalid(std::string_view group, std::string_view kind, std::string_view name,
                std::vector<Cause> causes) {
  std::vector<std::string> texts;
  for (const Cause& cause : causes) {
    std::string text = cause.field + ": " + cause.message;
    if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(text);
  }
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
  if (texts.size() > 1) all = "[" + all + "]";
  std::string qualified(kind);
  if (!group.empty()) qualified += "." + std::string(group);
  return {.code = 422,
          .reason = "Invalid",
          .message = qualified + " " + Quote(name) + " is invalid: " + all,
          .group = std::string(group),
          .kind = std::string(kind),
          .name = std::string(name),
          .causes = std::move(causes)};
}

Failure Expired(std::string message) {
  return {.code = 410, .reason = "Expired", .message = std::move(message)};
}

Failure UnsupportedMediaType(std::string message) {
  return {.code = 415, .reason = "UnsupportedMediaType", .message = std::move(message)};
}

Cause Required(std::string field, std::string_view detail) {
  return {"FieldValueRequired", "Required value" + Detail(detail), std::move(field)};
}

Cause BadValue(std::string field, const Value& value, std::string_view detail) {
  return {"FieldValueInvalid", "Invalid value: " + ToJson(value) + Detail(detail),
          std::move(field)};
}

Cause BadValue(std::string field, std::string_view value, std::string_view detail) {
  return {"FieldValueInvalid", "Invalid value: " + Quote(value) + Detail(detail), std::move(field)};
}

Cause Unsupported(std::string field, std::string_view value, std::vector<std::string> supported) {
  std::sort(supported.begin(), supported.end());
  std::string list;
  for (const std::string& one : supported) list += (list.empty() ? "" : ", ") + Quote(one);
  return {"FieldValueNotSupported",
          "Unsupported value: " + Quote(value) + ": supported values: " + list, std::move(field)};
}

Cause Duplicate(std::string field, std::string_view value) {
  return {"FieldValueDuplicate", "Duplicate value: " + Quote(value), std::move(field)};
}

Cause Prohibited(std::string field, std::string_view detail) {
  return {"FieldValueForbidden", "Forbidden" + Detail(detail), std::move(field)};
}

Cause WrongType(std::string field, const Value& value, std::string_view detail) {
  return {"FieldValueTypeInvalid", "Invalid value: " + ToJson(value) + Detail(detail),
          std::move(field)};
}

}  // namespace sallyport::apiserver
