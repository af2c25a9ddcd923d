// SPDX-License-Identifier: Apache-2.0
#include "apiserver/http_server.h"

#include <httplib.h>
#include <openssl/pem.h>
#include <sched.h>

#include <atomic>
#include <charconv>
#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "lab/netns.h"

namespace sallyport::apiserver {
namespace {

constexpr size_t kMaxBody = 3u << 20;
constexpr size_t kMaxThreads = 4096;
constexpr auto kIdleConnection = std::chrono::seconds(90);
constexpr auto kSlowReader = std::chrono::seconds(30);
constexpr Duration kLookAround = std::chrono::milliseconds(500);
constexpr size_t kChunk = 256 * 1024;

// A thread for each connection: watches last, and must not keep requests waiting. Threads that
// have become idle take the next one.
class ConnectionThreads : public httplib::TaskQueue {
 public:
  void enqueue(std::function<void()> work) override {
    std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
    if (idle_ < work_.size() && threads_.size() < kMaxThreads)
      threads_.emplace_back([this] { Run(); });
    bell_.notify_one();
  }

  void shutdown() override {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    bell_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      bell_.wait(lock, [this] { return stop_ || !work_.empty(); });
      --idle_;
      if (work_.empty()) return;
      auto work = std::move(work_.front());
      work_.pop_front();
      lock.unlock();
      work();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable bell_;
  std::deque<std::function<void()>> work_;
  std::list<std::thread> threads_;
  size_t idle_ = 0;
  bool stop_ = false;
};

// A server that can stop listening while its answers go on: httplib's own stop() cuts them off.
class Listener : public httplib::SSLServer {
 public:
  using SSLServer::SSLServer;
  void RefuseMore() { ::shutdown(svr_sock_, SHUT_RDWR); }
};

struct FreeTlsBio {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using TlsBio = std::unique_ptr<BIO, FreeTlsBio>;

TlsBio BioOf(const std::string& text) {
  return TlsBio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

bool SetUpTls(SSL_CTX& context, const TlsFiles& tls) {
  TlsBio certificate = BioOf(tls.server.certificate_pem);
  TlsBio key = BioOf(tls.server.key_pem);
  TlsBio authority = BioOf(tls.client_authority_pem);
  X509* own = PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr);
  EVP_PKEY* own_key = PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr);
  X509* clients = PEM_read_bio_X509(authority.get(), nullptr, nullptr, nullptr);
  bool good = own && own_key && clients && SSL_CTX_use_certificate(&context, own) == 1 &&
              SSL_CTX_use_PrivateKey(&context, own_key) == 1 &&
              X509_STORE_add_cert(SSL_CTX_get_cert_store(&context), clients) == 1 &&
              SSL_CTX_add_client_CA(&context, clients) == 1;
  X509_free(own);
  EVP_PKEY_free(own_key);
  X509_free(clients);
  SSL_CTX_set_min_proto_version(&context, TLS1_2_VERSION);
  // A client certificate is welcome and must be ours; without one a token is looked for.
  SSL_CTX_set_verify(&context, SSL_VERIFY_PEER, nullptr);
  constexpr unsigned char kSessions[] = "sallyport";
  SSL_CTX_set_session_id_context(&context, kSessions, sizeof(kSessions) - 1);
  return good;
}

// The user of a client certificate: its common name, its organizations the groups.
std::optional<User> UserOf(const SSL* ssl) {
  X509* certificate = ssl ? SSL_get_peer_certificate(ssl) : nullptr;
  if (!certificate) return std::nullopt;
  User user;
  X509_NAME* name = X509_get_subject_name(certificate);
  for (int i = 0; i < X509_NAME_entry_count(name); ++i) {
    X509_NAME_ENTRY* entry = X509_NAME_get_entry(name, i);
    int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    ASN1_STRING* text = X509_NAME_ENTRY_get_data(entry);
    std::string value(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                      static_cast<size_t>(ASN1_STRING_length(text)));
    if (nid == NID_commonName) user.name = value;
    if (nid == NID_organizationName) user.groups.push_back(value);
  }
  X509_free(certificate);
  user.groups.push_back("system:authenticated");
  return user;
}

std::string AddressText(const std::string& address, uint16_t port) {
  bool v6 = address.find(':') != address.npos;
  return (v6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

Failure OfHttpStatus(int status) {
  switch (status) {
    case 404:
      return NoSuchPath();
    case 413:
      return {.code = 413,
              .reason = "RequestEntityTooLarge",
              .message = "Request entity too large: limit is " + std::to_string(kMaxBody)};
    case 400:
      return BadRequest("the request is not valid HTTP");
    default:
      return {.code = status, .reason = "", .message = "HTTP " + std::to_string(status)};
  }
}

}  // namespace

class HttpServer::Impl {
 public:
  explicit Impl(Api& api) : api_(api) {}
  ~Impl() { Stop(); }

  Result<uint16_t> Listen(const ListenPlace& place, const TlsFiles& tls) {
    auto server =
        std::make_unique<Listener>([&](SSL_CTX& context) { return SetUpTls(context, tls); });
    if (!server->is_valid()) return Error{"the server's certificate does not fit its key"};
    SetUp(*server);
    int port = -1;
    auto bind = [&]() -> Status {
      port = place.port == 0 ? server->bind_to_any_port(place.address)
             : server->bind_to_port(place.address, place.port) ? place.port
                                                               : -1;
      if (port > 0) return Ok();
      return ErrnoError("listening on " + AddressText(place.address, place.port));
    };
    Status bound = place.netns.empty() ? bind() : lab::InNetns(place.netns, bind);
    if (!bound) return std::move(bound).error();
    Listener* raw = server.get();
    servers_.push_back(std::move(server));
    threads_.emplace_back([raw] { raw->listen_after_bind(); });
    while (!raw->is_running()) std::this_thread::yield();
    return static_cast<uint16_t>(port);
  }

  void Drain(MonotonicTime drained_by) {
    for (auto& server : servers_) server->RefuseMore();
    drained_by_ = drained_by.time_since_epoch().count();
    for (int left; (left = watches_) > 0;) watches_.wait(left);
  }

 private:
  void Stop() {
    Drain(MonotonicTime::clock::now());
    for (auto& server : servers_) server->stop();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    servers_.clear();
  }

  void SetUp(Listener& server) {
    server.new_task_queue = [] { return new ConnectionThreads; };
    server.set_keep_alive_max_count(SIZE_MAX);
    server.set_keep_alive_timeout(kIdleConnection.count());
    server.set_read_timeout(kSlowReader);
    server.set_write_timeout(kSlowReader);
    server.set_payload_max_length(kMaxBody);
    server.set_tcp_nodelay(true);
    // Compression would hold back the lines of a watch, and costs more than it saves here.
    server.set_pre_routing_handler([](const httplib::Request& request, httplib::Response&) {
      const_cast<httplib::Request&>(request).headers.erase("Accept-Encoding");
      return httplib::Server::HandlerResponse::Unhandled;
    });
    auto serve = [this](const httplib::Request& request, httplib::Response& response) {
      Serve(request, response);
    };
    constexpr const char* kAny = R"([\s\S]*)";
    server.Get(kAny, serve);
    server.Post(kAny, serve);
    server.Put(kAny, serve);
    server.Patch(kAny, serve);
    server.Delete(kAny, serve);
    server.set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (!response.body.empty() || response.content_length_ > 0) return;
      response.set_content(OfHttpStatus(response.status).ToJson() + "\n", "application/json");
    });
  }

