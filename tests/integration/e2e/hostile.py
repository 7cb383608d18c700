"""Attacks on a gateway's port, each by a client of its own making: raw frames over Python's TLS.

    hostile.py LISTENER PORT METRICS-PORT PKI-DIR GATEWAY-PID SEALGATE-COMMAND...

Of each attack it is asked that
- the connection ends, and sealgate_connections_ended_total says why;
- the gateway's memory does not grow by more than GROWTH_MAX while it lasts;
- somebody else's call (the command) succeeds in the middle of it.
"""

import os
import socket
import ssl
import struct
import subprocess
import sys
import time
import urllib.request

LISTENER, PORT, METRICS_PORT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
PKI, PID, COMMAND = sys.argv[4], int(sys.argv[5]), sys.argv[6:]

GROWTH_MAX = 64 << 20  # one connection may hold 8 MiB of messages; a sanitizer keeps what is freed
LAST = 12.0  # seconds; longer than any time-out that an attack waits for

DATA, HEADERS, PRIORITY, RST, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """An HPACK field that enters no table; names and values below 127 bytes."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def request(stream, path=b"/sealgate.v1.SigningService/Sign", flags=END_HEADERS, extra=b""):
    # :method POST and :scheme https of the static table
    block = b"\x83\x87" + literal(b":path", path) + literal(b":authority", b"a")
    block += literal(b"content-type", b"application/grpc") + literal(b"te", b"trailers") + extra
    return frame(HEADERS, flags, stream, block)


def message(body):
    return b"\0" + struct.pack(">I", len(body)) + body


class Connection:
    """One client. Everything that the server says is read and thrown away, but for `seen`."""

    def __init__(self, certificate="dev", settings=b"", reads=True):
        context = ssl.create_default_context(cafile=f"{PKI}/ca.pem")
        context.check_hostname = False
        context.set_alpn_protocols(["h2"])
        if LISTENER == "certificate":
            context.load_cert_chain(f"{PKI}/{certificate}.pem", f"{PKI}/{certificate}.key")
        raw = socket.create_connection(("127.0.0.1", PORT))
        raw.settimeout(LAST)
        self.tls = context.wrap_socket(raw, server_hostname="localhost")
        self.reads = reads
        self.seen = b""
        self.is_over = False
        self.send(PREFACE + frame(SETTINGS, payload=settings))

    def send(self, data):
        if self.is_over:
            return
        try:
            self.tls.sendall(data)
            if self.reads:
                self.read(0)
        except (OSError, ssl.SSLError):
            self.is_over = True

    def read(self, seconds):
        """What comes within so many seconds, until the end."""
        until = time.monotonic() + seconds
        while not self.is_over:
            self.tls.settimeout(max(until - time.monotonic(), 0.0001))
            try:
                data = self.tls.recv(65536)
                self.seen = (self.seen + data)[-65536:]
                self.is_over = data == b""
            except (TimeoutError, ssl.SSLWantReadError):
                break
            except (OSError, ssl.SSLError):
                self.is_over = True
        self.tls.settimeout(LAST)

    def close(self):
        self.tls.close()


def repeat(connection, make, most=100000, seconds=LAST):
    """Sends make(i), i = 0, 1, ..., by hundreds, until the server has enough."""
    until = time.monotonic() + seconds
    i = 0
    while not connection.is_over and i < most and time.monotonic() < until:
        connection.send(b"".join(make(j) for j in range(i, i + 100)))
        i += 100
    connection.read(2)


def flood(make, **options):
    def attack():
        connection = Connection(**options)
        repeat(connection, make)
        over = connection.is_over
        connection.close()
        return over

    return attack


def rapid_reset(i):
    return request(2 * i + 1) + frame(RST, 0, 2 * i + 1, struct.pack(">I", 8))


def made_you_reset(i):
    stream = 2 * i + 1
    return request(stream) + frame(WINDOW_UPDATE, 0, stream, b"\x7f\xff\xff\xff")


def continuation(i):
    return frame(HEADERS, 0, 1, b"\x83") if i == 0 else frame(CONTINUATION, 0, 1, b"")


def bomb(i):
    """The second field is kept in the table once, and then is one byte."""
    block = b"\x83\x87" + literal(b":path", b"/a") + literal(b":authority", b"a")
    block += b"\x40\x01x\x7f\xe1\x17" + b"a" * 3168 + b"\xbe" * 8000
    return frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, block)


def long_headers(i):
    """Whole requests: those that are not over would soon be as many as may be at once."""
    fields = b"".join(literal(b"x-%d" % n, b"a" * 120) for n in range(110))
    return request(2 * i + 1, flags=END_HEADERS | END_STREAM, extra=fields)


def hoard():
    """Answers that are never taken: no window at all, for as many calls as there may be."""
    no_window = struct.pack(">HI", 4, 0)
    connections = [Connection(settings=no_window) for _ in range(10)]
    list_keys = b"/sealgate.v1.KeyService/ListKeys"
    for connection in connections:
        for i in range(100):
            connection.send(request(2 * i + 1, list_keys) + frame(DATA, END_STREAM, 2 * i + 1, message(b"")))
    time.sleep(3)
    for connection in connections:
        connection.close()
    return True


def half_sent():
    """A hundred messages of nearly a MiB, none of them whole."""
    connection = Connection()
    body = message(b"a" * ((1 << 20) - 1000))[:-10]
    for i in range(100):
        connection.send(request(2 * i + 1))
    for start in range(0, 65000, 16000):
        for i in range(100):
            connection.send(frame(DATA, 0, 2 * i + 1, body[start : start + 16000]))
    connection.read(1)
    connection.close()
    return True


def silent():
    """TCP connections that never begin with TLS, and some that begin and stop."""
    sockets = [socket.create_connection(("127.0.0.1", PORT)) for _ in range(200)]
    for one in sockets[:100]:
        one.sendall(b"\x16\x03\x01\x02\x00")
    time.sleep(LAST / 2)
    over = 0
    for one in sockets:
        one.settimeout(1)
        try:
            over += one.recv(1) == b""
        except OSError:
            over += isinstance(sys.exc_info()[1], ConnectionError)
        one.close()
    return over == len(sockets)


def slow_headers():
    connection = Connection()
    connection.send(frame(HEADERS, 0, 1, b"\x83\x87"))
    connection.read(LAST)
    over = connection.is_over
    connection.close()
    return over


def key_updates():
    """OpenSSL's own client, whose K asks for new keys in both directions."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{PORT}", "-alpn", "h2", "-tls1_3"]
    command += ["-cert", f"{PKI}/dev.pem", "-key", f"{PKI}/dev.key"]
    client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            client.stdin.write(b"K\n")
            client.stdin.flush()
            time.sleep(0.01)
        client.stdin.close()
    except BrokenPipeError:
        pass
    client.wait(LAST)
    return True


