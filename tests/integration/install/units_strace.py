"""Compares what a daemon asked of the kernel with what its unit allows.

    units_strace.py SYSTEMD-ANALYZE UNIT STRACE-LOG FOLDER

Judged are SystemCallFilter, RestrictAddressFamilies, MemoryDenyWriteExecute, RestrictNamespaces,
RestrictRealtime, ProcSubset=pid with ProtectProc, and ProtectSystem=strict: what is written lies under
FOLDER, where this instance has what the unit has in /run/sealgate and its StateDirectory.
"""
import os
import re
import subprocess
import sys

LINE = re.compile(r"^\d+ +(?:<\.\.\. )?([a-z_0-9]+)(?:\(| resumed>)(.*)$")
WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")
CHANGES = {"mkdir", "mkdirat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "rmdir", "chmod",
           "fchmodat", "chown", "fchownat", "lchown", "truncate", "symlink", "link", "mknod", "mknodat"}
# These exist in every unit with PrivateDevices=yes.
DEVICES = {"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/tty"}


def settings(unit):
    found = {}
    for line in open(unit):
        name, sep, value = line.strip().partition("=")
        if sep and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def expand(analyze, word, seen):
    """A set of system calls, with the sets in it."""
    if not word.startswith("@"):
        return {word}
    if word in seen:
        return set()
    text = subprocess.run([analyze, "syscall-filter", "--no-pager", word], capture_output=True, text=True, check=True).stdout
    calls = set()
    for line in text.splitlines()[1:]:
        line = line.strip()
        if line and not line.startswith("#"):
            calls |= expand(analyze, line, seen | {word})
    return calls


def allowed_calls(analyze, filters):
    allowed = expand(analyze, "@default", frozenset())
    for value in filters:
        calls = set()
        for word in value.lstrip("~").split():
            calls |= expand(analyze, word, frozenset())
        allowed = allowed - calls if value.startswith("~") else allowed | calls
    return allowed


def main():
    analyze, unit, log, folder = sys.argv[1:]
    unit_settings = settings(unit)
    calls = allowed_calls(analyze, unit_settings["SystemCallFilter"])
    families = set(" ".join(unit_settings["RestrictAddressFamilies"]).split())
    faults, seen = set(), set()
    # The first call is strace's own, by which the daemon begins.
    lines = [match for match in map(LINE.match, open(log, errors="replace")) if match][1:]
    for match in lines:
        call, rest = match[1], match[2]
        seen.add(call)
        # As root, and only then, SQLite gives its files to whom the store belongs; the unit is not root's.
        if call not in calls and not (call == "fchown" and os.geteuid() == 0):
            faults.add(f"SystemCallFilter: {call}")
        family = re.match(r"(AF_\w+)", rest) if call in ("socket", "socketpair") else None
        if family and family[1] not in families:
            faults.add(f"RestrictAddressFamilies: {family[1]}")
        if call in ("mmap", "mprotect", "pkey_mprotect") and "PROT_EXEC" in rest:
            if "PROT_WRITE" in rest or call != "mmap":
                faults.add(f"MemoryDenyWriteExecute: {call}({rest}")
        if "CLONE_NEW" in rest:
            faults.add(f"RestrictNamespaces: {call}({rest}")
        if call == "sched_setscheduler" and re.search(r"SCHED_(FIFO|RR|DEADLINE)", rest):
            faults.add(f"RestrictRealtime: {rest}")
        path = re.search(r'"(/[^"]*)"', rest)
        if path and re.match(r"/proc/(?!self\b|thread-self\b|\d)", path[1]) and not rest.rstrip().endswith("ENOENT (No such file or directory)"):
            faults.add(f"ProcSubset: {path[1]}")
        is_written = call in CHANGES or (call in ("open", "openat") and WRITES.search(rest))
        if path and is_written and path[1] not in DEVICES and not path[1].startswith(folder):
            faults.add(f"ProtectSystem: {call}({rest}")
    if len(seen) < 30 or "socket" not in seen:
        faults.add(f"only {len(seen)} different calls were seen")
    print("\n".join(sorted(faults)) or f"ok: {unit.rsplit('/', 1)[1]} allows the {len(seen)} system calls that were made")
    sys.exit(bool(faults))


main()
