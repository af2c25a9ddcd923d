// SPDX-License-Identifier: Apache-2.0
// An API server with HTTP and TLS in this process, with the kind EgressGateway, and a client of it.
#pragma once

#include <atomic>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "apiserver/certificates.h"
#include "apiserver/http_server.h"
#include "kube/client.h"
#include "model/document.h"
#include "support/places.h"
#include "unit/apiserver/fixture.h"

namespace sallyport::gateway {

inline constexpr const char* kNamespace = "sallyport-system";
inline constexpr const char* kLeases =
    "/apis/coordination.k8s.io/v1/namespaces/sallyport-system/leases";
inline constexpr const char* kGateways = "/apis/sallyport.io/v1alpha1/egressgateways";

class ServerTest : public apiserver::ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    ASSERT_EQ(Post("/api/v1/namespaces", R"({"metadata":{"name":"sallyport-system"}})").code, 201);
    std::ifstream file(test::InSources("daemonset/egressgateways.yaml"));
    std::string text((std::istreambuf_iterator<char>(file)), {});
    model::ParsedText parsed = model::ParseText(text, "egressgateways.yaml");
    ASSERT_EQ(parsed.documents.size(), 1u);
    ASSERT_EQ(Post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                   apiserver::ToJson(parsed.documents[0]))
                  .code,
              201);
    authority_ = apiserver::MakeAuthority("kubernetes").value();
    certificate_ = apiserver::MakeCertificate(
                       authority_, {.common_name = "kube-apiserver", .addresses = {"127.0.0.1"}})
                       .value();
    Listen(0);
    kube::Access access;
    access.host = "127.0.0.1";
    access.port = port_;
    access.ca_pem = authority_.certificate_pem;
    access.token = "admin";
    access.origin = "a test";
    client_ = kube::Client::Create(access).value();
  }
  void TearDown() override {
    client_.reset();
    Shut();
    ApiTest::TearDown();
  }
  void Listen(uint16_t port) {
    http_ = std::make_unique<apiserver::HttpServer>(*api_);
    auto got = http_->Listen({"", "127.0.0.1", port}, {certificate_, authority_.certificate_pem});
    ASSERT_TRUE(got) << got.error().message;
    port_ = *got;
  }
  void Shut() {
    if (http_) http_->Drain(SystemClock().Now());
    http_.reset();
  }
  // Of the API server without HTTP in between.
  Result<kube::Response> Send(const kube::Request& request) {
    Answer answer = Call(request.method, request.path, request.body, request.content_type);
    return kube::Response{answer.code, answer.text, {}};
  }

  apiserver::Certificate authority_, certificate_;
  uint16_t port_ = 0;
  std::unique_ptr<apiserver::HttpServer> http_;
  std::unique_ptr<kube::Client> client_;
};

}  // namespace sallyport::gateway