ATTACKS = [
    # name, attack, what the metric says: one word, or several where it is chance which limit is reached first
    ("rapid reset", flood(rapid_reset), "resets"),
    ("made you reset", flood(made_you_reset), "stream_errors"),
    ("CONTINUATION", flood(continuation), "continuations"),
    ("PING", flood(lambda i: frame(PING, 0, 0, b"abcdefgh")), "too_many_pings"),
    ("SETTINGS", flood(lambda i: frame(SETTINGS)), "acks or glitches"),
    ("SETTINGS, not reading", flood(lambda i: frame(SETTINGS), reads=False), "acks"),
    ("PRIORITY", flood(lambda i: frame(PRIORITY, 0, 3, b"\0\0\0\0\x10")), "glitches"),
    ("WINDOW_UPDATE", flood(lambda i: frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1")), "glitches"),
    ("empty DATA", flood(lambda i: request(1) if i == 0 else frame(DATA, 0, 1)), "glitches"),
    ("unknown frames", flood(lambda i: frame(0xFA, 0, 0, b"a" * 1000)), "empty_bytes"),
    ("HPACK bomb", flood(bomb), "headers"),
    ("headers over the limit", flood(long_headers), "headers"),
    ("slow headers", slow_headers, "slow_headers"),
    ("silent connections", silent, "slow_handshake"),
    ("KeyUpdate", key_updates, "key_updates"),
    ("answers that nobody takes", hoard, None),
    ("half-sent messages", half_sent, None),
]
# The other listener is the same code: it is seen to have the defences, one of each kind.
if LISTENER == "bearer":
    KINDS = {"rapid reset", "headers over the limit", "silent connections", "KeyUpdate", "half-sent messages"}
    ATTACKS = [attack for attack in ATTACKS if attack[0] in KINDS]


def ended(why):
    """How many connections ended for this reason, or for one of these: "a or b"."""
    if why is None:
        return 0
    lines = urllib.request.urlopen(f"http://127.0.0.1:{METRICS_PORT}/metrics").read().decode().splitlines()
    wanted = [f'sealgate_connections_ended_total{{why="{one}",listener="{LISTENER}"}}' for one in why.split(" or ")]
    return sum(int(line.split()[-1]) for line in lines if line.rpartition(" ")[0] in wanted)


def resident():
    with open(f"/proc/{PID}/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS"))


def main():
    failed = 0
    for name, attack, why in ATTACKS:
        before, rss, began = ended(why), resident(), time.monotonic()
        other = subprocess.Popen(COMMAND, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        is_over = attack()
        grown = resident() - rss
        complaints = []
        if not is_over:
            complaints.append("the connection was not ended")
        for _ in range(50):  # the last bytes may still be on their way
            if why is None or ended(why) > before:
                break
            time.sleep(0.1)
        else:
            complaints.append(f"no connection was counted as {why}")
        if grown > GROWTH_MAX:
            complaints.append("it took too much memory")
        if other.wait(30) != 0:
            complaints.append("another caller failed: " + other.stderr.read().decode().strip())
        failed += bool(complaints)
        took = time.monotonic() - began
        print(f"{name}: {why or 'served'}, {took:.1f} s, {grown >> 10:+} KiB: {'; '.join(complaints) or 'ok'}", flush=True)
    os.kill(PID, 0)  # it lives
    return failed > 0


sys.exit(main())
