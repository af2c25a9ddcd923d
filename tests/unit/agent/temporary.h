// SPDX-License-Identifier: Apache-2.0
// A directory that is there as long as the test.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace sallyport {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "spt-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryDirectory() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(*this / name, std::ios::trunc) << text;
  }
  // As careful writers do it.
  void WriteAndRename(const std::string& name, const std::string& text) const {
    Write("." + name + ".new", text);
    std::filesystem::rename(*this / ("." + name + ".new"), *this / name);
  }

 private:
  std::string path_;
};

}  // namespace sallyport
