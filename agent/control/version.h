// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace sallyport::control {

extern const char* const kVersion;

}  // namespace sallyport::control
