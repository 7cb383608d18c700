#!/usr/bin/python3
"""Verifies receipts, exports and growth of an audit log, from docs/audit.md alone: nothing of Sealgate is in here.

    verify.py KEY [--since KEPT] FILE...      KEY is the log's, NAME+ID+BASE64; KEPT is a checkpoint that was kept, from
                                              which proofs of growth are judged
    verify.py --certified-by PEM FIRST FILE... KEY is what a key in a token has certified, whose public key is PEM, in
                                              the log's leaf 0, whose receipt is FIRST

Needs Python and, for the one Ed25519 signature of a file, the program openssl. Prints what each file proves, or why
it proves nothing, and fails when one does not.
"""
import base64
import binascii
import hashlib
import re
import subprocess
import sys
import tempfile


class Wrong(Exception):
    pass


def require(holds, why):
    if not holds:
        raise Wrong(why)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def unbase64(text):
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Wrong("not base64: %s" % error)
    require(base64.b64encode(value) == text, "base64 that could be written otherwise")
    return value


def number(text):
    require(re.fullmatch(rb"0|[1-9][0-9]{0,19}", text), "not a number: %r" % text)
    require(int(text) < 1 << 64, "a number over 64 bits")
    return int(text)


def hash_of(text):
    value = unbase64(text)
    require(len(value) == 32, "not a hash")
    return value


# The tree (RFC 6962 section 2.1, proofs by RFC 9162 sections 2.1.3.2 and 2.1.4.2).

def node(left, right):
    return sha256(b"\x01", left, right)


def leaf_hash(record):
    return sha256(b"\x00", record)


def check_inclusion(leaf, index, size, proof, root):
    require(index < size, "the leaf is behind the end of the tree")
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        require(sn != 0, "the proof of the leaf is too long")
        if fn & 1 or fn == sn:
            r = node(p, r)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node(r, p)
        fn, sn = fn >> 1, sn >> 1
    require(sn == 0 and r == root, "the leaf is not in the tree")


def check_growth(old_size, old_root, size, root, proof):
    why = "the tree is not shown to have grown"
    require(old_size <= size, why)
    if old_size == 0:
        require(not proof and old_root == sha256(), why)
        return
    if old_size == size:
        require(not proof and old_root == root, why)
        return
    if old_size & (old_size - 1) == 0:
        proof = [old_root] + proof
    require(proof, why)
    fn, sn = old_size - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = proof[0]
    for c in proof[1:]:
        require(sn != 0, why)
        if fn & 1 or fn == sn:
            fr, sr = node(c, fr), node(c, sr)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    require(sn == 0 and fr == old_root and sr == root, why)


class Tree:
    """The complete subtrees of a tree that grows, by their levels."""

    def __init__(self, size, complete):
        self.size, self.complete = size, complete

    def append(self, leaf):
        level = 0
        while self.size >> level & 1:
            leaf = node(self.complete.pop(level), leaf)
            level += 1
        self.complete[level] = leaf
        self.size += 1

    def root(self):
        root = None
        for level in sorted(self.complete):
            root = self.complete[level] if root is None else node(self.complete[level], root)
        return sha256() if root is None else root


# Checkpoints: c2sp.org/signed-note, c2sp.org/tlog-checkpoint.

class Key:
    def __init__(self, text):
        name, key_id, value = text.encode().split(b"+", 2)
        value = unbase64(value)
        require(len(value) == 33 and value[0] == 1, "not an Ed25519 key")
        self.name, self.id, self.public = name, sha256(name, b"\n", value)[:4], value[1:]
        require(self.id.hex().encode() == key_id, "the key's id is not the key's")

    def verify(self, text, signature):
        der = bytes.fromhex("302a300506032b6570032100") + self.public
        with tempfile.TemporaryDirectory() as folder:
            for name, value in (("key", der), ("text", text), ("signature", signature)):
                with open("%s/%s" % (folder, name), "wb") as file:
                    file.write(value)
            command = "openssl pkeyutl -verify -pubin -keyform DER -inkey key -rawin -in text -sigfile signature"
            return subprocess.run(command.split(), cwd=folder, capture_output=True).returncode == 0


