#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""C and C++ files are as clang-format writes them.

It takes half a minute: so only those that differ from the branch that work began at
(project.changed). With SALLYPORT_THOROUGH=1 in the environment, all.
"""

import os
import subprocess

import project

names = project.sources("*.h", "*.cc", "*.c")
changed = project.changed()
if os.environ.get("SALLYPORT_THOROUGH") != "1" and changed is not None and \
        ".clang-format" not in changed:
    names = [name for name in names if name in changed]
done = subprocess.run(["clang-format", "--dry-run", "--ferror-limit=1", "-Werror", *names],
                      cwd=project.ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                      check=False)
unformatted = sorted({line.split(":")[0] for line in done.stderr.splitlines()
                      if "[-Wclang-format-violations]" in line})
for name in unformatted:
    project.finding(f"{name}: not formatted; run: clang-format -i {name}")
if done.returncode != 0 and not unformatted:
    project.finding(f"clang-format failed:\n{done.stderr}")
print(f"format: {len(names)} files")
project.finish()
