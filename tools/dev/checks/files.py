#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""What holds for every file: its licence line, its size, no leftovers, and where it may stand."""

import re

import project

TOP_LEVEL = {"CMakeLists.txt", "CMakePresets.json", "LICENSE", "README.md", "agent", "bpf",
             "daemonset", "policies", "tests", "tools"}
LONG_FILE = 500
LEFTOVERS = re.compile(r"\b(TODO|FIXME)\b|<<<<<<< |>>>>>>> ")
# Kept inputs and expected outputs are data: a licence line would be part of what they test.
DATA = re.compile(r"^tests/.*(corpus|data|golden)/|\.(json|md|txt|golden|in)$|^LICENSE$"
                  r"|^\.git|(^|/)\.clang-format$")


def licence(name):
    if name.startswith("bpf/abi/"):
        return "GPL-2.0-only OR Apache-2.0"
    if name.startswith("bpf/") and name.endswith((".c", ".h")):
        return "GPL-2.0-only"
    return "Apache-2.0"


def check_licence(name):
    if DATA.search(name) and not name.endswith("CMakeLists.txt"):
        return
    head = "\n".join(project.text(name).splitlines()[:3])
    said = re.search(r"SPDX-License-Identifier: ([^*\n]+)", head)
    if not said or said.group(1).strip() != licence(name):
        project.finding(f"{name}:1: needs the line: SPDX-License-Identifier: {licence(name)}")


def check_leftovers(name):
    if name == "tools/dev/checks/files.py":
        return
    for number, line in enumerate(project.text(name).splitlines(), 1):
        if LEFTOVERS.search(line):
            project.finding(f"{name}:{number}: a leftover: {line.strip()}")


def check_place(name):
    top = name.split("/")[0]
    if top not in TOP_LEVEL and not top.startswith("."):
        project.finding(f"{name}: {top} may not stand at the top; only these: "
                        f"{', '.join(sorted(TOP_LEVEL))}")


names = project.sources("*")
for name in names:
    check_place(name)
    check_licence(name)
    if not re.search(r"corpus/", name):
        check_leftovers(name)
for name in project.sources("*.h", "*.cc", "*.c"):
    lines = project.text(name).count("\n")
    if lines > LONG_FILE:
        print(f"{name}: {lines} lines; past {LONG_FILE} a file is two files (not an error)")
print(f"files: {len(names)} files")
project.finish()
