"""
Random faults for a long time under load, and what the processes grow by meanwhile. Called by `soak` beside it, which says
what it prints.
"""
import argparse
import pathlib
import random
import re
import signal
import time

from faults_lib import NS, WRONG, Callers, Instance, Rig, complain, failed, kill, now_ns, say

CODES = [0xb3, 0xb0, 0x60, 0x82, 0x30, 0x32, 0xe0, 0xe1, 0x101, 0x190, 0x5, 0x6, 0x31, 0x2]
TOKENS = ("softhsm", "softhsm-b")
# Those that a token process is to outlive, and those that end it. The first token has the former alone, so that what grows
# does so in one process for the whole time.
GENTLE = ["error", "down", "restart", "logout", "slow", "sessions"]
DEADLY = ["hang", "hang of OpenSession", "crash", "kill", "freeze"]
# What is not taken for growth, of processes that lasted so long: an allocator rounds up, and two sessions are not workers'.
LASTED_S, GROWN_KIB_MAX, GROWN_SESSIONS_MAX = 60, 4096, 2


class Soak:
    def __init__(self, arguments):
        self.arguments = arguments
        work, build = pathlib.Path(arguments.work), pathlib.Path(arguments.build)
        self.random = random.Random(arguments.seed)
        self.rigs = {token: Rig(name, work, build, arguments.softhsm) for token, name in zip(TOKENS, "ab")}
        for rig in self.rigs.values():
            self.mend(rig)
        self.instance = Instance(work, build, arguments.port, arguments.metrics_port, *(rig.path for rig in self.rigs.values()))
        self.samples = {}  # of each process: lists of (seconds, KiB, descriptors)
        self.sessions = {token: [] for token in TOKENS}
        self.faults = {}
        self.calls = self.failed = self.wrong = 0
        self.worst_ms = 0.0

    def mend(self, rig):
        rig.tell("reset", "memo", 1, "lat", "Sign", self.arguments.latency_ms * 1000)

    # ---- One fault --------------------------------------------------------------------------------

    def fault(self):
        token = self.random.choice(TOKENS)
        rig = self.rigs[token]
        seconds = f"{self.random.uniform(0.2, 2):.2f}"
        kind = self.random.choice(GENTLE if token == TOKENS[0] else GENTLE + DEADLY)
        self.faults[kind] = self.faults.get(kind, 0) + 1
        pids = self.instance.pids(token)
        if kind == "error":
            rig.tell("err", self.random.choice(["Sign", "SignInit", "all"]), hex(self.random.choice(CODES)), "for", seconds)
        elif kind == "down":
            rig.tell("down", hex(self.random.choice(CODES)), "for", seconds)
        elif kind == "hang":
            rig.tell("hang", "Sign", "for", seconds)
        elif kind == "hang of OpenSession":
            rig.tell("hang", "OpenSession", "for", seconds, "restart")
        elif kind == "restart":
            rig.tell("restart")
        elif kind == "logout":
            rig.tell("logout")
        elif kind == "crash":
            rig.tell("crash", 1)
        elif kind == "kill":
            kill(pids, signal.SIGKILL)
        elif kind == "freeze":
            kill(pids, signal.SIGSTOP)
        elif kind == "slow":
            rig.tell("lat", "Sign", self.arguments.latency_ms * 10000)
        else:
            rig.tell("maxsessions", 8, "restart")
        time.sleep(float(seconds))
        if kind == "freeze":
            kill(pids, signal.SIGCONT)
        self.mend(rig)
        if kind == "sessions":
            rig.tell("restart")
        time.sleep(self.random.uniform(1, 4))

    # ---- What is watched --------------------------------------------------------------------------

    def sample(self, since):
        for role in ("gateway", *TOKENS):
            for pid in self.instance.pids(role):
                process = pathlib.Path(f"/proc/{pid}")
                try:
                    kib = int(re.search(r"^VmRSS:\s+(\d+)", (process / "status").read_text(), re.M).group(1))
                    descriptors = len(list((process / "fd").iterdir()))
                except (OSError, AttributeError):
                    continue  # it has ended meanwhile
                self.samples.setdefault((role, pid), []).append((time.monotonic() - since, kib, descriptors))
        for token, rig in self.rigs.items():
            found = re.search(r"^sessions (\d+)$", rig.tell("stat"), re.M)
            self.sessions[token].append(int(found.group(1)))

    def tally(self, callers):
        for call in callers.read():
            self.calls += 1
            self.failed += failed(call)
            self.wrong += bool(call.flags & WRONG)
            self.worst_ms = max(self.worst_ms, (call.end_ns - call.begin_ns) / 1e6)
        callers.calls.clear()

    # ---- All of it --------------------------------------------------------------------------------

    def run(self):
        self.instance.up()
        callers = None
        try:
            if not self.instance.await_states(dict.fromkeys(TOKENS, "UP"), 20):
                complain(f"not both tokens are up at the start: {self.instance.states()}")
            callers = Callers(self.instance, "dev-rsa2048", self.arguments.callers, self.arguments.deadline_ms)
            since = time.monotonic()
            told = since
            time.sleep(3)
            while time.monotonic() < since + self.arguments.minutes * 60:
                self.sample(since)
                self.fault()
                self.tally(callers)
                if time.monotonic() > told + 60:
                    told = time.monotonic()
                    complain(f"{(told - since) / 60:.0f} min: {self.calls} calls, {self.failed} failed, {sum(self.faults.values())} faults")
            time.sleep(3)
            self.sample(since)
            callers.end()
            self.tally(callers)
            if self.failed:
                complain(callers.told())
        finally:
            if callers is not None and callers.process.poll() is None:
                callers.end()
            self.instance.down()
        return self.tell()

    @staticmethod
    def growth(values):
        """From the median of the second fifth, when all is warm, to that of the last."""
        fifth = max(1, len(values) // 5)
        early, late = sorted(values[fifth:2 * fifth] or values[:1]), sorted(values[-fifth:])
        return late[len(late) // 2] - early[len(early) // 2]

    def tell(self):
        say("faults: " + ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items())))
        grown_kib = grown_descriptors = 0
        for (role, pid), samples in self.samples.items():
            if samples[-1][0] - samples[0][0] < LASTED_S:
                continue
            kib, descriptors = self.growth([row[1] for row in samples]), self.growth([row[2] for row in samples])
            grown_kib, grown_descriptors = max(grown_kib, kib), max(grown_descriptors, descriptors)
            say(f"{role} ({pid}): {samples[-1][0] - samples[0][0]:.0f} s, memory {samples[0][1] / 1024:.1f} to {samples[-1][1] / 1024:.1f} MB, "
                f"grown {kib / 1024:.1f}; descriptors {samples[0][2]} to {samples[-1][2]}")
        for token, counts in self.sessions.items():
            say(f"{token}: sessions {counts[0]} to {counts[-1]}, at most {max(counts)}")
        sessions = max(self.growth(counts) for counts in self.sessions.values())
        most = max(max(counts) - counts[0] for counts in self.sessions.values())  # what restarts end hides a leak
        say(f"soak minutes={self.arguments.minutes:g} faults={sum(self.faults.values())} calls={self.calls} failed={self.failed} "
            f"wrong={self.wrong} worst_ms={self.worst_ms:.0f} grown_mb={grown_kib / 1024:.1f} descriptors={grown_descriptors} "
            f"sessions={sessions} most={most}")
        has_grown = grown_kib > GROWN_KIB_MAX or grown_descriptors > 0 or sessions > GROWN_SESSIONS_MAX
        return self.failed + self.wrong == 0 and not has_grown


def main():
    parser = argparse.ArgumentParser()
    for name in ("--work", "--build", "--softhsm"):
        parser.add_argument(name, required=True)
    for name in ("--port", "--metrics-port", "--seed", "--latency-ms", "--callers", "--deadline-ms"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    raise SystemExit(0 if Soak(parser.parse_args()).run() else 1)


main()
