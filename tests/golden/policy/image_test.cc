// SPDX-License-Identifier: Apache-2.0
// Policies and the image they compile to, side by side in files of cases:
//
//   == what it shows
//   manifests, added to the village of support/village.h
//   => node
//   the image of that node, numbered by content
//
// SALLYPORT_GOLDEN_UPDATE=1 writes what is compiled now into the files. Read the difference.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "policy/compile.h"
#include "support/places.h"
#include "support/questions.h"
#include "support/village.h"

namespace sallyport::test {
namespace {

struct GoldenCase {
  std::string title;
  std::string manifests;
  std::string node;
  std::string image;
};

struct GoldenFile {
  std::string preface;
  std::vector<GoldenCase> cases;
};

GoldenFile Read(const std::filesystem::path& path) {
  GoldenFile file;
  std::ifstream in(path);
  std::string* part = &file.preface;
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("== ", 0) == 0) {
      file.cases.push_back({line.substr(3), "", "", ""});
      part = &file.cases.back().manifests;
    } else if (line.rfind("=> ", 0) == 0 && !file.cases.empty()) {
      file.cases.back().node = line.substr(3);
      part = &file.cases.back().image;
    } else {
      *part += line + "\n";
    }
  }
  return file;
}

void Write(const std::filesystem::path& path, const GoldenFile& file) {
  std::ofstream out(path);
  out << file.preface;
  for (const GoldenCase& c : file.cases) {
    out << "== " << c.title << "\n" << c.manifests << "=> " << c.node << "\n" << c.image;
  }
}

std::vector<std::filesystem::path> Files() {
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::directory_iterator(InSources("tests/golden/policy"))) {
    if (entry.path().extension() == ".txt") out.push_back(entry.path());
  }
  return out;
}

std::string Compiled(const GoldenCase& c) {
  model::Snapshot snapshot = SnapshotOf(kVillage + c.manifests);
  return Canonical(policy::Compile(snapshot, c.node).image).ToString() + "\n";
}

TEST(ImageGolden, PoliciesCompileToTheImagesInTheFiles) {
  bool update = std::getenv("SALLYPORT_GOLDEN_UPDATE") != nullptr;
  size_t cases = 0;
  for (const std::filesystem::path& path : Files()) {
    GoldenFile file = Read(path);
    for (GoldenCase& c : file.cases) {
      ++cases;
      std::string image = Compiled(c);
      if (!update) {
        EXPECT_EQ(c.image, image) << path.filename() << ": " << c.title;
      }
      c.image = image;
    }
    if (update) Write(path, file);
  }
  EXPECT_GT(cases, 0u);
}

}  // namespace
}  // namespace sallyport::test
