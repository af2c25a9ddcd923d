// SPDX-License-Identifier: Apache-2.0
#include "cli/attempt.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "cli/sockets.h"

namespace sallyport::probe {
namespace {

constexpr uint8_t kEchoRequestV4 = ICMP_ECHO, kEchoReplyV4 = ICMP_ECHOREPLY;
constexpr uint8_t kEchoRequestV6 = ICMP6_ECHO_REQUEST, kEchoReplyV6 = ICMP6_ECHO_REPLY;
constexpr std::string_view kPayload = "sallyport probe\n";
// Real servers answer only what they understand: who is the name server of the root? (RFC 1035 4.1)
constexpr std::string_view kDnsQuery("sp\0\0\0\1\0\0\0\0\0\0\0\0\2\0\1", 17);
constexpr size_t kDnsId = 2;  // bytes, which the answer has, too
constexpr uint16_t kDnsPort = 53;
constexpr size_t kEchoHeader = 8;

bool IsDns(const Port& port) {
  return port.protocol == net::Protocol::kUdp && port.number == kDnsPort;
}

// RFC 1071.
uint16_t InternetChecksum(std::string_view data) {
  uint32_t sum = 0;
  for (size_t i = 0; i < data.size(); ++i) {
    auto byte = static_cast<uint8_t>(data[i]);
    sum += i % 2 == 0 ? static_cast<uint32_t>(byte) << 8 : byte;
  }
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

std::string EchoRequest(bool v4, uint16_t number) {
  std::string packet(kEchoHeader, '\0');
  packet[0] = static_cast<char>(v4 ? kEchoRequestV4 : kEchoRequestV6);
  packet[4] = static_cast<char>(number >> 8);
  packet[5] = static_cast<char>(number & 0xff);
  packet += kPayload;
  if (v4) {  // for IPv6 the kernel does it
    uint16_t sum = InternetChecksum(packet);
    packet[2] = static_cast<char>(sum >> 8);
    packet[3] = static_cast<char>(sum & 0xff);
  }
  return packet;
}

int SocketError(int fd) {
  int code = 0;
  socklen_t size = sizeof code;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) != 0) return errno;
  return code;
}

std::string FirstLine(std::string_view text) {
  std::string line(text.substr(0, text.find('\n')));
  // What a stranger sends is shown on a terminal: keep to printable ASCII.
  for (char& c : line) {
    if (c < ' ' || c > '~') c = '.';
  }
  return line;
}

}  // namespace

bool Attempt::IsStream() const {
  return target_.port.protocol == net::Protocol::kTcp ||
         target_.port.protocol == net::Protocol::kSctp;
}

uint32_t Attempt::epoll_events() const { return IsStream() && !connected_ ? EPOLLOUT : EPOLLIN; }

bool Attempt::Start(MonotonicTime now) {
  started_ = now;
  deadline_ = now + options_->timeout;
  wake_ = deadline_;
  net::Protocol protocol = OnWire(target_.port.protocol, target_.address);
  auto fd = OpenSocket(target_.address.IsV4() ? AF_INET : AF_INET6, protocol);
  if (!fd) return Finish(Outcome::kError, fd.error().message, now);
  fd_ = std::move(*fd);
  if (target_.source) {
    SocketAddress from = ToSocketAddress(*target_.source, 0);
    if (bind(fd_.get(), from.data(), from.length) != 0) {
      return FinishWithErrno(errno, "connect from " + target_.source->ToString(), now);
    }
  }
  SocketAddress address =
      ToSocketAddress(target_.address, IsIcmp(protocol) ? uint16_t{0} : target_.port.number);
  if (connect(fd_.get(), address.data(), address.length) != 0 && errno != EINPROGRESS) {
    return FinishWithErrno(errno, "connect", now);
  }
  return !IsStream() && Send(now);
}

bool Attempt::Advance(MonotonicTime now) {
  if (!IsStream()) return ReadAnswer(now);
  if (connected_) return ReadGreeting(now);
  int code = SocketError(fd_.get());
  return code == 0 ? Connected(now) : FinishWithErrno(code, "connect", now);
}

bool Attempt::Wake(MonotonicTime now) {
  if (connected_) return true;  // open, whatever it would have said
  if (now >= deadline_) return Finish(Outcome::kBlocked, "", now);
  return Send(now);
}

bool Attempt::Connected(MonotonicTime now) {
  connected_ = true;
  Finish(Outcome::kOpen, "", now);
  wake_ = now + options_->greeting;
  return options_->greeting == Duration::zero();
}

bool Attempt::ReadGreeting(MonotonicTime) {
  std::array<char, 512> buffer;
  ssize_t n = recv(fd_.get(), buffer.data(), buffer.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (n > 0) answer_.detail = FirstLine({buffer.data(), static_cast<size_t>(n)});
  return true;
}

bool Attempt::ReadAnswer(MonotonicTime now) {
  std::array<char, 2048> buffer;
  while (true) {
    ssize_t n = recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return false;
    if (n < 0) return FinishWithErrno(errno, "receive", now);
    auto size = static_cast<size_t>(n);
    if (!IsIcmp(target_.port.protocol)) {
      std::string_view text(buffer.data(), size);
      bool dns = IsDns(target_.port) && text.starts_with(kDnsQuery.substr(0, kDnsId));
      return Finish(Outcome::kOpen, dns ? "" : FirstLine(text), now);
    }
    if (IsOurEcho(buffer.data(), size)) return Finish(Outcome::kOpen, "", now);
  }
}

// A raw socket sees every ICMP message of its peer; for IPv4 with the IP header in front.
bool Attempt::IsOurEcho(const char* data, size_t size) const {
  size_t header = 0;
  if (target_.address.IsV4()) {
    if (size == 0) return false;
    header = static_cast<size_t>(data[0] & 0x0f) * 4;
  }
  if (size < header + kEchoHeader) return false;
  const auto* icmp = reinterpret_cast<const uint8_t*>(data) + header;
  uint8_t reply = target_.address.IsV4() ? kEchoReplyV4 : kEchoReplyV6;
  return icmp[0] == reply && (icmp[4] << 8 | icmp[5]) == number_;
}

std::string Attempt::Packet() const {
  if (IsIcmp(target_.port.protocol)) return EchoRequest(target_.address.IsV4(), number_);
  return std::string(IsDns(target_.port) ? kDnsQuery : kPayload);
}

bool Attempt::Send(MonotonicTime now) {
  std::string packet = Packet();
  ssize_t n = send(fd_.get(), packet.data(), packet.size(), MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR) {
    return FinishWithErrno(errno, "send", now);
  }
  wake_ = std::min(deadline_, now + again_);
  again_ *= 2;
  return false;
}

bool Attempt::Finish(Outcome outcome, std::string detail, MonotonicTime now) {
  bool answered = outcome == Outcome::kOpen || outcome == Outcome::kRefused;
  answer_ = {outcome, answered ? Duration(now - started_) : Duration::zero(), std::move(detail)};
  return true;
}

bool Attempt::FinishWithErrno(int code, std::string_view doing, MonotonicTime now) {
  if (code == ECONNREFUSED) return Finish(Outcome::kRefused, "", now);
  if (code == ETIMEDOUT) return Finish(Outcome::kBlocked, "", now);
  // netfilter of the source's own namespace says so when it drops what a socket sends.
  if (code == EPERM) return Finish(Outcome::kBlocked, "", now);
  return Finish(Outcome::kError, ErrnoError(doing, code).message, now);
}

}  // namespace sallyport::probe
