// SPDX-License-Identifier: Apache-2.0
// The thread that follows the directory of CNI result files.
//
// The directory is the truth and is listed anew whenever it may have changed; a file is read again
// when its inode, size or time moved. A file that cannot be understood keeps the claim it had
// before; only its disappearance takes the claim away. What could not be read for another reason
// than its content is tried again, with growing pauses.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "endpoint/cni_result.h"

namespace sallyport::endpoint {

struct CniUpdate {
  std::vector<Claim> set;
  std::vector<std::string> gone;                  // files
  std::map<std::string, std::string> unreadable;  // every file now in that state: why
  bool listed = false;  // the directory could be listed; else its claims so far still stand
  std::string error;    // why it could not
};

class CniWatch {
 public:
  // Called on the watch's thread: once with what there is now, then with each change. Never called
  // again once the destructor has returned.
  using Sink = std::function<void(const CniUpdate&)>;

  // The directory need not exist yet. Of more files than `most_files` the latest found are left
  // out, and reported.
  static Result<std::unique_ptr<CniWatch>> Start(const std::string& directory, Sink sink,
                                                 size_t most_files = 65536);
  ~CniWatch();

 private:
  CniWatch(Sink sink, UniqueFd stop);

  Sink sink_;
  UniqueFd stop_;
  std::jthread thread_;
};

}  // namespace sallyport::endpoint
