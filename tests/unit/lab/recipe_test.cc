// SPDX-License-Identifier: Apache-2.0
#include "lab/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lab/images.h"
#include "lab/recipe_parts.h"
#include "unit/lab/make.h"

namespace sallyport::lab {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

std::string PodWith(const std::string& container, const std::string& spec = "") {
  return "{kind: Pod, metadata: {name: web, namespace: shop, labels: {tier: front}}, spec: {" +
         spec + (spec.empty() ? "" : ", ") + "containers: [{name: c, " + container + "}]}}";
}

class RecipeTest : public testing::Test {
 protected:
  Result<PodRecipe> Try(const std::string& pod) {
    RecipeContext context;
    context.objects = &objects_;
    context.facts = {"node1", "10.0.0.5", {"10.0.0.5", "fd00::5"}, "172.30.0.11", "a-token"};
    context.sallyport = "/bin/sallyport";
    context.has_program = [this](const std::string& name) { return name != missing_; };
    return MakeRecipe(MakeValue(pod), context);
  }
  PodRecipe Make(const std::string& pod) {
    auto recipe = Try(pod);
    EXPECT_TRUE(recipe) << recipe.error().message;
    return recipe ? *std::move(recipe) : PodRecipe{};
  }
  ContainerRecipe First(const std::string& pod) {
    PodRecipe recipe = Make(pod);
    EXPECT_FALSE(recipe.containers.empty());
    return recipe.containers.empty() ? ContainerRecipe{} : recipe.containers.front();
  }

