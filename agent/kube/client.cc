// SPDX-License-Identifier: Apache-2.0
#include "kube/client.h"

#include <cerrno>
#include <fstream>
#include <mutex>
#include <utility>
#include <vector>

#include "kube/connection.h"

namespace sallyport::kube {
namespace {

constexpr int kUnauthorized = 401;

// The token of a file: nothing where there is none in it.
std::string ReadToken(const std::string& path) {
  std::ifstream file(path);
  std::string token;
  file >> token;
  return token;
}

}  // namespace

std::string EncodeUrl(std::string_view text) {
  constexpr std::string_view kUnreserved = "-._~";
  constexpr const char* kHex = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    bool digit = byte >= '0' && byte <= '9';
    if (letter || digit || kUnreserved.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

class Client::Impl {
 public:
  Impl(Access access, Options options, TlsPtr tls)
      : access_(std::move(access)), options_(options), latest_(access_), tls_(std::move(tls)) {}

  Result<Response> Run(const Request& request, const StreamEvents* events, Duration timeout,
                       const std::stop_token& stop) {
    auto token = Token();
    if (!token) return std::move(token).error();
    auto response = RunAs(*token, request, events, timeout, stop);
    if (!response || response->status != kUnauthorized || access_.token_file.empty()) {
      return response;
    }
    auto newer = Token();
    if (!newer || *newer == *token) return response;
    return RunAs(*newer, request, events, timeout, stop);
  }

  const Access& access() const { return access_; }
  const Options& options() const { return options_; }

 private:
  // Read for each request: the file is small, and is replaced while it is still good. One that
  // cannot be read for a moment leaves the last token in use.
  Result<std::string> Token() {
    if (access_.token_file.empty()) return access_.token;
    std::string token = ReadToken(access_.token_file);
    std::lock_guard lock(mutex_);
    if (!token.empty()) token_ = token;
    if (!token_.empty()) return token_;
    return Error{access_.Url() + ": there is no token in " + access_.token_file + ", which " +
                     access_.origin + " names: is it mounted and readable?",
                 ENOENT};
  }

  Result<Response> RunAs(const std::string& token, const Request& request,
                         const StreamEvents* events, Duration timeout,
                         const std::stop_token& stop) {
    Exchange exchange{request, token, events, timeout, options_.max_body, stop};
    TlsPtr tls = LatestTls();
    std::unique_ptr<Connection> connection = TakeIdle(tls);
    bool reused = connection != nullptr;
    if (!reused) connection = std::make_unique<Connection>(access_, options_, tls);
    auto response = connection->Run(exchange);
    // The server may close what is idle just as it is used again. What only reads may be repeated.
    bool stale = !response && reused && !exchange.answered && request.method == "GET" &&
                 response.error().code != kStopped && response.error().code != ETIMEDOUT;
    if (stale) {
      connection = std::make_unique<Connection>(access_, options_, tls);
      response = connection->Run(exchange);
    }
    if (response) Keep(std::move(connection), tls);
    return response;
  }

  // Read for each request too: an authority is replaced before the certificates that it vouches
  // for are, a client's certificate before it expires.
  TlsPtr LatestTls() {
    std::lock_guard lock(tls_mutex_);
    Access now = latest_;
    now.Reread();
    bool same = now.ca_pem == latest_.ca_pem && now.client_key_pem == latest_.client_key_pem &&
                now.client_certificate_pem == latest_.client_certificate_pem;
    if (same) return tls_;
    auto tls = MakeTls(now);  // between a new certificate and its new key there is no pair
    if (!tls) return tls_;
    latest_ = std::move(now);
    tls_ = std::move(*tls);
    return tls_;
  }

  // One that was made with `tls`; those that were not are closed.
  std::unique_ptr<Connection> TakeIdle(const TlsPtr& tls) {
    std::vector<std::unique_ptr<Connection>> outdated;
    std::lock_guard lock(mutex_);
    if (idle_tls_ != tls) std::swap(outdated, idle_);
    idle_tls_ = tls;
    if (idle_.empty()) return nullptr;
    auto connection = std::move(idle_.back());
    idle_.pop_back();
    return connection;
  }

  void Keep(std::unique_ptr<Connection> connection, const TlsPtr& tls) {
    std::lock_guard lock(mutex_);
    if (idle_tls_ == tls && idle_.size() < options_.max_idle) {
      idle_.push_back(std::move(connection));
    }
  }

  const Access access_;
  const Options options_;
  std::mutex tls_mutex_;
  Access latest_;  // what tls_ was made of
  TlsPtr tls_;
  std::mutex mutex_;
  std::string token_;  // the last one read from the file
  std::vector<std::unique_ptr<Connection>> idle_;
  TlsPtr idle_tls_;  // that they were made with
};

Result<std::unique_ptr<Client>> Client::Create(Access access, Options options) {
  auto tls = MakeTls(access);
  if (!tls) return std::move(tls).error();
  auto impl = std::make_unique<Impl>(std::move(access), options, std::move(*tls));
  return std::unique_ptr<Client>(new Client(std::move(impl)));
}

Result<std::unique_ptr<Client>> Client::Create(Access access) {
  return Create(std::move(access), Options());
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

Result<Response> Client::Send(const Request& request, std::stop_token stop) {
  return impl_->Run(request, nullptr, impl_->options().read_timeout, stop);
}

Result<Response> Client::Stream(const Request& request, const StreamEvents& events, Duration idle,
                                std::stop_token stop) {
  return impl_->Run(request, &events, idle, stop);
}

const Access& Client::access() const { return impl_->access(); }

}  // namespace sallyport::kube
