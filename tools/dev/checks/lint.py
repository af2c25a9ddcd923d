#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy (.clang-tidy) has nothing to say about agent/ and tools/. usage: lint.py BUILD-FOLDER

BUILD-FOLDER is a configured one: it holds the compile commands. What passed already and has not
changed since, its includes counted in, is not looked at again.

Most of the time goes into the headers, so files of a folder are looked at together, as one that
includes them all. Those that define the same name in their unnamed namespaces do not go together;
where that is guessed wrong, or something is found, each file is looked at alone.
"""

import functools
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
known = {os.path.relpath(entry["file"], project.ROOT): entry for entry in commands}
names = [name for name in project.sources("agent/*.cc", "tools/*.cc") if name in known]
# A definition in column 0, as clang-format leaves it: of a function, type, variable or alias.
_DEFINED = re.compile(r"^(?=\w)(?!using namespace|namespace)(?:[\w:<>,&*\[\] ]*?[ &*])?"
                      r"(?:(?:struct|class|enum|enum class|using) )?(\w+)(?=[(\[\]{;= ]*[({=;])",
                      re.MULTILINE)
_TOGETHER = 10


@functools.cache
def defined(name):
    return frozenset(_DEFINED.findall(project.text(name)))


def flags(name):
    """How it is compiled: what stands in front of its own name, in its folder."""
    return os.path.dirname(name), known[name]["command"].split(" -o ")[0]


class Group:
    def __init__(self, name):
        self.files, self.flags = [], flags(name)
        self.defined, self.visible = set(), set()

    def takes(self, name, visible):
        return (len(self.files) < _TOGETHER and self.flags == flags(name)
                and not self.defined & visible and not self.visible & defined(name))

    def add(self, name, visible):
        self.files.append(name)
        self.defined |= defined(name)
        self.visible |= visible


def together(waiting):
    """Groups of files that do not disturb each other, and how to look at each group."""
    groups = []
    for name in waiting:
        visible = set().union(*map(defined, project.closure(name)))
        group = next((group for group in groups if group.takes(name, visible)), None)
        if not group:
            group = Group(name)
            groups.append(group)
        group.add(name, visible)
    groups = [group.files for group in groups if len(group.files) > 1]
    out = []
    for number, files in enumerate(groups):
        joined = folder / f"together-{number}.cc"
        joined.write_text("".join(f'#include "{project.ROOT / name}"\n' for name in files))
        first = known[files[0]]
        commands.append({**first, "file": str(joined),
                         "command": first["command"].replace(first["file"], str(joined))})
        out.append((files, lint(str(joined))))
    save_commands()
    return out


def lint(name):
    return ["clang-tidy", "-p", str(folder), "--quiet", name]


def save_commands():
    (folder / "compile_commands.json").write_text(json.dumps(commands))


save_commands()
salt = project.text(".clang-tidy") + project.version("clang-tidy", "--version")
project.check_each("lint", salt, names, lint, together)
project.finish()
