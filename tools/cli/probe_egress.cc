// SPDX-License-Identifier: Apache-2.0
#include "cli/probe_egress.h"

#include <algorithm>

#include "cli/agent_views.h"
#include "cli/greeting.h"
#include "cli/json.h"
#include "cli/lab_world.h"
#include "cli/matrix.h"
#include "cli/pod_netns.h"
#include "cli/unix_http.h"
#include "egress/explain.h"
#include "lab/state.h"

namespace sallyport::cli {
namespace {

using probe::Outcome;

constexpr const char* kSaysNothing =
    "it answered, and does not say whom it sees: it is no `sallyport probe serve`";

struct EgressQuestion {
  Party from;
  Destination to;
  std::optional<net::Address> expected;
};

Result<EgressQuestion> Read(const ProbeEgressOptions& options) {
  EgressQuestion out;
  auto from = ParseParty(options.from);
  if (!from) return std::move(from).error().Context("--from");
  auto to = ParseDestination(options.to);
  if (!to) return std::move(to).error().Context("--to");
  out.from = *std::move(from);
  out.to = *std::move(to);
  if (!std::holds_alternative<model::ObjectName>(out.from)) {
    return Error{"--from " + options.from + ": name a pod, as namespace/name"};
  }
  if (!net::HasPorts(out.to.protocol)) {
    return Error{"--to " + options.to +
                 ": an echo does not say whom the far end sees; name a port of a `sallyport probe "
                 "serve`"};
  }
  if (options.expect.empty()) return out;
  auto expected = net::Address::Parse(options.expect);
  if (!expected) return Error{"--expect " + options.expect + ": give the address to be seen"};
  out.expected = *expected;
  return out;
}

Result<std::vector<Row>> ProbeInLab(const ProbeEgressOptions& options,
                                    const EgressQuestion& question, const probe::Options& probing) {
  auto lab = LabWorld::Open(options.lab);
  if (!lab) return std::move(lab).error();
  const World& world = lab->world();
  auto source = world.Resolve(question.from);
  if (!source) return std::move(source).error().Context("--from");
  auto destination = world.Resolve(question.to.party);
  if (!destination) return std::move(destination).error().Context("--to");
  auto port = world.ResolvePort(*destination, question.to);
  if (!port) return std::move(port).error().Context("--to");
  auto rows = Ask(world, *source, *destination, *port, options.family);
  if (!rows) return rows;
  WallTime start = SystemClock().WallNow();
  if (Status status = lab->Probe(*rows, probing); !status) return std::move(status).error();
  lab->AskAgents(*rows, start);
  return rows;
}

// The addresses that the agent knows of the pod.
Result<std::vector<net::Address>> AddressesAt(const std::string& socket, const std::string& pod) {
  auto body = Get(socket, "/v1/endpoints");
  auto answer = body ? ParseAnswer(*body) : Result<model::Value>(std::move(body).error());
  if (!answer) return WithAdvice(std::move(answer).error(), socket);
  for (const model::Value& endpoint : answer->items) {
    const model::Value *name = endpoint.Find("pod"), *list = endpoint.Find("addresses");
    if (name == nullptr || list == nullptr || name->text != pod) continue;
    std::vector<net::Address> out;
    for (const model::Value& item : list->items) {
      if (auto address = net::Address::Parse(item.text)) out.push_back(*address);
    }
    if (!out.empty()) return out;
    return Error{"pod " + pod + " has no open interface on this node yet: sallyport endpoints"};
  }
  return Error{"pod " + pod + " is not on this node; run this on its node"};
}

Result<std::vector<Row>> ProbeOnNode(const ProbeEgressOptions& options,
                                     const EgressQuestion& question,
                                     const probe::Options& probing) {
  const auto* destination = std::get_if<net::Address>(&question.to.party);
  const auto* number = std::get_if<uint16_t>(&question.to.port);
  if (destination == nullptr || number == nullptr) {
    return Error{"--to " + options.to + ": on a node, give an address and the number of a port"};
  }
  Side from{ToString(question.from), nullptr, {}, false};
  auto addresses = AddressesAt(options.socket, from.name);
  if (!addresses) return std::move(addresses).error().Context("--from");
  from.addresses = *std::move(addresses);
  auto source = from.AddressOf(destination->IsV4());
  if (!source) {
    return Error{from.name + " and " + destination->ToString() +
                 " have no address of one family in common"};
  }
  auto netns = FindNetns(from.addresses);
  if (!netns) return std::move(netns).error().Context("--from");
  Row row;
  row.from = from;
  row.to = Side{destination->ToString(), nullptr, {*destination}, false};
  row.source = *source;
  row.destination = *destination;
  row.port = {question.to.protocol, *number};
  auto answers = probe::Probe({{*netns, {{row.destination, row.port}}}}, probing);
  if (!answers) return std::move(answers).error();
  row.seen = answers->front().front();
  return std::vector<Row>{row};
}

// Whom the far end saw, where it says so.
std::optional<probe::Greeted> SeenBy(const Row& row) {
  if (row.seen->outcome != Outcome::kOpen) return std::nullopt;
  return probe::ReadGreeting(row.seen->detail);
}

int CodeOf(const Row& row, const std::optional<net::Address>& expected) {
  if (row.CouldNotTell()) return kCouldNotTell;
  if (row.seen->outcome != Outcome::kOpen) return kNo;
  auto seen = SeenBy(row);
  if (!seen) return kCouldNotTell;
  return !expected || seen->address == *expected ? kYes : kNo;
}

std::string EgressInWords(const Row& row, const std::optional<net::Address>& expected) {
  auto seen = SeenBy(row);
  if (!seen) return row.seen->outcome == Outcome::kOpen ? kSaysNothing : SeenInWords(row);
  std::string out = "seen as " + seen->address.ToString() + " (port " + std::to_string(seen->port) +
                    ") by " + seen->name;
  if (!expected) return out;
  return out +
         (seen->address == *expected ? ", as expected" : ", and not as " + expected->ToString());
}

std::string EgressJson(const Row& row, const std::optional<net::Address>& expected) {
  auto seen = SeenBy(row);
  std::optional<std::string> address, far_end, wanted;
  std::optional<uint16_t> port;
  if (seen) {
    address = seen->address.ToString();
    far_end = seen->name;
    port = seen->port;
  }
  JsonObject out;
  out.Add("from", row.from.name).Add("to", row.to.name);
  out.Add("address", row.destination.ToString()).Add("port", row.port.number);
  out.Add("protocol", net::ToString(row.port.protocol));
  out.Add("outcome", probe::ToString(row.seen->outcome));
  out.Add("seen", address).Add("seen_port", port).Add("far_end", far_end);
  if (!row.seen->detail.empty()) out.Add("detail", row.seen->detail);
  if (row.pin) out.Add("manifests", egress::Explain(*row.pin));
  if (expected) {
    out.Add("expected", expected->ToString());
    out.Add("as_expected", CodeOf(row, expected) == kYes);
  }
  if (!row.agent.empty()) out.AddJson("agent", row.agent);
  return out.ToString();
}

}  // namespace

int PrintEgress(const std::vector<Row>& rows, const std::optional<net::Address>& expected,
                const Terminal& terminal) {
  int code = kYes;
  std::vector<std::string> lines;
  for (const Row& row : rows) {
    int own = CodeOf(row, expected);
    code = std::max(code, own);
    if (terminal.format == Format::kJson) {
      lines.push_back(EgressJson(row, expected));
      continue;
    }
    Colour colour = own == kYes ? Colour::kGreen : own == kNo ? Colour::kRed : Colour::kYellow;
    terminal.out << row.Title() << ": " << terminal.Paint(colour, EgressInWords(row, expected))
                 << "\n";
    if (row.pin) terminal.out << "  by the manifests: " << egress::Explain(*row.pin) << "\n";
    if (row.agent.empty()) continue;
    auto event = ParseAnswer(row.agent);
    if (event) terminal.out << "  the agent: " << RenderEvent(*event, terminal);
  }
  if (terminal.format == Format::kJson) terminal.out << JsonArray(lines, true) << "\n";
  return code;
}

int RunProbeEgress(const ProbeEgressOptions& options, const Terminal& terminal) {
  auto probing = ToProbeOptions(options);
  if (!probing) return terminal.Fail(probing.error().message);
  probing->greeting = probing->timeout;  // the answer is what it says
  auto question = Read(options);
  if (!question) return terminal.Fail(question.error().message);
  auto rows = options.socket.empty() ? ProbeInLab(options, *question, *probing)
                                     : ProbeOnNode(options, *question, *probing);
  if (!rows) return terminal.Fail(rows.error().message);
  return PrintEgress(*rows, question->expected, terminal);
}

}  // namespace sallyport::cli
