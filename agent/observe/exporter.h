// SPDX-License-Identifier: Apache-2.0
// The pages /metrics, /healthz and /readyz, from views that are kept for a moment: however many
// read them, the reconciler is asked at most once a second, and one question at a time.
//
//   /healthz  200 while the thread that enforces answers
//   /readyz   200 while all that is known is in force and the API server is followed; else 503 and
//             why, a reason a line
//   /metrics  Prometheus' text format
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "observe/measures.h"
#include "observe/web.h"

namespace sallyport::observe {

// Asks the reconciler: `answer` is called on its thread, some time, or never.
using AskMetrics = std::function<void(std::function<void(MetricsView)> answer)>;

class Exporter {
 public:
  // An answer that takes longer than `patience` is missed, and used when it comes.
  Exporter(AskMetrics ask, Clock& clock, Duration patience = std::chrono::seconds(2));

  // Not thread-safe. May take as long as `patience`.
  Page Answer(const std::string& path);

 private:
  struct Known;  // shared with the answer that may come late
  bool Refresh();

  AskMetrics ask_;
  Clock& clock_;
  const Duration patience_;
  std::shared_ptr<Known> known_;
};

}  // namespace sallyport::observe
