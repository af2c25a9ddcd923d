# SPDX-License-Identifier: Apache-2.0
"""What the checks share: the project's files, findings, and a memory of what passed already.

Each check is a script of its own in this folder, a test with the label `check`. It prints one line
a finding ("file:line: what, and what would be right") and exits with 1 if there was one.
"""

import concurrent.futures
import fnmatch
import functools
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
INCLUDE_ROOTS = ["agent", "bpf", "tools", "tests"]
CACHE = pathlib.Path(os.environ.get("SALLYPORT_CHECK_CACHE", ROOT / ".build" / "checks"))
CACHE_DAYS = 14
SHOWN_LINES = 12  # of a tool's output, per file
_findings = 0


def finding(text):
    global _findings
    _findings += 1
    print(text, flush=True)


def finish():
    if _findings:
        print(f"{_findings} finding(s)")
    sys.exit(1 if _findings else 0)


def _git(*words):
    """What git says, a list of what NULs or lines end; None where there is no clone, or no answer."""
    # A tree of another owner (a clone made by a user, checks run by root) is refused by git; for
    # this one call it is said to be safe.
    command = ["git", "-c", f"safe.directory={ROOT}", *words]
    try:
        said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return [name for name in re.split("[\0\n]", said.decode()) if name]


@functools.cache
def _all_files():
    names = _git("ls-files", "-zco", "--exclude-standard")
    if names is None:  # an unpacked archive
        names = []
        for folder, folders, files in os.walk(ROOT):
            folders[:] = [f for f in folders if f not in (".build", ".git", ".cache", "__pycache__")]
            names += [os.path.relpath(os.path.join(folder, f), ROOT) for f in files]
    return sorted({name for name in names if (ROOT / name).is_file()})


@functools.cache
def changed():
    """The files that differ from the branch that work began at, or None where there is no clone."""
    for branch in ("origin/HEAD", "origin/main", "main", "HEAD"):
        base = _git("merge-base", branch, "HEAD")
        if base:
            return {*_git("diff", "-z", "--name-only", base[0]),
                    *_git("ls-files", "-zo", "--exclude-standard")}
    return None


def sources(*patterns):
    """The project's files (tracked, or new and not ignored) that match a pattern, as strings."""
    return [n for n in _all_files() if any(fnmatch.fnmatch(n, p) for p in patterns)]


@functools.cache
def text(name):
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


_INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


@functools.cache
def includes(name):
    """(line, project include or None, system include or None) of each #include of a file."""
    body = text(name)
    return [(body.count("\n", 0, m.start()) + 1, m.group(1), m.group(2))
            for m in _INCLUDE.finditer(body)]


def own_root(name):
    """tests/bench/pods/x.h -> tests/bench: a program's own headers may be named from there."""
    return "/".join(name.split("/")[:2])


@functools.cache
def resolve(name, include):
    """The project's file that `#include "include"` in `name` means, or None."""
    for folder in [os.path.dirname(name), *INCLUDE_ROOTS, own_root(name)]:
        candidate = os.path.normpath(os.path.join(folder, include))
        if (ROOT / candidate).is_file():
            return candidate
    return None


def closure(name):
    """The file and, transitively, every project header that it includes, sorted."""
    seen, queue = set(), [name]
    while queue:
        current = queue.pop()
        if current in seen:
            continue
        seen.add(current)
        queue += [r for _, quoted, _ in includes(current) if quoted
                  for r in [resolve(current, quoted)] if r]
    return sorted(seen)


@functools.cache
def _hash(name):
    return hashlib.sha256((ROOT / name).read_bytes()).hexdigest()


def check_each(check, salt, names, command, together=None):
    """Runs command(name) for each name, on all processors; one that fails is a finding.

    What passed with the same contents, includes and salt is not run again. `together` makes groups
    of the names that are left, as pairs (names, command for all of them): a group that passes has
    passed for each of its names, and the names of one that does not are looked at one by one.
    """
    folder = CACHE / check
    folder.mkdir(parents=True, exist_ok=True)
    for stamp in folder.iterdir():
        if stamp.stat().st_mtime < time.time() - CACHE_DAYS * 86400:
            stamp.unlink()

    def stamp_of(name):
        content = "\n".join([salt, name, *(f"{n} {_hash(n)}" for n in closure(name))])
        return folder / hashlib.sha256(content.encode()).hexdigest()

    stamps = {name: stamp_of(name) for name in names}
    waiting = [name for name in names if not stamps[name].exists()]
    print(f"{check}: {len(names)} files, {len(waiting)} of them new or changed", flush=True)

    def execute(words):
        return subprocess.run(words, cwd=ROOT, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        groups = together(waiting) if together else []
        for (group, _), done in zip(groups, pool.map(lambda g: execute(g[1]), groups)):
            if done.returncode == 0:
                for name in group:
                    stamps[name].touch()
        waiting = [name for name in waiting if not stamps[name].exists()]
        for name, done in zip(waiting, pool.map(lambda n: execute(command(n)), waiting)):
            if done.returncode == 0:
                stamps[name].touch()
            else:
                said = [line for line in done.stdout.splitlines()
                        if not re.match(r"\d+ warnings? (and \d+ errors? )?generated", line)]
                finding("\n".join([f"{name}: {check} failed:", *said[:SHOWN_LINES]]))


def version(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
