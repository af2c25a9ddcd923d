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
  // Called on the same thread after each call of the sink, when there is no news: does a piece of
  // what may wait, and returns whether more of it is left.
  using Idle = std::function<bool()>;

  // In the network namespace of the calling thread. Fails where the kernel refuses the first
  // listing; later failures are logged and survived. Besides following the news it lists everything
  // again so often: nothing that was missed stays unknown.
  static Result<std::unique_ptr<LinkWatch>> Start(
      Sink sink, Duration list_every = std::chrono::minutes(1), Idle idle = [] { return false; });
  ~LinkWatch();

 private:
  LinkWatch(Sink sink, Idle idle, UniqueFd stop);

  Sink sink_;
  Idle idle_;
  UniqueFd stop_;
  std::jthread thread_;
};

}  // namespace sallyport::endpoint
