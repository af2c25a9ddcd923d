// SPDX-License-Identifier: Apache-2.0
// What the server has, told to clients: /api, /apis (both forms), OpenAPI. Pure.
#pragma once

#include <optional>
#include <string>

#include "apiserver/kinds.h"
#include "apiserver/request.h"

namespace sallyport::apiserver {

// /api, /api/v1, /apis, /apis/GROUP, /apis/GROUP/VERSION; nullopt for other paths, and for groups
// that are not there.
std::optional<Response> Discover(const Kinds& kinds, const Request& request);

// /openapi/v2, /openapi/v3, /openapi/v3/...; nullopt for other paths.
std::optional<Response> OpenApi(const Kinds& kinds, const Request& request);

}  // namespace sallyport::apiserver
