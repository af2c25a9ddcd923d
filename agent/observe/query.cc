// SPDX-License-Identifier: Apache-2.0
#include "observe/query.h"

#include <charconv>

namespace sallyport::observe {
namespace {

constexpr size_t kFlows = 1000, kMostFlows = 50000;

std::string TextOf(const Parameters& parameters, const char* name, const char* absent = "") {
  auto it = parameters.lower_bound(name);
  return it == parameters.end() || it->first != name ? absent : it->second;
}

// The parameter as a number from 0 to `most`; `absent` where it is not given.
Result<size_t> NumberOf(const Parameters& parameters, const char* name, size_t absent,
                        size_t most) {
  if (!parameters.contains(name)) return absent;
  std::string text = TextOf(parameters, name);
  size_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > most) {
    return Error{std::string(name) + "=" + text + ": give a number from 0 to " +
                 std::to_string(most)};
  }
  return value;
}

}  // namespace

Result<FlowsQuestion> ReadFlowsQuestion(const Parameters& parameters) {
  auto limit = NumberOf(parameters, "limit", kFlows, kMostFlows);
  if (!limit) return std::move(limit).error();
  return FlowsQuestion{*limit, TextOf(parameters, "endpoint")};
}

Result<ExplainQuestion> ReadExplainQuestion(const Parameters& parameters) {
  std::string name = TextOf(parameters, "protocol", "TCP");
  auto protocol = net::ParseProtocol(name);
  if (!protocol) return Error{"protocol=" + name + ": give TCP, UDP, SCTP or ICMP"};
  // Which of the two it is, the addresses say.
  if (*protocol == net::Protocol::kIcmpV6) protocol = net::Protocol::kIcmp;
  return ExplainQuestion{TextOf(parameters, "from"), TextOf(parameters, "to"), *protocol,
                         TextOf(parameters, "port")};
}

Result<bool> ReadFollow(const Parameters& parameters) {
  auto follow = NumberOf(parameters, "follow", 0, 1);
  if (!follow) return std::move(follow).error();
  return *follow == 1;
}

}  // namespace sallyport::observe
