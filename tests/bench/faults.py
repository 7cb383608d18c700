"""
Breaks one of two tokens under load, in every way that there is, and judges what callers notice. Called by `faults` beside
it, which says what it prints. Rows that do not hold print FAIL, with the figure and why.
"""
import argparse
import os
import pathlib
import random
import signal
import subprocess
import time

from faults_lib import (DEADLINE_EXCEEDED, NS, OK, RETRY_INFO, UNAVAILABLE, WRONG, Callers, Debugger, Instance, Rig, complain, failed,
                        kill, now_ns, run, say)

FAULT_S = 1.2  # how long a fault lasts
WELL_S = 11  # after so long a token that was broken is as good as new: its breaker forgets (hsm/breaker.h)
AFTER_S = 2.5  # and how long is looked at what comes then
BACK_MS_MAX = 1000
REFUSAL_MS_MAX = 5
PEAK_MIN = 0.9  # of what the tokens can do at most
PAUSE_S_MAX = 5  # the longest that a breaker waits before it tries again
# What two tokens together can do at most, in signatures a second, so that they and not two processors are what is short; and
# less where three times as many calls come as can be done, or costly keys, whose signatures are verified here all the same.
RATE, CAPACITY_RATE = 3200, 1600
SESSIONS_MAX = 32
BUSY = 0.9  # processors that were busy for so much of the time are what a figure in milliseconds tells of
A, B = "softhsm", "softhsm-b"

# research/hsm.md 6.5, without those of the PIN; where a code comes from a function of its own it is named.
CODES = {
    0xb3: ("SESSION_HANDLE_INVALID", None), 0xb0: ("SESSION_CLOSED", None), 0x90: ("OPERATION_ACTIVE", "SignInit"),
    0x91: ("OPERATION_NOT_INITIALIZED", "Sign"), 0x60: ("KEY_HANDLE_INVALID", "SignInit"), 0x82: ("OBJECT_HANDLE_INVALID", "SignInit"),
    0x30: ("DEVICE_ERROR", None), 0x32: ("DEVICE_REMOVED", None), 0xe0: ("TOKEN_NOT_PRESENT", None),
    0xe1: ("TOKEN_NOT_RECOGNIZED", None), 0x101: ("USER_NOT_LOGGED_IN", None), 0x190: ("CRYPTOKI_NOT_INITIALIZED", None),
    0x3: ("SLOT_ID_INVALID", "OpenSession"), 0x5: ("GENERAL_ERROR", None), 0x6: ("FUNCTION_FAILED", None),
    0xb1: ("SESSION_COUNT", "OpenSession"), 0x31: ("DEVICE_MEMORY", None), 0x2: ("HOST_MEMORY", None),
}


