// SPDX-License-Identifier: Apache-2.0
// Whatever is asked of the local API: a question has an answer or a reason, both JSON; an answer is
// about the ends that were asked about, in one family, and says what the engine says.
//
// The input: parameters, "from=shop/web&to=10.0.0.1&port=80".
#include <cerrno>
#include <nlohmann/json.hpp>

#include "control/views.h"
#include "fuzz/agent/small_agent.h"
#include "fuzz/input.h"
#include "observe/json.h"
#include "observe/query.h"

namespace sallyport::control {
namespace {

using nlohmann::json;

observe::Parameters ParametersOf(std::string_view text) {
  observe::Parameters out;
  while (!text.empty()) {
    std::string_view member = fuzz::TakeUntil(text, '&');
    std::string name(fuzz::TakeUntil(member, '='));
    out.emplace(name, member);
  }
  return out;
}

void CheckError(const Error& error) {
  CHECK(!error.message.empty());
  json read = json::parse(observe::ErrorJson(error.message));
  CHECK(!read.at("error").get<std::string>().empty());
}

void CheckAnswer(const observe::ExplainView& view, const observe::ExplainQuestion& question,
                 const Reconciler& reconciler) {
  const net::FlowTuple& tuple = view.tuple;
  CHECK(view.from == question.from);
  CHECK(tuple.source.IsV4() == tuple.destination.IsV4());
  CHECK(net::HasPorts(tuple.protocol) == (tuple.destination_port != 0));
  CHECK(tuple.protocol != net::Protocol::kIcmpV6 || !tuple.destination.IsV4());
  CHECK(tuple.protocol != net::Protocol::kIcmp || tuple.destination.IsV4());
  if (view.service.empty()) CHECK(view.to == question.to);
  if (question.to.starts_with("svc/")) CHECK(!view.service.empty());
  CHECK(view.verdict.allowed == policy::Evaluate(reconciler.snapshot(), tuple).allowed);
  json read = json::parse(observe::ToJson(std::vector{view})).at(0);
  CHECK(read.at("allowed").get<bool>() == (view.verdict.allowed && view.closed.empty()));
  CHECK(read.at("address").get<std::string>() == tuple.destination.ToString());
  CHECK(!read.at("words").get<std::string>().empty());
}

void CheckExplain(const observe::Parameters& parameters, const Reconciler& reconciler) {
  auto question = observe::ReadExplainQuestion(parameters);
  if (!question) return CheckError(question.error());
  auto answer = ExplainOf(reconciler, *question);
  if (!answer) {
    CHECK(answer.error().code == EINVAL) << answer.error().message;
    return CheckError(answer.error());
  }
  CHECK(!answer->empty());
  for (const observe::ExplainView& view : *answer) CheckAnswer(view, *question, reconciler);
}

void CheckFlows(const observe::Parameters& parameters, fuzz::SmallAgent& agent) {
  auto question = observe::ReadFlowsQuestion(parameters);
  if (!question) return CheckError(question.error());
  CHECK(question->limit <= 50000);
  const std::string& end = question->endpoint;
  auto flows = FlowsOf(agent.reconciler, agent.kernel, question->limit, end);
  CHECK(flows.size() <= question->limit);
  for (const observe::FlowView& flow : flows) {
    CHECK(end.empty() || flow.source_pod == end || flow.destination_pod == end);
  }
  size_t there = end.empty()                             ? 40
                 : end == "shop/web" || end == "shop/db" ? 20
                 : end == "shop/cache"                   ? 40
                                                         : 0;
  CHECK(flows.size() == std::min(question->limit, there)) << end;
}

}  // namespace
}  // namespace sallyport::control

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport;
  static fuzz::SmallAgent agent;
  auto parameters = control::ParametersOf(fuzz::Text(data, size));
  control::CheckExplain(parameters, agent.reconciler);
  control::CheckFlows(parameters, agent);
  auto follow = observe::ReadFollow(parameters);
  if (!follow) control::CheckError(follow.error());
  return 0;
}
