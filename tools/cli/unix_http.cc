// SPDX-License-Identifier: Apache-2.0
#include "cli/unix_http.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/unique_fd.h"
#include "model/document.h"

namespace sallyport::cli {
namespace {

constexpr size_t kMostHead = 64 * 1024;

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::optional<uint64_t> Number(std::string_view digits, int base) {
  uint64_t out = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out, base);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) {
    return std::nullopt;
  }
  return out;
}

// A header's value, in lower case; `head` is in lower case already.
std::string_view Header(std::string_view head, std::string_view name) {
  size_t at = head.find("\r\n" + std::string(name) + ":");
  if (at == std::string_view::npos) return {};
  std::string_view rest = head.substr(at + name.size() + 3);
  rest = rest.substr(0, rest.find("\r\n"));
  size_t first = rest.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return rest.substr(first, rest.find_last_not_of(" \t") - first + 1);
}

Result<UniqueFd> Connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Error{path + ": too long for a Unix socket", ENAMETOOLONG};
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoError("socket");
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return ErrnoError("connect to " + path);
  }
  return fd;
}

Status SendAll(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t n = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EINTR) return ErrnoError("send");
    if (n > 0) text.remove_prefix(static_cast<size_t>(n));
  }
  return Ok();
}

// Sends the request and hands over the body as it comes, until its end or until `body` returns
// false. Returns the decoder, for its status.
Result<ResponseDecoder> Exchange(
    const std::string& socket, const std::string& path, Duration timeout,
    const std::function<bool(const ResponseDecoder&, std::string)>& body) {
  auto fd = Connect(socket);
  if (!fd) return std::move(fd).error();
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  timeval limit{seconds.count(), 0};
  setsockopt(fd->get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  std::string request =
      "GET " + path + " HTTP/1.1\r\nHost: sallyportd\r\nConnection: close\r\n\r\n";
  if (Status s = SendAll(fd->get(), request); !s) return s.error();
  ResponseDecoder decoder;
  std::array<char, 16 * 1024> buffer;
  while (!decoder.complete()) {
    ssize_t n = recv(fd->get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return Error{"no answer on " + socket + " in time", ETIMEDOUT};
    if (n < 0) return ErrnoError("receive");
    if (n == 0) {
      if (Status s = decoder.End(); !s) return s.error();
      break;
    }
    auto piece = decoder.Receive({buffer.data(), static_cast<size_t>(n)});
    if (!piece) return std::move(piece).error();
    if (!piece->empty() && !body(decoder, std::move(*piece))) break;
  }
  return decoder;
}

// An agent says itself what is wrong: {"error": "..."}.
Error BadStatus(int status, const std::string& path, std::string_view body) {
  model::ParsedText parsed = model::ParseText(body, path);
  const model::Value* said =
      parsed.documents.empty() ? nullptr : parsed.documents.front().Find("error");
  if (said != nullptr && !said->text.empty()) return Error{said->text};
  return Error{"GET " + path + ": HTTP status " + std::to_string(status) + ": " +
               std::string(body.substr(0, body.find('\n')))};
}

}  // namespace

Status ResponseDecoder::ReadHead(std::string_view text) {
  std::string head = Lower(text);
  bool http = head.substr(0, 7) == "http/1." && head.size() >= 12;
  auto status = http ? Number(head.substr(9, 3), 10) : std::nullopt;
  if (!status) return Error{"the answer is no HTTP"};
  status_ = static_cast<int>(*status);
  if (Header(head, "transfer-encoding") == "chunked") {
    state_ = State::kChunkSize;
    return Ok();
  }
  std::string_view length = Header(head, "content-length");
  if (length.empty()) {
    state_ = State::kUntilEnd;
    return Ok();
  }
  auto size = Number(length, 10);
  if (!size) return Error{"the answer's Content-Length is no number"};
  left_ = *size;
  state_ = left_ > 0 ? State::kSized : State::kDone;
  return Ok();
}

Result<std::string> ResponseDecoder::Receive(std::string_view bytes) {
  in_ += bytes;
  std::string body;
  while (true) {
    auto more = Step(body);
    if (!more) return std::move(more).error();
    if (!*more) return body;
  }
}

// False when it needs more bytes.
Result<bool> ResponseDecoder::Step(std::string& body) {
  std::string line;
  switch (state_) {
    case State::kHead: {
      size_t end = in_.find("\r\n\r\n");
      if (std::min(end, in_.size()) > kMostHead) return Error{"the answer's head is too long"};
      if (end == std::string::npos) return false;
      Status read = ReadHead(std::string_view(in_).substr(0, end + 2));
      if (!read) return read.error();
      in_.erase(0, end + 4);
      return true;
    }
    case State::kUntilEnd:
      body += in_;
      in_.clear();
      return false;
    case State::kSized:
    case State::kChunk: {
      size_t take = static_cast<size_t>(std::min<uint64_t>(left_, in_.size()));
      body += in_.substr(0, take);
      in_.erase(0, take);
      left_ -= take;
      if (left_ > 0) return false;
      state_ = state_ == State::kSized ? State::kDone : State::kChunkEnd;
      return true;
    }
    case State::kChunkEnd:
      if (!TakeLine(line)) return false;
      state_ = State::kChunkSize;
      return true;
    case State::kChunkSize: {
      if (!TakeLine(line)) return false;
      auto size = Number(line.substr(0, line.find(';')), 16);
      if (!size) return Error{"the answer has a chunk without a size"};
      left_ = *size;
      state_ = left_ > 0 ? State::kChunk : State::kTrailer;
      return true;
    }
    case State::kTrailer:
      if (!TakeLine(line)) return false;
      if (line.empty()) state_ = State::kDone;
      return true;
    case State::kDone:
      return false;
  }
  return false;
}

bool ResponseDecoder::TakeLine(std::string& line) {
  size_t end = in_.find("\r\n");
  if (end == std::string::npos) return false;
  line = in_.substr(0, end);
  in_.erase(0, end + 2);
  return true;
}

Status ResponseDecoder::End() const {
  if (state_ == State::kDone || state_ == State::kUntilEnd) return Ok();
  return Error{"the answer was cut short"};
}

std::string Encoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 std::string_view("-._~").find(c) != std::string_view::npos;
    auto byte = static_cast<unsigned char>(c);
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

Result<std::string> Get(const std::string& socket, const std::string& path, Duration timeout) {
  std::string body;
  auto decoder = Exchange(socket, path, timeout, [&](const ResponseDecoder&, std::string piece) {
    body += piece;
    return true;
  });
  if (!decoder) return std::move(decoder).error();
  if (decoder->status() != 200) return BadStatus(decoder->status(), path, body);
  return body;
}

Status GetLines(const std::string& socket, const std::string& path,
                const std::function<bool(std::string_view line)>& line) {
  std::string pending;
  int status = 0;
  bool stopped = false;
  auto each = [&](const ResponseDecoder& decoder, std::string piece) {
    status = decoder.status();
    pending += piece;
    if (status != 200) return true;
    size_t start = 0;
    for (size_t end; (end = pending.find('\n', start)) != std::string::npos; start = end + 1) {
      std::string_view whole = std::string_view(pending).substr(start, end - start);
      stopped = !whole.empty() && !line(whole);
      if (stopped) return false;
    }
    pending.erase(0, start);
    return true;
  };
  auto decoder = Exchange(socket, path, Duration::zero(), each);
  if (!decoder) return std::move(decoder).error();
  if (decoder->status() != 200) return BadStatus(decoder->status(), path, pending);
  if (!pending.empty() && !stopped) line(pending);
  return Ok();
}

}  // namespace sallyport::cli
