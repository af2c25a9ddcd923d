// SPDX-License-Identifier: Apache-2.0
#include "unit/kube/tls_server.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "base/check.h"

namespace sallyport::kube {
namespace {

std::string ToPem(const std::function<int(BIO*)>& write) {
  BIO* bio = BIO_new(BIO_s_mem());
  CHECK(write(bio) == 1);
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  std::string out(data, static_cast<size_t>(size));
  BIO_free(bio);
  return out;
}

template <typename T>
T* FromPem(const std::string& pem, T* (*read)(BIO*, T**, pem_password_cb*, void*)) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  T* out = read(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  CHECK(out != nullptr) << "PEM";
  return out;
}

void AddExtension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  CHECK(extension != nullptr) << value;
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

sockaddr_storage Loopback(const std::string& address, socklen_t& size) {
  sockaddr_storage out{};
  if (address == "::1") {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(out);
    v6.sin6_family = AF_INET6;
    v6.sin6_addr = in6addr_loopback;
    size = sizeof(v6);
  } else {
    auto& v4 = reinterpret_cast<sockaddr_in&>(out);
    v4.sin_family = AF_INET;
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    size = sizeof(v4);
  }
  return out;
}

// `port`: 0 any; then the one that it is.
int Listen(const std::string& address, uint16_t& port) {
  socklen_t size = 0;
  sockaddr_storage at = Loopback(address, size);
  reinterpret_cast<sockaddr_in&>(at).sin_port = htons(port);  // the same place in both families
  int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  CHECK(bind(fd, reinterpret_cast<sockaddr*>(&at), size) == 0 && listen(fd, 64) == 0) << address;
  CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) == 0);
  port = ntohs(reinterpret_cast<sockaddr_in&>(at).sin_port);
  return fd;
}

class TlsConversation : public Conversation {
 public:
  TlsConversation(SSL* ssl, int fd) : ssl_(ssl), fd_(fd) {}

  std::string Read() override {
    std::string out;
    size_t end = std::string::npos, wanted = 0;
    while (end == std::string::npos || out.size() < end + 4 + wanted) {
      char buffer[4096];
      int size = SSL_read(ssl_, buffer, sizeof(buffer));
      if (size <= 0) return "";
      out.append(buffer, static_cast<size_t>(size));
      end = out.find("\r\n\r\n");
      size_t length = out.find("Content-Length: ");
      if (length < end) wanted = std::stoul(out.substr(length + 16));
    }
    return out;
  }
  void Write(const std::string& bytes) override {
    SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
  }
  void Reset() override {
    linger hard{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    reset_ = true;
  }
  void WaitForTheEnd() override {
    char byte = 0;
    while (SSL_read(ssl_, &byte, 1) > 0) {
    }
  }
  std::string ClientName() override {
    X509* certificate = SSL_get1_peer_certificate(ssl_);
    if (!certificate) return "";
    char name[256] = {};
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                              sizeof(name));
    X509_free(certificate);
    return name;
  }
  bool ended() const override { return reset_; }

 private:
  SSL* ssl_;
  int fd_;
  bool reset_ = false;
};

}  // namespace