  void Serve(const httplib::Request& in, httplib::Response& out) {
    Request request;
    request.method = in.method;
    request.path = in.path;
    request.query = in.params;
    request.accept = in.get_header_value("Accept");
    request.content_type = in.get_header_value("Content-Type");
    request.body = in.body;
    if (!Authenticate(in, &request.user)) {
      out.status = 401;
      out.set_content(Unauthorized().ToJson() + "\n", "application/json");
      return;
    }
    Answer(api_.Handle(request), out);
  }

  bool Authenticate(const httplib::Request& in, User* user) {
    std::string header = in.get_header_value("Authorization");
    constexpr std::string_view kBearer = "Bearer ";
    if (auto by_certificate = UserOf(in.ssl)) {
      *user = std::move(*by_certificate);
      return true;
    }
    if (header.empty()) {
      *user = {"system:anonymous", "", {"system:unauthenticated"}};
      return true;
    }
    if (!header.starts_with(kBearer)) return false;
    try {
      auto found = api_.Authenticate(header.substr(kBearer.size()));
      if (!found) return false;
      *user = std::move(*found);
      return true;
    } catch (const Failure&) {
      return false;  // no token of ours
    }
  }

  void Answer(Response answer, httplib::Response& out) {
    out.status = answer.code;
    if (answer.retry_after > 0) out.set_header("Retry-After", std::to_string(answer.retry_after));
    for (const std::string& warning : answer.warnings)
      out.headers.emplace("Warning", "299 - " + Quote(warning));
    out.set_header("Cache-Control", "no-cache, private");
    if (answer.stream) return Watch(std::move(answer.stream), answer.content_type, out);
    if (answer.body.size() == 1 && answer.body[0]->size() < kChunk) {
      out.set_content(*answer.body[0], answer.content_type);
      return;
    }
    size_t length = 0;
    for (const auto& piece : answer.body) length += piece->size();
    struct State {
      std::vector<std::shared_ptr<const std::string>> pieces;
      size_t next = 0;
    };
    auto state = std::make_shared<State>();
    state->pieces = std::move(answer.body);
    out.set_content_provider(length, answer.content_type,
                             [state](size_t, size_t, httplib::DataSink& sink) {
                               std::string buffer;
                               while (state->next < state->pieces.size() && buffer.size() < kChunk)
                                 buffer += *state->pieces[state->next++];
                               return sink.write(buffer.data(), buffer.size());
                             });
  }