  ObjectSet objects_ = MakeObjects(R"(
{kind: ConfigMap, metadata: {name: conf, namespace: shop}, data: {mode: fast, level: "3"}}
---
{kind: Secret, metadata: {name: pass, namespace: shop}, data: {word: aHVudGVyMg==},
 stringData: {plain: text}}
---
{kind: Secret, metadata: {name: pass, namespace: other}, data: {word: b3RoZXI=}}
)");
  std::string missing_ = "nothing";
};

TEST_F(RecipeTest, ASidecarIsAnInitContainerThatStays) {
  PodRecipe recipe =
      Make(PodWith("image: i",
                   "initContainers: [{name: proxy, image: envoy, restartPolicy: Always, "
                   "ports: [{containerPort: 15001}]}, {name: left-out, image: i}, {name: "
                   "prepare, image: i, command: [cp]}]"));
  ASSERT_EQ(recipe.init_containers.size(), 2u);
  EXPECT_EQ(recipe.init_containers[0].role, ContainerRole::kSidecar);
  EXPECT_TRUE(recipe.init_containers[0].stand_in);
  EXPECT_TRUE(recipe.init_containers[0].readiness);
  EXPECT_EQ(recipe.init_containers[1].role, ContainerRole::kInit);
  EXPECT_EQ(recipe.containers.at(0).role, ContainerRole::kContainer);
}

TEST_F(RecipeTest, WithoutACommandAStandInServesTheDeclaredPorts) {
  ContainerRecipe c =
      First(PodWith("image: shop/web, ports: [{containerPort: 80}, {containerPort: 53, protocol: "
                    "UDP}]"));
  EXPECT_TRUE(c.stand_in);
  EXPECT_THAT(c.argv, ElementsAre("/bin/sallyport", "probe", "serve", "--name", "shop/web",
                                  "--ports", "80/TCP,53/UDP"));
  ASSERT_TRUE(c.readiness);
  EXPECT_EQ(c.readiness->type, ReadinessCheck::Type::kListening);
}

TEST_F(RecipeTest, WithoutPortsTheStandInOnlyStays) {
  EXPECT_THAT(First(PodWith("image: shop/web")).argv, ElementsAre("/bin/sleep", "infinity"));
}

TEST_F(RecipeTest, CommandAndArgsAreRunWithVariables) {
  ContainerRecipe c = First(PodWith(
      "image: i, command: [run, $(MODE)], args: [\"$(UNKNOWN)\", \"$$(MODE)\"], env: [{name: MODE, "
      "value: fast}]"));
  EXPECT_FALSE(c.stand_in);
  EXPECT_THAT(c.argv, ElementsAre("run", "fast", "$(UNKNOWN)", "$(MODE)"));
  EXPECT_FALSE(c.readiness);
}

TEST_F(RecipeTest, ACommandThatIsNotHereGetsAStandInAndANote) {
  missing_ = "/app/server";
  PodRecipe recipe =
      Make(PodWith("image: i, command: [/app/server], ports: [{containerPort: 80}]"));
  EXPECT_TRUE(recipe.containers.at(0).stand_in);
  ASSERT_EQ(recipe.notes.size(), 1u);
  EXPECT_THAT(recipe.notes[0], HasSubstr("/app/server"));
}

TEST_F(RecipeTest, WellKnownImagesRunTheRealServer) {
  for (const char* image : {"redis", "redis:7-alpine", "docker.io/library/redis@sha256:0123"}) {
    ContainerRecipe c = First(PodWith(std::string("image: '") + image + "', args: [--port, '7']"));
    EXPECT_FALSE(c.stand_in) << image;
    EXPECT_EQ(c.argv.at(0), "/bin/sh");
    EXPECT_EQ(c.argv.back(), "7");
  }
  EXPECT_TRUE(First(PodWith("image: my-redis")).stand_in);
}

TEST_F(RecipeTest, AnImageWhoseServerIsNotHereSaysWhatToInstall) {
  missing_ = "redis-server";
  PodRecipe recipe = Make(PodWith("image: redis"));
  EXPECT_TRUE(recipe.containers.at(0).stand_in);
  EXPECT_THAT(recipe.notes.at(0), HasSubstr("apt-get install"));
}

TEST_F(RecipeTest, EnvironmentFromEverywhere) {
  ContainerRecipe c =
      First(PodWith(R"(image: i, envFrom: [{configMapRef: {name: conf}, prefix: C_}],
    env: [{name: WORD, valueFrom: {secretKeyRef: {name: pass, key: word}}},
          {name: PLAIN, valueFrom: {secretKeyRef: {name: pass, key: plain}}},
          {name: URL, value: "x:$(WORD)@y"},
          {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}},
          {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}},
          {name: TIER, valueFrom: {fieldRef: {fieldPath: "metadata.labels['tier']"}}},
          {name: NO, valueFrom: {configMapKeyRef: {name: conf, key: no, optional: true}}}])"));
  EXPECT_THAT(c.env,
              ElementsAre(Pair("C_level", "3"), Pair("C_mode", "fast"), Pair("WORD", "hunter2"),
                          Pair("PLAIN", "text"), Pair("URL", "x:hunter2@y"), Pair("IP", "10.0.0.5"),
                          Pair("NODE", "node1"), Pair("TIER", "front")));
}

TEST_F(RecipeTest, WhatIsReferredToMustBeThere) {
  auto no_secret = Try(
      PodWith("image: i, env: [{name: A, valueFrom: {secretKeyRef: {name: absent, key: word}}}]"));
  ASSERT_FALSE(no_secret);
  EXPECT_THAT(no_secret.error().message, HasSubstr("Secret shop/absent"));
  auto no_key = Try(
      PodWith("image: i, env: [{name: A, valueFrom: {secretKeyRef: {name: pass, key: absent}}}]"));
  ASSERT_FALSE(no_key);
  EXPECT_THAT(no_key.error().message, HasSubstr("absent"));
  auto no_volume = Try(PodWith("image: i", "volumes: [{name: v, configMap: {name: absent}}]"));
  ASSERT_FALSE(no_volume);
  EXPECT_THAT(no_volume.error().message, HasSubstr("volume v"));
}

