// SPDX-License-Identifier: Apache-2.0
#include "kube/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <thread>

#include "support/temporary.h"
#include "unit/kube/tls_server.h"

namespace sallyport::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class ClientTest : public testing::Test {
 protected:
  Access AccessTo(uint16_t port) {
    Access access;
    access.host = "127.0.0.1";
    access.port = port;
    access.ca_pem = authority_.pem;
    access.origin = "a test";
    return access;
  }
  static std::unique_ptr<Client> Make(Access access) {
    Client::Options options;
    options.connect_timeout = seconds(5);
    auto client = Client::Create(std::move(access), options);
    EXPECT_TRUE(client) << client.error().message;
    return std::move(*client);
  }
  std::string ErrorOf(Access access) {
    auto response = Make(std::move(access))->Send({.path = "/x"});
    return response ? "" : response.error().message;
  }
  // Answers every request with what was asked, and as whom.
  static void Echo(Conversation& talk) {
    for (std::string request = talk.Read(); !request.empty(); request = talk.Read()) {
      talk.Write(Answer(200, request + "|" + talk.ClientName()));
    }
  }

  const Certificate authority_ = CertificateOf{.name = "authority", .hosts = {}}.Make();
  const Certificate good_ = CertificateOf{.by = &authority_}.Make();
};

TEST_F(ClientTest, AsksAndAnswers) {
  TlsServer server(good_, Echo);
  Access access = AccessTo(server.port());
  access.base_path = "/base";
  access.token = "t0ken";
  auto client = Make(access);
  Response response =
      client->Send({.method = "POST", .path = "/api?x=a%20b", .body = "{\"a\":1}"}).value();
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.body, StartsWith("POST /base/api?x=a%20b HTTP/1.1\r\n"));
  EXPECT_THAT(response.body, HasSubstr("Authorization: Bearer t0ken\r\n"));
  EXPECT_THAT(response.body,
              HasSubstr("Host: 127.0.0.1:" + std::to_string(server.port()) + "\r\n"));
  EXPECT_THAT(response.body, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_THAT(response.body, HasSubstr("\r\n\r\n{\"a\":1}|"));
  EXPECT_THAT(client->Send({.path = "/again"}).value().body, Not(HasSubstr("Connection: close")));
  EXPECT_EQ(server.connections(), 1) << "the connection is kept";
}

TEST_F(ClientTest, SpeaksIpv6) {
  Certificate certificate = CertificateOf{.hosts = {"IP:::1"}, .by = &authority_}.Make();
  TlsServer server(certificate, Echo, "", "::1");
  Access access = AccessTo(server.port());
  access.host = "::1";
  EXPECT_EQ(access.Url(), "https://[::1]:" + std::to_string(server.port()));
  EXPECT_THAT(Make(access)->Send({.path = "/"}).value().body, HasSubstr("Host: [::1]:"));
}

TEST_F(ClientTest, ShowsItsCertificate) {
  Certificate own = CertificateOf{.name = "node-1", .hosts = {}, .by = &authority_}.Make();
  TlsServer server(good_, Echo, authority_.pem);
  Access access = AccessTo(server.port());
  access.client_certificate_pem = own.pem;
  access.client_key_pem = own.key_pem;
  EXPECT_THAT(Make(access)->Send({.path = "/"}).value().body, HasSubstr("|node-1"));
  access.client_key_pem = good_.key_pem;
  EXPECT_THAT(Client::Create(access).error().message, HasSubstr("do not belong together"));
}

TEST_F(ClientTest, TrustsNobodyElse) {
  Certificate other = CertificateOf{.name = "other", .hosts = {}}.Make();
  Certificate theirs = CertificateOf{.by = &other}.Make();
  TlsServer server(theirs, Echo);
  EXPECT_THAT(ErrorOf(AccessTo(server.port())), HasSubstr("not trusted"));
  // Not even those that the system trusts, where the access says whom to trust.
  test::TemporaryDirectory directory;
  directory.Write("ca.pem", other.pem);
  setenv("SSL_CERT_FILE", (directory / "ca.pem").c_str(), 1);
  EXPECT_THAT(ErrorOf(AccessTo(server.port())), HasSubstr("not trusted"));
  Access system = AccessTo(server.port());
  system.ca_pem.clear();
  EXPECT_EQ(ErrorOf(system), "");
  unsetenv("SSL_CERT_FILE");
}

TEST_F(ClientTest, WantsTheNameItAskedFor) {
  Certificate named = CertificateOf{.hosts = {"DNS:api.test"}, .by = &authority_}.Make();
  TlsServer server(named, Echo);
  Access access = AccessTo(server.port());
  EXPECT_THAT(ErrorOf(access), HasSubstr("not trusted: "));
  access.server_name = "api.test";
  EXPECT_EQ(ErrorOf(access), "");
  access.server_name = "other.test";
  EXPECT_THAT(ErrorOf(access), HasSubstr("not trusted: "));
}

