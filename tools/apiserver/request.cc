// SPDX-License-Identifier: Apache-2.0
#include "apiserver/request.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "apiserver/reader.h"
#include "apiserver/status.h"

namespace sallyport::apiserver {

std::string Request::Query(std::string_view name) const {
  auto found = query.find(std::string(name));
  return found == query.end() ? "" : found->second;
}

bool Request::HasQuery(std::string_view name) const { return query.count(std::string(name)) > 0; }

Response JsonResponse(std::string text, int code) {
  Response out;
  out.code = code;
  out.body.push_back(std::make_shared<const std::string>(std::move(text)));
  return out;
}

Form FormOf(const std::string& accept) {
  if (accept.empty()) return Form::kObject;
  bool known = false;
  size_t at = 0;
  while (at < accept.size()) {
    size_t end = std::min(accept.find(',', at), accept.size());
    std::string one = accept.substr(at, end - at);
    std::erase(one, ' ');
    at = end + 1;
    bool json = one.starts_with("application/json");
    if (json && one.find(";as=Table") != one.npos) return Form::kTable;
    if (json && one.find(";as=PartialObjectMetadata") != one.npos) return Form::kMetadata;
    if (json && one.find(";as=") != one.npos) continue;
    if (json) return Form::kObject;
    if (one.starts_with("*/*") || one.starts_with("application/*")) known = true;
  }
  if (known) return Form::kObject;
  throw Failure{.code = 406,
                .reason = "NotAcceptable",
                .message =
                    "only the following media types are accepted: application/json, "
                    "application/json;as=Table;v=v1;g=meta.k8s.io"};
}

}  // namespace sallyport::apiserver
