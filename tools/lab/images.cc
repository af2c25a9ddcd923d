// SPDX-License-Identifier: Apache-2.0
#include "lab/images.h"

#include <algorithm>
#include <array>

namespace sallyport::lab {
namespace {

// Each script does what the image's own entrypoint documents, as far as a lab needs it.

constexpr std::string_view kRedis = R"script(
[ "$1" != redis-server ] || shift
conf=
case "$1" in *.conf) conf=$1; shift ;; esac
mkdir -p /data && cd /data
set -- redis-server $conf --dir /data --protected-mode no "$@"
[ "$(id -u)" = 0 ] && id redis >/dev/null 2>&1 || exec "$@"
chown redis /data
exec setpriv --reuid=redis --regid="$(id -g redis)" --clear-groups "$@"
)script";

constexpr std::string_view kPostgres = R"script(
[ "$1" != postgres ] || shift
bin=$(dirname "$(ls -d /usr/lib/postgresql/*/bin/postgres | sort -V | tail -n 1)")
export PGDATA="${PGDATA:-/var/lib/postgresql/data}" PATH="$bin:$PATH" LANG=C.UTF-8 LC_ALL=C.UTF-8
user=${POSTGRES_USER:-postgres}
[ -z "$POSTGRES_PASSWORD_FILE" ] || POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
  echo "postgres: POSTGRES_PASSWORD is not set: give it a value (from a Secret)" >&2
  exit 1
fi
mkdir -p "$PGDATA" /run/postgresql
chmod 700 "$PGDATA"
drop=
if [ "$(id -u)" = 0 ]; then
  drop="setpriv --reuid=postgres --regid=$(id -g postgres) --clear-groups"
  chown -R postgres "$PGDATA" /run/postgresql
fi
as() { $drop "$@"; }
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  pwfile=
  if [ -n "$POSTGRES_PASSWORD" ]; then
    pwfile=--pwfile=/run/postgresql/password
    (umask 077; printf '%s\n' "$POSTGRES_PASSWORD" > /run/postgresql/password)
    [ -z "$drop" ] || chown postgres /run/postgresql/password
  fi
  as initdb --no-sync -U "$user" $pwfile $POSTGRES_INITDB_ARGS
  rm -f /run/postgresql/password
  echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >> "$PGDATA/pg_hba.conf"
  database=${POSTGRES_DB:-$user}
  if [ "$database" != postgres ] || ls /docker-entrypoint-initdb.d/* >/dev/null 2>&1; then
    as pg_ctl -D "$PGDATA" -w start -o "-c listen_addresses='' -k /run/postgresql" >/dev/null
    export PGHOST=/run/postgresql PGPASSWORD="$POSTGRES_PASSWORD"
    [ "$database" = postgres ] || as createdb -U "$user" "$database"
    for file in /docker-entrypoint-initdb.d/*; do
      case "$file" in
        *.sh) . "$file" ;;
        *.sql) as psql -v ON_ERROR_STOP=1 --no-psqlrc -U "$user" -d "$database" -f "$file" ;;
      esac
    done
    as pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
    unset PGHOST PGPASSWORD
  fi
fi
exec $drop postgres -D "$PGDATA" -c listen_addresses='*' -k /run/postgresql -c fsync=off \
  -c full_page_writes=off "$@"
)script";

constexpr std::string_view kNginx = R"script(
mkdir -p /var/log/nginx /var/lib/nginx /run
[ "$1" != nginx ] || shift
[ $# -gt 0 ] || set -- -g 'daemon off;'
exec nginx "$@"
)script";

constexpr std::string_view kPrometheus = R"script(
[ "$1" != prometheus ] || shift
[ $# -gt 0 ] || set -- --config.file=/etc/prometheus/prometheus.yml
mkdir -p /prometheus && cd /prometheus
exec prometheus "$@"
)script";

constexpr std::string_view kPostgresExporter = R"script(
exec prometheus-postgres-exporter "$@"
)script";

// Cluster DNS: this tool, feeding Knot with what the API server says (dns_command.h).
constexpr std::string_view kCoreDns = R"script(
exec /run/sallyport lab dns "$@"
)script";

constexpr std::array<KnownImage, 7> kImages = {{
    {"coredns", "knotd", 53, "knot", kCoreDns},
    {"nginx", "nginx", 80, "nginx-light", kNginx},
    {"postgres", "/usr/lib/postgresql", 5432, "postgresql", kPostgres},
    {"postgresql", "/usr/lib/postgresql", 5432, "postgresql", kPostgres},
    {"postgres-exporter", "prometheus-postgres-exporter", 9187, "prometheus-postgres-exporter",
     kPostgresExporter},
    {"prometheus", "prometheus", 9090, "prometheus", kPrometheus},
    {"redis", "redis-server", 6379, "redis-server", kRedis},
}};

constexpr std::array<std::string_view, 4> kStandIns = {"agnhost", "netexec", "pause",
                                                       "serve-hostname"};

}  // namespace

std::string ImageName(std::string_view image) {
  image = image.substr(0, image.find('@'));
  if (size_t slash = image.rfind('/'); slash != std::string_view::npos)
    image.remove_prefix(slash + 1);
  return std::string(image.substr(0, image.find(':')));
}

const KnownImage* FindImage(std::string_view image) {
  std::string name = ImageName(image);
  auto found = std::find_if(kImages.begin(), kImages.end(),
                            [&](const KnownImage& known) { return known.name == name; });
  return found == kImages.end() ? nullptr : &*found;
}

bool IsStandInImage(std::string_view image) {
  return std::find(kStandIns.begin(), kStandIns.end(), ImageName(image)) != kStandIns.end();
}

std::vector<std::string> ImageArgv(const KnownImage& image, const std::vector<std::string>& args) {
  std::vector<std::string> argv = {"/bin/sh", "-e", "-c", std::string(image.script),
                                   std::string(image.name)};
  argv.insert(argv.end(), args.begin(), args.end());
  return argv;
}

}  // namespace sallyport::lab
