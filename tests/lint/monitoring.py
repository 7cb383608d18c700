#!/usr/bin/python3
"""Alerts and dashboard name nothing that the gateway does not show.

    monitoring.py TREE [--promtool PROGRAM WORK]

Every metric of ops/monitoring/ is a row of metrics.def with those labels; every value of a label that
a program of ours chooses (reason, why, state, listener) is one of its values; each metric of the alerts
is tried by alerts_test.yml; each time that the gateway measures, a histogram, has a panel. With promtool it also parses each expression of the dashboard.
"""
import json
import re
import subprocess
import sys
from pathlib import Path

SUFFIXES = {"COUNTER": [""], "GAUGE": [""], "HISTOGRAM": ["_bucket", "_sum", "_count"]}
# Prometheus' own.
OUTSIDE = {"up"}
ADDED = {"instance", "job", "le"}


def read(tree, path):
    return (tree / path).read_text()


def rows_of(tree):
    return re.findall(r"^METRIC\(\w+,\s*(\w+),\s*\"(\w+)\",\s*(\w+),\s*(\w+),", read(tree, "gateway/metrics/metrics.def"), re.M)


def metrics_of(tree):
    """Name as scraped -> labels."""
    found = {}
    for kind, name, a, b in rows_of(tree):
        for suffix in SUFFIXES[kind]:
            found[name + suffix] = {label for label in (a, b) if label != "NONE"}
    return found


def values_of(tree):
    """Label -> the values that it may have, from the tables that the page is written from."""
    source = read(tree, "gateway/metrics/metrics.c")

    def strings(table):
        body = re.search(r"\b%s\[\] = \{(.*?)\};" % table, source, re.S)
        return set(re.findall(r'"(\w+)"', body[1])) if body else set()

    return {"reason": set(re.findall(r"^REASON\((\w+)", read(tree, "base/reason.def"), re.M)),
            "why": set(re.findall(r'= "(\w+)"', read(tree, "proto/h2/why.c"))),
            "state": strings("token_states") | strings("key_states") | strings("witness_states")}


def label_names(tree):
    """WHY -> why, as the page has it."""
    return dict(re.findall(r'\[SG_LABEL_(\w+)\] = "(\w+)"', read(tree, "gateway/metrics/metrics.c")))


def judge(where, expression, metrics, names, values):
    faults = []
    for name, matchers in re.findall(r"\b([a-z_]+)\b(?:\{([^}]*)\})?", expression):
        if name.startswith("sealgate_") and name not in metrics:
            faults.append(f"{where}: there is no metric {name}")
            continue
        if name not in metrics and name not in OUTSIDE:
            continue
        allowed = {names[label] for label in metrics.get(name, ())} | ADDED
        for label, text in re.findall(r'(\w+)\s*[!=]~?\s*"([^"]*)"', matchers):
            if label not in allowed:
                faults.append(f"{where}: {name} has no label {label}")
            for value in text.split("|") if label in values else ():
                if value not in values[label]:
                    faults.append(f"{where}: {label} is never {value}")
    return faults


def expressions(tree):
    alerts = read(tree, "ops/monitoring/alerts.yml")
    # An expression is the rest of its line, or the lines that are further in.
    for name, one, more in re.findall(r"- alert: (\w+)\n(?:\s*#.*\n)*\s*expr: (?:>-((?:\n {10,}\S.*)+)|(\S.*))", alerts):
        yield f"alert {name}", one or more
    board = json.loads(read(tree, "ops/monitoring/dashboard.json"))
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']!r}", target["expr"]


def main():
    tree = Path(sys.argv[1])
    metrics, names, values = metrics_of(tree), label_names(tree), values_of(tree)
    if not metrics or not names or not all(values.values()):
        sys.exit("the tables of the metrics could not be read")
    found = list(expressions(tree))
    alerts = {where.split()[1] for where, _ in found if where.startswith("alert")}
    faults = [fault for where, text in found for fault in judge(where, text, metrics, names, values)]
    if len(alerts) != read(tree, "ops/monitoring/alerts.yml").count("- alert:"):
        faults.append("not every alert could be read")
    shown = " ".join(text for where, text in found if where.startswith("panel"))
    faults += [f"no panel shows {name}" for kind, name, _, _ in rows_of(tree) if kind == "HISTOGRAM" and f"{name}_bucket" not in shown]
    tests = read(tree, "ops/monitoring/alerts_test.yml")
    faults += [f"alerts_test.yml does not try {name}" for name in sorted(alerts) if f'alertname="{name}"' not in tests]
    for name, matchers in re.findall(r"series: '(sealgate_\w+|up)\{([^']*)\}'", tests):
        faults += judge("alerts_test.yml", f"{name}{{{matchers}}}", metrics, names, values)
    if len(sys.argv) > 2:
        rules = Path(sys.argv[4])
        boards = [text for where, text in found if where.startswith("panel")]
        rules.write_text(json.dumps({"groups": [{"name": "board", "rules": [
            {"record": f"panel:{i}", "expr": re.sub(r"\$__\w+", "5m", text)} for i, text in enumerate(boards)]}]}))
        run = subprocess.run([sys.argv[3], "check", "rules", str(rules)], capture_output=True, text=True)
        if run.returncode != 0:
            faults.append(run.stdout + run.stderr)
    print("\n".join(faults) or f"{len(found)} expressions are in order")
    sys.exit(bool(faults))


main()
