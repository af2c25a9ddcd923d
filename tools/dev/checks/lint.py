#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy (.clang-tidy) has nothing to say about agent/ and tools/. usage: lint.py BUILD-FOLDER

BUILD-FOLDER is a configured one: it holds the compile commands. What passed already and has not
changed since, its includes counted in, is not looked at again.
"""

import json
import os
import pathlib
import sys

import project

build = pathlib.Path(sys.argv[1])
commands = json.loads((build / "compile_commands.json").read_text())
known = {os.path.relpath(entry["file"], project.ROOT) for entry in commands}
names = [name for name in project.sources("agent/*.cc", "tools/*.cc") if name in known]
salt = project.text(".clang-tidy") + project.version("clang-tidy", "--version")
project.check_each("lint", salt, names,
                   lambda name: ["clang-tidy", "-p", str(build), "--quiet", name])
project.finish()
