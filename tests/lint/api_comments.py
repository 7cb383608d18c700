#!/usr/bin/env python3
"""api_comments.py HEADER...: every function of an installed header has a comment of its own, directly
above it, that says which thread may call it; where it gives something out, whose that is; and where
it can fail, how."""
import re
import sys


def complaints(text):
    found = 0
    for match in re.finditer(r"^SEALGATE_API [^;]*;", text, re.M):
        declaration = match.group(0)
        name = re.search(r"(sealgate_\w+)\(", declaration).group(1)
        found += 1
        before = text[: match.start()]
        if not before.endswith("*/\n"):
            yield f"{name} has no comment directly above it"
            continue
        comment = before[before.rindex("/*") :]
        if "Thread:" not in comment:
            yield f"{name}: the comment does not say which thread may call it (Thread:)"
        gives = "**ret" in declaration or re.match(r"SEALGATE_API (const )?\w+ \*", declaration)
        if gives and "Owns:" not in comment:
            yield f"{name}: the comment does not say whose the result is (Owns:)"
        if re.match(r"SEALGATE_API enum sealgate_code\b", declaration) and "Errors:" not in comment:
            yield f"{name}: the comment does not say how it fails (Errors:)"
    if found < 20:
        yield f"only {found} functions seen"


def self_test():
    good = "/* Does. Thread: any. Owns: nothing. Errors: none. */\nSEALGATE_API enum sealgate_code sealgate_%d(int **ret);\n"
    fine = "".join(good % i for i in range(20))
    assert not list(complaints(fine))
    for lacking in ("Thread:", "Owns:", "Errors:", "/* Does. Thread: any. Owns: nothing. Errors: none. */\n"):
        assert len(list(complaints(fine + (good % 99).replace(lacking, "")))) == 1, lacking
    assert list(complaints(""))


self_test()
wrong = list(complaints("".join(open(path, encoding="utf-8").read() for path in sys.argv[1:])))
for line in wrong:
    print(line)
sys.exit(1 if wrong else 0)
