// SPDX-License-Identifier: Apache-2.0
#include "control/left_alone.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>

namespace sallyport::control {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStarted = "started";
constexpr std::string_view kEntry = "left-alone-";

std::string EntryOf(uint32_t ifindex) { return std::string(kEntry) + std::to_string(ifindex); }

std::optional<uint32_t> IfindexOf(const std::string& entry) {
  if (!entry.starts_with(kEntry)) return std::nullopt;
  uint32_t ifindex = 0;
  const char* end = entry.data() + entry.size();
  auto [stop, error] = std::from_chars(entry.data() + kEntry.size(), end, ifindex);
  if (error != std::errc() || stop != end) return std::nullopt;
  return ifindex;
}

// Entries of ours in the directory; none where it cannot be read.
std::set<std::string> EntriesIn(const std::string& directory) {
  std::set<std::string> out;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename();
    if (name == kStarted || IfindexOf(name)) out.insert(name);
  }
  return out;
}

}  // namespace

Result<std::set<uint32_t>> LeftAlone::Start(const endpoint::Links& interfaces,
                                            const std::set<uint32_t>& attached) {
  std::error_code error;
  bool started = fs::is_symlink(fs::path(pins_) / kStarted, error);
  return started ? Again(interfaces, attached) : First(interfaces, attached);
}

Result<std::set<uint32_t>> LeftAlone::First(const endpoint::Links& interfaces,
                                            const std::set<uint32_t>& attached) {
  if (Status status = Clear(); !status) return std::move(status).error();  // of a start cut short
  std::set<uint32_t> out;
  for (const auto& [ifindex, link] : interfaces) {
    if (attached.contains(ifindex)) continue;
    if (Status status = Remember(EntryOf(ifindex), link.name); !status) {
      return std::move(status).error();
    }
    out.insert(ifindex);
  }
  if (Status status = Remember(kStarted, "yes"); !status) return std::move(status).error();
  return out;
}

Result<std::set<uint32_t>> LeftAlone::Again(const endpoint::Links& interfaces,
                                            const std::set<uint32_t>& attached) {
  std::set<uint32_t> out;
  for (const std::string& entry : EntriesIn(pins_)) {
    auto ifindex = IfindexOf(entry);
    if (!ifindex) continue;
    std::error_code error;
    std::string name = fs::read_symlink(fs::path(pins_) / entry, error).string();
    auto it = interfaces.find(*ifindex);
    if (!error && it != interfaces.end() && it->second.name == name &&
        !attached.contains(*ifindex)) {
      out.insert(*ifindex);
    } else {
      Forget(*ifindex);
    }
  }
  return out;
}

void LeftAlone::Forget(uint32_t ifindex) {
  (void)unlink((fs::path(pins_) / EntryOf(ifindex)).c_str());
}

Status LeftAlone::Clear() {
  for (const std::string& entry : EntriesIn(pins_)) {
    fs::path path = fs::path(pins_) / entry;
    if (unlink(path.c_str()) != 0 && errno != ENOENT)
      return ErrnoError("removing " + path.string());
  }
  return Ok();
}

Status LeftAlone::Remember(const std::string& entry, const std::string& text) {
  fs::path path = fs::path(pins_) / entry;
  if (symlink(text.c_str(), path.c_str()) != 0) return ErrnoError("making " + path.string());
  return Ok();
}

}  // namespace sallyport::control
