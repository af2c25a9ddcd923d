// SPDX-License-Identifier: Apache-2.0
// Owner of one mmap of a BPF array's values.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <span>
#include <utility>

#include "base/result.h"

namespace sallyport::dataplane {

class Mapped {
 public:
  Mapped() = default;
  Mapped(Mapped&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapped& operator=(Mapped&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Mapped() {
    if (memory_) ::munmap(memory_, size_);
  }

  // `size` bytes from the start; the kernel rounds up to whole pages.
  static Result<Mapped> Open(int map, size_t size, bool writable) {
    Mapped out;
    void* memory =
        ::mmap(nullptr, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, map, 0);
    if (memory == MAP_FAILED) return ErrnoError("mmap");
    out.memory_ = memory;
    out.size_ = size;
    return out;
  }

  template <typename T>
  std::span<T> As() const {
    return {static_cast<T*>(memory_), size_ / sizeof(T)};
  }

 private:
  void* memory_ = nullptr;
  size_t size_ = 0;
};

}  // namespace sallyport::dataplane
