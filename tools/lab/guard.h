// SPDX-License-Identifier: Apache-2.0
// What every change of a lab begins with.
#pragma once

#include <string>

#include "base/result.h"
#include "lab/console.h"
#include "lab/files.h"
#include "lab/state.h"
#include "model/diagnostic.h"

namespace sallyport::lab {

// Root, and /proc and /sys as the lab needs them.
Status CheckRoot();
// Waits, and says so, while another command holds it.
Result<FileLock> LockLab(const std::string& name, const Console& console);

// A lab that is up, held for a change.
struct HeldLab {
  LabState state;
  FileLock lock;
};
// Of a lab that does not exist nothing is made, its lock neither.
Result<HeldLab> HoldLab(const std::string& name, const Console& console);

// Prints them, warnings too; fails where there are errors.
Status ShowDiagnostics(const model::Diagnostics& diagnostics, const Console& console);

}  // namespace sallyport::lab
