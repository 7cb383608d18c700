"""What tests/bench/faults.py and soak.py share: an instance with two tokens that break, callers, and their records."""
import collections
import ctypes
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import urllib.request

NS = 1_000_000_000
RECORD = struct.Struct("<qqII")  # struct record of callers.c
VERIFIED, WRONG, RETRY_INFO = 1, 2, 4
OK, DEADLINE_EXCEEDED, UNAVAILABLE = 0, 4, 14

Call = collections.namedtuple("Call", "begin_ns end_ns code flags")
top = pathlib.Path(__file__).resolve().parents[2]


def now_ns():
    return time.monotonic_ns()


def run(*words, check=True, **options):
    return subprocess.run([str(word) for word in words], check=check, text=True, stdout=subprocess.PIPE, **options).stdout


def failed(call):
    return call.code != OK or not call.flags & VERIFIED


class Rig:
    """One HSM behind a copy of the interposing module."""

    def __init__(self, name, work, build, module, env=""):
        self.path = work / f"{name}.so"
        self.control = work / f"{name}.control"
        self.faultctl = build / "tests" / "faultctl"
        shutil.copy(build / "tests" / "libfaultp11.so", self.path)
        conf = f"module={module}\ncontrol={self.control}\n" + (f"env={env}\n" if env else "")
        pathlib.Path(f"{self.path}.conf").write_text(conf)
        self.control.touch()

    def tell(self, *words):
        return run(self.faultctl, self.control, *words)

    def calls(self, function):
        found = re.search(rf"^{function} (\d+)$", self.tell("stat"), re.M)
        return int(found.group(1)) if found else 0


