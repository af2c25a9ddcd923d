// SPDX-License-Identifier: Apache-2.0
// A directory that is there as long as the test.
#pragma once

#include <string>

namespace sallyport::test {

// /tmp/spt-XXXXXX, locked while it is in use. The first of a program sweeps those whose program was
// killed, and ends the processes that were started on them: those that name one on their command
// line.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  void Write(const std::string& name, const std::string& text) const;
  // As careful writers do it.
  void WriteAndRename(const std::string& name, const std::string& text) const;

 private:
  std::string path_;
  int lock_ = -1;
};

}  // namespace sallyport::test
