// SPDX-License-Identifier: Apache-2.0
// Watches a directory of manifests with inotify. The rules of what a change means are those of
// manifest_set.h; this is the part with system calls.
//
// Reads *.yaml, *.yml and *.json in the directory itself, no subdirectories, no hidden files.
// A file is read when its writer closes it or renames it into place. Symbolic links are followed;
// noticed are changes of the link, of the file it points to, and swaps of a hidden link or
// directory beside it (as ConfigMap mounts swap "..data"). The directory need not exist yet, and
// may be replaced; while it is gone, what it had stays.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "watch/manifest_set.h"

namespace sallyport::watch {

class ManifestDirectory {
 public:
  using Sink = std::function<void(Update)>;
  struct Options {
    // How long files must be left alone before what is in none of them any more is removed.
    Duration settle = std::chrono::milliseconds(200);
    // The same while changes never cease.
    Duration settle_at_most = std::chrono::seconds(2);
    // How often to try again to watch a directory that cannot be watched.
    Duration retry = std::chrono::seconds(1);
  };

  // Fails where the kernel gives no inotify or event descriptor.
  static Result<std::unique_ptr<ManifestDirectory>> Create(std::string directory, Sink sink,
                                                           Options options);
  static Result<std::unique_ptr<ManifestDirectory>> Create(std::string directory, Sink sink);
  ~ManifestDirectory();

  // Calls the sink, from this thread: first with all there is, then with each change. Returns after
  // Stop(), or with an error that only a new ManifestDirectory can cure.
  Status Run();
  // From any thread, or a signal handler.
  void Stop();

 private:
  class Watcher;
  explicit ManifestDirectory(std::unique_ptr<Watcher> watcher);
  std::unique_ptr<Watcher> watcher_;
};

}  // namespace sallyport::watch
