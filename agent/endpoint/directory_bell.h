// SPDX-License-Identifier: Apache-2.0
// Rings when the files of a directory may have changed, also when the directory itself comes or
// goes. What changed is for the listener to find out: it lists the directory.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sallyport::endpoint {

class DirectoryBell {
 public:
  static Result<DirectoryBell> Open(const std::string& directory);

  // Readable when it rings.
  int fd() const { return inotify_.get(); }
  // Silences it and watches again: the directory, or the nearest one above it that exists. A change
  // after this call rings; one before it is seen by a listing after it.
  Status Arm();

 private:
  DirectoryBell(std::string directory, UniqueFd inotify)
      : directory_(std::move(directory)), inotify_(std::move(inotify)) {}
  Status Watch();

  std::string directory_;
  UniqueFd inotify_;
  int watch_ = -1;
};

}  // namespace sallyport::endpoint
