// SPDX-License-Identifier: Apache-2.0
// Patches; cases of strategic merge from its documentation
// (contributors/devel/sig-api-machinery/strategic-merge-patch.md) and of RFC 6902 and 7386.
#include "apiserver/patch.h"

#include <gtest/gtest.h>

#include "apiserver/status.h"

namespace sallyport::apiserver {
namespace {

std::string Strategic(const std::string& type, const std::string& object,
                      const std::string& patch) {
  Value tree = ParseJsonText(object);
  ApplyStrategicPatch(tree, ParseJsonText(patch), FindType(type));
  return ToJson(tree);
}

std::string Merge(const std::string& object, const std::string& patch) {
  Value tree = ParseJsonText(object);
  ApplyMergePatch(tree, ParseJsonText(patch));
  return ToJson(tree);
}

std::string Json(const std::string& object, const std::string& patch) {
  Value tree = ParseJsonText(object);
  try {
    ApplyJsonPatch(tree, ParseJsonText(patch));
  } catch (const Failure& failure) {
    return std::to_string(failure.code);
  }
  return ToJson(tree);
}

TEST(StrategicMerge, ListsMergeByTheirKey) {
  EXPECT_EQ(Strategic("PodSpec", R"({"containers":[{"name":"nginx","image":"nginx-1.0"}]})",
                      R"({"containers":[{"name":"log-tailer","image":"log-tailer-1.0"}]})"),
            R"({"containers":[{"name":"nginx","image":"nginx-1.0"},)"
            R"({"name":"log-tailer","image":"log-tailer-1.0"}]})");
  EXPECT_EQ(Strategic("PodSpec", R"({"containers":[{"name":"a","image":"1","tty":true}]})",
                      R"({"containers":[{"name":"a","image":"2"}]})"),
            R"({"containers":[{"name":"a","image":"2","tty":true}]})");
}

TEST(StrategicMerge, AtomicListsAreReplaced) {
  EXPECT_EQ(
      Strategic("PodSpec", R"({"tolerations":[{"key":"a"}]})", R"({"tolerations":[{"key":"b"}]})"),
      R"({"tolerations":[{"key":"b"}]})");
}

TEST(StrategicMerge, ReplaceDirective) {
  EXPECT_EQ(Strategic("PodSpec", R"({"containers":[{"name":"nginx","image":"nginx-1.0"}]})",
                      R"({"containers":[{"name":"log","image":"log-1.0"},{"$patch":"replace"}]})"),
            R"({"containers":[{"name":"log","image":"log-1.0"}]})");
  EXPECT_EQ(Strategic("PodSpec", R"({"nodeSelector":{"a":"1","b":"2"}})",
                      R"({"nodeSelector":{"$patch":"replace","c":"3"}})"),
            R"({"nodeSelector":{"c":"3"}})");
}

TEST(StrategicMerge, DeleteDirective) {
  EXPECT_EQ(Strategic("PodSpec",
                      R"({"containers":[{"name":"nginx","image":"1"},{"name":"log","image":"2"}]})",
                      R"({"containers":[{"$patch":"delete","name":"log"}]})"),
            R"({"containers":[{"name":"nginx","image":"1"}]})");
  EXPECT_EQ(Strategic("PodSpec", R"({"nodeSelector":{"a":"1"}})",
                      R"({"nodeSelector":{"$patch":"delete"}})"),
            R"({"nodeSelector":{}})");
}

TEST(StrategicMerge, NullDeletes) {
  EXPECT_EQ(Strategic("PodSpec", R"({"hostname":"a","subdomain":"b"})", R"({"hostname":null})"),
            R"({"subdomain":"b"})");
}

TEST(StrategicMerge, DeleteFromPrimitiveList) {
  EXPECT_EQ(Strategic("ObjectMeta", R"({"finalizers":["a","b","c"]})",
                      R"({"$deleteFromPrimitiveList/finalizers":["b"],"finalizers":["d"]})"),
            R"({"finalizers":["a","c","d"]})");
}

TEST(StrategicMerge, SetElementOrder) {
  EXPECT_EQ(
      Strategic("PodSpec",
                R"({"containers":[{"name":"a","image":"1"},{"name":"b","image":"2"},)"
                R"({"name":"c","image":"3"}]})",
                R"({"$setElementOrder/containers":[{"name":"c"},{"name":"a"},{"name":"b"}]})"),
      R"({"containers":[{"name":"c","image":"3"},{"name":"a","image":"1"},)"
      R"({"name":"b","image":"2"}]})");
  // An item that the patch's author does not know keeps its place behind the one before it.
  EXPECT_EQ(Strategic("PodSpec", R"({"imagePullSecrets":[{"name":"a"},{"name":"server"}]})",
                      R"({"$setElementOrder/imagePullSecrets":[{"name":"new"},{"name":"a"}],)"
                      R"("imagePullSecrets":[{"name":"new"}]})"),
            R"({"imagePullSecrets":[{"name":"new"},{"name":"a"},{"name":"server"}]})");
}

TEST(StrategicMerge, RetainKeys) {
  EXPECT_EQ(Strategic("DeploymentSpec",
                      R"({"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}})",
                      R"({"strategy":{"$retainKeys":["type"],"type":"Recreate"}})"),
            R"({"strategy":{"type":"Recreate"}})");
}

