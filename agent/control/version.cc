// SPDX-License-Identifier: Apache-2.0
#include "control/version.h"

namespace sallyport::control {

const char* const kVersion = SALLYPORT_VERSION;

}  // namespace sallyport::control
