#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Every header compiles alone: it includes what it uses.

Headers of bpf/abi are compiled as C and as C++, other headers of bpf/ for the BPF target, the rest
as C++.

It takes minutes: so of the last ones only those are compiled that differ from the branch that work
began at (project.changed), or include such a one. With SALLYPORT_THOROUGH=1 in the environment, all.

What most of them include of the standard library, and GoogleTest, is parsed once for all: that a
header includes these is seen from its text. And a header that another includes is compiled in front
of it in one go, as it hides nothing: the other may use all that it includes.
"""

import os
import re

import project

COMPILER = ["clang++", "-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Wno-nested-anon-types"]
CXX = [*COMPILER, "-fsyntax-only", "-x", "c++", "-Wno-pragma-once-outside-header", "-Werror",
       "-Iagent", "-Ibpf", "-Itools", "-Itests"]
C = ["clang", "-std=gnu11", "-fsyntax-only", "-x", "c", "-Wall", "-Wextra", "-Werror", "-Ibpf"]
BPF = ["clang", "-target", "bpf", "-std=gnu11", "-fsyntax-only", "-x", "c", "-Wall", "-Werror",
       "-Wno-pragma-once-outside-header", "-Wno-unused-function", "-Ibpf"]


def multiarch():
    """Debian keeps <asm/types.h> where only a compiler for this machine looks by itself."""
    return ["-I/usr/include/" + project.version("clang", "-print-multiarch").strip()]


def source(*names):
    """A file that includes these headers and nothing else: a `#pragma once` may stand in them."""
    folder = project.CACHE / "header-sources"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (names[-1].replace("/", "_") + ("s.inc" if len(names) > 1 else ".inc"))
    content = "".join(f'#include "{project.ROOT / name}"\n' for name in names)
    if not path.exists() or path.read_text() != content:
        path.write_text(content)
    return str(path)


# A header of the standard library, and how its use looks.
STANDARD = {name: re.compile(use) for name, use in {
    "algorithm": r"\bstd::(sort|find|find_if|any_of|all_of|max|min|lower_bound|equal)\(",
    "cstdint": r"\bu?int(8|16|32|64)_t\b",
    "functional": r"\bstd::(function|less|greater|hash)\b",
    "map": r"\bstd::(multi)?map\b",
    "memory": r"\bstd::(unique_ptr|shared_ptr|weak_ptr|make_unique|make_shared)\b",
    "optional": r"\bstd::(optional|nullopt)\b",
    "set": r"\bstd::(multi)?set\b",
    "sstream": r"\bstd::[io]?stringstream\b",
    "string": r"\bstd::(string|to_string)\b",
    "string_view": r"\bstd::string_view\b",
    "variant": r"\bstd::(variant|get_if|holds_alternative|visit)\b",
    "vector": r"\bstd::vector\b",
}.items()}
GTEST = re.compile(r"\btesting::")


def system_includes(name):
    return {system for other in project.closure(name)
            for _, _, system in project.includes(other) if system}


def check_text(name):
    body = re.sub(r"//.*", "", project.text(name))
    included = system_includes(name)
    for header, use in STANDARD.items():
        if use.search(body) and header not in included:
            project.finding(f"{name}: uses <{header}> without including it")
    if GTEST.search(body) and not any(name.startswith(("gtest/", "gmock/")) for name in included):
        project.finding(f"{name}: uses GoogleTest without including it")


def precompiled(name, includes):
    """Options that put these includes in front."""
    path = project.CACHE / "header-sources" / f"{name}.h"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"#include <{header}>\n" for header in includes))
    project.version(*COMPILER, "-x", "c++-header", str(path), "-o", f"{path}.pch")
    return ["-include-pch", f"{path}.pch"]


def own_roots(names):
    return ["-I" + root for root in sorted(set(map(project.own_root, names)))]


def chains(waiting):
    """Each header after those that it includes: groups of them, and how to compile each group."""
    left = sorted(waiting, key=lambda name: len(project.closure(name)), reverse=True)
    out = []
    while left:
        chain = [left.pop(0)]
        while inner := next((n for n in left if n in project.closure(chain[-1])), None):
            left.remove(inner)
            chain.append(inner)
        if len(chain) > 1:
            out.append((chain, compile_host(*reversed(chain))))
    return out


headers = project.sources("agent/*.h", "bpf/*.h", "tools/*.h", "tests/*.h")
abi = [name for name in headers if name.startswith("bpf/abi/")]
kernel = [name for name in headers if name.startswith("bpf/") and name not in abi]
host = sorted(set(headers) - set(kernel))
for header in host:
    check_text(header)
changed = project.changed()
if os.environ.get("SALLYPORT_THOROUGH") != "1" and changed is not None:
    host = [name for name in host if changed.intersection(project.closure(name))]
salt = project.text("tools/dev/checks/headers.py") + project.version("clang++", "--version")
standard = precompiled("standard", [*STANDARD, "utility"])
gtest = precompiled("gtest", [*STANDARD, "utility", "gmock/gmock.h", "gtest/gtest.h"])


def compile_host(*names):
    tests = any(name.startswith("gtest/") for name in system_includes(names[-1]))
    return [*CXX, *(gtest if tests else standard), *own_roots(names), source(*names)]


project.check_each("headers", salt, host, compile_host, chains)
project.check_each("headers-abi", salt, abi, lambda name: [*C, source(name)])
project.check_each("headers-bpf", salt, kernel, lambda name: [*BPF, *multiarch(), source(name)])
project.finish()
