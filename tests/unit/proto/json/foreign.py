#!/usr/bin/python3
"""Judges proto/json by Google's own JSON for Python: foreign.py PROGRAM FOLDER-OF-all_types_pb2

Random messages, the same on every run: what we write is read as the message that it was, and what
Google's writes (either spelling of names, enums by name or number) is read by us as that message.
"""
import random
import struct
import subprocess
import sys

ROUNDS = 1500


def main():
    program, folder = sys.argv[1:]
    sys.path.insert(0, folder)
    import all_types_pb2
    from google.protobuf import json_format

    tool = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    rng = random.Random(20261122)

    def ask(letter, data):
        tool.stdin.write(letter + struct.pack(">I", len(data)) + data)
        tool.stdin.flush()
        head = tool.stdout.read(5)
        answer = tool.stdout.read(struct.unpack(">I", head[1:])[0])
        if head[:1] != letter:
            sys.exit("refused: %r: %r" % (answer, data))
        return answer

    def integer(bits, signed):
        value = rng.choice([0, 1, rng.getrandbits(bits), (1 << bits) - 1, 1 << (bits - 1)])
        return value - (1 << bits) if signed and value >> (bits - 1) else value

    def text():
        return "".join(rng.choice(["a", '"', "\\", "/", "\n", "\x01", "\x7f", "ý", "\u2028", "😀"])
                       for _ in range(rng.randrange(6)))

    def real():
        return rng.choice([0.0, 1.5, -0.1, 1e-300, 1e300, 123456789.125, float("inf"),
                           float("-inf"), rng.uniform(-1e9, 1e9)])

    def inner(message):
        message.name = text()
        for _ in range(rng.randrange(3)):
            message.leaves.add().number_of_veins = integer(32, True)

    def colour():
        return rng.choice([0, 1, -7, 99])

    def message():
        m = all_types_pb2.AllTypes()
        fills = [
            lambda: setattr(m, "an_int32", integer(32, True)),
            lambda: setattr(m, "a_sint32", integer(32, True)),
            lambda: setattr(m, "an_sfixed32", integer(32, True)),
            lambda: setattr(m, "a_uint32", integer(32, False)),
            lambda: setattr(m, "a_fixed32", integer(32, False)),
            lambda: setattr(m, "an_int64", integer(64, True)),
            lambda: setattr(m, "a_sint64", integer(64, True)),
            lambda: setattr(m, "an_sfixed64", integer(64, True)),
            lambda: setattr(m, "a_uint64", integer(64, False)),
            lambda: setattr(m, "a_fixed64", integer(64, False)),
            lambda: setattr(m, "a_bool", True),
            lambda: setattr(m, "a_float", rng.choice([0.1, 3e38, 1e-45, -2.5])),
            lambda: setattr(m, "a_double", real()),
            lambda: setattr(m, "a_string", text()),
            lambda: setattr(m, "some_bytes", rng.randbytes(rng.randrange(8))),
            lambda: setattr(m, "colour", colour()),
            lambda: inner(m.inner),
            lambda: setattr(m.when, "seconds", rng.randrange(-62135596800, 253402300800)),
            lambda: setattr(m.when, "nanos", rng.choice([0, 5, 7000, 8000000, 999999999])),
            lambda: m.how_long.FromNanoseconds(rng.randrange(-10**18, 10**18)),
            lambda: setattr(m, "text", text()),
            lambda: inner(m.nested),
            lambda: setattr(m, "yes", rng.random() < 0.5),
            lambda: m.numbers.extend(integer(64, True) for _ in range(3)),
            lambda: m.words.extend(text() for _ in range(3)),
            lambda: m.colours.extend(colour() for _ in range(3)),
            lambda: m.bits.extend([True, False]),
            lambda: inner(m.by_name[text()]),
            lambda: m.by_number.update({integer(32, True): text()}),
            lambda: m.by_truth.update({rng.random() < 0.5: real()}),
            lambda: m.by_id.update({integer(64, False): colour()}),
            lambda: setattr(m, "x9_y", text()),
        ]
        for fill in rng.sample(fills, rng.randrange(len(fills))):
            fill()
        return m

    for _ in range(ROUNDS):
        m = message()
        ours = ask(b"J", m.SerializeToString()).decode()
        if json_format.Parse(ours, all_types_pb2.AllTypes()) != m:
            sys.exit("Google's reads %s and not %s" % (ours, m))
        theirs = json_format.MessageToJson(
            m, preserving_proto_field_name=rng.random() < 0.5,
            use_integers_for_enums=rng.random() < 0.5,
            including_default_value_fields=rng.random() < 0.3)
        again = all_types_pb2.AllTypes.FromString(ask(b"W", theirs.encode()))
        if again != m:
            sys.exit("we read %s as %s and not %s" % (theirs, again, m))
    tool.stdin.close()
    if tool.wait() != 0:
        sys.exit("the program ended with %d" % tool.returncode)
    print("%d messages" % ROUNDS)


if __name__ == "__main__":
    main()
