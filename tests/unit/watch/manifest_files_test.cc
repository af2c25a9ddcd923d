// SPDX-License-Identifier: Apache-2.0
#include "watch/manifest_files.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "support/temporary.h"
#include "unit/watch/world.h"

namespace sallyport::watch {
namespace {

namespace fs = std::filesystem;

std::string Names(const Result<std::vector<TextFile>>& files, const test::TemporaryDirectory& dir) {
  if (!files) return files.error().message;
  std::string out;
  for (const TextFile& file : *files) {
    out += file.path.substr(dir.path().size() + 1) + "=" + file.text + " ";
  }
  return out;
}

TEST(IsManifestName, ByEndingAndNotHidden) {
  for (const char* name : {"a.yaml", "a.yml", "a.json", "a.b.yaml"}) {
    EXPECT_TRUE(IsManifestName(name)) << name;
  }
  for (const char* name : {"", "a", "a.yaml~", ".a.yaml", "a.yaml.swp", ".yaml", "#a.yaml#",
                           "a.YAML", "a.txt", "yaml", "4913", ".#a.yaml", "a.yaml.bak"}) {
    EXPECT_FALSE(IsManifestName(name)) << name;
  }
}

TEST(ReadTextFiles, DirectoriesAreReadInOrderWithoutHiddenOnes) {
  test::TemporaryDirectory dir;
  fs::create_directories(dir / "sub/deep");
  fs::create_directories(dir / ".hidden");
  dir.Write("b.yaml", "B");
  dir.Write("a.json", "A");
  dir.Write("sub/deep/c.yml", "C");
  dir.Write(".hidden/x.yaml", "X");
  dir.Write(".y.yaml", "Y");
  dir.Write("README.md", "Z");
  fs::create_symlink("b.yaml", dir / "link.yaml");
  fs::create_directory_symlink(".", dir / "circle");
  EXPECT_EQ(Names(ReadTextFiles({dir.path()}), dir), "a.json=A b.yaml=B sub/deep/c.yml=C ");
}

TEST(ReadTextFiles, NamedFilesWhateverTheyAreCalledOnce) {
  test::TemporaryDirectory dir;
  dir.Write("x.txt", "X");
  dir.Write("a.yaml", "A");
  EXPECT_EQ(Names(ReadTextFiles({dir / "x.txt", dir.path(), dir / "a.yaml", dir / "./x.txt"}), dir),
            "x.txt=X a.yaml=A ");
}

TEST(ReadTextFiles, WhatStandsBesideManifestsIsReadOnlyWhereNamed) {
  test::TemporaryDirectory dir;
  dir.Write("a.yaml", "A");
  dir.Write("expect.yaml", "E");
  dir.Write("kustomization.yaml", "K");
  dir.Write("expected.yaml", "B");
  EXPECT_EQ(Names(ReadTextFiles({dir.path()}), dir), "a.yaml=A expected.yaml=B ");
  EXPECT_EQ(Names(ReadTextFiles({dir / "expect.yaml"}), dir), "expect.yaml=E ");
}

TEST(ReadTextFiles, SaysWhatIsMissing) {
  test::TemporaryDirectory dir;
  EXPECT_EQ(Names(ReadTextFiles({dir / "no"}), dir), dir / "no: no such file or directory");
  EXPECT_EQ(Names(ReadTextFiles({dir.path()}), dir),
            dir.path() + ": has no *.yaml, *.yml or *.json files");
  fs::create_symlink("nowhere", dir / "dangling");
  EXPECT_EQ(Names(ReadTextFiles({dir / "dangling"}), dir),
            dir / "dangling: no such file or directory");
}

TEST(ReadManifestFiles, JoinsFilesAndNamesBothPlacesOfAnObjectGivenTwice) {
  test::TemporaryDirectory dir;
  dir.Write("a.yaml", NamespaceText("x", "1") + NamespaceText("w", "1"));
  dir.Write("b.yaml",
            "# c\n" + NamespaceText("x", "2") + BrokenText("z") + "apiVersion: v1\nkind: Secret\n");
  auto files = ReadManifestFiles({dir.path()});
  ASSERT_TRUE(files);
  EXPECT_EQ(files->snapshot.namespaces.size(), 2u);
  EXPECT_EQ(files->snapshot.namespaces.at("x")->labels.ToString(),
            "kubernetes.io/metadata.name=x,v=v1");
  EXPECT_EQ(files->manifest.objects.size(), 2u);
  EXPECT_EQ(files->manifest.broken.size(), 1u);
  EXPECT_EQ(files->manifest.skipped.at("v1 Secret"), 1);
  ASSERT_EQ(files->manifest.diagnostics.size(), 2u);
  EXPECT_EQ(files->manifest.diagnostics[1].ToString(),
            dir / "b.yaml:2: error: Namespace x: is given already at " + (dir / "a.yaml:1") +
                ", which counts: keep one of them");
}

}  // namespace
}  // namespace sallyport::watch
