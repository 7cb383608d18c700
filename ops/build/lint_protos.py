#!/usr/bin/python3
"""Judges the .proto files by their descriptors.

    lint_protos.py descriptors.pb [proto-folder]

descriptors.pb is protoc's, with imports and source information. Prints one line per fault and
fails when there is one. With the folder it also finds .proto files that the build does not know.

The rules are there because of protobuf-c 1.4 (optional, groups, recursion, messages of over 64
fields: see proto/pb/precheck.h), because a request must not hold what nobody has judged (Any), and
because the .proto files are the documentation that callers read.
"""
import os
import re
import sys

from google.protobuf import descriptor_pb2

OURS = "sealgate."
FIELDS_MAX = 64
WELL_KNOWN = {"google/protobuf/timestamp.proto", "google/protobuf/duration.proto",
              "google/protobuf/any.proto"}
READING = re.compile(r"^(Get|List|Compare|Verify|Check|Validate|Explain|Preflight)([A-Z]|$)")
Field = descriptor_pb2.FieldDescriptorProto
NO_SIDE_EFFECTS = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS


def lower_camel(name):
    """request_id -> requestId, as protoc makes json_name and proto/json does."""
    return re.sub(r"_+([a-z]?)", lambda found: found.group(1).upper(), name)


def walk_messages(scope, messages, path):
    """(full name, message, path into the source information) of every message, nested ones too."""
    for i, message in enumerate(messages):
        here = path + (i,)
        name = scope + "." + message.name
        yield name, message, here
        yield from walk_messages(name, message.nested_type, here + (3,))


class Lint:
    def __init__(self, files):
        self.files = files
        self.faults = []
        self.messages = {}
        for file in files:
            for name, message, _ in walk_messages(file.package, file.message_type, (4,)):
                self.messages[name] = message

    def fault(self, where, what):
        self.faults.append("%s: %s" % (where, what))

    def uses(self, name):
        """Full names of the messages that a message holds directly."""
        return [field.type_name.lstrip(".") for field in self.messages[name].field
                if field.type == Field.TYPE_MESSAGE]

    def reachable(self, name, seen=None):
        seen = set() if seen is None else seen
        for used in self.uses(name):
            if used not in seen:
                seen.add(used)
                self.reachable(used, seen)
        return seen

    def check_messages(self, file):
        for name, message, _ in walk_messages(file.package, file.message_type, (4,)):
            if name in self.reachable(name):
                self.fault(name, "holds itself; protobuf-c unpacks recursion without a bound")
            if len(message.field) > FIELDS_MAX:
                self.fault(name, "has more than %d fields" % FIELDS_MAX)
            for field in message.field:
                where = name + "." + field.name
                if field.json_name != lower_camel(field.name):
                    self.fault(where, "has a json_name of its own, which proto/json does not know")
                if field.proto3_optional:
                    self.fault(where, "is optional; say presence by a oneof of one member")
                if field.type == Field.TYPE_GROUP:
                    self.fault(where, "is a group")
                if field.label == Field.LABEL_REQUIRED:
                    self.fault(where, "is required")

    def check_methods(self, file):
        for service in file.service:
            for method in service.method:
                where = "%s.%s.%s" % (file.package, service.name, method.name)
                request = method.input_type.lstrip(".")
                if "google.protobuf.Any" in self.reachable(request) | {request}:
                    self.fault(where, "takes a google.protobuf.Any")
                if method.client_streaming or method.server_streaming:
                    continue
                is_marked = method.options.idempotency_level == NO_SIDE_EFFECTS
                if READING.match(method.name) and not is_marked:
                    self.fault(where, "only reads, but is not marked NO_SIDE_EFFECTS")
                if is_marked and not READING.match(method.name):
                    self.fault(where, "is marked NO_SIDE_EFFECTS, but its name does not say "
                                      "that it only reads")

    def check_imports(self, file):
        for name in file.dependency:
            if name.startswith("google/protobuf/") and name not in WELL_KNOWN:
                self.fault(file.name, "imports %s; of the well-known types only Timestamp and "
                                      "Duration" % name)
        if file.package.startswith(OURS) and "google/protobuf/any.proto" in file.dependency:
            self.fault(file.name, "imports google.protobuf.Any")

    def check_enum(self, scope, enum):
        where = scope + "." + enum.name
        prefix = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", enum.name).upper() + "_"
        for value in enum.value:
            if not value.name.startswith(prefix):
                self.fault(where, "%s should begin with %s" % (value.name, prefix))
        if enum.value[0].name != prefix + "UNSPECIFIED" or enum.value[0].number != 0:
            self.fault(where, "its first value should be %sUNSPECIFIED = 0" % prefix)

    def check_comments(self, file):
        """Services, RPCs, enums and messages of ours; not the request and response that are
        named after an RPC and that its comment explains, and not nested ones."""
        commented = {tuple(location.path) for location in file.source_code_info.location
                     if location.leading_comments.strip()}
        explained = set()
        for i, service in enumerate(file.service):
            if (6, i) not in commented:
                self.fault("%s.%s" % (file.package, service.name), "has no comment")
            for j, method in enumerate(service.method):
                explained |= {method.name + "Request", method.name + "Response"}
                if (6, i, 2, j) not in commented:
                    self.fault("%s.%s.%s" % (file.package, service.name, method.name),
                               "has no comment")
        for i, message in enumerate(file.message_type):
            if (4, i) not in commented and message.name not in explained:
                self.fault("%s.%s" % (file.package, message.name), "has no comment")
        for i, enum in enumerate(file.enum_type):
            if (5, i) not in commented:
                self.fault("%s.%s" % (file.package, enum.name), "has no comment")

    def check_folder(self, folder):
        known = {file.name for file in self.files}
        for path, _, names in os.walk(folder):
            for name in names:
                relative = os.path.relpath(os.path.join(path, name), folder)
                if name.endswith(".proto") and relative not in known:
                    self.fault(relative, "is not in CMakeLists.txt")

    def run(self, folder):
        for file in self.files:
            if file.syntax != "proto3":
                self.fault(file.name, "is not proto3")
            self.check_messages(file)
            self.check_methods(file)
            self.check_imports(file)
            if file.package.startswith(OURS):
                self.check_comments(file)
                for enum in file.enum_type:
                    self.check_enum(file.package, enum)
        if folder is not None:
            self.check_folder(folder)
        return self.faults


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: lint_protos.py descriptors.pb [proto-folder]")
    with open(sys.argv[1], "rb") as stream:
        found = descriptor_pb2.FileDescriptorSet.FromString(stream.read())
    faults = Lint(list(found.file)).run(sys.argv[2] if len(sys.argv) == 3 else None)
    for fault in faults:
        print(fault)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
