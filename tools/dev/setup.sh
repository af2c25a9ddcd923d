# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by tools/test and tools/quickstart: the Debian packages that they need.
#
#   missing_packages GROUP...   prints what is not there yet, one name a line (milliseconds)
#   install_packages NAME...    installs it; no service is started or enabled by that
#   kernel_is_missing FOLDER    no kernel for the tests' virtual machine is there, and one can be used
#   unpack_kernel FOLDER        unpacks Debian's kernel package there; nothing is installed
#
# A line of the table is: group, package, and the commands that make the package unnecessary
# where they come from elsewhere.

sallyport_packages() {
  cat <<'TABLE'
build  cmake                        cmake
build  ninja-build                  ninja
build  clang                        clang++
build  lld                          ld.lld
build  llvm                         llvm-strip
build  bpftool                      bpftool
build  pkgconf                      pkg-config
build  python3-minimal              python3
build  ccache                       ccache
build  libbpf-dev
build  libelf-dev
build  zlib1g-dev
build  libnl-3-dev
build  libnl-route-3-dev
build  nlohmann-json3-dev
build  libcpp-httplib-dev
build  libspdlog-dev
build  libyaml-cpp-dev
build  libcli11-dev
build  libssl-dev
build  libgtest-dev
build  libgmock-dev
build  libbenchmark-dev
lab    containernetworking-plugins
lab    iproute2                     ip
lab    iputils-ping                 ping
lab    procps                       ps
lab    nftables                     nft
lab    knot                         knotd knotc
lab    redis-server                 redis-server redis-cli
lab    postgresql
lab    nginx-light                  nginx
lab    prometheus                   prometheus promtool
lab    prometheus-postgres-exporter prometheus-postgres-exporter
lab    kubernetes-client            kubectl
lab    curl                         curl
lab    openssl                      openssl
lab    perl-base                    perl
test   git                          git
test   libclang-rt-dev
test   clang-format                 clang-format
test   clang-tidy                   clang-tidy
test   shellcheck                   shellcheck
test   iptables                     iptables
test   bind9-dnsutils               dig
test   ipset                        ipset
test   curl                         curl
test   jq                           jq
test   buildah                      buildah
test   mmdebstrap                   mmdebstrap
test   qemu-system-x86              qemu-system-x86_64
TABLE
}

missing_packages() {
  local installed group package commands
  if ! command -v dpkg-query >/dev/null; then
    return 0  # not Debian: CMake will say what it misses
  fi
  installed=" $(dpkg-query -W -f='${db:Status-Status} ${Package}\n' |
    awk '$1 == "installed" { printf "%s ", $2 }')"
  while read -r group package commands; do
    [[ " $* " == *" $group "* && "$installed" != *" $package "* ]] || continue
    # Deliberately split: each word is a command.
    # shellcheck disable=SC2086
    if [[ -n "$commands" ]] && sallyport_have_all $commands; then continue; fi
    printf '%s\n' "$package"
  done < <(sallyport_packages)
}

sallyport_have_all() {
  local name
  for name in "$@"; do command -v "$name" >/dev/null || return 1; done
}

# What our temporary /usr/sbin/policy-rc.d says; one that a killed run left is known by it.
SALLYPORT_POLICY_RC_MARK='# sallyport set-up: packages must not start services; remove me'
SALLYPORT_POLICY_RC=/usr/sbin/policy-rc.d

sallyport_restore_services() {
  if grep -qsF "$SALLYPORT_POLICY_RC_MARK" "$SALLYPORT_POLICY_RC"; then
    rm -f "$SALLYPORT_POLICY_RC"
  fi
}

# In a subshell, so that its trap is its own.
install_packages() (
  set -eu
  (( $# > 0 )) || exit 0
  if (( EUID != 0 )); then
    echo "these Debian packages are missing: $*"
    echo "install them, or run this as root: sudo $0"
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
  trap sallyport_restore_services EXIT
  trap 'exit 130' INT TERM HUP
  sallyport_restore_services
  if [[ ! -e "$SALLYPORT_POLICY_RC" ]]; then
    printf '#!/bin/sh\n%s\nexit 101\n' "$SALLYPORT_POLICY_RC_MARK" >"$SALLYPORT_POLICY_RC"
    chmod 755 "$SALLYPORT_POLICY_RC"
  fi
  if [[ " $* " == *" postgresql "* && ! -e /etc/postgresql-common/createcluster.conf ]]; then
    mkdir -p /etc/postgresql-common
    printf '%s\n' '# No database cluster of the machine: only the programs are wanted.' \
      'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  fi
  apt_get() { apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold "$@"; }
  apt_get update
  apt_get install -y --no-install-recommends "$@"
  for unit in redis-server nginx postgresql knot prometheus prometheus-postgres-exporter; do
    if [[ " $* " == *" $unit"* ]] && command -v systemctl >/dev/null; then
      systemctl disable "$unit" 2>&1 || true
    fi
  done
)

kernel_is_missing() { [[ "$(uname -m)" == x86_64 && ! -d "$1" ]]; }

# The image and the modules of Debian's kernel for virtual machines.
unpack_kernel() (
  set -eu
  if ! command -v apt-get >/dev/null; then
    echo "only Debian's packages are known here: unpack boot and lib of one of its kernel packages to $1"
    exit 1
  fi
  partial=$(mktemp -d "$(dirname "$1")/kernel.XXXXXX")
  trap 'rm -rf "$partial"' EXIT
  trap 'exit 130' INT TERM HUP
  cd "$partial"
  newest() { apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: //p' | grep -m1 '^linux-image-'; }
  # The lists of packages may be old, or not there yet.
  if ! apt-get -q download "$(newest)"; then
    apt-get -q -o DPkg::Lock::Timeout=300 update
    apt-get -q download "$(newest)"
  fi
  dpkg-deb --fsys-tarfile ./*.deb | tar -x ./boot ./lib
  rm -- *.deb
  chmod 755 .
  cd - >/dev/null
  mv -T "$partial" "$1"
)
