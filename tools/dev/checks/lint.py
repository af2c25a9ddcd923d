#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy (.clang-tidy) has nothing to say about agent/ and tools/. usage: lint.py BUILD-FOLDER

It takes minutes: so only of files that differ from the branch that work began at (project.changed),
or include such a one, and of tools/ only of what is shipped. With SALLYPORT_THOROUGH=1 in the
environment, of all, the lab as well.

BUILD-FOLDER is a configured one: it holds the compile commands. What passed already and has not
changed since, its includes counted in, is not looked at again.

Most of the time goes into the headers, so files that are compiled together (CMAKE_UNITY_BUILD) are
looked at together, too. Where something is found, each file is looked at alone.
"""

import json
import os
import pathlib
import re
import sys

import project

# Another file's includes would be looked at as well.
_PRECOMPILED = re.compile(r" -Xclang -include-pch -Xclang \S+ -Xclang -include -Xclang \S+")
_BATCHES_TOGETHER = 4

build = pathlib.Path(sys.argv[1]).resolve()
folder = project.CACHE / "lint-commands"
folder.mkdir(parents=True, exist_ok=True)
names = project.sources("agent/*.cc", "tools/*.cc")
if os.environ.get("SALLYPORT_THOROUGH") != "1":
    names = [name for name in names if not name.startswith(("tools/lab/", "tools/apiserver/"))]
    changed = project.changed()
    if changed is not None and ".clang-tidy" not in changed:
        names = [name for name in names if changed.intersection(project.closure(name))]
commands = []  # of each file alone, then of those that are looked at together
batch = {}  # name -> (how it is compiled, its target's folder, the number of its batch there)


def add_command(entry, path):
    command = _PRECOMPILED.sub("", entry["command"]).split(" -o ")[0]
    commands.append({"directory": entry["directory"], "file": str(path),
                     "command": f"{command} -c {path}"})
    return command


def read_commands():
    """A batch of CMake's is a file that includes the sources."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["file"])
        number = re.fullmatch(r"unity_(\d+)_cxx\.cxx", path.name)
        files = re.findall(r'^#include "(.+)"$', path.read_text(), re.M) if number else [path]
        for file in files:
            command = add_command(entry, file)
            batch[os.path.relpath(file, project.ROOT)] = (
                command, path.parent, int(number[1]) if number else 0)


def save_commands():
    (folder / "compile_commands.json").write_text(json.dumps(commands))


def lint(name):
    return ["clang-tidy", "-p", str(folder), "--quiet", str(project.ROOT / name)]


def together(waiting):
    """Groups of names, and how to look at each group."""
    groups = {}
    for name in waiting:
        command, target, number = batch[name]
        groups.setdefault((command, target, number // _BATCHES_TOGETHER), []).append(name)
    out = []
    for number, ((command, *_), files) in enumerate(groups.items()):
        if len(files) > 1:
            joined = folder / f"together-{number}.cc"
            joined.write_text("".join(f'#include "{project.ROOT / name}"\n' for name in files))
            commands.append({"directory": str(build), "file": str(joined),
                             "command": f"{command} -c {joined}"})
            out.append((files, lint(str(joined))))
    save_commands()
    return out


read_commands()
save_commands()
missing = [name for name in names if name not in batch]
for name in missing:
    project.finding(f"{name}: no target compiles it")
salt = project.text(".clang-tidy") + project.version("clang-tidy", "--version")
project.check_each("lint", salt, [name for name in names if name in batch], lint, together)
project.finish()
