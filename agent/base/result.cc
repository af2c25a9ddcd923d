// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <cerrno>
#include <system_error>

namespace sallyport {

Error ErrnoError(std::string_view what, int code) {
  return {std::string(what) + ": " + std::generic_category().message(code), code};
}

Error ErrnoError(std::string_view what) { return ErrnoError(what, errno); }

}  // namespace sallyport