TEST_F(ClientTest, ACommonNameIsNoName) {
  Certificate unnamed = CertificateOf{.name = "localhost", .hosts = {}, .by = &authority_}.Make();
  TlsServer server(unnamed, Echo);
  Access access = AccessTo(server.port());
  access.server_name = "localhost";
  EXPECT_THAT(ErrorOf(access), HasSubstr("not trusted: "));
}

TEST_F(ClientTest, TakesNoExpiredCertificate) {
  TlsServer server(CertificateOf{.starts = -7200, .ends = -60, .by = &authority_}.Make(), Echo);
  EXPECT_THAT(ErrorOf(AccessTo(server.port())), HasSubstr("certificate has expired"));
}

TEST_F(ClientTest, SaysWhyThereIsNoConnection) {
  uint16_t port = SilentServer().port();  // gone by the end of the line
  std::string error = ErrorOf(AccessTo(port));
  EXPECT_THAT(error, StartsWith("https://127.0.0.1:" + std::to_string(port) + ": "));
  EXPECT_THAT(error, HasSubstr("Connection refused"));
  EXPECT_THAT(error, HasSubstr("a test")) << "where the address is from";
}

TEST_F(ClientTest, GivesUpOnTlsThatNeverComes) {
  SilentServer server;
  Client::Options options;
  options.connect_timeout = milliseconds(300);
  auto client = Client::Create(AccessTo(server.port()), options).value();
  EXPECT_THAT(client->Send({.path = "/"}).error().message, HasSubstr("TLS did not come about"));
}

TEST_F(ClientTest, StopsWhileTlsDoesNotCome) {
  SilentServer server;
  Client::Options options;
  options.connect_timeout = seconds(3600);
  auto client = Client::Create(AccessTo(server.port()), options).value();
  std::stop_source stop;
  auto result =
      std::async(std::launch::async, [&] { return client->Send({.path = "/"}, stop.get_token()); });
  std::this_thread::sleep_for(milliseconds(50));  // any moment will do
  stop.request_stop();
  EXPECT_EQ(result.get().error().code, kStopped);
}

TEST_F(ClientTest, TokensAreReadAgain) {
  test::TemporaryDirectory directory;
  directory.Write("token", "one\n");
  std::atomic<bool> expired = false;
  TlsServer server(good_, [&](Conversation& talk) {
    for (std::string request = talk.Read(); !request.empty(); request = talk.Read()) {
      bool old = request.find("Bearer one\r\n") != std::string::npos;
      if (old && expired) {
        directory.Write("token", "two\n");  // just now
        talk.Write(Answer(401, "{}"));
      } else {
        talk.Write(Answer(200, request));
      }
    }
  });
  Access access = AccessTo(server.port());
  access.token_file = directory / "token";
  auto client = Make(access);
  EXPECT_THAT(client->Send({.path = "/"}).value().body, HasSubstr("Bearer one\r\n"));
  expired = true;
  EXPECT_THAT(client->Send({.path = "/"}).value().body, HasSubstr("Bearer two\r\n"));
  directory.Write("token", "");
  EXPECT_EQ(client->Send({.path = "/"}).value().status, 200) << "the last one that was there";
  access.token_file = directory / "none";
  EXPECT_THAT(ErrorOf(access), HasSubstr("there is no token in"));
}

// The server's authority is replaced while the client runs: first the bundle has both, then the
// server's certificate is by the new one.
TEST_F(ClientTest, AuthoritiesAreReadAgain) {
  Certificate next = CertificateOf{.name = "next", .hosts = {}}.Make();
  Certificate renewed = CertificateOf{.by = &next}.Make();
  test::TemporaryDirectory directory;
  directory.Write("ca.crt", authority_.pem);
  Access access = AccessTo(0);
  access.ca_file = directory / "ca.crt";
  auto old_server = std::make_unique<TlsServer>(good_, Echo);
  access.port = old_server->port();
  auto client = Make(access);
  EXPECT_EQ(client->Send({.path = "/"}).value().status, 200);
  uint16_t port = access.port;
  old_server.reset();
  TlsServer server(renewed, Echo, "", "127.0.0.1", port);
  EXPECT_THAT(client->Send({.path = "/"}).error().message, HasSubstr("not trusted"));
  for (const char* broken : {"", "-----BEGIN"}) {
    directory.Write("ca.crt", broken);
    EXPECT_THAT(client->Send({.path = "/"}).error().message, HasSubstr("not trusted"))
        << "what was there before, not the system's";
  }
  directory.Write("ca.crt", authority_.pem + next.pem);
  auto response = client->Send({.path = "/"});
  EXPECT_TRUE(response) << response.error().message;
}

