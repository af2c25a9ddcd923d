#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Links between the project's documents lead somewhere: files, folders and headings."""

import os
import re

import project

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def without_code(body):
    blank = lambda match: re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r"`[^`\n]*`", blank, re.sub(r"(?ms)^```.*?^```", blank, body))


def anchors(name):
    headings = re.findall(r"(?m)^#+\s+(.*?)\s*$", project.text(name))
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


names = project.sources("*.md")
for name in names:
    body = without_code(project.text(name))
    for match in LINK.finditer(body):
        target, _, anchor = match.group(1).partition("#")
        line = body.count("\n", 0, match.start()) + 1
        if re.match(r"[a-z]+:", match.group(1)):
            continue
        path = os.path.normpath(os.path.join(os.path.dirname(name), target)) if target else name
        if not (project.ROOT / path).exists():
            project.finding(f"{name}:{line}: {match.group(1)}: there is no {path}")
        elif anchor and path.endswith(".md") and anchor not in anchors(path):
            project.finding(f"{name}:{line}: {match.group(1)}: {path} has no such heading")
print(f"links: {len(names)} documents")
project.finish()
