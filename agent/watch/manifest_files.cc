// SPDX-License-Identifier: Apache-2.0
#include "watch/manifest_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <set>
#include <system_error>

#include "base/unique_fd.h"

namespace sallyport::watch {
namespace {

namespace fs = std::filesystem;

// More than the parser takes, so that it says so.
constexpr size_t kMaxRead = (32u << 20) + 1;

Result<std::string> ReadAll(int fd, const std::string& path) {
  std::string text;
  std::array<char, 1 << 16> buffer;
  while (text.size() < kMaxRead) {
    ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("read " + path);
    if (n == 0) break;
    text.append(buffer.data(), static_cast<size_t>(n));
  }
  return text;
}

// What stands beside manifests without being one: expectations of the tools (sallyport --expect),
// and kustomize's own file. Read only where they are named.
bool IsCompanion(const std::string& name) {
  std::string stem = name.substr(0, name.rfind('.'));
  return stem == "expect" || stem == "kustomization";
}

// Manifests below a directory. Symbolic links to files count, those to directories do not: they may
// lead in circles.
Status ListBelow(const std::string& directory, std::vector<std::string>& out) {
  std::error_code error;
  fs::recursive_directory_iterator it(directory, error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    std::string name = it->path().filename().string();
    std::error_code gone;
    if (it->is_directory(gone)) {
      if (name[0] == '.') it.disable_recursion_pending();
    } else if (IsManifestName(name) && !IsCompanion(name) && it->is_regular_file(gone)) {
      out.push_back(it->path().string());
    }
  }
  if (error) return ErrnoError("list " + directory, error.value());
  return Ok();
}

// The files that `path` stands for.
Result<std::vector<std::string>> Expand(const std::string& path) {
  std::error_code error;
  fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    return Error{path + ": no such file or directory", ENOENT};
  }
  if (error) return ErrnoError(path, error.value());
  if (status.type() != fs::file_type::directory) return std::vector<std::string>{path};
  std::vector<std::string> files;
  if (Status listed = ListBelow(path, files); !listed) return std::move(listed).error();
  if (files.empty()) return Error{path + ": has no *.yaml, *.yml or *.json files"};
  std::sort(files.begin(), files.end());
  return files;
}

using Key = std::pair<model::Kind, model::ObjectName>;

// Adds what one file has to what all files have.
void Join(model::Manifest from, std::map<Key, model::Place>& seen, model::Manifest& to) {
  for (model::Delta& delta : from.objects) {
    const model::Place& place = delta.place();
    auto [first, is_new] = seen.try_emplace({delta.kind, delta.name}, place);
    if (is_new) {
      to.objects.push_back(std::move(delta));
    } else {
      from.diagnostics.push_back(
          {model::Severity::kError, place,
           model::ToString(delta.kind) + " " + delta.name.ToString(), "",
           "is given already at " + first->second.ToString() + ", which counts: keep one of them"});
    }
  }
  to.broken.insert(to.broken.end(), from.broken.begin(), from.broken.end());
  for (const auto& [kind, count] : from.skipped) to.skipped[kind] += count;
  to.diagnostics.insert(to.diagnostics.end(), from.diagnostics.begin(), from.diagnostics.end());
  to.unreadable |= from.unreadable;
}

}  // namespace

bool IsManifestName(std::string_view name) {
  auto ends = [&](std::string_view end) {
    return name.size() > end.size() && name.substr(name.size() - end.size()) == end;
  };
  return !name.empty() && name[0] != '.' && (ends(".yaml") || ends(".yml") || ends(".json"));
}

Result<std::string> ReadTextFile(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return ErrnoError("open " + path);
  return ReadAll(fd.get(), path);
}

Result<std::vector<TextFile>> ReadTextFiles(const std::vector<std::string>& paths) {
  std::vector<TextFile> out;
  std::set<std::string> seen;
  for (const std::string& path : paths) {
    if (path == "-") {
      auto text = ReadAll(STDIN_FILENO, "standard input");
      if (!text) return std::move(text).error();
      out.push_back({"-", std::move(*text)});
      continue;
    }
    auto files = Expand(path);
    if (!files) return std::move(files).error();
    for (const std::string& file : *files) {
      std::error_code error;
      fs::path canonical = fs::weakly_canonical(file, error);
      if (!seen.insert(error ? file : canonical.string()).second) continue;
      auto text = ReadTextFile(file);
      if (!text) return std::move(text).error();
      out.push_back({file, std::move(*text)});
    }
  }
  return out;
}

ManifestFiles ReadManifests(const std::vector<TextFile>& files) {
  ManifestFiles out;
  std::map<Key, model::Place> seen;
  for (const TextFile& file : files) {
    Join(model::ReadManifest(file.text, file.path), seen, out.manifest);
  }
  for (const model::Delta& delta : out.manifest.objects) out.snapshot.Apply(delta);
  return out;
}

Result<ManifestFiles> ReadManifestFiles(const std::vector<std::string>& paths) {
  auto files = ReadTextFiles(paths);
  if (!files) return std::move(files).error();
  return ReadManifests(*files);
}

}  // namespace sallyport::watch
