// SPDX-License-Identifier: Apache-2.0
// A server on loopback that speaks TLS and says what a test tells it to, byte by byte; and the
// certificates for it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sallyport::kube {

struct Certificate {
  std::string pem, key_pem;
};

struct CertificateOf {
  std::string name = "server";
  std::vector<std::string> hosts = {"IP:127.0.0.1"};  // as OpenSSL writes them: "DNS:api", "IP:::1"
  long starts = -3600, ends = 3600;                   // seconds from now
  const Certificate* by = nullptr;                    // none: signs itself, and may sign others

  Certificate Make() const;
};

// One connection, on a thread of its own.
class Conversation {
 public:
  virtual ~Conversation() = default;
  // The next request's head and body; "" when the client has gone.
  virtual std::string Read() = 0;
  virtual void Write(const std::string& bytes) = 0;
  // Ends the connection with a RST, instead of in good order.
  virtual void Reset() = 0;
  virtual bool ended() const = 0;  // by Reset
  // Until the client goes away.
  virtual void WaitForTheEnd() = 0;
  // What the client's certificate says it is; "" without one.
  virtual std::string ClientName() = 0;
};

class TlsServer {
 public:
  using Script = std::function<void(Conversation&)>;
  // `connection` is called for each connection, on its thread. `client_authority` (PEM): clients
  // are asked for a certificate by it. `address`: 127.0.0.1 or ::1. `port`: 0 any that is free.
  TlsServer(const Certificate& certificate, Script connection,
            const std::string& client_authority = "", const std::string& address = "127.0.0.1",
            uint16_t port = 0);
  // Ends all connections.
  ~TlsServer();

  uint16_t port() const;
  int connections() const;  // that were accepted

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// A whole answer.
std::string Answer(int status, const std::string& body, const std::string& headers = "");
// The head of a chunked one, a chunk, and the end.
std::string ChunkedHead(int status = 200);
std::string Chunk(const std::string& bytes);
inline const std::string kLastChunk = "0\r\n\r\n";

// A socket that listens and never says anything.
class SilentServer {
 public:
  SilentServer();
  ~SilentServer();
  uint16_t port() const { return port_; }

 private:
  uint16_t port_;
  int fd_;
};

}  // namespace sallyport::kube
