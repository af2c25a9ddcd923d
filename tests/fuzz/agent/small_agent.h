// SPDX-License-Identifier: Apache-2.0
// An agent on node n1 of a small cluster (support/village.h), over a kernel that is none: shop/web
// is an endpoint here, isolated for ingress, and shop/front is a Service in front of shop/db.
#pragma once

#include <string>

#include "base/check.h"
#include "base/log.h"
#include "control/reconciler.h"
#include "model/manifest.h"
#include "support/temporary.h"
#include "support/village.h"
#include "unit/agent/fake_dataplane.h"
#include "unit/agent/tracker_world.h"

namespace sallyport::fuzz {

inline const std::string kFront = R"(
apiVersion: v1
kind: Service
metadata: {name: front, namespace: shop}
spec: {clusterIP: 10.96.0.1, selector: {app: db}, ports: [{name: sql, port: 80, targetPort: 5432}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: front-1, namespace: shop, labels: {kubernetes.io/service-name: front}}
addressType: IPv4
ports: [{name: sql, port: 5432, protocol: TCP}]
endpoints: [{addresses: [10.1.0.2], targetRef: {kind: Pod, name: db, namespace: shop}}]
---
)";

class SmallAgent {
 public:
  SmallAgent() {
    StartLog(LogLevel::kError, LogFormat::kText);
    endpoint::LinkUpdate links{.set = {endpoint::Veth(3, "veth3")}, .gone = {}, .addresses = {}};
    reconciler.Take(control::LinksChanged{links, {}});
    endpoint::CniUpdate claims;
    endpoint::Claim claim = endpoint::ClaimOf{"web", {"veth3"}, {"10.1.0.1", "fd00:1::1"}}.Make();
    claims.set = {claim};
    claims.listed = true;
    reconciler.Take(claims);
    std::string text = test::VillageWith(
                           "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], "
                           "ingress: [{ports: [{port: 443}]}]}") +
                       kFront;
    model::Manifest manifest = model::ReadManifest(text, "village.yaml");
    CHECK(!model::HasErrors(manifest.diagnostics)) << manifest.diagnostics.front().ToString();
    reconciler.Take(control::ObjectsChanged{manifest.objects, {}, true});
    reconciler.Reconcile();
    CHECK(reconciler.in_force().size() == 1);
    for (uint16_t port = 1; port <= 40; ++port) {
      dataplane::FlowEntry flow;
      flow.tuple = {endpoint::Ip(port % 2 == 0 ? "10.1.0.1" : "10.1.0.2"), endpoint::Ip("10.2.0.1"),
                    net::Protocol::kTcp, port, 80};
      kernel.flows.push_back(flow);
    }
  }

  test::TemporaryDirectory pins;
  FakeClock clock;
  dataplane::FakeDataplane kernel;
  endpoint::FakeResolver resolver;
  control::LeftAlone left_alone{pins.path()};
  control::Reconciler reconciler{"n1", kernel, endpoint::Tracker("n1", {}, resolver), left_alone,
                                 clock};
};

}  // namespace sallyport::fuzz
