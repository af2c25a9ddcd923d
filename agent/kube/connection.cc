// SPDX-License-Identifier: Apache-2.0
#include "kube/connection.h"

#include <httplib.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "base/version.h"
#include "net/address.h"

namespace sallyport::kube {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;
using SteadyClock = std::chrono::steady_clock;

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using X509Ptr = std::unique_ptr<X509, Freer<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using StorePtr = std::unique_ptr<X509_STORE, Freer<X509_STORE_free>>;

constexpr size_t kMaxErrorBody = 1u << 20;
constexpr auto kMaxRetryAfter = std::chrono::hours(1);

std::string OpensslReason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  return reason ? reason : "";
}

std::vector<X509Ptr> ReadCertificates(const std::string& pem) {
  std::vector<X509Ptr> out;
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    out.emplace_back(certificate);
  }
  ERR_clear_error();  // the end of the text is an error to OpenSSL
  return out;
}

// No question for a passphrase: there is nobody to answer.
KeyPtr ReadKey(const std::string& pem) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  auto nobody = [](char*, int, int, void*) { return 0; };
  return KeyPtr(PEM_read_bio_PrivateKey(bio.get(), nullptr, nobody, nullptr));
}

void SetOption(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof(value));
}

// A peer that is gone is noticed within some 30 seconds, by the kernel.
void SetOptions(int fd) {
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, 15);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
  SetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 30'000);
}

timeval ToTimeval(Duration time) {
  auto micros = duration_cast<std::chrono::microseconds>(time).count();
  return {micros / 1'000'000, micros % 1'000'000};
}

int Milliseconds(Duration time) {
  return static_cast<int>(std::max<int64_t>(1, duration_cast<milliseconds>(time).count()));
}

// 0, or the errno of why there is no connection.
int FinishConnect(int fd, Duration timeout) {
  pollfd waiting{fd, POLLOUT, 0};
  int ready = 0;
  while ((ready = poll(&waiting, 1, Milliseconds(timeout))) < 0 && errno == EINTR) {
  }
  if (ready < 0) return errno;
  if (ready == 0) return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  if (error != 0) return error;
  return (waiting.revents & POLLHUP) != 0 ? ECONNABORTED : 0;
}

