#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Every header compiles alone: it includes what it uses.

A header that is the first include of some .cc file proves that in every build; the others are
compiled here: headers of bpf/abi as C and as C++, other headers of bpf/ for the BPF target, the rest
as C++.
"""

import project

CXX = ["g++", "-std=c++20", "-fsyntax-only", "-x", "c++", "-Wall", "-Wextra", "-Wpedantic",
       "-Wno-pragma-once-outside-header", "-Werror", "-Iagent", "-Ibpf", "-Itools", "-Itests"]
C = ["gcc", "-std=gnu11", "-fsyntax-only", "-x", "c", "-Wall", "-Wextra", "-Werror", "-Ibpf"]
BPF = ["clang", "-target", "bpf", "-std=gnu11", "-fsyntax-only", "-x", "c", "-Wall", "-Werror",
       "-Wno-pragma-once-outside-header", "-Wno-unused-function", "-Ibpf"]


def multiarch():
    """Debian keeps <asm/types.h> where only a compiler for this machine looks by itself."""
    return ["-I/usr/include/" + project.version("gcc", "-print-multiarch").strip()]


def source(name):
    """A file that includes the header and nothing else: a `#pragma once` may stand in it."""
    folder = project.CACHE / "header-sources"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name.replace("/", "_") + ".inc")
    content = f'#include "{project.ROOT / name}"\n'
    if not path.exists() or path.read_text() != content:
        path.write_text(content)
    return str(path)


def proven():
    """Headers that a .cc file of agent/ or tools/ includes first."""
    out = set()
    for name in project.sources("agent/*.cc", "tools/*.cc"):
        for _, quoted, _ in project.includes(name)[:1]:
            if quoted:
                out.add(project.resolve(name, quoted))
    return out


headers = project.sources("agent/*.h", "bpf/*.h", "tools/*.h", "tests/*.h")
abi = [name for name in headers if name.startswith("bpf/abi/")]
kernel = [name for name in headers if name.startswith("bpf/") and name not in abi]
host = sorted(set(headers) - set(kernel) - proven())
salt = project.text("tools/dev/checks/headers.py") + project.version("g++", "--version")
project.check_each("headers", salt, host,
                   lambda name: [*CXX, "-I" + project.own_root(name), source(name)])
project.check_each("headers-abi", salt, abi, lambda name: [*C, source(name)])
project.check_each("headers-bpf", salt, kernel, lambda name: [*BPF, *multiarch(), source(name)])
project.finish()
