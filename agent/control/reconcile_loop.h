// SPDX-License-Identifier: Apache-2.0
// The reconciler's thread: inputs from one queue, in the order they came, a burst at a time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/queue.h"
#include "control/drops.h"
#include "control/inputs.h"
#include "control/reconciler.h"
#include "observe/event_log.h"
#include "observe/views.h"
#include "observe/watch_board.h"

namespace sallyport::control {

class ReconcileLoop : public observe::Source {
 public:
  // References must outlive it. Starts the thread.
  ReconcileLoop(const std::string& node, dataplane::Dataplane& dataplane,
                std::unique_ptr<Reconciler> reconciler, observe::EventLog& log,
                const observe::WatchBoard& watches, Clock& clock);
  // From now on: what egress IPs need to know, on the reconciler's thread, whenever it has changed.
  using TellEgress = std::function<void(EgressNews)>;
  void SetTellEgress(TellEgress tell);
  // Ends the thread; questions that still wait are answered with an error.
  ~ReconcileLoop() override;

  // Who tells of egress IPs; without, there are none. To be set before the first question, and
  // called on any thread, until this object ends: it waits for nobody.
  void SetEgress(std::function<observe::EgressView()> read) { read_egress_ = std::move(read); }

  // Thread-safe.
  void Push(Input input) { queue_.Push(std::move(input)); }
  void Push(const dataplane::DropEvent& event);

  // `answer` is called on the reconciler's thread; never, if that ends before or cannot answer.
  void AskMetrics(std::function<void(observe::MetricsView)> answer);
  Result<observe::StatusView> ReadStatus() override;
  Result<std::vector<observe::EndpointView>> ReadEndpoints() override;
  Result<std::vector<observe::PolicyView>> ReadPolicies() override;
  Result<std::vector<observe::FlowView>> ReadFlows(size_t limit,
                                                   const std::string& endpoint) override;
  Result<std::vector<observe::ExplainView>> Explain(
      const observe::ExplainQuestion& question) override;
  Result<observe::EgressView> ReadEgress() override;

 private:
  void Run();
  void TellEgressNews();
  bool Take(std::vector<Input> inputs, std::vector<Question>& questions);
  template <typename View, typename Work>
  Result<View> Ask(Work work);

  const std::string node_;
  dataplane::Dataplane& dataplane_;
  const observe::WatchBoard& watches_;
  Clock& clock_;
  std::unique_ptr<Reconciler> reconciler_;
  TellEgress tell_egress_;  // the reconciler's thread only, as the next two
  std::optional<EgressNews> egress_told_;
  uint64_t egress_revision_ = 0;
  DropMailbox mailbox_;
  DropReporter reporter_;
  std::function<observe::EgressView()> read_egress_;
  observe::Traffic traffic_;  // the reconciler's thread only
  Queue<Input> queue_;
  std::jthread thread_;
};

}  // namespace sallyport::control
