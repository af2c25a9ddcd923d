// SPDX-License-Identifier: Apache-2.0
#include "kube/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/temporary.h"

namespace sallyport::kube {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class KubeconfigTest : public testing::Test {
 protected:
  static std::string File(const std::string& cluster, const std::string& user) {
    return "apiVersion: v1\nkind: Config\ncurrent-context: here\n"
           "contexts:\n- name: here\n  context: {cluster: c, user: u, namespace: shop}\n"
           "- name: there\n  context: {cluster: d, user: u}\n"
           "clusters:\n- name: c\n  cluster: {" +
           cluster +
           "}\n- name: d\n  cluster: {server: 'https://d.test'}\nusers:\n- name: u\n  user: {" +
           user + "}\n";
  }
  Result<Access> Read(const std::string& text, const std::string& context = "") {
    directory_.Write("config", text);
    return ReadKubeconfig(directory_ / "config", context);
  }
  Access Good(const std::string& cluster, const std::string& user = "token: t") {
    auto access = Read(File(cluster, user));
    EXPECT_TRUE(access) << access.error().message;
    return access.value_or({});
  }
  std::string ErrorOf(const std::string& cluster, const std::string& user = "token: t") {
    auto access = Read(File(cluster, user));
    return access ? "" : access.error().message;
  }