def read_checkpoint(note, key):
    """(origin, size, root) of a checkpoint that the key has signed."""
    at = note.rfind(b"\n\n")
    require(at >= 0 and note.endswith(b"\n") and len(note) > at + 2, "the checkpoint is no signed note")
    text, is_signed = note[:at + 1], False
    for line in note[at + 2:-1].split(b"\n"):
        found = re.fullmatch("\u2014 ([^ ]+) ([^ ]+)".encode(), line)
        require(found, "a signature of the checkpoint is none")
        value = unbase64(found[2])
        require(len(value) > 4, "a signature of the checkpoint is none")
        if found[1] == key.name and value[:4] == key.id:
            require(len(value) == 68 and key.verify(text, value[4:]), "the log's signature is wrong")
            is_signed = True
    require(is_signed, "the checkpoint is not signed by the log")
    lines = text.split(b"\n")
    require(len(lines) == 4 and re.fullmatch(rb"[!-*,-~]{1,255}", lines[0]), "the note is no checkpoint")
    return lines[0], number(lines[1]), hash_of(lines[2])


# Records: sealgate.v1.AuditRecord in its one encoding.

TEXTS = {4: "authority", 5: "caller", 6: "source", 7: "method", 8: "request_id", 10: "rule_set", 11: "rule",
         12: "grants", 13: "key_version", 21: "document_number", 22: "purpose", 24: "token", 25: "reason", 27: "detail"}
BYTES = {9: "request_sha256", 14: "public_key_sha256", 18: "digest", 20: "document_digest", 23: "signature"}
NUMBERS = {1: "format", 2: "event", 15: "scheme", 16: "encoding", 17: "digest_algorithm",
           19: "document_digest_algorithm", 26: "count"}
LARGEST = {1: 1, 2: 11, 15: 4, 16: 2, 17: 6, 19: 6}
EVENTS = ["", "log started", "signature", "denial", "denials", "gateway started", "csr",
          "epoch stated", "epoch approved", "token drained", "token resumed", "leaves archived"]
DIGEST_BYTES = [32, 32, 48, 64, 32, 48, 64]


def take_varint(data):
    value = 0
    for i in range(min(10, len(data))):
        value |= (data[i] & 0x7f) << (7 * i)
        if data[i] < 0x80:
            require(value < 1 << 64 and (i == 0 or data[i] != 0), "a varint that could be shorter")
            return value, data[i + 1:]
    raise Wrong("a varint without an end")


def fields(data):
    while data:
        tag, data = take_varint(data)
        value, data = take_varint(data)
        require(value != 0, "a field with its default")
        if tag & 7 == 2:
            require(value <= len(data), "a field that is not all there")
            value, data = data[:value], data[value:]
        else:
            require(tag & 7 == 0, "a field of another type")
        yield tag >> 3, value


def read_time(data):
    last, parts = 0, {1: 0, 2: 0}
    for at, value in fields(data):
        require(last < at <= 2 and isinstance(value, int), "the time is not canonical")
        last, parts[at] = at, value
    nanoseconds = parts[1] * 10**9 + parts[2]
    require(parts[2] < 10**9 and nanoseconds < 1 << 63, "the time is none")
    return nanoseconds


