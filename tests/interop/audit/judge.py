#!/usr/bin/python3
"""judge.py FOLDER: what audit_write wrote there is proved by verify.py, and nothing is that was changed."""
import glob
import os
import random
import struct
import sys
import unittest

import verify

FOLDER = sys.argv[1]


def read(name):
    with open(os.path.join(FOLDER, name), "rb") as file:
        return file.read()


KEY = verify.Key(read("key").decode())
NAMES = [os.path.basename(path) for path in sorted(glob.glob(FOLDER + "/good-*"))]
ORACLES = {}


def verify_once(text, signature, honest=verify.Key.verify):
    """Ed25519 by openssl, asked once for the same bytes."""
    if (text, signature) not in ORACLES:
        ORACLES[text, signature] = honest(KEY, text, signature)
    return ORACLES[text, signature]


KEY.verify = verify_once


def leaves(data, count):
    """The head of an export and its leaves, each whole."""
    parts = []
    at = data.index(b"\ncheckpoint ") + 1
    end = data.index(b"\n", at)
    at = end + 1 + int(data[at + 11:end])
    head = data[:at]
    for _ in range(count):
        length = 12 + struct.unpack(">I", data[at + 8:at + 12])[0] + 32
        parts.append(data[at:at + length])
        at += length
    return head, parts


class Judge(unittest.TestCase):
    def refused(self, data, why=""):
        with self.assertRaisesRegex(verify.Wrong, why):
            verify.check(data, KEY)

    def test_what_was_written_is_proved(self):
        self.assertGreater(len(NAMES), 60)
        for name in NAMES:
            with self.subTest(name):
                self.assertIn("sealgate.example/log-1", verify.check(read(name), KEY))

    def test_forged_files_are_not(self):
        for name in ("forged.receipt", "forged.export"):
            self.refused(read(name), "not signed by the log")

    def test_no_byte_may_be_changed(self):
        chance = random.Random(4)
        for name in ("good-3-7.receipt", "good-3-9-300.export", "good-0-8-8.export"):
            data = bytearray(read(name))
            for at in range(len(data)):
                bit = 1 << chance.randrange(8)
                data[at] ^= bit
                with self.subTest("%s at %d" % (name, at)):
                    self.refused(bytes(data))
                data[at] ^= bit

    def test_nothing_may_be_cut_off_or_put_behind(self):
        for name in ("good-3-7.receipt", "good-3-9-300.export"):
            data = read(name)
            for length in range(0, len(data)):
                self.refused(data[:length])
            self.refused(data + b"\0")

    def test_leaves_stay_where_they_are(self):
        head, parts = leaves(read("good-0-9-300.export"), 9)
        self.assertEqual(head + b"".join(parts), read("good-0-9-300.export"))
        self.refused(head + b"".join(parts[:4] + [parts[5], parts[4]] + parts[6:]), "leaf 4 is not in its place")
        self.refused(head + b"".join(parts[:4] + parts[5:]), "leaf 4 is not in its place")
        self.refused(head + b"".join(parts[:8]), "too early")

    def test_a_leaf_with_its_own_hash_is_found_at_the_root(self):
        head, parts = leaves(read("good-0-9-300.export"), 9)
        record = parts[3][12:-32].replace(b"back-office", b"back-office"[::-1])
        parts[3] = parts[3][:12] + record + verify.leaf_hash(record)
        self.refused(head + b"".join(parts), "root")
        record = record + b"\xe0\x01\x01"
        parts[3] = parts[3][:8] + struct.pack(">I", len(record)) + record + verify.leaf_hash(record)
        self.refused(head + b"".join(parts), "leaf 3: ")


class Growth(unittest.TestCase):
    """A log that only grew from a checkpoint that was kept."""

    def test_what_was_written_is_proved(self):
        names = [os.path.basename(path) for path in sorted(glob.glob(FOLDER + "/grown-*"))]
        self.assertGreater(len(names), 10)
        for name in names:
            with self.subTest(name):
                kept = read("kept-%s.checkpoint" % name.split("-")[1])
                self.assertIn("only grew", verify.check(read(name), KEY, kept))

    def test_nothing_else_is(self):
        kept, other, grown = read("kept-7.checkpoint"), read("kept-8.checkpoint"), read("grown-7-300.growth")
        for why, old, data in (("begins at another size", other, grown), ("needs the checkpoint", None, grown),
                               ("begins at another size", kept, read("grown-65-300.growth"))):
            with self.assertRaisesRegex(verify.Wrong, why):
                verify.check(data, KEY, old)
        for at in range(len(grown)):
            with self.subTest(at), self.assertRaises(verify.Wrong):
                verify.check(grown[:at] + bytes([grown[at] ^ 1]) + grown[at + 1:], KEY, kept)
            with self.subTest(at), self.assertRaises(verify.Wrong):
                verify.check(grown[:at], KEY, kept)


unittest.main(argv=sys.argv[:1], verbosity=2)