  test::TemporaryDirectory directory_;
};

TEST_F(KubeconfigTest, WhatIsInIt) {
  // "pem" and "key" in base64
  Access access = Good(
      "server: 'https://10.0.0.1:6443/base/', certificate-authority-data: cGVt, tls-server-name: n",
      "client-certificate-data: cGVt, client-key-data: a2V5, token: abc, tokenFile: tok");
  EXPECT_EQ(access.host, "10.0.0.1");
  EXPECT_EQ(access.port, 6443);
  EXPECT_EQ(access.base_path, "/base");
  EXPECT_EQ(access.Url(), "https://10.0.0.1:6443/base");
  EXPECT_EQ(access.ca_pem, "pem");
  EXPECT_EQ(access.client_certificate_pem, "pem");
  EXPECT_EQ(access.client_key_pem, "key");
  EXPECT_EQ(access.token, "abc");
  EXPECT_EQ(access.token_file, directory_ / "tok") << "relative to the file";
  EXPECT_EQ(access.server_name, "n");
  EXPECT_EQ(access.ns, "shop");
  EXPECT_EQ(access.origin, "kubeconfig " + (directory_ / "config"));
}

TEST_F(KubeconfigTest, WhatIsSentHasNoLineBreaks) {
  for (const char* server : {R"("https://d.test\r\nX")", R"("https://d.test/a\tb")",
                             R"("https://d.test/\0")", R"("https://\x7f.test")"}) {
    EXPECT_THAT(ErrorOf(std::string("server: ") + server), HasSubstr("it must be https://HOST"));
  }
  EXPECT_THAT(ErrorOf("server: 'https://d.test'", R"(token: "a\0b")"), HasSubstr("line breaks"));
  EXPECT_THAT(ErrorOf(R"(server: 'https://d.test', tls-server-name: "a\nb")"),
              HasSubstr("tls-server-name"));
}

TEST_F(KubeconfigTest, AFileMayHaveNoEnd) {
  EXPECT_THAT(ReadKubeconfig("/dev/zero").error().message, HasSubstr("larger than 8 MiB"));
}

TEST_F(KubeconfigTest, Ipv6IsInBrackets) {
  for (const char* server : {"https://a:b:1", "https://fd00::1", "https://fd00::1:6443"}) {
    EXPECT_THAT(ErrorOf("server: '" + std::string(server) + "'"), HasSubstr("in brackets"));
  }
}

TEST_F(KubeconfigTest, FilesBesideIt) {
  directory_.Write("ca.crt", "authority");
  directory_.Write("me.crt", "certificate");
  directory_.Write("me.key", "key");
  Access access = Good("server: 'https://[fd00::1]:1', certificate-authority: ca.crt",
                       "client-certificate: " + (directory_ / "me.crt") + ", client-key: me.key");
  EXPECT_EQ(access.host, "fd00::1");
  EXPECT_EQ(access.Url(), "https://[fd00::1]:1");
  EXPECT_EQ(access.ca_pem, "authority");
  EXPECT_EQ(access.client_certificate_pem, "certificate");
  EXPECT_EQ(access.client_key_pem, "key");
  directory_.Write("ca.crt", "next authority");
  directory_.Write("me.crt", "next certificate");
  directory_.Write("me.key", "");
  access.Reread();
  EXPECT_EQ(access.ca_pem, "next authority");
  EXPECT_EQ(access.client_certificate_pem, "next certificate");
  EXPECT_EQ(access.client_key_pem, "key") << "an empty file says nothing";
}

TEST_F(KubeconfigTest, Contexts) {
  Access other = Read(File("server: 'https://c.test'", ""), "there").value();
  EXPECT_EQ(other.host, "d.test");
  EXPECT_EQ(other.port, 443);
  EXPECT_EQ(other.ns, "default");
  EXPECT_THAT(Read(File("server: 'https://c.test'", ""), "nowhere").error().message,
              AllOf(HasSubstr("no context \"nowhere\""), HasSubstr("here, there")));
}

TEST_F(KubeconfigTest, Refusals) {
  const std::string server = "server: 'https://c.test'";
  EXPECT_THAT(ErrorOf("server: 'http://127.0.0.1:8001'"), HasSubstr("use https://"));
  EXPECT_THAT(ErrorOf("server: 'c.test:6443'"), HasSubstr("must start with https://"));
  EXPECT_THAT(ErrorOf("server: 'https://'"), HasSubstr("https://HOST:PORT"));
  EXPECT_THAT(ErrorOf("server: 'https://a@c.test'"), HasSubstr("HOST:PORT"));
  EXPECT_THAT(ErrorOf("server: 'https://c.test:66000'"), HasSubstr("1 to 65535"));
  EXPECT_THAT(ErrorOf("server: 'https://c.test:0'"), HasSubstr("1 to 65535"));
  EXPECT_THAT(ErrorOf("server: 'https://[fd00::1'"), HasSubstr("without a ]"));
  EXPECT_THAT(ErrorOf(server + ", insecure-skip-tls-verify: true"), HasSubstr("refused"));
  EXPECT_EQ(ErrorOf(server + ", insecure-skip-tls-verify: false"), "");
  EXPECT_THAT(ErrorOf(server + ", proxy-url: 'http://p'"), HasSubstr("proxy-url"));
  EXPECT_THAT(ErrorOf(server + ", certificate-authority-data: '%%'"), HasSubstr("not base64"));
  EXPECT_THAT(ErrorOf(server + ", certificate-authority: none.crt"),
              AllOf(HasSubstr("certificate-authority: "), HasSubstr("No such file")));
  directory_.Write("empty.crt", "");
  EXPECT_THAT(ErrorOf(server + ", certificate-authority: empty.crt"), HasSubstr("is empty"))
      << "it would trust whom the system trusts";
  EXPECT_THAT(ErrorOf(server, "exec: {command: aws}"), HasSubstr("exec is not supported"));
  EXPECT_THAT(ErrorOf(server, "auth-provider: {name: gcp}"), HasSubstr("auth-provider"));
  EXPECT_THAT(ErrorOf(server, "username: a, password: b"), HasSubstr("password"));
  EXPECT_THAT(ErrorOf(server, "client-certificate-data: cGVt"), HasSubstr("together"));
  EXPECT_THAT(ErrorOf(server, "token: 'a b'"), HasSubstr("blanks"));
}

TEST_F(KubeconfigTest, WhatIsNone) {
  EXPECT_THAT(ReadKubeconfig(directory_ / "absent").error().message,
              HasSubstr("absent: No such file"));
  EXPECT_THAT(ReadKubeconfig(directory_.path()).error().message, HasSubstr("directory"));
  EXPECT_THAT(Read("").error().message, HasSubstr("one document"));
  EXPECT_THAT(Read("kind: Pod\n").error().message, HasSubstr("not of kind Config"));
  EXPECT_THAT(Read("a: [\n").error().message, HasSubstr("config:"));
  EXPECT_THAT(Read("kind: Config\n").error().message, HasSubstr("no current-context"));
  EXPECT_THAT(Read("kind: Config\ncurrent-context: x\n").error().message,
              HasSubstr("there is none"));
}

TEST(InClusterTest, TheServiceAccount) {
  test::TemporaryDirectory directory;
  EXPECT_THAT(InClusterAccess("10.96.0.1", "443", directory.path()).error().message,
              HasSubstr("ca.crt: No such file"));
  directory.Write("ca.crt", "");
  EXPECT_THAT(InClusterAccess("10.96.0.1", "443", directory.path()).error().message,
              HasSubstr("ca.crt is empty"));
  directory.Write("ca.crt", "pem");
  EXPECT_THAT(InClusterAccess("10.96.0.1", "443", directory.path()).error().message,
              HasSubstr("token: No such file"));
  directory.Write("token", "t");
  directory.Write("namespace", "sallyport");
  Access access = InClusterAccess("fd00:10:96::1", "443", directory.path()).value();
  EXPECT_EQ(access.Url(), "https://[fd00:10:96::1]:443");
  EXPECT_EQ(access.token_file, directory / "token");
  EXPECT_EQ(access.ca_pem, "pem");
  EXPECT_EQ(access.ca_file, directory / "ca.crt");
  EXPECT_EQ(access.ns, "sallyport");
  EXPECT_THAT(InClusterAccess("10.96.0.1", "https", directory.path()).error().message,
              HasSubstr("KUBERNETES_SERVICE_PORT"));
}

}  // namespace
}  // namespace sallyport::kube