std::optional<Duration> ReadRetryAfter(const httplib::Response& response) {
  std::string text = response.get_header_value("Retry-After");
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return std::min<Duration>(seconds(std::min<int64_t>(value, 86'400)), kMaxRetryAfter);
}

std::string Seconds(Duration time) {
  return std::to_string((duration_cast<milliseconds>(time).count() + 500) / 1000) + " s";
}

}  // namespace

struct Tls {
  StorePtr trusted;  // none: the system's
  std::vector<X509Ptr> chain;
  KeyPtr key;
};

Result<TlsPtr> MakeTls(const Access& access) {
  auto tls = std::make_shared<Tls>();
  ERR_clear_error();
  if (!access.ca_pem.empty()) {
    tls->trusted.reset(X509_STORE_new());
    std::vector<X509Ptr> certificates = ReadCertificates(access.ca_pem);
    if (certificates.empty()) {
      return Error{"there is no PEM certificate in the certificate authority of " + access.origin};
    }
    for (const X509Ptr& one : certificates) X509_STORE_add_cert(tls->trusted.get(), one.get());
  }
  if (access.client_certificate_pem.empty()) return TlsPtr(std::move(tls));
  tls->chain = ReadCertificates(access.client_certificate_pem);
  tls->key = ReadKey(access.client_key_pem);
  if (tls->chain.empty() || !tls->key) {
    return Error{std::string(tls->chain.empty() ? "there is no PEM certificate in the client "
                                                  "certificate of "
                                                : "there is no PEM key without a passphrase in the "
                                                  "client key of ") +
                 access.origin};
  }
  if (X509_check_private_key(tls->chain.front().get(), tls->key.get()) != 1) {
    return Error{"client certificate and client key of " + access.origin +
                 " do not belong together"};
  }
  return TlsPtr(std::move(tls));
}

// httplib speaks HTTP; whom it speaks to is ours: how to connect, and whose certificate will do.
class Connection::Impl : private httplib::SSLClient {
 public:
  Impl(const Access& access, const Client::Options& options, const TlsPtr& tls)
      : SSLClient(access.server_name.empty() ? access.host : access.server_name, access.port),
        access_(access),
        connect_timeout_(options.connect_timeout) {
    set_connection_timeout(options.connect_timeout);
    set_write_timeout(options.read_timeout);
    set_keep_alive(true);
    set_url_encode(false);
    set_decompress(false);
    SetTls(*tls);
  }

  sallyport::Result<kube::Response> Run(Exchange& exchange);

 private:
  void SetTls(const Tls& tls);
  bool create_and_connect_socket(Socket& socket, httplib::Error& error) override;
  int ConnectTo(const addrinfo& address, Socket& socket);
  httplib::Request ToHttp(Exchange& exchange, kube::Response& response);
  bool TakeBytes(Exchange& exchange, kube::Response& response, std::string_view bytes);
  void SetTimeout(Duration timeout);
  std::jthread InterruptAfter(Duration time);
  void Hold(int fd);
  void Interrupt();
  bool IsInterrupted();
  Error Explain(httplib::Error error, const Exchange& exchange);
  Error Failure(const std::string& what, int code) const;

  const Access& access_;
  const Duration connect_timeout_;
  Duration timeout_{};
  std::string problem_;  // why there is no connection
  int problem_code_ = 0;
  bool too_large_ = false, enough_ = false;
  std::atomic<bool> late_ = false;  // the head did not come in time
  std::jthread until_answer_;       // waits to say so
  SteadyClock::time_point last_byte_;

  std::mutex mutex_;
  UniqueFd held_;  // the same socket again: what interrupts it must not meet a reused number
  bool interrupted_ = false;
};

// httplib would trust the system's authorities besides ours, and a certificate's common name:
// OpenSSL is told both rules itself.
void Connection::Impl::SetTls(const Tls& tls) {
  SSL_CTX* context = ssl_context();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  if (tls.trusted) {
    SSL_CTX_set1_verify_cert_store(context, tls.trusted.get());
    // Else httplib reads all of the system's, a hundred and more, for each connection.
    set_ca_cert_path("", "/nonexistent");
  }
  X509_VERIFY_PARAM* rules = SSL_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_hostflags(
      rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  // An authority that is trusted need not be a root: a bundle may have an intermediate one only.
  X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN);
  if (net::Address::Parse(host_)) {
    X509_VERIFY_PARAM_set1_ip_asc(rules, host_.c_str());
  } else {
    X509_VERIFY_PARAM_set1_host(rules, host_.c_str(), host_.size());
  }
  if (tls.chain.empty()) return;
  SSL_CTX_use_certificate(context, tls.chain.front().get());
  for (size_t i = 1; i < tls.chain.size(); ++i) {
    SSL_CTX_add1_chain_cert(context, tls.chain[i].get());
  }
  SSL_CTX_use_PrivateKey(context, tls.key.get());
}

bool Connection::Impl::create_and_connect_socket(Socket& socket, httplib::Error& error) {
  error = httplib::Error::Connection;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  std::string port = std::to_string(access_.port);
  int failed = getaddrinfo(access_.host.c_str(), port.c_str(), &hints, &found);
  if (failed != 0) {
    problem_ = "the name " + access_.host + " cannot be resolved: " + gai_strerror(failed);
    problem_code_ = EHOSTUNREACH;
    return false;
  }
  std::unique_ptr<addrinfo, Freer<freeaddrinfo>> all(found);
  for (const addrinfo* one = found; one; one = one->ai_next) {
    problem_code_ = ConnectTo(*one, socket);
    if (problem_code_ == 0) {
      error = httplib::Error::Success;
      return true;
    }
  }
  std::string why = problem_code_ == ETIMEDOUT ? "no answer for " + Seconds(connect_timeout_)
                                               : std::string(strerror(problem_code_));
  problem_ = "connecting: " + why;
  return false;
}

int Connection::Impl::ConnectTo(const addrinfo& address, Socket& socket) {
  UniqueFd fd(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return errno;
  SetOptions(fd.get());
  Hold(fd.get());
  int error = connect(fd.get(), address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
  // From here on a shutdown has an effect; what came before had none.
  if (IsInterrupted()) return ECANCELED;
  if (error == EINPROGRESS) error = FinishConnect(fd.get(), connect_timeout_);
  if (error != 0) return error;
  int flags = fcntl(fd.get(), F_GETFL);
  if (flags < 0 || fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK) != 0) return errno;
  socket.sock = fd.release();
  SetTimeout(timeout_);
  return 0;
}

void Connection::Impl::Hold(int fd) {
  std::lock_guard lock(mutex_);
  held_.reset(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

bool Connection::Impl::IsInterrupted() {
  std::lock_guard lock(mutex_);
  return interrupted_;
}

void Connection::Impl::Interrupt() {
  std::lock_guard lock(mutex_);
  interrupted_ = true;
  if (held_) ::shutdown(held_.get(), SHUT_RDWR);
}

// Also for reads that httplib makes without waiting for the socket first.
void Connection::Impl::SetTimeout(Duration timeout) {
  timeout_ = timeout;
  set_read_timeout(timeout);
  std::lock_guard lock(mutex_);
  if (!held_) return;
  timeval time = ToTimeval(timeout);
  setsockopt(held_.get(), SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
  setsockopt(held_.get(), SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
}

// Unless its stop is requested before.
std::jthread Connection::Impl::InterruptAfter(Duration time) {
  return std::jthread([this, time](const std::stop_token& stop) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any never;
    never.wait_for(lock, stop, time, [] { return false; });
    if (stop.stop_requested()) return;
    late_ = true;
    Interrupt();
  });
}

bool Connection::Impl::TakeBytes(Exchange& exchange, kube::Response& response,
                                 std::string_view bytes) {
  last_byte_ = SteadyClock::now();
  if (exchange.stop.stop_requested()) return false;
  if (exchange.events && response.ok()) {
    enough_ = !exchange.events->bytes(bytes);
    last_byte_ = SteadyClock::now();  // the time that the caller took is not the server's silence
    return !enough_;
  }
  size_t most = exchange.events ? kMaxErrorBody : exchange.max_body;
  too_large_ = response.body.size() + bytes.size() > most;
  if (!too_large_) response.body.append(bytes);
  return !too_large_;
}

httplib::Request Connection::Impl::ToHttp(Exchange& exchange, kube::Response& response) {
  const kube::Request& request = exchange.request;
  httplib::Request http;
  http.method = request.method;
  http.path = access_.base_path + request.path;
  std::string host = access_.Url().substr(std::string_view("https://").size());
  http.headers = {{"Host", host.substr(0, host.find('/'))},
                  {"Accept", request.accept},
                  {"Accept-Encoding", "identity"},
                  {"User-Agent", std::string("sallyport/") + kVersion}};
  if (!exchange.token.empty()) {
    http.headers.emplace("Authorization", "Bearer " + exchange.token);
  }
  if (!request.body.empty()) {
    http.headers.emplace("Content-Type", request.content_type);
    http.body = request.body;
  }
  http.response_handler = [this, &exchange, &response](const httplib::Response& head) {
    last_byte_ = SteadyClock::now();
    until_answer_.request_stop();
    exchange.answered = true;
    response.status = head.status;
    response.retry_after = ReadRetryAfter(head);
    if (exchange.events && exchange.events->opened && response.ok()) exchange.events->opened();
    return true;
  };
  http.content_receiver = [this, &exchange, &response](const char* data, size_t size, uint64_t,
                                                       uint64_t) {
    return TakeBytes(exchange, response, {data, size});
  };
  return http;
}

sallyport::Result<kube::Response> Connection::Impl::Run(Exchange& exchange) {
  {
    std::lock_guard lock(mutex_);
    interrupted_ = false;
  }
  std::stop_callback interrupt(exchange.stop, [this] { Interrupt(); });
  SetTimeout(exchange.timeout);
  last_byte_ = SteadyClock::now();
  too_large_ = enough_ = late_ = false;
  problem_.clear();
  ERR_clear_error();
  if (exchange.stop.stop_requested()) return Failure("stopped", kStopped);
  kube::Response response;
  httplib::Request request = ToHttp(exchange, response);
  if (exchange.request.answer_within) {
    until_answer_ = InterruptAfter(*exchange.request.answer_within);
  }
  httplib::Result result = send(request);
  until_answer_ = {};
  if (!result) return Explain(result.error(), exchange);
  // Without a body the handler has not been called.
  exchange.answered = true;
  response.status = result->status;
  return response;
}

Error Connection::Impl::Failure(const std::string& what, int code) const {
  return {access_.Url() + ": " + what, code};
}

Error Connection::Impl::Explain(httplib::Error error, const Exchange& exchange) {
  if (exchange.stop.stop_requested() || enough_) return Failure("stopped", kStopped);
  if (too_large_) {
    return Failure("the answer is larger than " + std::to_string(exchange.max_body) + " bytes",
                   EFBIG);
  }
  if (late_) {
    return Failure("no answer for " + Seconds(*exchange.request.answer_within), ETIMEDOUT);
  }
  long verdict = get_openssl_verify_result();
  std::string reason = OpensslReason();
  switch (error) {
    case httplib::Error::Connection:
    case httplib::Error::ConnectionTimeout:
      return Failure(problem_ + " (is it the right address? it is from " + access_.origin + ")",
                     problem_code_);
    case httplib::Error::SSLServerVerification:
      if (verdict == X509_V_OK) verdict = X509_V_ERR_HOSTNAME_MISMATCH;
      return Failure(
          "its certificate is not trusted: " + std::string(X509_verify_cert_error_string(verdict)) +
              " (host and certificate authority are from " + access_.origin + ")",
          EACCES);
    case httplib::Error::SSLConnection:
    case httplib::Error::SSLLoadingCerts:
      return Failure(reason.empty() ? "TLS did not come about: no answer for " +
                                          Seconds(connect_timeout_) + ", or cut off"
                                    : "TLS did not come about: " + reason,
                     EPROTO);
    default:
      break;
  }
  bool silent = SteadyClock::now() - last_byte_ + milliseconds(50) >= exchange.timeout;
  if (silent) return Failure("no answer for " + Seconds(exchange.timeout), ETIMEDOUT);
  return Failure(exchange.answered ? "the answer was cut off" : "the connection was cut off",
                 ECONNRESET);
}

Connection::Connection(const Access& access, const Client::Options& options, const TlsPtr& tls)
    : impl_(std::make_unique<Impl>(access, options, tls)) {}
Connection::~Connection() = default;

Result<Response> Connection::Run(Exchange& exchange) { return impl_->Run(exchange); }

}  // namespace sallyport::kube