TEST_F(ClientTest, NoConnectionOutlivesItsAuthority) {
  Certificate next = CertificateOf{.name = "next", .hosts = {}}.Make();
  test::TemporaryDirectory directory;
  directory.Write("ca.crt", authority_.pem);
  TlsServer server(good_, Echo);
  Access access = AccessTo(server.port());
  access.ca_file = directory / "ca.crt";
  auto client = Make(access);
  EXPECT_EQ(client->Send({.path = "/"}).value().status, 200);
  directory.Write("ca.crt", next.pem);
  EXPECT_THAT(client->Send({.path = "/"}).error().message, HasSubstr("not trusted"));
  directory.Write("ca.crt", authority_.pem);
  EXPECT_EQ(client->Send({.path = "/"}).value().status, 200);
}

TEST_F(ClientTest, ClientCertificatesAreReadAgain) {
  auto make = [&](const char* name) {
    return CertificateOf{.name = name, .hosts = {}, .by = &authority_}.Make();
  };
  Certificate first = make("first"), second = make("second");
  test::TemporaryDirectory directory;
  TlsServer server(good_, Echo, authority_.pem);
  Access access = AccessTo(server.port());
  access.client_certificate_pem = first.pem;
  access.client_key_pem = first.key_pem;
  access.client_certificate_file = directory / "client.crt";
  access.client_key_file = directory / "client.key";
  auto client = Make(access);
  EXPECT_THAT(client->Send({.path = "/"}).value().body, HasSubstr("|first"));
  directory.Write("client.crt", second.pem);
  EXPECT_THAT(client->Send({.path = "/"}).value().body, HasSubstr("|first")) << "no pair yet";
  EXPECT_EQ(server.connections(), 1);
  directory.Write("client.key", second.key_pem);
  EXPECT_THAT(client->Send({.path = "/"}).value().body, HasSubstr("|second"));
}