def read_record(data):
    require(len(data) <= 16384, "the record is too long")
    record, last = {"grants": []}, 0
    for at, value in fields(data):
        require(at > last or at == last == 12, "fields out of order")
        require(last or at == 1, "the record does not begin with its format")
        last = at
        if at in NUMBERS:
            require(isinstance(value, int) and value <= LARGEST.get(at, value), "a number that means nothing")
            record[NUMBERS[at]] = value
            continue
        require(isinstance(value, bytes), "a field of another type")
        if at == 3:
            record["time"] = read_time(value)
        elif at in BYTES:
            require(at not in (9, 14) or len(value) == 32, "a hash of another length")
            require(len(value) <= 8192, "a signature that is too long")
            record[BYTES[at]] = value
        else:
            require(at in TEXTS and len(value) <= 4096 and b"\0" not in value, "a field that is not known")
            try:
                text = value.decode()
            except UnicodeDecodeError:
                raise Wrong("a text that is not UTF-8")
            if at == 12:
                record["grants"].append(text)
            else:
                record[TEXTS[at]] = text
    require(record.get("event"), "the record tells of nothing")
    require(len(record["grants"]) <= 8, "too many grants")
    digest, document = record.get("digest", b""), record.get("document_digest", b"")
    require(len(digest) in (0, DIGEST_BYTES[record.get("digest_algorithm", 0)]), "a digest of another length")
    algorithm = record.get("document_digest_algorithm", 0)
    require(len(document) == (DIGEST_BYTES[algorithm] if algorithm else 0), "a document's digest of another length")
    return record


def told(index, record):
    return "leaf %d: %s %s %s" % (index, EVENTS[record["event"]], record.get("caller", ""), record.get("key_version", ""))


# Files.

def check_receipt(data, key):
    lines = data.split(b"\n")
    require(len(lines) > 4 and lines[0] == b"c2sp.org/tlog-proof@v1", "not a receipt")
    require(lines[1].startswith(b"extra "), "the receipt has no record in it")
    require(lines[2].startswith(b"index "), "the receipt has no index")
    record, index = unbase64(lines[1][6:]), number(lines[2][6:])
    require(b"" in lines[3:], "the receipt has no checkpoint")
    end = lines.index(b"", 3)
    proof = [hash_of(line) for line in lines[3:end]]
    origin, size, root = read_checkpoint(b"\n".join(lines[end + 1:]), key)
    check_inclusion(leaf_hash(record), index, size, proof, root)
    return "%s %s" % (origin.decode(), told(index, read_record(record)))


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        require(count <= len(self.data) - self.at, "the file ends too early")
        self.at += count
        return self.data[self.at - count:self.at]

    def value(self, name):
        line = self.take(self.data.find(b"\n", self.at) - self.at + 1)
        require(line.startswith(name) and line.endswith(b"\n"), "no line %r" % name)
        return line[len(name):-1]


def check_export(data, key):
    file = Reader(data)
    require(file.value(b"sealgate-audit-export@v1") == b"", "not an export")
    origin = file.value(b"origin ")
    first, end = number(file.value(b"first ")), number(file.value(b"end "))
    require(first <= end, "it ends before it begins")
    root = hash_of(file.value(b"root "))
    levels = [level for level in range(64) if first >> level & 1]
    require(number(file.value(b"edge ")) == len(levels), "the edge has not the levels of its tree")
    tree = Tree(first, {level: hash_of(file.value(b"")) for level in levels})
    growth = [hash_of(file.value(b"")) for _ in range(number(file.value(b"growth ")))]
    note_origin, size, newest = read_checkpoint(file.take(number(file.value(b"checkpoint "))), key)
    require(note_origin == origin, "the checkpoint is of another log")
    check_growth(end, root, size, newest, growth)
    for index in range(first, end):
        require(int.from_bytes(file.take(8), "big") == index, "leaf %d is not in its place" % index)
        record = file.take(int.from_bytes(file.take(4), "big"))
        leaf = leaf_hash(record)
        require(file.take(32) == leaf, "leaf %d is not what it was" % index)
        try:
            read_record(record)
        except Wrong as error:
            raise Wrong("leaf %d: %s" % (index, error))
        tree.append(leaf)
    require(file.at == len(data), "there is more behind the last leaf")
    require(tree.root() == root, "the leaves do not have the root that the log promised")
    return "%s leaves %d to %d of %d" % (origin.decode(), first, end, size)