Certificate CertificateOf::Make() const {
  static std::atomic<long> serial{1};
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate), starts);
  X509_gmtime_adj(X509_getm_notAfter(certificate), ends);
  X509_set_pubkey(certificate, key);
  X509_NAME* subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  std::string all;
  for (const std::string& host : hosts) all += (all.empty() ? "" : ",") + host;
  if (!all.empty()) AddExtension(certificate, NID_subject_alt_name, all);
  EVP_PKEY* signer = key;
  if (by) {
    X509* issuer = FromPem(by->pem, PEM_read_bio_X509);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
    X509_free(issuer);
    signer = FromPem(by->key_pem, PEM_read_bio_PrivateKey);
  } else {
    X509_set_issuer_name(certificate, subject);
    AddExtension(certificate, NID_basic_constraints, "critical,CA:TRUE");
  }
  CHECK(X509_sign(certificate, signer, EVP_sha256()) > 0);
  Certificate out;
  out.pem = ToPem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
  out.key_pem = ToPem([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
  if (by) EVP_PKEY_free(signer);
  EVP_PKEY_free(key);
  X509_free(certificate);
  return out;
}

class TlsServer::Impl {
 public:
  Impl(const Certificate& certificate, Script script, const std::string& client_authority,
       const std::string& address, uint16_t port)
      : port_(port), script_(std::move(script)), context_(SSL_CTX_new(TLS_server_method())) {
    std::signal(SIGPIPE, SIG_IGN);
    X509* own = FromPem(certificate.pem, PEM_read_bio_X509);
    EVP_PKEY* key = FromPem(certificate.key_pem, PEM_read_bio_PrivateKey);
    CHECK(SSL_CTX_use_certificate(context_, own) == 1);
    CHECK(SSL_CTX_use_PrivateKey(context_, key) == 1);
    X509_free(own);
    EVP_PKEY_free(key);
    if (!client_authority.empty()) {
      X509* authority = FromPem(client_authority, PEM_read_bio_X509);
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context_), authority);
      X509_free(authority);
      SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
    }
    fd_ = Listen(address, port_);
    thread_ = std::thread([this] { Accept(); });
  }

  ~Impl() {
    shutdown(fd_, SHUT_RDWR);
    thread_.join();
    {
      std::lock_guard lock(mutex_);
      over_ = true;
      for (int fd : open_) shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
    close(fd_);
    SSL_CTX_free(context_);
  }

  uint16_t port() const { return port_; }
  int connections() const { return connections_; }

 private:
  void Accept() {
    while (true) {
      int fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      ++connections_;
      threads_.emplace_back([this, fd] { Serve(fd); });
    }
  }

  void Serve(int fd) {
    {
      std::lock_guard lock(mutex_);
      if (over_) shutdown(fd, SHUT_RDWR);
      open_.push_back(fd);
    }
    SSL* ssl = SSL_new(context_);
    SSL_set_fd(ssl, fd);
    bool reset = false;
    if (SSL_accept(ssl) == 1) {
      TlsConversation conversation(ssl, fd);
      script_(conversation);
      reset = conversation.ended();
      if (!reset) SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    std::lock_guard lock(mutex_);
    std::erase(open_, fd);
    close(fd);
  }

  uint16_t port_;
  const Script script_;
  SSL_CTX* context_;
  int fd_ = -1;
  std::atomic<int> connections_{0};
  std::mutex mutex_;
  bool over_ = false;
  std::vector<int> open_;
  std::vector<std::thread> threads_;
  std::thread thread_;
};

TlsServer::TlsServer(const Certificate& certificate, Script connection,
                     const std::string& client_authority, const std::string& address, uint16_t port)
    : impl_(std::make_unique<Impl>(certificate, std::move(connection), client_authority, address,
                                   port)) {}
TlsServer::~TlsServer() = default;
uint16_t TlsServer::port() const { return impl_->port(); }
int TlsServer::connections() const { return impl_->connections(); }

std::string Answer(int status, const std::string& body, const std::string& headers) {
  return "HTTP/1.1 " + std::to_string(status) + " Whatever\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string ChunkedHead(int status) {
  return "HTTP/1.1 " + std::to_string(status) + " OK\r\nTransfer-Encoding: chunked\r\n\r\n";
}

std::string Chunk(const std::string& bytes) {
  char size[32];
  snprintf(size, sizeof(size), "%zx\r\n", bytes.size());
  return size + bytes + "\r\n";
}

SilentServer::SilentServer() : port_(0), fd_(Listen("127.0.0.1", port_)) {}
SilentServer::~SilentServer() { close(fd_); }

}  // namespace sallyport::kube
