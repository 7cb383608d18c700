#!/usr/bin/env python3
"""The load and the judge of ops/bench kill: asks by Connect and JSON, and beside that by streams of
libsealgate (bench_streams), kills, and compares the log with what was answered. Ends with
"signatures=… streamed=… lost=… doubled=… unanswered=…"."""
import argparse
import base64
import hashlib
import http.client
import json
import os
import random
import signal
import ssl
import subprocess
import threading
import time

WORKERS = 8
PATIENCE_S = 90  # for one request, over all its repeats


def uuid7(rng):
    value = int(time.time() * 1000) << 80 | 7 << 76 | rng.getrandbits(12) << 64 | 2 << 62 | rng.getrandbits(62)
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


class Caller:
    """One connection, made again whenever it is lost."""

    def __init__(self, port, folder):
        self.port = port
        self.context = ssl.create_default_context(cafile=f"{folder}/pki/ca.pem")
        self.context.set_alpn_protocols(["http/1.1"])
        self.context.load_cert_chain(f"{folder}/pki/dev.pem", f"{folder}/pki/dev.key")
        self.connection = None

    def call(self, method, request):
        """Status and answer; None where there is none."""
        try:
            if self.connection is None:
                self.connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=5)
            self.connection.request("POST", f"/sealgate.v1.{method}", json.dumps(request), {"content-type": "application/json"})
            answer = self.connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            if self.connection is not None:
                self.connection.close()
            self.connection = None
            return None


class Judge:
    def __init__(self, arguments):
        self.arguments = arguments
        self.lock = threading.Lock()
        self.answers = {}  # request id: the signatures that were answered
        self.unanswered = []
        self.count = 0
        self.is_over = threading.Event()

    def ask(self, caller, request):
        """Repeats it until it is answered."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            answer = caller.call("SigningService/Sign", request)
            if answer is not None and answer[0] == 200:
                with self.lock:
                    self.answers.setdefault(request["requestId"], set()).add(answer[1]["signature"])
                    self.count += 1
                return
            time.sleep(0.02)
        with self.lock:
            self.unanswered.append(request["requestId"])

    def work(self, seed):
        rng = random.Random(seed)
        callers = [Caller(self.arguments.port, self.arguments.folder) for _ in range(2)]
        while not self.is_over.is_set():
            digest = hashlib.sha256(rng.randbytes(32)).digest()
            request = {
                "key": "keys/dev-p256",
                "digest": {"algorithm": "DIGEST_ALGORITHM_SHA256", "value": base64.b64encode(digest).decode()},
                "requestId": uuid7(rng),
            }
            kind = rng.random()
            if kind < 0.2:  # twice at once
                other = threading.Thread(target=self.ask, args=(callers[1], request))
                other.start()
                self.ask(callers[0], request)
                other.join()
            else:
                self.ask(callers[0], request)
            if kind > 0.8:  # and once more, later
                time.sleep(rng.random() / 4)
                self.ask(callers[0], request)

    def start_streams(self):
        arguments = self.arguments
        return subprocess.Popen(
            [arguments.streams, "--port", str(arguments.port), "--pki", f"{arguments.folder}/pki", "--key", "dev-p256",
             "--out", f"{arguments.folder}/streamed", "--seed", str(arguments.seed)], stdout=subprocess.PIPE, text=True)

    def stop_streams(self, program):
        """What they were answered becomes ours; how many items that is."""
        program.send_signal(signal.SIGTERM)
        told = program.communicate()[0].strip()
        if program.returncode != 0:
            raise SystemExit(f"the streams ended with {program.returncode}")
        print(f"streams: {told}")
        self.unanswered += ["a stream's"] * int(told.rpartition("unanswered=")[2])
        ids = set()
        with open(f"{self.arguments.folder}/streamed", encoding="ascii") as file:
            for line in file:
                request_id, signature = line.split()
                self.answers.setdefault(request_id, set()).add(signature)
                ids.add(request_id)
        return len(ids)

    def victim(self, kind):
        if kind == "postgres":
            with open(f"{self.arguments.postgres}/data/postmaster.pid", encoding="ascii") as file:
                return int(file.readline())
        with open(f"{self.arguments.folder}/run/pid", encoding="ascii") as file:
            launcher = file.readline().strip()
        children = subprocess.run(["ps", "--ppid", launcher, "-o", "pid=,args="], capture_output=True, text=True).stdout
        for line in children.splitlines():
            if f"sealgated {kind}" in line:
                return int(line.split()[0])
        return None

    def kill_in_turn(self):
        rng = random.Random(self.arguments.seed)
        kinds = ["gateway", "token"] + (["postgres"] if self.arguments.postgres else [])
        killed = dict.fromkeys(kinds, 0)
        for number in range(self.arguments.rounds):
            kind = kinds[number % len(kinds)] if number < len(kinds) else rng.choice(kinds)
            time.sleep(rng.random() / 2)
            try:
                pid = self.victim(kind)
                if pid is not None:
                    os.kill(pid, signal.SIGKILL)
                    killed[kind] += 1
            except (OSError, ValueError):
                continue  # it is on its way back
            with self.lock:
                before = self.count
            until = time.monotonic() + 30
            while self.count < before + WORKERS and time.monotonic() < until:
                time.sleep(0.01)
        return killed

    def leaves(self):
        caller, token, found = Caller(self.arguments.port, self.arguments.folder), "", {}
        until = time.monotonic() + 60
        while True:
            answer = caller.call("AuditService/ListLeaves",
                                 {"pageSize": 1000, "pageToken": token, "filter": {"event": "AUDIT_EVENT_SIGNATURE"}})
            if answer is None or answer[0] != 200:
                if time.monotonic() > until:
                    raise SystemExit(f"the log cannot be read: {answer}")
                time.sleep(0.2)
                continue
            for leaf in answer[1].get("leaves", []):
                content = leaf["content"]
                found.setdefault(content.get("requestId", ""), []).append(content["signature"])
            token = answer[1].get("nextPageToken", "")
            if token == "":
                return found

    def run(self):
        workers = [threading.Thread(target=self.work, args=(f"{self.arguments.seed} {i}",)) for i in range(WORKERS)]
        for worker in workers:
            worker.start()
        streams = self.start_streams()
        killed = self.kill_in_turn()
        self.is_over.set()
        for worker in workers:
            worker.join()
        streamed = self.stop_streams(streams)
        recorded = self.leaves()
        lost = doubled = 0
        for request_id, signatures in self.answers.items():
            leaves = recorded.get(request_id, [])
            lost += sum(signature not in leaves for signature in signatures)
            doubled += len(signatures) > 1 or len(leaves) > 1
        print("killed " + ", ".join(f"{kind} {count} times" for kind, count in killed.items())
              + f"; {self.count} answers to {len(self.answers) - streamed} requests, {sum(map(len, recorded.values()))} leaves")
        print(f"signatures={len(self.answers)} streamed={streamed} lost={lost} doubled={doubled} unanswered={len(self.unanswered)}", flush=True)
        if not streamed or len(self.answers) == streamed or self.unanswered:
            raise SystemExit("there are requests that were never answered")


parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--folder", required=True)
parser.add_argument("--rounds", type=int, required=True)
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--postgres", default="")
parser.add_argument("--streams", required=True)  # the program bench_streams
Judge(parser.parse_args()).run()
