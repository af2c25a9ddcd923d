// SPDX-License-Identifier: Apache-2.0
// Result<T> and Status: how a function says that the environment failed it.
//
// Core interface of std::expected (which libstdc++ 12 lacks in C++20): has_value, operator bool,
// value, operator*, operator->, error. Errors travel as text that is already fit for a person; each
// caller that adds knowledge (which file, which map) adds it in front with Context(). Logged once,
// by whoever gives up on it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace sallyport {

// What went wrong, for a person, and the errno it came from (0 if none).
struct [[nodiscard]] Error {
  std::string message;
  int code = 0;

  // The same error with "context: " in front.
  Error Context(std::string_view context) && {
    message.insert(0, std::string(context) + ": ");
    return std::move(*this);
  }
};

// "what: strerror(code)", code kept. Without a code: the current errno.
Error ErrnoError(std::string_view what);
Error ErrnoError(std::string_view what, int code);

template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  // Requires has_value(); aborts otherwise.
  T& value() & { return Get(*this); }
  const T& value() const& { return Get(*this); }
  T&& value() && { return std::move(Get(*this)); }
  T& operator*() & { return Get(*this); }
  const T& operator*() const& { return Get(*this); }
  T&& operator*() && { return std::move(Get(*this)); }
  T* operator->() { return &Get(*this); }
  const T* operator->() const { return &Get(*this); }

  // Requires !has_value(); aborts otherwise.
  const Error& error() const& {
    CHECK(!has_value()) << "error() of a Result that holds a value";
    return std::get<1>(state_);
  }
  Error&& error() && {
    CHECK(!has_value()) << "error() of a Result that holds a value";
    return std::move(std::get<1>(state_));
  }

  T value_or(T other) const& { return has_value() ? **this : std::move(other); }

 private:
  template <typename Self>
  static auto& Get(Self& self) {
    CHECK(self.has_value()) << "value of a failed Result: " << std::get<1>(self.state_).message;
    return std::get<0>(self.state_);
  }
  std::variant<T, Error> state_;
};

// Success, or an Error.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)), ok_(false) {}  // NOLINT: implicit

  bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }
  const Error& error() const& { return error_; }
  Error&& error() && { return std::move(error_); }

 private:
  Error error_;
  bool ok_ = true;
};

inline Status Ok() { return {}; }

}  // namespace sallyport
