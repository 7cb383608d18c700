#!/usr/bin/python3
"""Shows that ops/build/lint_protos.py and ops/build/proto_baseline each catch what they are for.

A small clean contract passes; with one fault planted in it the right check fails, in the words
that say what is wrong.
"""
import os
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BUILD = os.path.join(ROOT, "ops", "build")
PYTHON = sys.executable

CLEAN = """
syntax = "proto3";
package sealgate.v1;
import "google/protobuf/timestamp.proto";

// Things.
service ThingService {
  // One thing.
  rpc GetThing(GetThingRequest) returns (Thing) {
    option idempotency_level = NO_SIDE_EFFECTS;
  }
  // Makes one.
  rpc MakeThing(MakeThingRequest) returns (MakeThingResponse);
  // As they come.
  rpc WatchThings(WatchThingsRequest) returns (stream Thing);
}
// Of what.
enum Kind {
  KIND_UNSPECIFIED = 0;
  KIND_ROUND = 1;
}
// A thing.
message Thing {
  string name = 1;
  Kind kind = 2;
  oneof size_presence {
    uint32 size = 3;
  }
  repeated string labels = 4;
  google.protobuf.Timestamp time = 5;
}
message GetThingRequest { string name = 1; }
message MakeThingRequest { Thing thing = 1; }
message MakeThingResponse { Thing thing = 1; }
message WatchThingsRequest {}
"""

PROTO2 = """
syntax = "proto2";
package sealgate.v1;
// G.
message G {
  repeated group Inner = 1 {}
  required string name = 2;
}
"""

MANY = "".join("  bool f%d = %d;\n" % (i, i) for i in range(1, 66))

# name, what is replaced, by what, words of the complaint
LINT_FAULTS = [
    ("a message in itself", "string name = 1;\n  Kind", "Thing name = 1;\n  Kind",
     "sealgate.v1.Thing: holds itself"),
    ("a message in itself by another", "message GetThingRequest { string name = 1; }",
     "message GetThingRequest { string name = 1; Loop loop = 2; }\n// L.\nmessage Loop "
     "{ repeated GetThingRequest back = 1; }", "sealgate.v1.Loop: holds itself"),
    ("a JSON name of its own", "uint32 size = 3;", 'uint32 size = 3 [json_name = "Size"];',
     "Thing.size: has a json_name of its own"),
    ("optional", "  repeated string labels = 4;", "  optional string labels = 4;",
     "Thing.labels: is optional"),
    ("over 64 fields", "message WatchThingsRequest {}", "message WatchThingsRequest {" + MANY + "}",
     "has more than 64 fields"),
    ("Any in a request", "message GetThingRequest { string name = 1; }",
     "message GetThingRequest { google.protobuf.Any any = 1; }", "GetThing: takes a google"),
    ("a well-known type too many", "repeated string labels = 4;",
     "google.protobuf.Duration labels = 4; google.protobuf.Struct struct = 6;",
     "imports google/protobuf/struct.proto"),
    ("reading not marked", "    option idempotency_level = NO_SIDE_EFFECTS;\n", "",
     "ThingService.GetThing: only reads"),
    ("making marked", "returns (MakeThingResponse);",
     "returns (MakeThingResponse) { option idempotency_level = NO_SIDE_EFFECTS; }",
     "ThingService.MakeThing: is marked"),
    ("an RPC without a comment", "  // Makes one.\n", "", "ThingService.MakeThing: has no comment"),
    ("a message without a comment", "// A thing.\n", "", "v1.Thing: has no comment"),
    ("an enum without a comment", "// Of what.\n", "", "v1.Kind: has no comment"),
    ("a service without a comment", "// Things.\n", "", "v1.ThingService: has no comment"),
    ("a value without its prefix", "KIND_ROUND", "ROUND", "should begin with KIND_"),
    ("a first value that means something", "KIND_UNSPECIFIED", "KIND_FLAT", "KIND_UNSPECIFIED = 0"),
]

BREAKS = [
    ("a field gone", "  Kind kind = 2;\n", "", "field Thing.kind (= 2 Kind) is gone"),
    ("a field renumbered", "Kind kind = 2", "Kind kind = 9", "is now: = 9 Kind"),
    ("another type", "uint32 size", "uint64 size", "field Thing.size"),
    ("not repeated any more", "repeated string labels", "string labels", "field Thing.labels"),
    ("a field renamed", "string name = 1;\n  Kind", "string title = 1;\n  Kind",
     "field Thing.name (= 1 string) is gone"),
    ("out of its oneof", "  oneof size_presence {\n    uint32 size = 3;\n  }", "  uint32 size = 3;",
     "field Thing.size"),
    ("a value gone", "  KIND_ROUND = 1;\n", "", "value Kind.KIND_ROUND (= 1) is gone"),
    ("a value renumbered", "KIND_ROUND = 1", "KIND_ROUND = 2", "value Kind.KIND_ROUND"),
    ("an RPC gone", "  rpc MakeThing(MakeThingRequest) returns (MakeThingResponse);\n", "",
     "rpc ThingService.MakeThing"),
    ("an RPC that streams", "returns (MakeThingResponse)", "returns (stream MakeThingResponse)",
     "rpc ThingService.MakeThing"),
    ("another response", "returns (MakeThingResponse)", "returns (Thing)",
     "rpc ThingService.MakeThing"),
    ("side effects now", "    option idempotency_level = NO_SIDE_EFFECTS;\n", "",
     "rpc ThingService.GetThing"),
    ("a service renamed", "service ThingService", "service ThingsService", "service ThingService"),
]

