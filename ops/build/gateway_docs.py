#!/usr/bin/python3
"""Writes what is installed beside sealgated and tells of its options, from what it says itself:

    gateway_docs.py man8|man5|bash PROGRAM

man8 is sealgated(8) and bash its completion, from --help; man5 is sealgate.yaml(5), from
--help-config. It runs in the build, so the pages cannot lag behind. A help text that is not made
as expected ends it: better no build than half a page.
"""
import re
import subprocess
import sys

FILES = """\
.SH FILES
.TP
\\fI/etc/sealgate/sealgate.yaml\\fR
The configuration that the units of systemd name.  Nothing is looked for by itself:
\\fB\\-\\-config\\fR must be given.
.TP
\\fI/run/sealgate\\fR
Sockets of the token processes.
.TP
\\fI/var/lib/sealgate\\fR
What is kept across restarts: a folder for each token, with the note of a refused PIN, and that of
the gateway, with the store.
.SH SEE ALSO
\\fBsealgate.yaml\\fR(5), \\fBsealgate\\fR(1), \\fBlibsealgate\\fR(3)
"""


def fail(why):
    sys.exit(f"{sys.argv[0]}: {why}")


def ask(program, option):
    return subprocess.run([program, option], check=True, capture_output=True, text=True).stdout


def roff(text):
    """Text of a line: dashes that can be copied, nothing that is taken for a command."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def title(name, section, version, manual):
    return f'.TH {name} {section} "" "{version}" "{manual}"\n'


def blocks(text):
    return [block.split("\n") for block in re.split(r"\n\n+", text.strip("\n"))]


def table(lines):
    """Rows "  word  explanation", the second part going on in lines that are further in."""
    rows = []
    for line in lines:
        row = re.fullmatch(r"  (\S(?:\S| (?! ))*)(?: {2,}(.*))?", line)
        if row:
            rows.append([row[1], row[2] or ""])
        elif rows and line.startswith("    "):
            rows[-1][1] = (rows[-1][1] + " " + line.strip()).strip()
        else:
            fail(f"this line is no row of a table: {line!r}")
    if not rows or not all(help_text for _, help_text in rows):
        fail(f"no table: {lines!r}")
    return rows


def bold(term):
    """Options and roles in bold, what stands for something else in italics."""
    return " ".join("\\fI%s\\fR" % roff(word) if re.fullmatch(r"[A-Z][A-Z_:|.]*", word)
                    else "\\fB%s\\fR" % roff(word) for word in term.split(" "))


def parse_help(text):
    """Of --help: usage lines, what it is, tables by name, and the notes at the end."""
    usage, what, *rest = blocks(text)
    if not usage[0].startswith("Usage: "):
        fail("--help does not begin with Usage:")
    usage = [line.removeprefix("Usage: ").strip() for line in usage]
    tables, notes = {}, []
    for block in rest:
        if re.fullmatch(r"[A-Z][a-z ]*:", block[0]):
            tables[block[0][:-1]] = table(block[1:])
            continue
        for line in block:
            note = re.fullmatch(r"([A-Z][a-z ]*): (\S.*)", line)
            if note:
                notes.append([note[1], note[2]])
            elif notes and line.startswith(" "):
                notes[-1][1] += " " + line.strip()
            else:
                fail(f"neither a note nor a table: {line!r}")
    if "Roles" not in tables or "Commands" not in tables or "Options" not in tables or not notes:
        fail("--help lacks roles, commands, options or notes")
    return usage, " ".join(what), tables, notes


def man8(program):
    usage, what, tables, notes = parse_help(ask(program, "--help"))
    out = [title("SEALGATED", 8, ask(program, "--version").strip(), "System Administration"),
           ".SH NAME\nsealgated \\- signing gateway in front of PKCS#11 tokens\n.SH SYNOPSIS\n"]
    out += [f"{bold(line)}\n.br\n" for line in usage]
    out.append(f".SH DESCRIPTION\n{roff(what)}\n")
    for name, rows in tables.items():
        out.append(f".SH {name.upper()}\n")
        out += [f".TP\n{bold(term)}\n{roff(text[:1].upper() + text[1:])}.\n" for term, text in rows]
    for name, text in notes:
        out.append(f".SH {name.upper()}\n{roff(text)}\n")
    return "".join(out) + FILES


def man5(program):
    out = [title("SEALGATE.YAML", 5, ask(program, "--version").strip(), "File Formats"), """\
.SH NAME
sealgate.yaml \\- configuration of sealgated
.SH DESCRIPTION
One YAML file for all roles of \\fBsealgated\\fR(8).  Relative paths in it are taken from its folder.
An option that is not known, a value out of its range and a file that is not there are errors:
.PP
.nf
    sealgated \\-\\-check\\-config \\-\\-config FILE
.fi
.SH OPTIONS
"""]
    is_list, count = False, 0
    for block in blocks(ask(program, "--help-config")):
        head = re.fullmatch(r"(\S+) \(a list\)", block[0])
        if head:
            out.append(f".SH LIST: {head[1].upper()}\n\\fB{roff(head[1])}\\fR: {roff(block[1].strip())}\n")
            is_list, block = True, block[2:]
        indent = "    " if is_list else ""
        for i in range(0, len(block), 3):
            name, text, facts = (block[i:i + 3] + ["", ""])[:3]
            if not (re.fullmatch(indent + r"[a-z]\w*(\.\w+)?", name) and text.startswith(indent + "    ")
                    and re.fullmatch(indent + r"    \(.+\)", facts)):
                fail(f"these are no name, text and facts: {block[i:i + 3]!r}")
            facts = facts.strip()[1:-1]
            out.append(f".TP\n\\fB{roff(name.strip())}\\fR\n{roff(text.strip())}\n"
                       f".br\n{roff(facts[:1].upper() + facts[1:])}.\n")
            count += 1
    if count == 0 or not is_list:
        fail("--help-config lacks options or lists")
    out.append(".SH SEE ALSO\n\\fBsealgated\\fR(8)\n")
    return "".join(out)


def bash(program):
    _, _, tables, _ = parse_help(ask(program, "--help"))
    roles = [term.split()[0] for term, _ in tables["Roles"]]
    options = [word for term, _ in tables["Options"] for word in re.findall(r"--[a-z-]+", term)]
    roles += [term.split()[0] for term, _ in tables["Commands"]]
    files = [term.split()[0] for term, _ in tables["Options"] if term.endswith(" FILE")]
    folders = [term.split()[0] for term, _ in tables["Options"] if term.endswith(" FOLDER")]
    return f"""\
# bash completion for sealgated. From its --help, by ops/build/gateway_docs.py.
_sealgated() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    compopt +o default 2>/dev/null
    COMPREPLY=()
    case "$before" in
    {"|".join(files)})
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$word"))
        ;;
    {"|".join(folders)})
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -d -- "$word"))
        ;;
    sealgated | */sealgated) COMPREPLY=($(compgen -W '{" ".join(roles + options)}' -- "$word")) ;;
    token) ;;
    *) COMPREPLY=($(compgen -W '{" ".join(options)}' -- "$word")) ;;
    esac
}}
complete -F _sealgated sealgated
"""


def main():
    pages = {"man8": man8, "man5": man5, "bash": bash}
    if len(sys.argv) != 3 or sys.argv[1] not in pages:
        fail("usage: gateway_docs.py man8|man5|bash PROGRAM")
    sys.stdout.write(pages[sys.argv[1]](sys.argv[2]))


main()