  void Watch(std::shared_ptr<Stream> stream, const std::string& type, httplib::Response& out) {
    ++watches_;
    out.set_chunked_content_provider(
        type,
        [this, stream = std::move(stream)](size_t, httplib::DataSink& sink) {
          MonotonicTime now = MonotonicTime::clock::now();
          MonotonicTime end{MonotonicTime::duration(drained_by_.load())};
          std::optional<std::string> text;
          if (now < end) text = stream->Next(std::min(now + kLookAround, end));
          if (!text) {
            sink.done();
            return true;
          }
          if (text->empty()) return sink.is_writable();
          return sink.write(text->data(), text->size());
        },
        [this](bool) {
          --watches_;
          watches_.notify_all();
        });
  }

  Api& api_;
  std::atomic<MonotonicTime::rep> drained_by_ = MonotonicTime::max().time_since_epoch().count();
  std::atomic<int> watches_ = 0;
  std::vector<std::unique_ptr<Listener>> servers_;
  std::vector<std::thread> threads_;
};

HttpServer::HttpServer(Api& api) : impl_(std::make_unique<Impl>(api)) {}
HttpServer::~HttpServer() = default;

Result<uint16_t> HttpServer::Listen(const ListenPlace& place, const TlsFiles& tls) {
  return impl_->Listen(place, tls);
}

void HttpServer::Drain(MonotonicTime drained_by) { impl_->Drain(drained_by); }

Result<ListenPlace> ParseListenPlace(const std::string& text) {
  ListenPlace place;
  std::string rest = text;
  if (size_t at = rest.rfind('@'); at != rest.npos) {
    place.netns = rest.substr(0, at);
    rest.erase(0, at + 1);
  }
  Error error{"--listen " + text +
              ": give [NETNS_PATH@]ADDRESS:PORT, an IPv6 address in brackets, port 0 for any"};
  size_t colon = rest.rfind(':');
  if (colon == rest.npos) return error;
  place.address = rest.substr(0, colon);
  std::string port = rest.substr(colon + 1);
  if (place.address.size() > 2 && place.address.front() == '[' && place.address.back() == ']')
    place.address = place.address.substr(1, place.address.size() - 2);
  if (!net::Address::Parse(place.address)) return error;
  auto [end, problem] = std::from_chars(port.data(), port.data() + port.size(), place.port);
  if (problem != std::errc() || end != port.data() + port.size()) return error;
  return place;
}

}  // namespace sallyport::apiserver
