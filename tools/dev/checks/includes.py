#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Includes follow the layers of the design.

- A folder includes only the folders listed for it here.
- Pure folders and files include nothing that makes system calls, reads a clock or writes a log.
- A third-party header is included by one or two .cc files, and by no header.
- Project headers exist, and are included by their path from agent/, bpf/, tools/ or tests/; the
  kernel side may use paths from the file's own folder.
"""

import collections
import os

import project

# folder: what its files may include of the project, folders or single headers; itself always.
LAYERS = {
    "agent/base": [],
    "agent/net": ["agent/base"],
    "agent/model": ["agent/base", "agent/net"],
    "agent/policy": ["agent/base", "agent/net", "agent/model"],
    "agent/kube": ["agent/base", "agent/net", "agent/model"],
    "agent/watch": ["agent/base", "agent/net", "agent/model", "agent/kube"],
    "agent/state": ["agent/base", "agent/net", "agent/model"],
    "agent/endpoint": ["agent/base", "agent/net", "agent/model"],
    "agent/dataplane": ["agent/base", "agent/net", "agent/model", "agent/policy/image.h",
                        "agent/egress/pin_plan.h", "bpf/abi"],
    "agent/egress": ["agent/base", "agent/net", "agent/model", "bpf/abi"],
    "agent/gateway": ["agent/base", "agent/net", "agent/model", "agent/kube", "agent/watch",
                      "agent/egress"],
    "agent/observe": ["agent/base", "agent/net", "agent/model", "agent/policy", "agent/egress",
                      "agent/dataplane", "bpf/abi"],
    "agent/control": ["agent", "bpf/abi"],
    "bpf/abi": [],
    "bpf/lib": ["bpf/abi"],
    "bpf": ["bpf/abi", "bpf/lib"],
    "tools/cli": ["agent", "bpf/abi", "tools/lab"],
    "tools/apiserver": ["agent", "tools/lab"],
    "tools/lab": ["agent", "bpf/abi", "tools/apiserver"],
    "tests": ["agent", "bpf", "tools"],
}

PURE_FOLDERS = ["agent/net", "agent/model", "agent/policy"]
# A pure file of a folder that also has a shell.
PURE_FILES = ["agent/dataplane/" + name
              for name in ("buckets", "content_index", "encoder", "endpoint_table", "flows",
                           "identity_uses", "peer_table", "pen", "pin_table", "port_tables", "port_use", "set_table",
                           "tables", "trie")] + [
              "agent/egress/" + name
              for name in ("address_leases", "addresses", "block_leases", "cluster", "diagnose",
                           "explain", "gateway_peers", "hash", "heartbeat", "holders", "lease", "pin_plan",
                           "port_blocks", "selects")] + [
              "agent/gateway/" + name
              for name in ("announce_frames", "lease_object", "status_object")]
IMPURE = ["base/clock.h", "base/backoff.h", "base/queue.h", "base/unique_fd.h", "base/log.h",
          "bpf/", "chrono", "condition_variable", "csignal", "cstdio", "ctime", "dirent.h",
          "fcntl.h", "filesystem", "fstream", "future", "httplib.h", "iostream", "linux/", "mutex",
          "netlink/", "poll.h", "pthread.h", "random", "signal.h", "spdlog/", "stdio.h", "sys/",
          "thread", "time.h", "unistd.h"]

THIRD_PARTY = {"libbpf": "bpf/", "libnl": "netlink/", "nlohmann/json": "nlohmann/",
               "cpp-httplib": "httplib.h", "spdlog": "spdlog/", "yaml-cpp": "yaml-cpp/",
               "CLI11": "CLI/", "OpenSSL": "openssl/"}
THIRD_PARTY_FILES = 2


def starts(name, prefixes):
    return any(name == p or name.startswith(p if p.endswith("/") else p + "/") for p in prefixes)


def layer_of(name):
    fitting = [layer for layer in LAYERS if name.startswith(layer + "/")]
    return max(fitting, key=len, default=None)


def is_pure(name):
    return starts(name, PURE_FOLDERS) or os.path.splitext(name)[0] in PURE_FILES


def check_project_include(name, line, include):
    layer = layer_of(name)
    target = project.resolve(name, include)
    if target is None:
        project.finding(f'{name}:{line}: "{include}" is no file of the project; a header of a '
                        f"library is included with <>")
        return
    if not name.startswith("bpf/") and ("/" not in include or include.startswith(".")):
        project.finding(f'{name}:{line}: include "{target.split("/", 1)[1]}", not "{include}"')
    if layer and layer_of(target) != layer and not starts(target, LAYERS[layer]):
        allowed = ", ".join(LAYERS[layer]) or "nothing of the project"
        project.finding(f'{name}:{line}: "{include}": {layer} may include only {allowed}')


def check_purity(name, line, include):
    if any(include == i or (i.endswith("/") and include.startswith(i)) for i in IMPURE):
        project.finding(f"{name}:{line}: {include}: this file is pure (no system call, no clock, "
                        f"no log)")


users = collections.defaultdict(set)
names = project.sources("agent/*.h", "agent/*.cc", "bpf/*.h", "bpf/*.c", "tools/*.h", "tools/*.cc",
                        "tests/*.h", "tests/*.cc")
for name in names:
    kernel_side = name.startswith("bpf/")
    for line, quoted, system in project.includes(name):
        if quoted:
            check_project_include(name, line, quoted)
        if is_pure(name):
            check_purity(name, line, quoted or system)
        for library, prefix in THIRD_PARTY.items():
            if system and system.startswith(prefix) and not kernel_side:
                users[library].add(name)
                if name.endswith(".h"):
                    project.finding(f"{name}:{line}: <{system}>: {library} is included by .cc "
                                    f"files only, behind a header of our own")
for library, files in users.items():
    folders = {os.path.dirname(f) for f in files if not f.startswith("tests/")}
    for folder in sorted(folders):
        own = sorted(f for f in files if os.path.dirname(f) == folder)
        if len(own) > THIRD_PARTY_FILES:
            project.finding(f"{library} is included by {len(own)} files of {folder}, at most "
                            f"{THIRD_PARTY_FILES} may: {', '.join(own)}")
print(f"includes: {len(names)} files")
project.finish()
