"""check.py TREE WORK: makes calls of every kind, and asks Prometheus what the panels of the dashboard ask.

Run by `run`, which says where the gateway (SEALGATE_*, INSTANCE_PKI) and Prometheus (PROMETHEUS) are.
"""
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

TREE, WORK = Path(sys.argv[1]), Path(sys.argv[2])
PKI = os.environ["INSTANCE_PKI"]
HOST, PORT = os.environ["SEALGATE_ENDPOINT"].split(":")
LAST = 10  # seconds of load
# What Grafana would put in.
VARIABLES = {"$instance": ".*", "$__rate_interval": "5s", "$__range": "1m"}


def ask(path, **query):
    with urllib.request.urlopen(f"{os.environ['PROMETHEUS']}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
        return json.load(answer)["data"]


def sealgate(*words, client="dev"):
    environment = os.environ | {"SEALGATE_CERT": f"{PKI}/{client}.pem", "SEALGATE_KEY": f"{PKI}/{client}.key"}
    return subprocess.Popen(("sealgate", *words), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def shake_hands_badly(certificate):
    context = ssl.create_default_context(cafile=f"{PKI}/ca.pem")
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    if certificate:
        context.load_cert_chain(f"{PKI}/{certificate}.pem", f"{PKI}/{certificate}.key")
    with socket.create_connection((HOST, int(PORT))) as raw:
        if certificate is None:
            raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
            raw.recv(100)
            return
        with context.wrap_socket(raw, server_hostname="localhost") as tls:
            tls.sendall(b"no HTTP/2 at all, and long enough for a preface")
            tls.recv(100)


def load():
    """Signatures by three schemes, refusals, denials, connections that fail, and a token that is drained."""
    document = WORK / "document"
    document.write_text("Seen and signed.")
    steady = [sealgate("bench", "--key", key, "--duration", str(LAST)) for key in ("dev-p256", "dev-rsa2048")]
    began = time.monotonic()
    drained = sealgate("tokens", "drain", "softhsm-b", "--reason", "to be seen")
    while time.monotonic() - began < LAST - 1:
        calls = [
            sealgate("sign", "--key", "no-such-key", "--file", str(document), "--out", str(WORK / "none")),
            sealgate("sign", "--key", "dev-rsa2048", "--file", str(document), "--out", str(WORK / "none"), client="guest"),
            sealgate("keys", "list"),
        ]
        shake_hands_badly(None)
        shake_hands_badly("dev")
        for call in calls:
            call.wait()
    drained.wait()
    return steady


def expressions():
    board = json.loads((TREE / "ops/monitoring/dashboard.json").read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            yield panel["title"], expression


def main():
    faults = []
    steady = load()
    for title, expression in expressions():
        result = ask("query", query=expression)["result"]
        values = [float(row["value"][1]) for row in result]
        print(f"{title}: {len(values)} series, {values[:4]}")
        if not any(value == value for value in values):  # NaN is no data
            faults.append(f"{title}: no data: {expression}")
        if title == "State" and sorted(values) != [3, 6]:
            faults.append(f"{title}: {values}, and one token is up and one is draining")
    for process in steady:
        if process.wait() != 0:
            faults.append("signatures failed meanwhile")
    rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
    for rule in rules:
        print(f"alert {rule['name']}: {rule['health']}, {rule['state']}")
        if rule["health"] != "ok":
            faults.append(f"alert {rule['name']}: {rule['health']} {rule.get('lastError', '')}")
    if len(rules) < 10:
        faults.append(f"only {len(rules)} alert rules")
    for fault in faults:
        print(f"FAILED: {fault}")
    return 1 if faults else 0


sys.exit(main())
