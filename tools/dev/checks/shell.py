#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""shellcheck has nothing to say about the shell scripts."""

import subprocess

import project

SHEBANG = ("#!/bin/sh", "#!/bin/bash", "#!/usr/bin/env bash")
scripts = [name for name in project.sources("*.sh", "tools/*", ".ci/*", "tests/*", "daemonset/*",
                                        "policies/*")
           if name.endswith(".sh") or project.text(name).startswith(SHEBANG)]
done = subprocess.run(["shellcheck", "--external-sources", "--format=gcc", *scripts],
                      cwd=project.ROOT, capture_output=True, text=True, check=False)
for line in (done.stdout + done.stderr).splitlines():
    project.finding(line)
print(f"shell: {len(scripts)} scripts")
project.finish()