TEST(StrategicMerge, PortsOfServicesMergeByPort) {
  EXPECT_EQ(Strategic("ServiceSpec", R"({"ports":[{"port":80,"nodePort":30080}]})",
                      R"({"ports":[{"port":80,"name":"http"},{"port":443}]})"),
            R"({"ports":[{"port":80,"nodePort":30080,"name":"http"},{"port":443}]})");
}

TEST(StrategicMerge, AnItemWithoutItsKeyIsAnError) {
  EXPECT_THROW(Strategic("PodSpec", "{}", R"({"containers":[{"image":"1"}]})"), Failure);
}

TEST(MergePatch, OfTheRfc) {
  EXPECT_EQ(Merge(R"({"a":"b","c":{"d":"e","f":"g"}})", R"({"a":"z","c":{"f":null}})"),
            R"({"a":"z","c":{"d":"e"}})");
  EXPECT_EQ(Merge(R"({"a":["b"]})", R"({"a":"c"})"), R"({"a":"c"})");
  EXPECT_EQ(Merge(R"({"a":"c"})", R"({"a":["b"]})"), R"({"a":["b"]})");
  EXPECT_EQ(Merge("{}", R"({"a":{"bb":{"ccc":null}}})"), R"({"a":{"bb":{}}})");
}

TEST(JsonPatch, OfTheRfc) {
  EXPECT_EQ(Json(R"({"foo":"bar"})", R"([{"op":"add","path":"/baz","value":"qux"}])"),
            R"({"foo":"bar","baz":"qux"})");
  EXPECT_EQ(Json(R"({"foo":["a","b"]})", R"([{"op":"add","path":"/foo/1","value":"x"}])"),
            R"({"foo":["a","x","b"]})");
  EXPECT_EQ(Json(R"({"foo":["a"]})", R"([{"op":"add","path":"/foo/-","value":"x"}])"),
            R"({"foo":["a","x"]})");
  EXPECT_EQ(Json(R"({"a":1,"b":2})", R"([{"op":"remove","path":"/a"}])"), R"({"b":2})");
  EXPECT_EQ(Json(R"({"a":1})", R"([{"op":"replace","path":"/a","value":2}])"), R"({"a":2})");
  EXPECT_EQ(Json(R"({"a":{"b":1},"c":{}})", R"([{"op":"move","from":"/a/b","path":"/c/d"}])"),
            R"({"a":{},"c":{"d":1}})");
  EXPECT_EQ(Json(R"({"a":1})", R"([{"op":"copy","from":"/a","path":"/b"}])"), R"({"a":1,"b":1})");
  EXPECT_EQ(Json(R"({"m~n/o":1})", R"([{"op":"replace","path":"/m~0n~1o","value":2}])"),
            R"({"m~n/o":2})");
}

TEST(JsonPatch, WhatCannotBeAppliedChangesNothing) {
  EXPECT_EQ(Json(R"({"a":1})", R"([{"op":"test","path":"/a","value":2}])"), "422");
  EXPECT_EQ(Json(R"({"a":1})", R"([{"op":"remove","path":"/b"}])"), "422");
  EXPECT_EQ(Json(R"({"a":[]})", R"([{"op":"add","path":"/a/7","value":1}])"), "422");
  EXPECT_EQ(Json(R"({"a":1})", R"([{"op":"paint","path":"/a"}])"), "400");
  EXPECT_EQ(Json(R"({"a":1})", R"({"op":"remove"})"), "400");
}

}  // namespace
}  // namespace sallyport::apiserver
