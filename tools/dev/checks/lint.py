#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy (.clang-tidy) has nothing to say about agent/ and tools/. usage: lint.py BUILD-FOLDER

BUILD-FOLDER is a configured one: it holds the compile commands. What passed already and has not
changed since, its includes counted in, is not looked at again.
"""

import json
import os
import pathlib
import re
import sys

import project

# What clang does not understand of g++'s command lines.
_GNU_ONLY = re.compile(r" -include \S+/cmake_pch\.hxx| -Winvalid-pch| -Wno-stringop-overflow")

build = pathlib.Path(sys.argv[1])
commands = json.loads((build / "compile_commands.json").read_text())
for entry in commands:
    entry["command"] = _GNU_ONLY.sub("", entry["command"])
folder = project.CACHE / "lint-commands"
folder.mkdir(parents=True, exist_ok=True)
(folder / "compile_commands.json").write_text(json.dumps(commands))
known = {os.path.relpath(entry["file"], project.ROOT) for entry in commands}
names = [name for name in project.sources("agent/*.cc", "tools/*.cc") if name in known]
salt = project.text(".clang-tidy") + project.version("clang-tidy", "--version")
project.check_each("lint", salt, names,
                   lambda name: ["clang-tidy", "-p", str(folder), "--quiet", name])
project.finish()