TEST_F(ClientTest, RefusalsAreAnswers) {
  TlsServer server(good_, [](Conversation& talk) {
    talk.Read();
    talk.Write(Answer(429, "{\"kind\":\"Status\"}", "Retry-After: 7\r\n"));
    talk.Read();
    talk.Write(Answer(404, "no", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n"));
  });
  auto client = Make(AccessTo(server.port()));
  bool called = false;
  auto bytes = [&](std::string_view) { return called = true; };
  Response response = client->Stream({.path = "/"}, {{}, bytes}, seconds(30)).value();
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.body, "{\"kind\":\"Status\"}");
  EXPECT_EQ(response.retry_after, Duration(seconds(7)));
  EXPECT_FALSE(called);
  response = client->Send({.path = "/"}).value();
  EXPECT_EQ(response.status, 404);
  EXPECT_FALSE(response.retry_after);
}

TEST_F(ClientTest, LongAnswersAreRefusedUnlessStreamed) {
  TlsServer server(good_, [](Conversation& talk) {
    while (!talk.Read().empty()) talk.Write(Answer(200, std::string(5000, 'x')));
  });
  Client::Options options;
  options.max_body = 4999;
  auto client = Client::Create(AccessTo(server.port()), options).value();
  EXPECT_THAT(client->Send({.path = "/"}).error().message, HasSubstr("larger than 4999 bytes"));
  size_t size = 0;
  auto bytes = [&](std::string_view piece) {
    size += piece.size();
    return true;
  };
  EXPECT_TRUE(client->Stream({.path = "/"}, {{}, bytes}, seconds(30)));
  EXPECT_EQ(size, 5000u);
}

// A watch's body: chunks as they come, cut anywhere.
TEST_F(ClientTest, StreamsWhatComes) {
  std::promise<void> opened, half;
  TlsServer server(good_, [&](Conversation& talk) {
    talk.Read();
    talk.Write(ChunkedHead());
    opened.get_future().wait();
    std::string text = Chunk("one") + Chunk("two");
    for (char c : text.substr(0, 9)) talk.Write(std::string(1, c));
    half.get_future().wait();
    talk.Write(text.substr(9) + kLastChunk);
    talk.WaitForTheEnd();
  });
  auto client = Make(AccessTo(server.port()));
  std::string got;
  StreamEvents events;
  events.opened = [&] { opened.set_value(); };
  events.bytes = [&](std::string_view bytes) {
    got += bytes;
    if (got == "one") half.set_value();
    return true;
  };
  EXPECT_TRUE(client->Stream({.path = "/"}, events, seconds(30)));
  EXPECT_EQ(got, "onetwo");
}

TEST_F(ClientTest, ACutStreamIsAnError) {
  for (bool reset : {false, true}) {
    std::promise<void> got;
    TlsServer server(good_, [&](Conversation& talk) {
      talk.Read();
      talk.Write(ChunkedHead() + Chunk("one") + "5\r\ntw");
      got.get_future().wait();
      if (reset) talk.Reset();
    });
    auto client = Make(AccessTo(server.port()));
    auto bytes = [&, told = false](std::string_view) mutable {
      if (!std::exchange(told, true)) got.set_value();
      return true;
    };
    EXPECT_THAT(client->Stream({.path = "/"}, {{}, bytes}, seconds(30)).error().message,
                HasSubstr("the answer was cut off"));
  }
}

TEST_F(ClientTest, ASilentStreamIsGivenUp) {
  for (bool head : {false, true}) {
    TlsServer server(good_, [&](Conversation& talk) {
      talk.Read();
      if (head) talk.Write(ChunkedHead());
      talk.WaitForTheEnd();
    });
    auto client = Make(AccessTo(server.port()));
    auto bytes = [](std::string_view) { return true; };
    auto response = client->Stream({.path = "/"}, {{}, bytes}, milliseconds(200));
    EXPECT_EQ(response.error().code, ETIMEDOUT) << response.error().message;
  }
}

// A watch may be silent for minutes, but not before its head.
TEST_F(ClientTest, AHeadIsNotWaitedForAsLongAsWhatFollows) {
  auto bytes = [](std::string_view) { return true; };
  Request request{.path = "/", .answer_within = milliseconds(200)};
  TlsServer silent(good_, [](Conversation& talk) {
    talk.Read();
    talk.WaitForTheEnd();
  });
  auto late = Make(AccessTo(silent.port()))->Stream(request, {{}, bytes}, seconds(3600));
  EXPECT_EQ(late.error().code, ETIMEDOUT) << late.error().message;
  EXPECT_THAT(late.error().message, HasSubstr("no answer for "));

  request.answer_within = seconds(3600);
  TlsServer server(good_, [](Conversation& talk) {
    for (int i = 0; i < 2 && !talk.Read().empty(); ++i) talk.Write(Answer(200, "ok"));
  });
  auto client = Make(AccessTo(server.port()));
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(client->Stream(request, {{}, bytes}, seconds(30)));
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(ClientTest, StreamsEndWhenToldTo) {
  TlsServer server(good_, [&](Conversation& talk) {
    talk.Read();
    talk.Write(ChunkedHead() + Chunk("one"));
    talk.WaitForTheEnd();
  });
  auto client = Make(AccessTo(server.port()));
  auto enough = [](std::string_view) { return false; };
  EXPECT_EQ(client->Stream({.path = "/"}, {{}, enough}, seconds(3600)).error().code, kStopped);
  std::stop_source stop;
  std::jthread stopper;
  auto bytes = [&](std::string_view) {
    stopper = std::jthread([&] { stop.request_stop(); });
    return true;
  };
  auto response = client->Stream({.path = "/"}, {{}, bytes}, seconds(3600), stop.get_token());
  EXPECT_EQ(response.error().code, kStopped);
  EXPECT_EQ(client->Send({.path = "/"}, stop.get_token()).error().code, kStopped);
}

// The server closes what is idle; what only reads is sent again.
TEST_F(ClientTest, AStaleConnectionIsNoFailure) {
  TlsServer server(good_, [](Conversation& talk) {
    if (!talk.Read().empty()) talk.Write(Answer(200, "ok"));
  });
  auto client = Make(AccessTo(server.port()));
  for (int i = 0; i < 5; ++i) {
    auto response = client->Send({.path = "/"});
    EXPECT_TRUE(response) << response.error().message;
  }
  EXPECT_EQ(server.connections(), 5);
}

TEST_F(ClientTest, SeveralAtATime) {
  TlsServer server(good_, Echo);
  auto client = Make(AccessTo(server.port()));
  std::vector<std::jthread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 20; ++j) {
        std::string path = "/" + std::to_string(i) + "/" + std::to_string(j);
        auto response = client->Send({.path = path});
        good += response && response->body.find(path + " ") != std::string::npos ? 1 : 0;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(good, 160);
}

TEST(EncodeUrlTest, AllButUnreserved) {
  EXPECT_EQ(EncodeUrl("aZ9-._~"), "aZ9-._~");
  EXPECT_EQ(EncodeUrl("a=b,c d/\xc3\xa4"), "a%3Db%2Cc%20d%2F%C3%A4");
}

}  // namespace
}  // namespace sallyport::kube