NO_BREAKS = "# Changes\n\n## Unreleased\n\n### Added\n\n- Things.\n\n## 0.1\n"
failed = False


def tell(good, what, output=""):
    global failed
    failed = failed or not good
    print("%-7s %s" % ("ok" if good else "FAILED", what))
    if not good:
        print(output)


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    return done.returncode, done.stdout


def put(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    return path


def describe(folder, text):
    """The descriptor set of one file."""
    for name in ("any", "duration", "struct"):  # whichever the planted fault uses
        if {"any": "Any", "duration": "Duration", "struct": "Struct"}[name] in text:
            text = text.replace("\nimport", '\nimport "google/protobuf/%s.proto";\nimport' % name, 1)
    put(folder, "thing.proto", text)
    out = os.path.join(folder, "descriptors.pb")
    rc, output = run("protoc", "-I" + folder, "-I/usr/include", "--include_imports",
                     "--include_source_info", "--descriptor_set_out=" + out, "thing.proto")
    if rc != 0:
        sys.exit("the planted contract does not compile:\n" + output)
    return out


def planted(old, new):
    if CLEAN.count(old) != 1:
        sys.exit("%r stands %d times in the clean contract" % (old, CLEAN.count(old)))
    return CLEAN.replace(old, new)


def test_lint(folder):
    def lint(text):
        return run(PYTHON, os.path.join(BUILD, "lint_protos.py"), describe(folder, text), folder)

    rc, output = lint(CLEAN)
    tell(rc == 0, "lint passes a clean contract", output)
    for name, old, new, words in LINT_FAULTS:
        rc, output = lint(planted(old, new))
        tell(rc != 0 and words in output, "lint catches: " + name, output)
    for words in ("thing.proto: is not proto3", "G.inner: is a group", "G.name: is required"):
        rc, output = lint(PROTO2)
        tell(rc != 0 and words in output, "lint catches: " + words, output)
    stray = put(folder, "stray.proto", CLEAN)
    rc, output = lint(CLEAN)
    tell(rc != 0 and "stray.proto: is not in" in output, "lint catches: a file not built", output)
    os.unlink(stray)


def test_baseline(folder):
    changelog = put(folder, "CHANGELOG.md", NO_BREAKS)
    baseline = os.path.join(folder, "v1.baseline")
    sys.path.insert(0, BUILD)
    # The script has no suffix, being a command for people.
    from importlib.machinery import SourceFileLoader
    sys.dont_write_bytecode = True
    script = SourceFileLoader("proto_baseline", os.path.join(BUILD, "proto_baseline")).load_module()
    put(folder, "v1.baseline", script.render(script.listing(script.load(describe(folder, CLEAN)))))

    def check(text):
        return run(PYTHON, os.path.join(BUILD, "proto_baseline"), "--check",
                   describe(folder, text), baseline, changelog)

    rc, output = check(CLEAN)
    tell(rc == 0, "baseline passes what it was made of", output)
    for name, old, new, words in BREAKS:
        put(folder, "CHANGELOG.md", NO_BREAKS)
        rc, output = check(planted(old, new))
        tell(rc != 0 and "break callers" in output and words in output,
             "baseline catches: " + name, output)
    added = planted("  Kind kind = 2;", "  Kind kind = 2;\n  string colour = 6;")
    rc, output = check(added)
    tell(rc != 0 and "field Thing.colour is new" in output and "break callers" not in output,
         "baseline wants to be written anew for: a new field", output)

    gone = planted("  Kind kind = 2;\n", "")
    for name, line, allowed in [
            ("names it", "- proto break: Thing.kind went, nobody used it.", True),
            ("names another", "- proto break: Thing.kinds went.", False),
            ("is no such line", "- Thing.kind went.", False)]:
        put(folder, "CHANGELOG.md", NO_BREAKS.replace("- Things.", line))
        rc, output = check(gone)
        tell(rc != 0 and ("break callers" not in output) == allowed,
             "baseline %s a break when the changelog %s"
             % ("allows" if allowed else "refuses", name), output)
    put(folder, "CHANGELOG.md", NO_BREAKS + "\n- proto break: Thing.kind went.\n")
    rc, output = check(gone)
    tell("break callers" in output, "baseline refuses a break of an earlier release", output)


def main():
    with tempfile.TemporaryDirectory() as folder:
        test_lint(folder)
        test_baseline(folder)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
