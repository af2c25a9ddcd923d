// SPDX-License-Identifier: Apache-2.0
#include "lab/guard.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "lab/layout.h"

namespace sallyport::lab {

Status CheckRoot() {
  if (geteuid() == 0) return Ok();
  return Error{"a lab is made of network namespaces and needs root: run it with sudo", 0};
}

Result<FileLock> LockLab(const std::string& name, const Console& console) {
  for (;;) {
    if (Status made = MakeDirectories(kRunRoot, 0755); !made) return std::move(made).error();
    auto lock = FileLock::Take(Layout(name).lock(), [&] {
      console.Note("note: waiting for another command on lab " + name);
    });
    // The folder goes with the last lab, perhaps just now.
    if (lock || lock.error().code != ENOENT) return lock;
  }
}

Result<HeldLab> HoldLab(const std::string& name, const Console& console) {
  if (Status root = CheckRoot(); !root) return std::move(root).error();
  // Of a lab that is being made, whoever makes it holds the lock.
  if (auto state = LoadState(name); !state) return std::move(state).error();
  auto lock = LockLab(name, console);
  if (!lock) return std::move(lock).error();
  auto state = LoadWholeState(name);
  if (state) return HeldLab{*std::move(state), *std::move(lock)};
  if (state.error().code == ENOENT) lock->Remove();  // it went while this waited
  return std::move(state).error();
}

Status ShowDiagnostics(const model::Diagnostics& diagnostics, const Console& console) {
  size_t errors = 0;
  for (const model::Diagnostic& diagnostic : diagnostics) {
    console.Note(diagnostic.ToString());
    errors += diagnostic.severity == model::Severity::kError;
  }
  if (errors == 0) return Ok();
  return Error{"the manifests have " + std::to_string(errors) +
                   (errors == 1 ? " error" : " errors") + ": nothing was made",
               0};
}

}  // namespace sallyport::lab