class Processors:
    """How busy all of them are, and with what, since it was made."""

    def __init__(self, instance):
        self.instance = instance
        self.before = self.read()

    def read(self):
        fields = list(map(int, pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
        ours = 0
        for pid in [pid for role in ("gateway", A, B) for pid in self.instance.pids(role)]:
            try:
                ours += sum(map(int, pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
            except OSError:
                pass
        return sum(fields), fields[3] + fields[4], fields[7], ours

    def used(self):
        """Shares of their time: busy, of that stolen from this machine by others on its host, and the gateway's and its tokens'."""
        total, idle, stolen, ours = (max(0, now - before) for now, before in zip(self.read(), self.before))
        total = max(1, total)
        return 1 - idle / total, stolen / total, ours / total


class Table:
    def __init__(self, arguments):
        self.arguments = arguments
        self.work = pathlib.Path(arguments.work)
        self.build = pathlib.Path(arguments.build)
        self.random = random.Random(arguments.seed)
        self.rows = self.bad = self.unjudged = self.failed_total = 0
        self.worst_ms = 0.0
        self.instance = self.callers = None
        self.broken = {}  # when each token was last
        self.sessions = self.sessions_for(RATE)

    def sessions_for(self, rate):
        """Of each token, so that both together do so many signatures a second, or as near as they can."""
        return min(SESSIONS_MAX, max(1, round(rate * self.arguments.latency_ms / 2000)))

    def tokens(self, sessions):
        rate = 2 * sessions * 1000 / self.arguments.latency_ms
        return f"2 tokens of {sessions} x {self.arguments.latency_ms} ms = {rate:.0f}/s", rate

    # ---- An instance and its load -----------------------------------------------------------------

    def begin(self, second_module=None, second_env="", key="dev-rsa2048", sessions=None):
        """Two rigs, a new instance over them, callers, and both tokens at work."""
        softhsm = self.arguments.softhsm
        self.a = Rig("a", self.work, self.build, softhsm)
        self.b = Rig("b", self.work, self.build, second_module or softhsm, second_env)
        self.mend()
        self.broken = {}
        self.instance = Instance(self.work, self.build, self.arguments.port, self.arguments.metrics_port, self.a.path, self.b.path,
                                 workers=sessions or self.sessions)
        self.instance.up()
        if not self.instance.await_states({A: "UP", B: "UP"}, 20):
            complain(f"not both tokens are up at the start: {self.instance.states()}")
        self.callers = Callers(self.instance, key, self.arguments.callers, self.arguments.deadline_ms)
        time.sleep(1.5)

    def end(self):
        callers, instance = self.callers, self.instance
        self.callers = self.instance = None
        try:
            if callers is not None:
                callers.end()
                if self.arguments.verbose:
                    complain(callers.told())
        finally:
            if instance is not None:
                instance.down()

    def mend(self):
        for rig, memo in ((self.a, 1), (self.b, 0 if self.is_network else 1)):
            rig.tell("reset", "memo", memo, "lat", "Sign", self.arguments.latency_ms * 1000)

    is_network = False

    @staticmethod
    def sleep_until(moment):
        time.sleep(max(0, moment - time.monotonic()))

    def settle(self, token=None):
        """Until this token has been well for a while, and both sign. False: they do not."""
        self.sleep_until(self.broken.get(token, 0) + WELL_S)
        until = time.monotonic() + 12
        while time.monotonic() < until:
            before = self.a.calls("Sign"), self.b.calls("Sign")
            time.sleep(0.4)
            made = self.a.calls("Sign") - before[0], self.b.calls("Sign") - before[1]
            if min(made) * 3 > max(made) and min(made) > 3:
                return True
        return False

    # ---- Rows -------------------------------------------------------------------------------------

    def wants(self, name):
        return self.arguments.only is None or any(word in name for word in self.arguments.only.split(","))

    def row(self, name, calls, complaints, back_ms="", extra="", counts=True, slow=(), used=None):
        """
        Prints one; `counts`: no call of it may fail. `slow`: what took too long or came too seldom. While all processors were
        busy (`used`: how much they were) that is no failure and no success: the row is told to be unjudged.
        """
        verdict = "ok"
        if slow and not complaints and used is not None and used[0] >= BUSY:
            verdict = "UNJUDGED"
        elif slow or complaints:
            verdict = "FAIL"
        complaints = [*complaints, *slow]
        if slow and used is not None:
            complaints.append("processors {:.0%} busy, {:.0%} stolen, {:.0%} with the gateway and its tokens".format(*used))
        bad = [call for call in calls if failed(call)]
        worst = max((call.end_ns - call.begin_ns for call in calls), default=0) / 1e6
        self.rows += 1
        self.bad += verdict == "FAIL"
        self.unjudged += verdict == "UNJUDGED"
        if counts:
            self.failed_total += len(bad)
            self.worst_ms = max(self.worst_ms, worst)
        back = back_ms if isinstance(back_ms, str) else f"{back_ms:.0f}"
        say(f"{name:<44} {len(calls):>6} {len(bad):>6} {worst:>8.0f} {back:>7}  {verdict}"
            + (f"  {extra}" if extra else "") + (f"  ({'; '.join(complaints)})" if complaints else ""))

    def judge(self, calls):
        """What no row may have."""
        complaints = []
        bad = sum(map(failed, calls))
        wrong = sum(bool(call.flags & WRONG) for call in calls)
        late = sum(call.code == DEADLINE_EXCEEDED or call.end_ns - call.begin_ns > self.arguments.deadline_ms * 1_000_000 for call in calls)
        if bad:
            complaints.append(f"{bad} calls failed")
        if wrong:
            complaints.append(f"{wrong} wrong signatures reached callers")
        if late:
            complaints.append(f"{late} beyond their deadline")
        if not calls:
            complaints.append("no calls")
        return complaints

    def full_rate(self):
        end = now_ns()
        return self.callers.rate(end - NS, end)

    def masked(self, name, begin, end=None, fault_s=FAULT_S):
        """
        A fault that callers must not notice: `begin` and after `fault_s` seconds `end`, of the token whose turn it is, by its
        rig and its name.
        """
        if not self.wants(name):
            return
        token = B if self.is_network else min((A, B), key=lambda token: self.broken.get(token, 0))
        rig = self.a if token == A else self.b
        if not self.settle(token):
            complain(f"before \"{name}\" not both tokens sign")
        full = self.full_rate()
        processors = Processors(self.instance)
        from_ns = now_ns()
        begin(rig, token)
        self.sleep_until(from_ns / NS + fault_s)
        if end is not None:
            end(rig, token)
        end_ns = now_ns()
        self.broken[token] = time.monotonic()
        time.sleep(AFTER_S)
        until_ns = now_ns()
        calls = self.callers.between(from_ns, until_ns)
        complaints = self.judge(calls)
        back = self.callers.back_ms(end_ns, full, until_ns, self.arguments.latency_ms)
        slow = []
        if not self.arguments.quick and (back is None or back >= BACK_MS_MAX):
            slow.append("the full rate is not back" if back is None else "the full rate is back too late")
        self.row(name, calls, complaints, "never" if back is None else back, f"of {full:.0f}/s", slow=slow, used=processors.used())
        self.mend()

    def codes(self):
        for code, (name, function) in CODES.items():
            where = function or self.random.choice(["Sign", "SignInit"])
            restart = ["restart"] if where == "OpenSession" else []
            self.masked(f"code 0x{code:x} {name} of C_{where}",
                        lambda rig, _: rig.tell("err", where, hex(code), "for", FAULT_S, *restart))
        self.masked("down: each function 0x30", lambda rig, _: rig.tell("down", "0x30", "for", FAULT_S))

    def breakage(self):
        self.masked("restart: sessions, handles, login void", lambda rig, _: rig.tell("restart"), fault_s=0.01)
        self.masked("login void", lambda rig, _: rig.tell("logout"), fault_s=0.01)
        self.masked("hang of C_Sign", lambda rig, _: rig.tell("hang", "Sign", "for", FAULT_S))
        self.masked("hang of C_OpenSession", lambda rig, _: rig.tell("hang", "OpenSession", "for", FAULT_S, "restart"))
        self.masked("module segfault in C_Sign", lambda rig, _: rig.tell("crash", 1), fault_s=0.01)
        self.masked("module segfault in C_OpenSession", lambda rig, _: rig.tell("crash", "OpenSession", 1, "restart"), fault_s=0.01)
        self.masked("kill -9 of the token process", lambda _, token: kill(self.instance.pids(token), signal.SIGKILL), fault_s=0.01)
        self.masked("SIGSTOP of the token process", self.freeze, lambda *_: kill(self.frozen, signal.SIGCONT))
        if os.geteuid() == 0:
            self.masked("a debugger holds the token process", self.attach, lambda *_: self.debugger.detach())
        self.masked("10 times slower", lambda rig, _: rig.tell("lat", "Sign", self.arguments.latency_ms * 10000), self.hasten)
        few = max(3, self.sessions // 4)
        self.masked(f"sessions for {few} only, after a restart", lambda rig, _: rig.tell("maxsessions", few, "restart"),
                    lambda rig, _: rig.tell("maxsessions", 0, "restart"))

    def hasten(self, *_):
        """The fault is over with the last signature that was begun while it lasted."""
        self.mend()
        time.sleep(self.arguments.latency_ms / 100)

    def freeze(self, _, token):
        self.frozen = self.instance.pids(token)
        kill(self.frozen, signal.SIGSTOP)

    def attach(self, _, token):
        self.debugger = Debugger(self.instance.pids(token)[0])

    # ---- Lies, PINs, poison -----------------------------------------------------------------------

    def wrong_pin(self):
        name = "wrong PIN: one attempt, latched"
        if not self.wants(name):
            return
        self.settle()
        before = self.a.calls("Login")
        from_ns = now_ns()
        self.a.tell("pin", "wrong", "restart")
        time.sleep(FAULT_S)
        for _ in range(2):
            kill(self.instance.pids(A), signal.SIGKILL)
            time.sleep(1.5)
        attempts = self.a.calls("Login") - before
        calls = self.callers.between(from_ns, now_ns())
        complaints = self.judge(calls)
        if attempts != 1:
            complaints.append(f"{attempts} attempts over two starts")
        if not [line for line in self.instance.log().splitlines() if "PIN" in line or "latched" in line]:
            complaints.append("the log does not say what to do")
        self.row(name, calls, complaints, "-", f"attempts={attempts}")
        self.renew()

    def corruption(self):
        name = "corrupted signatures of one key"
        key_id = self.instance.key_id("dev-rsa2048")
        if self.wants(name):
            self.settle()
            from_ns = now_ns()
            self.a.tell("corruptkey", key_id)
            time.sleep(1)
            before = self.a.calls("Sign")
            time.sleep(2)
            more = (self.a.calls("Sign") - before) / 2  # probes may go on
            calls = self.callers.between(from_ns, now_ns())
            complaints = self.judge(calls)
            if more > 5:
                complaints.append("the key still signs on that token")
            if self.instance.states().get(A) != "UP":
                complaints.append(f"the token is {self.instance.states().get(A)}, and its other keys are right")
            self.row(name, calls, complaints, "-", f"calls of C_Sign after a second: {more:.0f}/s")
            self.renew()
        name = "corrupted signatures of all keys"
        if self.wants(name):
            self.settle()
            from_ns = now_ns()
            self.a.tell("corrupt", "for", 1000)
            is_down = self.instance.await_states({A: "DOWN"}, 3)
            calls = self.callers.between(from_ns, now_ns())
            complaints = self.judge(calls)
            if not is_down:
                complaints.append(f"the token is {self.instance.states().get(A)}")
            self.row(name, calls, complaints, "-")
            self.renew()

    def poison(self):
        name = "a key that kills the module, on both"
        if not self.wants(name):
            return
        self.settle()
        key_id = self.instance.key_id("dev-p384")
        document = self.work / "document"
        document.write_bytes(b"x" * 100)
        for rig in (self.a, self.b):
            rig.tell("poisonkey", key_id)
        pids = {token: set(self.instance.pids(token)) for token in (A, B)}
        from_ns = now_ns()
        for number in range(6):
            self.instance.sealgate("sign", "--key", "dev-p384", "--file", document, "--out", self.work / "s", "--timeout", 4, check=False)
            for token in (A, B):
                pids[token] |= set(self.instance.pids(token))
        time.sleep(2)
        for token in (A, B):
            pids[token] |= set(self.instance.pids(token))
        deaths = sum(len(seen) - 1 for seen in pids.values())
        calls = self.callers.between(from_ns, now_ns())
        complaints = self.judge(calls)
        if not 1 <= deaths <= 2:
            complaints.append(f"{deaths} deaths")
        self.row(name, calls, complaints, "-", f"deaths={deaths} in 6 calls")
        self.renew()

    def renew(self, sessions=None):
        self.end()
        for latch in (self.work / "dev" / "token").glob("state*/*"):
            latch.unlink()
        self.begin(sessions=sessions)

    # ---- Both down, overload ----------------------------------------------------------------------

    def both_down(self):
        name = "both tokens down, and back"
        if not self.wants(name):
            return
        self.settle(A)
        self.settle(B)
        full = self.full_rate()
        processors = Processors(self.instance)
        from_ns = now_ns()
        for rig in (self.a, self.b):
            rig.tell("down", "0x30", "for", 3)
        self.broken = dict.fromkeys((A, B), time.monotonic() + 3)
        time.sleep(1.5)
        is_serving = self.instance.is_serving()
        self.sleep_until(from_ns / NS + 3)
        used = processors.used()
        end_ns = now_ns()
        time.sleep(PAUSE_S_MAX + AFTER_S)
        until_ns = now_ns()
        back = self.callers.back_ms(end_ns, full, until_ns, self.arguments.latency_ms)
        # What begins when both have been given up, and what begins when they are back.
        refused = [call for call in self.callers.between(from_ns, end_ns) if call.begin_ns > from_ns + NS and call.code != OK]
        well_ns = until_ns if back is None else end_ns + int(back * 1e6)
        after = [call for call in self.callers.between(well_ns, until_ns) if call.begin_ns >= well_ns]
        took = sorted(call.end_ns - call.begin_ns for call in refused)
        p50, p99 = (took[len(took) * percent // 100] / 1e6 if took else 0 for percent in (50, 99))
        complaints = []
        if not refused:
            complaints.append("no refusals")
        if any(call.code != UNAVAILABLE or not call.flags & RETRY_INFO for call in refused):
            complaints.append("refusals that are not UNAVAILABLE with RetryInfo")
        slow = ["refusals take too long"] if p99 >= REFUSAL_MS_MAX else []
        if is_serving:
            complaints.append("Health says SERVING")
        if back is None:
            complaints.append("no recovery")
        if any(map(failed, after)):
            complaints.append("calls failed after it")
        self.row(name, after, complaints, "never" if back is None else back,
                 f"refusals={len(refused)} p50_ms={p50:.1f} p99_ms={p99:.1f} health={'SERVING' if is_serving else 'NOT_SERVING'}",
                 counts=False, slow=slow, used=used)
        self.mend()

    def capacity(self):
        """Rows that measure what the tokens can do, on tokens that can do less than the processors."""
        names = "P-256 during a flood of RSA-4096", "3 times as many calls, open loop"
        if not any(map(self.wants, names)):
            return
        sessions = self.sessions_for(CAPACITY_RATE)
        self.renew(sessions)
        self.callers.end()
        self.callers = None
        if self.wants(names[0]):
            self.flood(names[0], sessions)
        if self.wants(names[1]):
            self.overload(names[1], sessions)

    def overload(self, name, sessions):
        what, most = self.tokens(sessions)
        program = [self.build / "bench" / "bench_overload", "--port", self.arguments.port, "--pki", self.instance.folder / "pki",
                   "--key", "keys/dev-rsa2048", "--ms", 3000]

        def figures(*options):
            return {word.split("=")[0]: float(word.split("=")[1]) for word in run(*program, *options).split()}

        processors = Processors(self.instance)
        quiet = figures("--closed", 256, "--timeout-ms", 10000)
        peak_used = processors.used()
        peak = quiet["good"] / quiet["seconds"]
        processors = Processors(self.instance)
        over = figures("--rate", int(3 * peak))
        used = processors.used()
        goodput = over["good"] / over["seconds"] / peak
        complaints, slow = [], []
        if over["failed"] or over["bare"]:
            complaints.append(f"{over['failed']:.0f} failed otherwise, {over['bare']:.0f} without RetryInfo")
        if over["held"]:
            slow.append(f"{over['held']:.0f} calls could not be begun")
        if peak < PEAK_MIN * most:
            slow.append("the tokens are not what bounds the peak")
            used = peak_used
        if goodput < 0.95:
            slow.append("goodput below 0.95")
        if over["refusal_p99_ms"] >= REFUSAL_MS_MAX:
            slow.append("refusals take too long")
        self.row(name, [], complaints, "-", f"{what}, peak={peak:.0f}/s goodput={goodput:.3f} refusal_p99_ms={over['refusal_p99_ms']:.1f} "
                 f"(calls began late by {over['begin_p99_ms']:.1f}) cpu={used[0]:.0%}", counts=False, slow=slow, used=used)

    def flood(self, name, sessions):
        """A quarter as many callers as there are sessions, so that half of those, which costly keys leave alone, are enough."""
        def p99(callers, from_ns, to_ns):
            took = sorted(call.end_ns - call.begin_ns for call in callers.between(from_ns, to_ns))
            return took[len(took) * 99 // 100] / 1e6 if took else 0

        few = Callers(self.instance, "dev-p256", max(1, sessions // 2), 10000)
        time.sleep(1)
        start = now_ns()
        time.sleep(4)
        quiet = p99(few, start, now_ns())
        many = Callers(self.instance, "dev-rsa4096", 256, 10000)
        time.sleep(2.5)  # until the rig has seen each digest once, for SoftHSM2 signs that for real
        processors = Processors(self.instance)
        start = now_ns()
        time.sleep(4)
        end = now_ns()
        used = processors.used()
        flooded = p99(few, start, end)
        calls = few.between(start, end)
        rate = many.rate(start, end)
        many.end()
        few.end()
        complaints, slow = [], []
        if not calls or any(map(failed, calls)):
            complaints.append("P-256 calls failed")
        if flooded >= 2 * quiet:
            slow.append("the 99th percentile has more than doubled")
        self.row(name, calls, complaints, "-", f"{self.tokens(sessions)[0]}, p99_ms={flooded:.1f} quiet={quiet:.1f} rsa={rate:.0f}/s "
                 f"cpu={used[0]:.0%}", slow=slow, used=used)

    # ---- The network stand-in ---------------------------------------------------------------------

    def network(self, is_tcp):
        """The second token is behind p11-kit server, and with TCP behind socat too."""
        kind = "TCP" if is_tcp else "unix socket"
        names = [f"p11-kit server ({kind}) {what}" for what in ("kill -9, back after 1.2 s", "SIGSTOP")]
        names += [f"{kind} cut", f"{kind} black hole"] if is_tcp else []
        if not any(map(self.wants, names)):
            return
        self.end()
        server = Network(self.work, self.arguments, is_tcp)
        self.is_network = True
        try:
            token = server.begin()
            self.begin(self.arguments.p11_client, f"P11_KIT_SERVER_ADDRESS=unix:path={token}", "dev-p256")
            self.masked(names[0], lambda *_: server.kill(), lambda *_: server.start())
            self.masked(names[1], lambda *_: server.signal(signal.SIGSTOP), lambda *_: server.signal(signal.SIGCONT))
            if is_tcp:
                self.masked(names[2], lambda *_: server.cut(), lambda *_: server.connect())
                self.masked(names[3], lambda *_: server.signal_link(signal.SIGSTOP), lambda *_: server.signal_link(signal.SIGCONT))
        finally:
            self.end()
            server.end()
            self.is_network = False

    def run(self):
        say(f"{self.tokens(self.sessions)[0]}, {self.arguments.callers} callers, deadline {self.arguments.deadline_ms} ms, "
            f"seed {self.arguments.seed}")
        say(f"{'fault on one of two tokens under load':<44} {'calls':>6} {'failed':>6} {'worst_ms':>8} {'back_ms':>7}")
        try:
            self.begin()
            if self.arguments.quick:
                self.quick()
            else:
                self.codes()
                self.breakage()
                self.wrong_pin()
                self.corruption()
                self.poison()
                self.both_down()
                self.capacity()
                self.network(False)
                self.network(True)
        finally:
            self.end()
        say(f"{self.rows - self.bad - self.unjudged} of {self.rows} rows are as required"
            + (f", {self.unjudged} unjudged: the processors were what was short" if self.unjudged else ""))
        say(f"faults failed={self.failed_total} worst_ms={self.worst_ms:.0f}")
        return self.bad + self.unjudged

    def quick(self):
        self.masked("down: each function 0x30", lambda rig, _: rig.tell("down", "0x30", "for", FAULT_S))
        self.masked("hang of C_Sign", lambda rig, _: rig.tell("hang", "Sign", "for", FAULT_S))
        self.masked("restart: sessions, handles, login void", lambda rig, _: rig.tell("restart"), fault_s=0.01)
        self.masked("kill -9 of the token process", lambda _, token: kill(self.instance.pids(token), signal.SIGKILL), fault_s=0.01)


class Network:
    """p11-kit server before a token of SoftHSM2, and for TCP a socat on each side of the link."""

    def __init__(self, work, arguments, is_tcp):
        self.work, self.arguments, self.is_tcp = work, arguments, is_tcp
        self.server = None
        self.links = []

    def begin(self):
        self.start()
        if self.is_tcp:
            self.connect()
        return self.work / ("link.sock" if self.is_tcp else "server.sock")

    def spawn(self, *words):
        env = dict(self.arguments.env, SOFTHSM2_CONF=str(self.work / "dev" / "token" / "softhsm2.conf"))
        return subprocess.Popen([str(word) for word in words], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                start_new_session=True)

    def start(self):
        path = self.work / "server.sock"
        path.unlink(missing_ok=True)
        self.server = self.spawn("p11-kit", "server", "-f", "--provider", self.arguments.softhsm, "-n", path,
                                 "pkcs11:token=sealgate-dev-b")
        self.wait_for(path)

    def connect(self):
        port, near = self.arguments.link_port, self.work / "link.sock"
        self.links = [self.spawn("socat", f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,nodelay,fork",
                                 f"UNIX-CONNECT:{self.work / 'server.sock'}"),
                      self.spawn("socat", f"UNIX-LISTEN:{near},unlink-early,fork", f"TCP:127.0.0.1:{port},nodelay")]
        self.wait_for(near)

    def wait_for(self, path):
        for _ in range(200):
            if path.exists():
                return
            time.sleep(0.01)
        raise SystemExit(f"there is no {path}")

    def signal(self, number):
        """The server and what it has forked: each is a group of its own."""
        self.signal_group(self.server, number)

    def signal_link(self, number):
        for link in self.links:
            self.signal_group(link, number)

    @staticmethod
    def signal_group(process, number):
        kill([-process.pid], number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.server.wait()

    def cut(self):
        self.signal_link(signal.SIGKILL)
        for link in self.links:
            link.wait()

    def end(self):
        for process in [self.server, *self.links]:
            if process is not None:
                self.signal_group(process, signal.SIGKILL)
                process.wait()


def main():
    parser = argparse.ArgumentParser()
    for name in ("--work", "--build", "--softhsm", "--p11-client"):
        parser.add_argument(name, required=True)
    for name in ("--port", "--metrics-port", "--link-port", "--seed", "--latency-ms", "--callers", "--deadline-ms"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--only")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    arguments.env = dict(os.environ)
    raise SystemExit(1 if Table(arguments).run() else 0)


main()
