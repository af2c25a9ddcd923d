// SPDX-License-Identifier: Apache-2.0
// The thread that follows this network namespace's interfaces.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "endpoint/link.h"

namespace sallyport::endpoint {

class LinkWatch {
 public:
  // Called on the watch's thread: first with everything there is, then with each change as soon as
  // the kernel tells it. Never called again once the destructor has returned.
  using Sink = std::function<void(const LinkUpdate&)>;

  // In the network namespace of the calling thread. Fails where the kernel refuses the first
  // listing; later failures are logged and survived. Besides following the news it lists everything
  // again so often: nothing that was missed stays unknown.
  static Result<std::unique_ptr<LinkWatch>> Start(Sink sink,
                                                  Duration list_every = std::chrono::minutes(1));
  ~LinkWatch();

 private:
  LinkWatch(Sink sink, UniqueFd stop);

  Sink sink_;
  UniqueFd stop_;
  std::jthread thread_;
};

}  // namespace sallyport::endpoint