TEST_F(RecipeTest, VolumesHaveTheirFiles) {
  PodRecipe recipe = Make(PodWith(
      "image: i, command: [run], volumeMounts: [{name: v, mountPath: /etc/v}, {name: e, mountPath: "
      "/data, readOnly: true}]",
      "volumes: [{name: v, configMap: {name: conf, items: [{key: mode, path: sub/mode}]}}, {name: "
      "s, secret: {secretName: pass}}, {name: e, emptyDir: {}}]"));
  ASSERT_EQ(recipe.volumes.size(), 3u);
  EXPECT_THAT(recipe.volumes[0].files, ElementsAre(Pair("sub/mode", "fast")));
  EXPECT_TRUE(recipe.volumes[0].read_only);
  EXPECT_THAT(recipe.volumes[1].files, Contains(Pair("word", "hunter2")));
  EXPECT_FALSE(recipe.volumes[2].read_only);
  EXPECT_TRUE(recipe.containers[0].mounts[0].read_only);
  EXPECT_TRUE(recipe.containers[0].mounts[1].read_only);
}

TEST_F(RecipeTest, AVolumesFilesStayInsideIt) {
  EXPECT_FALSE(Try(PodWith(
      "image: i",
      "volumes: [{name: v, configMap: {name: conf, items: [{key: mode, path: ../../etc/x}]}}]")));
}

TEST_F(RecipeTest, ReadinessProbesByNameAndNumber) {
  ContainerRecipe tcp = First(PodWith(
      "image: i, ports: [{name: web, containerPort: 8080}], readinessProbe: {tcpSocket: {port: "
      "web}, periodSeconds: 3}"));
  EXPECT_EQ(tcp.readiness->type, ReadinessCheck::Type::kTcp);
  EXPECT_EQ(tcp.readiness->port, 8080);
  EXPECT_EQ(tcp.readiness->period, 3);
  ContainerRecipe http =
      First(PodWith("image: i, readinessProbe: {httpGet: {path: /ready, port: 81}}"));
  EXPECT_EQ(http.readiness->type, ReadinessCheck::Type::kHttp);
  EXPECT_EQ(http.readiness->path, "/ready");
  ContainerRecipe exec = First(PodWith(
      "image: i, env: [{name: A, value: b}], readinessProbe: {exec: {command: [test, $(A)]}}"));
  EXPECT_THAT(exec.readiness->command, ElementsAre("test", "b"));
}

TEST_F(RecipeTest, TheUserIsThatOfTheContainerOrOfThePod) {
  EXPECT_EQ(First(PodWith("image: i", "securityContext: {runAsUser: 7, runAsGroup: 8}")).uid, 7u);
  ContainerRecipe c = First(PodWith("image: i, securityContext: {runAsUser: 9}",
                                    "securityContext: {runAsUser: 7, runAsGroup: 8}"));
  EXPECT_EQ(c.uid, 9u);
  EXPECT_EQ(c.gid, 8u);
}

TEST(Base64, RoundTripsAndRefuses) {
  for (std::string text : {std::string(), std::string("a"), std::string("ab"), std::string("abc"),
                           std::string("\0\xff\x80", 3), std::string("hunter2")})
    EXPECT_EQ(DecodeBase64(EncodeBase64(text)).value(), text);
  EXPECT_EQ(EncodeBase64("hunter2"), "aHVudGVyMg==");
  for (const char* bad : {"a", "a*==", "aa=a", "plain text!"})
    EXPECT_FALSE(DecodeBase64(bad)) << bad;
}

TEST(Images, NamesLoseRegistryTagAndDigest) {
  EXPECT_EQ(ImageName("registry.k8s.io:5000/e2e/agnhost:2.43@sha256:00"), "agnhost");
  EXPECT_EQ(ImageName("postgres"), "postgres");
  EXPECT_TRUE(FindImage("bitnami/postgresql:15"));
  EXPECT_FALSE(FindImage("redis-exporter"));
  EXPECT_TRUE(IsStandInImage("registry.k8s.io/e2e-test-images/agnhost:2.43"));
}

}  // namespace
}  // namespace sallyport::lab
