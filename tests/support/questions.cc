// SPDX-License-Identifier: Apache-2.0
#include "support/questions.h"

#include <gtest/gtest.h>

#include "model/manifest.h"
#include "policy/compile.h"
#include "policy/evaluate.h"
#include "support/image_checks.h"

namespace sallyport::test {
namespace {

using policy::Direction;

// "shop/a", "shop/a#1", "10.0.0.1", "[fd00::1]"
net::Address AddressOf(const model::Snapshot& snapshot, std::string who) {
  size_t slash = who.find('/');
  if (slash == std::string::npos) {
    if (who.front() == '[') who = who.substr(1, who.size() - 2);
    return net::Address::Parse(who).value();
  }
  size_t index = 0;
  if (size_t hash = who.find('#'); hash != std::string::npos) {
    index = std::stoul(who.substr(hash + 1));
    who.resize(hash);
  }
  return snapshot.pods.at({who.substr(0, slash), who.substr(slash + 1)})->addresses.at(index);
}

// What the images of the nodes of the pods at one end say; true if there are none.
bool ImagesAllow(const model::Snapshot& snapshot, const net::Address& end, Direction direction,
                 const net::Address& peer, const net::FlowTuple& flow) {
  bool allowed = true;
  for (const model::PodPtr& pod : policy::PodsAt(snapshot, end)) {
    if (pod->node.empty()) continue;
    policy::Image image = policy::Compile(snapshot, pod->node).image;
    EXPECT_EQ(Inconsistency(image), "");
    allowed &= ImageAllows(image, pod->name, direction, peer, flow.protocol, flow.destination_port);
  }
  return allowed;
}

}  // namespace

model::Snapshot SnapshotOf(const std::string& yaml) {
  model::Manifest manifest = model::ReadManifest(yaml, "test.yaml");
  for (const model::Diagnostic& diagnostic : manifest.diagnostics) {
    if (diagnostic.severity == model::Severity::kError) ADD_FAILURE() << diagnostic.ToString();
  }
  model::Snapshot snapshot;
  for (const model::Delta& delta : manifest.objects) snapshot.Apply(delta);
  return snapshot;
}

net::FlowTuple FlowOf(const model::Snapshot& snapshot, const std::string& question) {
  size_t arrow = question.find(" -> ");
  std::string from = question.substr(0, arrow);
  std::string to = question.substr(arrow + 4);
  net::FlowTuple flow;
  flow.source = AddressOf(snapshot, from);
  if (size_t space = to.find(' '); space != std::string::npos) {
    flow.protocol = net::ParseProtocol(to.substr(space + 1)).value();
    to.resize(space);
  } else {
    size_t protocol = to.rfind('/');
    size_t port = to.rfind(':', protocol);
    flow.protocol = net::ParseProtocol(to.substr(protocol + 1)).value();
    flow.destination_port =
        static_cast<uint16_t>(std::stoul(to.substr(port + 1, protocol - port - 1)));
    flow.source_port = 40000;
    to.resize(port);
  }
  flow.destination = AddressOf(snapshot, to);
  return flow;
}

std::string Answer(const model::Snapshot& snapshot, const net::FlowTuple& flow) {
  bool evaluated = policy::Evaluate(snapshot, flow).allowed;
  bool compiled = ImagesAllow(snapshot, flow.source, Direction::kEgress, flow.destination, flow) &&
                  ImagesAllow(snapshot, flow.destination, Direction::kIngress, flow.source, flow);
  std::string answer = evaluated ? "allowed" : "denied";
  if (compiled == evaluated) return answer;
  return answer + " by Evaluate, the other way by the image";
}

std::string Answer(const model::Snapshot& snapshot, const std::string& question) {
  return Answer(snapshot, FlowOf(snapshot, question));
}

}  // namespace sallyport::test
