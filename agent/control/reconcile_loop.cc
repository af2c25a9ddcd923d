// SPDX-License-Identifier: Apache-2.0
#include "control/reconcile_loop.h"

#include <future>

#include "base/log.h"
#include "control/views.h"

namespace sallyport::control {
namespace {

constexpr auto kAnswerTime = std::chrono::seconds(10);
constexpr size_t kDropsAtOnce = 32;

}  // namespace

ReconcileLoop::ReconcileLoop(const std::string& node, dataplane::Dataplane& dataplane,
                             std::unique_ptr<Reconciler> reconciler, observe::EventLog& log,
                             const observe::WatchBoard& watches, Clock& clock)
    : node_(node),
      dataplane_(dataplane),
      watches_(watches),
      clock_(clock),
      reconciler_(std::move(reconciler)),
      reporter_(log, clock),
      thread_([this] { Run(); }) {}

ReconcileLoop::~ReconcileLoop() { queue_.Close(); }

void ReconcileLoop::Push(const dataplane::DropEvent& event) {
  if (mailbox_.Put(event)) queue_.Push(EventsWait{});
}

// True if something was told.
bool ReconcileLoop::Take(std::vector<Input> inputs, std::vector<Question>& questions) {
  bool told = false;
  for (Input& input : inputs) {
    if (auto* links = std::get_if<LinksChanged>(&input)) {
      reconciler_->Take(std::move(*links));
      told = true;
    } else if (auto* claims = std::get_if<endpoint::CniUpdate>(&input)) {
      reconciler_->Take(*claims);
      told = true;
    } else if (auto* objects = std::get_if<ObjectsChanged>(&input)) {
      reconciler_->Take(std::move(*objects));
      told = true;
    } else if (auto* question = std::get_if<Question>(&input)) {
      questions.push_back(std::move(*question));
    }
  }
  return told;
}

void ReconcileLoop::Run() {
  bool busy = false;
  while (true) {
    // Before the inputs: what was told before a packet was dropped is known when it is named.
    bool more_drops = false;
    auto drops = mailbox_.Take(kDropsAtOnce, more_drops);
    busy |= !drops.empty();
    auto inputs = queue_.PopAll(busy ? Duration::zero() : reconciler_->Patience());
    if (queue_.closed()) return;
    bool idle = inputs.empty() && drops.empty();
    std::vector<Question> questions;
    bool told = Take(std::move(inputs), questions);
    told |= reconciler_->Look();
    if (told || reconciler_->IsDue()) reconciler_->Reconcile();
    for (const Question& question : questions) question();
    TellEgressNews();
    for (const dataplane::DropEvent& drop : drops) reporter_.Report(drop, *reconciler_);
    if (idle) reconciler_->Settle();
    busy = !idle || more_drops;
  }
}

void ReconcileLoop::SetTellEgress(TellEgress tell) {
  queue_.Push(Question([this, tell = std::move(tell)] {
    tell_egress_ = tell;
    egress_told_.reset();
  }));
}

// Not before all objects are known: what an earlier agent has put in force stays until then.
void ReconcileLoop::TellEgressNews() {
  if (!tell_egress_ || !reconciler_->complete()) return;
  if (egress_told_ && egress_revision_ == reconciler_->revision()) return;
  egress_revision_ = reconciler_->revision();
  EgressNews news = reconciler_->egress_news();
  if (egress_told_ == news) return;
  egress_told_ = news;
  tell_egress_(std::move(news));
}

template <typename View, typename Work>
Result<View> ReconcileLoop::Ask(Work work) {
  auto promise = std::make_shared<std::promise<View>>();
  std::future<View> answer = promise->get_future();
  queue_.Push(Question([promise, work] {
    try {
      promise->set_value(work());
    } catch (...) {  // enforcing goes on, whatever was asked
      promise->set_exception(std::current_exception());
    }
  }));
  promise.reset();
  if (answer.wait_for(kAnswerTime) != std::future_status::ready) {
    return Error{"the agent is busy and did not answer within 10 seconds; try again"};
  }
  try {
    return answer.get();
  } catch (const std::exception& exception) {
    return Error{std::string("the agent could not answer: ") + exception.what()};
  }
}

void ReconcileLoop::AskMetrics(std::function<void(observe::MetricsView)> answer) {
  queue_.Push(Question([this, answer = std::move(answer)] {
    try {
      auto view = MetricsOf(*reconciler_, dataplane_, watches_.Read(), clock_.WallNow(), traffic_);
      if (read_egress_) view.egress = read_egress_();
      view.events = reporter_.reported();
      view.events_lost = mailbox_.lost();
      answer(std::move(view));
    } catch (const std::exception& exception) {
      LogError(std::string("measuring: ") + exception.what());
    }
  }));
}

Result<observe::StatusView> ReconcileLoop::ReadStatus() {
  return Ask<observe::StatusView>([this] {
    return StatusOf(*reconciler_, dataplane_, node_, watches_.Read(), clock_.WallNow());
  });
}

Result<std::vector<observe::EndpointView>> ReconcileLoop::ReadEndpoints() {
  return Ask<std::vector<observe::EndpointView>>(
      [this] { return EndpointsOf(*reconciler_, dataplane_); });
}

Result<std::vector<observe::PolicyView>> ReconcileLoop::ReadPolicies() {
  return Ask<std::vector<observe::PolicyView>>([this] { return PoliciesOf(*reconciler_); });
}

Result<std::vector<observe::FlowView>> ReconcileLoop::ReadFlows(size_t limit,
                                                                const std::string& endpoint) {
  return Ask<std::vector<observe::FlowView>>(
      [this, limit, endpoint] { return FlowsOf(*reconciler_, dataplane_, limit, endpoint); });
}

Result<std::vector<observe::ExplainView>> ReconcileLoop::Explain(
    const observe::ExplainQuestion& question) {
  using Answer = Result<std::vector<observe::ExplainView>>;
  auto answer = Ask<Answer>([this, question] { return ExplainOf(*reconciler_, question); });
  return answer ? std::move(*answer) : Answer(std::move(answer).error());
}

// Nothing of it is the reconciler's: it is asked while that is busy.
Result<observe::EgressView> ReconcileLoop::ReadEgress() {
  observe::EgressView view;
  if (read_egress_) view = read_egress_();
  if (view.node.empty()) view.node = node_;
  return view;
}

}  // namespace sallyport::control
