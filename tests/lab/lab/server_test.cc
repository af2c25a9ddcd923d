// SPDX-License-Identifier: Apache-2.0
// Real servers by the names of their images.
#include <gmock/gmock.h>

#include "lab/lab/lab_fixture.h"

namespace sallyport::lab {
namespace {

using testing::HasSubstr;

class Servers : public LabTest {};

TEST_F(Servers, Redis) {
  Up("{apiVersion: v1, kind: Pod, metadata: {name: cache, namespace: x}, spec: {containers: "
     "[{name: "
     "redis, image: 'redis:7-alpine', args: [--maxmemory, 7mb], ports: [{containerPort: 6379}], "
     "readinessProbe: {exec: {command: [redis-cli, ping]}}}]}}\n" +
     StandIn("x", "client", "{containerPort: 80}", "nodeName: node2"));
  for (const net::Address& address : Pod("x", "cache").addresses) {
    std::string host = address.ToString();
    EXPECT_EQ(Said("x/client", {"redis-cli", "-h", host, "ping"}), "PONG");
    EXPECT_THAT(Said("x/client", {"redis-cli", "-h", host, "config", "get", "maxmemory"}),
                HasSubstr("7340032"));
  }
  EXPECT_EQ(Said("x/cache", {"ps", "-o", "user=", "-p", "1"}), "redis");
}

TEST_F(Servers, Postgres) {
  Up(R"(
{apiVersion: v1, kind: Secret, metadata: {name: pg, namespace: x}, stringData: {password: hunter2}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: init, namespace: x},
 data: {init.sql: "create table t (a int); insert into t values (42);"}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: x}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      volumes: [{name: init, configMap: {name: init}}]
      containers:
      - name: postgres
        image: postgres:15
        env:
        - {name: POSTGRES_USER, value: shop}
        - {name: POSTGRES_PASSWORD, valueFrom: {secretKeyRef: {name: pg, key: password}}}
        ports: [{containerPort: 5432}]
        volumeMounts: [{name: init, mountPath: /docker-entrypoint-initdb.d}]
)" + StandIn("x", "client", "{containerPort: 80}"));
  for (const net::Address& address : Pod("x", "db-0").addresses) {
    auto ask = [&](const std::string& password) {
      return Exec("x/client", {"env", "PGPASSWORD=" + password, "psql", "-h", address.ToString(),
                               "-U", "shop", "-Atc", "select a from t"});
    };
    EXPECT_EQ(ask("hunter2").output, "42\n");
    EXPECT_THAT(ask("wrong").errors, HasSubstr("authentication failed"));
  }
  EXPECT_EQ(Said("x/db-0", {"ps", "-o", "user=", "-p", "1"}), "postgres");
}

TEST_F(Servers, Nginx) {
  Up("{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: x}, spec: {containers: [{name: "
     "nginx, image: nginx, ports: [{containerPort: 80}], readinessProbe: {httpGet: {path: /, port: "
     "80}}}]}}\n" +
     StandIn("x", "client", "{containerPort: 80}"));
  std::string address = Pod("x", "web").addresses.at(0).ToString();
  EXPECT_THAT(Said("x/client", {"bash", "-c",
                                "exec 3<>/dev/tcp/" + address +
                                    "/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"}),
              HasSubstr("Server: nginx"));
}

TEST_F(Servers, PostgresWithoutAPasswordSaysSo) {
  Finished up =
      Run({"lab", "up", "--no-agent", "--no-dns", "--timeout", "5", "--name", name(), "-f",
           File("{apiVersion: v1, kind: Pod, metadata: {name: db}, spec: {containers: "
                "[{name: postgres, image: postgres}]}}")});
  EXPECT_EQ(up.exit_code, 1);
  EXPECT_THAT(up.errors, HasSubstr("POSTGRES_PASSWORD is not set"));
}

}  // namespace
}  // namespace sallyport::lab