def check_growth_file(data, key, kept):
    require(kept is not None, "a proof of growth needs the checkpoint that was kept")
    lines, _, note = data.partition(b"\n\n")
    lines = lines.split(b"\n")
    require(lines[0].startswith(b"old "), "not a proof of growth")
    old_origin, old_size, old_root = read_checkpoint(kept, key)
    origin, size, root = read_checkpoint(note, key)
    require(origin == old_origin, "the checkpoints are of two logs")
    require(number(lines[0][4:]) == old_size, "the proof begins at another size than the kept checkpoint")
    check_growth(old_size, old_root, size, root, [hash_of(line) for line in lines[1:]])
    return "%s only grew from %d leaves to %d" % (origin.decode(), old_size, size)


# The certification of the log's key: what openssl makes of a key, by the scheme that the record names.

RSA, ECDSA, ED25519 = 1, 3, 4
CALLS = {RSA: "dgst -sha256 -verify key -signature signature text", ECDSA: "dgst -sha256 -verify key -signature signature text",
         ED25519: "pkeyutl -verify -pubin -inkey key -rawin -in text -sigfile signature"}
KINDS = {RSA: "2a864886f70d010101", ECDSA: "2a8648ce3d0201", ED25519: "2b6570"}  # OIDs of keys


def openssl(call, key, text=b"", signature=b""):
    with tempfile.TemporaryDirectory() as folder:
        for name, value in (("key", key), ("text", text), ("signature", signature)):
            with open("%s/%s" % (folder, name), "wb") as file:
                file.write(value)
        return subprocess.run(["openssl"] + call.split(), cwd=folder, capture_output=True)


def certified_key(receipt, pem):
    """The key that leaf 0 names, once the key in `pem` has certified it and the receipt proves itself by it."""
    lines = receipt.split(b"\n")
    require(len(lines) > 4 and lines[1].startswith(b"extra ") and lines[2] == b"index 0", "not a receipt of leaf 0")
    first = read_record(unbase64(lines[1][6:]))
    require(first["event"] == 1 and "signature" in first, "leaf 0 has no certification")
    spki = openssl("pkey -pubin -in key -outform DER", pem).stdout
    detail = dict(line.split(": ", 1) for line in reversed(first["detail"].split("\n")) if ": " in line)
    require(first["public_key_sha256"] == sha256(spki), "another key has certified it")
    require(detail.get("certified by") == base64.b64encode(spki).decode(), "another key has certified it")
    key = Key(detail["log key"])
    text = b"sealgate.v1 log-key/1\norigin %s\nlog-key %s\n" % (key.name, detail["log key"].encode())
    scheme = first.get("scheme")
    require(scheme in CALLS and bytes.fromhex(KINDS[scheme]) in spki[:24], "a scheme that is not the key's")
    require(first.get("encoding", 0) == (1 if scheme == ECDSA else 0), "another encoding")
    require(first.get("digest_algorithm", 0) == (0 if scheme == ED25519 else 1), "another digest")
    require(first["digest"] == sha256(text), "the digest is of another text")
    require(openssl(CALLS[scheme], pem, text, first["signature"]).returncode == 0, "the key has not certified it")
    require(check_receipt(receipt, key).startswith(key.name.decode() + " leaf 0:"), "the leaf is in another log")
    return key


def check(data, key, kept=None):
    if data.startswith(b"old "):
        return check_growth_file(data, key, kept)
    return (check_export if data.startswith(b"sealgate-audit-export") else check_receipt)(data, key)


def main():
    names, kept = sys.argv[2:], None
    if names[:1] == ["--since"] and len(names) > 1:
        with open(names[1], "rb") as file:
            names, kept = names[2:], file.read()
    if not names:
        sys.exit(__doc__)
    if sys.argv[1] == "--certified-by":
        with open(names[0], "rb") as pem, open(names[1], "rb") as first:
            names, key = names[1:], certified_key(first.read(), pem.read())
    else:
        key = Key(sys.argv[1])
    wrong = 0
    for name in names:
        with open(name, "rb") as file:
            data = file.read()
        try:
            print("%s: proved: %s" % (name, check(data, key, kept)))
        except Wrong as error:
            wrong += 1
            print("%s: NOT proved: %s" % (name, error))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
