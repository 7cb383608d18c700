"""A log and a witness from the documents alone (c2sp.org: signed-note, tlog-checkpoint, tlog-cosignature, tlog-witness; RFC
6962): nothing of Sealgate is in here. Needs Python and, for Ed25519, the program openssl.
"""
import base64
import hashlib
import http.server
import ssl
import subprocess
import tempfile
import threading
import time

LOG, WITNESS = 1, 4  # kinds of keys
DER_PRIVATE = bytes.fromhex("302e020100300506032b657004220420")
DER_PUBLIC = bytes.fromhex("302a300506032b6570032100")


def openssl(*words, stdin=b""):
    return subprocess.run(("openssl",) + words, input=stdin, capture_output=True, check=True).stdout


def b64(data):
    return base64.b64encode(data).decode()


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


class Key:
    """Signs, and judges what it should have signed."""

    def __init__(self, name, kind, seed):
        self.name, self.kind, self.private = name, kind, DER_PRIVATE + seed
        public = openssl("pkey", "-inform", "DER", "-pubout", "-outform", "DER", stdin=self.private)[-32:]
        self.take(public)

    def take(self, public):
        self.public = public
        coded = bytes([self.kind]) + public
        self.id = sha256(self.name.encode(), b"\n", coded)[:4]
        self.vkey = "%s+%s+%s" % (self.name, self.id.hex(), b64(coded))

    @classmethod
    def parse(cls, vkey):
        name, key_id, coded = vkey.split("+", 2)
        coded = base64.b64decode(coded)
        key = cls.__new__(cls)
        key.name, key.kind, key.private = name, coded[0], None
        key.take(coded[1:])
        assert key.id.hex() == key_id and key.vkey == vkey
        return key

    def message(self, text, when):
        return text if self.kind == LOG else b"cosignature/v1\ntime %d\n" % when + text

    def sign(self, text, when=0):
        with tempfile.TemporaryDirectory() as work:
            open(work + "/key", "wb").write(self.private)
            open(work + "/message", "wb").write(self.message(text, when))
            signature = openssl("pkeyutl", "-sign", "-rawin", "-in", work + "/message", "-inkey", work + "/key",
                                "-keyform", "DER")
        stamp = b"" if self.kind == LOG else when.to_bytes(8, "big")
        return "\u2014 %s %s\n" % (self.name, b64(self.id + stamp + signature))

    def judge(self, text, lines):
        """The time of the one line that is this key's (True for a log's); None: there is none; else it raises."""
        found = None
        for line in lines.splitlines():
            dash, name, value = line.split(" ")
            value = base64.b64decode(value, validate=True)
            assert dash == "\u2014"
            if name != self.name or value[:4] != self.id:
                continue
            when = 0 if self.kind == LOG else int.from_bytes(value[4:12], "big")
            signature = value[4:] if self.kind == LOG else value[12:]
            assert len(signature) == 64
            with tempfile.TemporaryDirectory() as work:
                open(work + "/key", "wb").write(DER_PUBLIC + self.public)
                open(work + "/message", "wb").write(self.message(text, when))
                open(work + "/signature", "wb").write(signature)
                openssl("pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", work + "/key", "-rawin",
                        "-in", work + "/message", "-sigfile", work + "/signature")
            found = True if self.kind == LOG else when
        return found


# The tree, as RFC 6962 section 2.1 writes it down: slowly.

def split(size):
    half = 1
    while 2 * half < size:
        half *= 2
    return half


def root_of(leaves):
    if not leaves:
        return sha256()
    if len(leaves) == 1:
        return leaves[0]
    half = split(len(leaves))
    return sha256(b"\x01", root_of(leaves[:half]), root_of(leaves[half:]))


def growth(old, leaves, whole=True):
    if old == len(leaves):
        return [] if whole else [root_of(leaves)]
    half = split(len(leaves))
    if old <= half:
        return growth(old, leaves[:half], whole) + [root_of(leaves[half:])]
    return growth(old - half, leaves[half:], False) + [root_of(leaves[:half])]


def check_growth(old, old_root, size, root, proof):
    """RFC 9162 section 2.1.4.2."""
    if old == 0 or old == size:
        return not proof and (old == 0 or old_root == root)
    if old & (old - 1) == 0:
        proof = [old_root] + proof
    if old > size or not proof:
        return False
    fn, sn = old - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = proof[0]
    for c in proof[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = sha256(b"\x01", c, fr), sha256(b"\x01", c, sr)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = sha256(b"\x01", sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == old_root and sr == root


class Log:
    def __init__(self, origin, seed):
        self.origin, self.key, self.leaves = origin, Key(origin, LOG, seed), []

    def grow(self, count, what=b"leaf"):
        for _ in range(count):
            self.leaves.append(sha256(b"\x00", what, len(self.leaves).to_bytes(8, "big")))

    def text(self, size):
        return ("%s\n%d\n%s\n" % (self.origin, size, b64(root_of(self.leaves[:size])))).encode()

    def request(self, old, size, proof=None, key=None):
        if proof is None:
            proof = growth(old, self.leaves[:size]) if 0 < old < size else []
        text = self.text(size)
        lines = "".join(b64(h) + "\n" for h in proof)
        return b"old %d\n" % old + lines.encode() + b"\n" + text + b"\n" + (key or self.key).sign(text).encode()


class Witness:
    """Answers add-checkpoint for one log, which `memory` remembers: size and root."""

    def __init__(self, key, log_key):
        self.key, self.log_key, self.size, self.root = key, log_key, 0, sha256()
        self.lock, self.seen = threading.Lock(), []
        self.answer_with = None  # a status and a body instead

    def answer(self, body):
        with self.lock:
            return self.answer_locked(body)

    def answer_locked(self, body):
        head, _, note = body.partition(b"\n\n")
        first, *lines = head.decode().split("\n")
        assert first.startswith("old ")
        old, proof = int(first[4:]), [base64.b64decode(line, validate=True) for line in lines]
        text, _, signatures = note.partition(b"\n\n")
        text += b"\n"
        origin, size, root = text.decode().split("\n")[:3]
        size, root = int(size), base64.b64decode(root)
        self.seen.append((old, size))
        if self.answer_with is not None:
            return self.answer_with
        if origin != self.log_key.name:
            return 404, b"", "text/plain"
        if not self.log_key.judge(text, signatures.decode()):
            return 403, b"", "text/plain"
        if old > size:
            return 400, b"", "text/plain"
        if old != self.size or (old == size and old > 0 and root != self.root):
            return 409, b"%d\n" % self.size, "text/x.tlog.size"
        if not check_growth(old, self.root, size, root, proof):
            return 422, b"", "text/plain"
        self.size, self.root = size, root
        return 200, self.key.sign(text, int(time.time())).encode(), "text/plain"

    def serve(self, certificate, key, port=0):
        witness = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            is_chunked = False

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path != "/sub/add-checkpoint":
                    self.send_error(404)
                    return
                status, answer, kind = witness.answer(body)
                self.send_response(status)
                self.send_header("content-type", kind)
                if self.is_chunked:
                    self.send_header("transfer-encoding", "chunked")
                    self.end_headers()
                    for i in range(0, len(answer), 7):
                        part = answer[i:i + 7]
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                    self.wfile.write(b"0\r\n\r\n")
                else:
                    self.send_header("content-length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, *words):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # which does not speak of ALPN, as HTTP/1.1 may
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


def seed(text):
    return hashlib.sha256(text.encode()).digest()
