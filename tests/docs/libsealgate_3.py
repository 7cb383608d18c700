#!/usr/bin/env python3
"""libsealgate_3.py HEADER... VERSION: the manual page libsealgate.3 out of the headers' comments, for
which the headers remain the one place; the first of them is sealgate.h. After a change of one:

    tests/docs/libsealgate_3.py client/include/*.h 0.1.0 > client/package/libsealgate.3
"""
import re
import sys


def roff(line):
    line = line.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + line if line[:1] in (".", "'") else line


def text_of(comment):
    """The lines of a comment without its stars."""
    inner = comment.strip()[2:-2]
    lines = [re.sub(r"^ \*( |$)", "", line).rstrip() for line in inner.split("\n")]
    lines[0] = lines[0].strip()
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    return lines


def paragraphs(lines):
    """Indented lines are tables and stay as they are; the others flow."""
    out, in_table = [], False
    for line in lines:
        is_table = line.startswith("  ")
        if is_table != in_table:
            out.append(".RS 2\n.nf" if is_table else ".fi\n.RE")
            in_table = is_table
        if is_table:
            out.append(roff(line[2:]))
        else:
            out.append(roff(line) if line else ".PP")
    if in_table:
        out.append(".fi\n.RE")
    return "\n".join(out)


def verbatim(code):
    return ".nf\n" + "\n".join(roff(line) for line in code.rstrip().split("\n")) + "\n.fi"


def section(title, body):
    out = [f".SH {title.upper()}"]
    # A comment at the margin, and declarations up to the next one.
    for part in re.split(r"^(?=/\*)", body, flags=re.M):
        if not part.strip():
            continue
        comment, code = "", part
        if part.startswith("/*"):
            end = part.index("*/") + 2
            comment, code = part[:end], part[end:].lstrip(" ").strip("\n")
        functions = re.findall(r"\b(sealgate_\w+)\(", "\n".join(
            d for d in re.findall(r"^SEALGATE_API [^;]*;", code, re.M)))
        if functions:
            out.append(".SS " + ", ".join(functions))
        elif comment or code:
            out.append(".PP")
        if code.strip():
            out.append(verbatim(code.replace("SEALGATE_API ", "").strip("\n")))
        if comment:
            out.append(".PP\n" + paragraphs(text_of(comment)))
    return "\n".join(out)


def main():
    headers = [open(path, encoding="utf-8").read() for path in sys.argv[1:-1]]
    top = re.search(r"/\*\n \* libsealgate:.*?\*/", headers[0], re.S).group(0)
    print(f""".\\" From the headers in client/include, by tests/docs/libsealgate_3.py: change those.
.TH LIBSEALGATE 3 "" "libsealgate {sys.argv[-1]}" "Library Functions"
.SH NAME
libsealgate \\- signing with keys that a Sealgate gateway guards
.SH SYNOPSIS
.nf
#include <sealgate.h>
#include <sealgate_audit.h>

cc $(pkg\\-config \\-\\-cflags sealgate) program.c $(pkg\\-config \\-\\-libs sealgate)
.fi
.SH DESCRIPTION""")
    print(paragraphs(text_of(top)))
    for header in headers:
        parts = re.split(r"^/\* ---- (.*?) -+ \*/$", header, flags=re.M)
        for title, body in zip(parts[1::2], parts[2::2]):
            print(section(title, body.split("\n#ifdef __cplusplus")[0]))
    print(".SH SEE ALSO\n\\fBsealgate\\fR(1)")


main()
