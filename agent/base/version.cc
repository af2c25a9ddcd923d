// SPDX-License-Identifier: Apache-2.0
#include "base/version.h"

namespace sallyport {

const char* const kVersion = SALLYPORT_VERSION;

}  // namespace sallyport