class Callers:
    """Callers under way, and the records that they write."""

    def __init__(self, instance, key="dev-rsa2048", count=128, deadline_ms=3000):
        self.path = instance.work / f"records.{time.monotonic_ns()}"
        self.deadline_ms = deadline_ms
        public_key = instance.work / f"{key}.pem"
        public_key.write_text(instance.sealgate("keys", "public-key", key))
        self.log = open(f"{self.path}.log", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [instance.build / "bench" / "bench_callers", "--port", str(instance.port), "--pki", instance.folder / "pki",
             "--key", f"keys/{key}", "--public-key", public_key, "--out", self.path, "--callers", str(count),
             "--deadline-ms", str(deadline_ms)], stderr=self.log)
        self.calls = []
        self.at = 0

    def read(self):
        """All calls that have ended so far."""
        if self.process.poll() not in (None, 0, -signal.SIGTERM):  # which may come before it is expected
            self.log.seek(0)
            raise SystemExit(f"the callers ended: {self.log.read()}")
        if self.path.exists():
            with open(self.path, "rb") as file:
                file.seek(self.at)
                data = file.read()
            whole = len(data) // RECORD.size * RECORD.size
            self.at += whole
            self.calls += map(Call._make, RECORD.iter_unpack(data[:whole]))
        return self.calls

    def between(self, from_ns, to_ns):
        """Calls that were under way at some time between the two."""
        return [call for call in self.read() if call.end_ns >= from_ns and call.begin_ns <= to_ns]

    def rate(self, from_ns, to_ns):
        good = sum(from_ns <= call.end_ns < to_ns and not failed(call) for call in reversed(self.read()[-200000:]))
        return good * NS / (to_ns - from_ns)

    def back_ms(self, end_ns, full, until_ns, latency_ms=20):
        """From `end_ns` to the first 200 ms (four signatures of a slow token) in which 0.9 of the full rate was reached; None: never."""
        ends = sorted(call.end_ns for call in self.between(end_ns, until_ns) if not failed(call) and call.end_ns >= end_ns)
        window = max(200, 4 * latency_ms) * 1_000_000
        first = last = 0
        for start in range(end_ns, until_ns - window + 1, 10_000_000):
            while first < len(ends) and ends[first] < start:
                first += 1
            last = max(last, first)
            while last < len(ends) and ends[last] < start + window:
                last += 1
            if (last - first) * NS / window >= 0.9 * full:
                return (start - end_ns) / 1e6
        return None

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        return self.read()

    def told(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read()


class Instance:
    """A development instance over two modules, 32 workers for each."""

    def __init__(self, work, build, port, metrics_port, first, second, workers=32, options=""):
        self.work, self.build, self.port, self.metrics_port = work, build, port, metrics_port
        self.folder = work / "dev"
        self.env = dict(os.environ, SEALGATE_BUILD=str(build), SEALGATE_DEV_DIR=str(self.folder), SEALGATE_DEV_PORT=str(port),
                        SEALGATE_DEV_METRICS_PORT=str(metrics_port), SEALGATE_DEV_BEARER_PORT="none", SEALGATE_DEV_TOKENS="2",
                        SEALGATE_DEV_WORKERS=str(workers), SEALGATE_DEV_MODULE=str(first),
                        SEALGATE_DEV_SECOND_MODULE=str(second), SEALGATE_DEV_OPTIONS=options)

    def up(self):
        done = subprocess.run([top / "ops" / "dev", "up"], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              check=False)
        if done.returncode != 0:
            raise SystemExit(f"no gateway: {done.stderr}")

    def down(self):
        subprocess.run([top / "ops" / "dev", "down"], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)

    def sealgate(self, *words, check=True):
        pki = self.folder / "pki"
        env = dict(os.environ, SEALGATE_ENDPOINT=f"127.0.0.1:{self.port}", SEALGATE_CA=str(pki / "ca.pem"),
                   SEALGATE_CERT=str(pki / "dev.pem"), SEALGATE_KEY=str(pki / "dev.key"))
        return run(self.build / "bin" / "sealgate", *words, check=check, env=env, stderr=subprocess.STDOUT if not check else None)

    def is_serving(self):
        return "SERVING" in (out := self.sealgate("health", check=False)) and "NOT" not in out

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            return answer.read().decode()

    def states(self):
        """Of each token the word of its state."""
        return {token: state.upper() for token, state in
                re.findall(r'^sealgate_token_state\{token="([^"]+)",state="([^"]+)"\} 1$', self.metrics(), re.M)}

    def await_states(self, want, seconds):
        until = time.monotonic() + seconds
        while True:
            states = self.states()
            if all(states.get(token) == state for token, state in want.items()):
                return True
            if time.monotonic() > until:
                return False
            time.sleep(0.05)

    def pids(self, role):
        """Processes of this instance: "gateway", or the name of a token."""
        found = []
        want = ["gateway"] if role == "gateway" else ["token", role]
        for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().decode().split("\0")
            except OSError:
                continue
            if words[1:1 + len(want)] == want and f"{self.folder}/sealgate.yaml" in words:
                found.append(int(entry.parent.name))
        return found

    def key_id(self, name):
        for line in (self.folder / "token" / "keys").read_text().splitlines():
            if line.split()[0] == name:
                return line.split()[2]
        raise SystemExit(f"there is no key {name}")

    def log(self):
        return (self.folder / "log").read_text(errors="replace")


def kill(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


class Debugger:
    """Holds every thread of a process, as one does who attaches to it and looks around. Root's alone: these say no to others."""

    ATTACH, ALL = 16, 0x40000000  # PTRACE_ATTACH, __WALL

    def __init__(self, pid):
        here, there = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            ptrace = ctypes.CDLL(None).ptrace
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                if ptrace(self.ATTACH, int(task.name), None, None) == 0:
                    os.waitpid(int(task.name), self.ALL)
            os.write(there, b".")
            while True:
                signal.pause()
        os.read(here, 1)
        os.close(here)
        os.close(there)

    def detach(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def say(*words):
    print(*words, flush=True)


def complain(*words):
    print(*words, file=sys.stderr, flush=True)
