// SPDX-License-Identifier: Apache-2.0
// CHECK(condition) << "why it must hold": aborts with the place and the message if it does not.
//
// For broken invariants only: the process ends, what is pinned in the kernel stays enforced.
#pragma once

#include <sstream>

namespace sallyport::internal {

// Prints and aborts when destroyed, at the end of the CHECK statement.
class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition);
  CheckFailure(const CheckFailure&) = delete;
  CheckFailure& operator=(const CheckFailure&) = delete;
  [[noreturn]] ~CheckFailure();
  std::ostream& stream() { return stream_; }

 private:
  std::ostringstream stream_;
};

// Binds looser than <<, so that the whole message is built before it is dropped.
struct Voidify {
  void operator&(std::ostream&) const {}
};

}  // namespace sallyport::internal

#define CHECK(condition)                           \
  (condition) ? static_cast<void>(0)               \
              : ::sallyport::internal::Voidify() & \
                    ::sallyport::internal::CheckFailure(__FILE__, __LINE__, #condition).stream()
