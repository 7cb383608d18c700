#!/usr/bin/python3
"""Prints docs/openapi.json: the calls that can be made by plain HTTP and JSON, as OpenAPI 3.1.

    gen_openapi.py PROTO-DIR REASON.DEF VERSION

These are the unary methods of Connect; what streams has frames that OpenAPI cannot tell of. Schemas
follow the JSON mapping of Protocol Buffers, descriptions are the comments of the .proto files. The
output depends on these files alone.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2

SOURCES = ["sealgate/v1/audit.proto", "sealgate/v1/info.proto", "sealgate/v1/keys.proto", "sealgate/v1/signing.proto", "sealgate/v1/tokens.proto",
           "sealgate/v1/verification.proto", "grpc/health/v1/health.proto"]
Field = descriptor_pb2.FieldDescriptorProto
Method = descriptor_pb2.MethodOptions

# Field numbers of descriptor.proto, as the paths of comments have them.
FILE_MESSAGE, FILE_ENUM, FILE_SERVICE, MESSAGE_FIELD, MESSAGE_NESTED, MESSAGE_ENUM, MESSAGE_ONEOF = 4, 5, 6, 2, 3, 4, 8
ENUM_VALUE, SERVICE_METHOD = 2, 2

# Connect's codes, with the HTTP status of each, and the class of base/err.h that becomes it.
CODES = [
    ("canceled", 499, None), ("unknown", 500, None), ("invalid_argument", 400, "SG_E_INVALID"),
    ("deadline_exceeded", 504, "SG_E_TIMEOUT"), ("not_found", 404, "SG_E_NOT_FOUND"), ("already_exists", 409, None),
    ("permission_denied", 403, "SG_E_DENIED"), ("resource_exhausted", 429, "SG_E_LIMIT"),
    ("failed_precondition", 400, "SG_E_CONFLICT"), ("aborted", 409, None), ("out_of_range", 400, None),
    ("unimplemented", 501, "SG_E_UNSUPPORTED"), ("internal", 500, "SG_E_INTERNAL"), ("unavailable", 503, "SG_E_UNAVAILABLE"),
    ("data_loss", 500, None), ("unauthenticated", 401, "SG_E_UNAUTHENTICATED"),
]

TIME = {"type": "string", "format": "date-time", "description": "RFC 3339, UTC."}
DURATION = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$", "description": "Seconds, as 1.500s."}
ANY = {"type": "object", "properties": {"@type": {"type": "string"}}, "required": ["@type"],
       "description": "A message of the type that its @type names."}
WELL_KNOWN = {".google.protobuf.Timestamp": TIME, ".google.protobuf.Duration": DURATION, ".google.protobuf.Any": ANY}

SCALARS = {
    Field.TYPE_STRING: {"type": "string"},
    Field.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    Field.TYPE_BOOL: {"type": "boolean"},
    Field.TYPE_INT32: {"type": "integer", "minimum": -2**31, "maximum": 2**31 - 1},
    Field.TYPE_UINT32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    # A number in requests, and always a string in answers.
    Field.TYPE_INT64: {"type": ["string", "integer"], "pattern": "^-?[0-9]+$"},
    Field.TYPE_UINT64: {"type": ["string", "integer"], "pattern": "^[0-9]+$"},
}
SCALARS[Field.TYPE_FIXED32] = SCALARS[Field.TYPE_UINT32]


def read_set(root):
    with tempfile.TemporaryDirectory() as work:
        out = os.path.join(work, "set.pb")
        subprocess.run(["protoc", "-I", root, "--include_imports", "--include_source_info",
                        "--descriptor_set_out", out] + SOURCES, check=True)
        result = descriptor_pb2.FileDescriptorSet()
        with open(out, "rb") as file:
            result.ParseFromString(file.read())
    return result.file


class Contract:
    """Every message, enum and service by its full name, and every comment by its element."""

    def __init__(self, files):
        self.messages, self.enums, self.services, self.comments = {}, {}, [], {}
        for file in files:
            texts = {tuple(at.path): self.text(at) for at in file.source_code_info.location}
            prefix = "." + file.package
            for i, message in enumerate(file.message_type):
                self.add_message(prefix, message, (FILE_MESSAGE, i), texts)
            for i, enum in enumerate(file.enum_type):
                self.add_enum(prefix, enum, (FILE_ENUM, i), texts)
            for i, service in enumerate(file.service):
                name = f"{prefix}.{service.name}"
                self.services.append((name[1:], service))
                self.comments[name] = texts.get((FILE_SERVICE, i), "")
                for j, method in enumerate(service.method):
                    self.comments[f"{name}.{method.name}"] = texts.get((FILE_SERVICE, i, SERVICE_METHOD, j), "")
        self.services.sort(key=lambda entry: entry[0])

    @staticmethod
    def text(location):
        """What stands in front, or else behind; one paragraph each, as it was written."""
        raw = location.leading_comments or location.trailing_comments
        paragraphs = raw.strip().split("\n\n") if raw.strip() else []
        return "\n\n".join(" ".join(line.strip() for line in p.splitlines()) for p in paragraphs)

    def add_enum(self, prefix, enum, path, texts):
        name = f"{prefix}.{enum.name}"
        self.enums[name] = enum
        self.comments[name] = texts.get(path, "")
        for i, value in enumerate(enum.value):
            self.comments[f"{name}.{value.name}"] = texts.get(path + (ENUM_VALUE, i), "")

    def add_message(self, prefix, message, path, texts):
        name = f"{prefix}.{message.name}"
        self.messages[name] = message
        self.comments[name] = texts.get(path, "")
        for i, field in enumerate(message.field):
            own = texts.get(path + (MESSAGE_FIELD, i), "")
            if not own and field.HasField("oneof_index"):
                own = texts.get(path + (MESSAGE_ONEOF, field.oneof_index), "")
            self.comments[f"{name}.{field.name}"] = own
        for i, nested in enumerate(message.nested_type):
            self.add_message(name, nested, path + (MESSAGE_NESTED, i), texts)
        for i, enum in enumerate(message.enum_type):
            self.add_enum(name, enum, path + (MESSAGE_ENUM, i), texts)


class Schemas:
    """The schemas that were referred to; those they refer to come along."""

    def __init__(self, contract):
        self.contract, self.made = contract, {}

    def refer(self, name):
        key = name[1:]
        if key not in self.made:
            self.made[key] = None  # it may refer to itself
            self.made[key] = self.enum(name) if name in self.contract.enums else self.message(name)
        return {"$ref": f"#/components/schemas/{key}"}

    def enum(self, name):
        enum, comments = self.contract.enums[name], self.contract.comments
        described = [f"- {v.name}: {comments[f'{name}.{v.name}']}" for v in enum.value if comments[f"{name}.{v.name}"]]
        text = "\n\n".join(filter(None, [comments[name], "\n".join(described)]))
        return with_text({"type": "string", "enum": [value.name for value in enum.value]}, text)

    def one(self, field):
        if field.type == Field.TYPE_MESSAGE and field.type_name in WELL_KNOWN:
            return dict(WELL_KNOWN[field.type_name])
        if field.type in (Field.TYPE_MESSAGE, Field.TYPE_ENUM):
            return self.refer(field.type_name)
        return dict(SCALARS[field.type])

    def field(self, field):
        if field.label != Field.LABEL_REPEATED:
            return self.one(field)
        entry = self.contract.messages.get(field.type_name)
        if entry is not None and entry.options.map_entry:
            return {"type": "object", "additionalProperties": self.one(entry.field[1])}
        return {"type": "array", "items": self.one(field)}

    def message(self, name):
        message = self.contract.messages[name]
        properties = {f.json_name: with_text(self.field(f), self.contract.comments[f"{name}.{f.name}"]) for f in message.field}
        schema = with_text({"type": "object"}, self.contract.comments[name])
        schema.update({"properties": properties, "additionalProperties": False})
        rules = []
        for i in range(len(message.oneof_decl)):
            members = [f.json_name for f in message.field if f.HasField("oneof_index") and f.oneof_index == i]
            rules += [{"not": {"required": [a, b]}} for n, a in enumerate(members) for b in members[n + 1:]]
        if rules:
            schema["allOf"] = rules
        return schema


def with_text(schema, text):
    return {**schema, "description": text} if text else schema


def reasons_by_class(path):
    """{class: [(reason, what to do next)]}, in the order of the file."""
    found = {}
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    for name, rc, words in re.findall(r'REASON\((\w+),\s*(\w+),\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\)', text):
        found.setdefault(rc, []).append((name, "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', words))))
    return found


def error_responses(reasons):
    responses = {}
    for status in sorted({status for _, status, _ in CODES}):
        codes = [(code, rc) for code, of, rc in CODES if of == status]
        lines = [f"- `{name}`: {next_}" for _, rc in codes for name, next_ in reasons.get(rc, [])]
        text = " or ".join(f"`{code}`" for code, _ in codes) + "."
        responses[str(status)] = {
            "description": text + ("\n\nReasons, and what to do next:\n\n" + "\n".join(lines) if lines else ""),
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/connect.Error"}}}}
        if status == 401:
            responses["401"]["headers"] = {"www-authenticate": {
                "description": "Where bearer tokens count (RFC 6750).", "schema": {"type": "string"}}}
    return responses


def error_schemas(reasons):
    names = sorted(name for rows in reasons.values() for name, _ in rows)
    detail = {
        "type": "object", "required": ["type", "value"],
        "properties": {
            "type": {"type": "string", "description": "google.rpc.ErrorInfo (always one), RetryInfo, BadRequest, ..."},
            "value": {"type": "string", "contentEncoding": "base64", "description": "The message, in bytes; not padded."},
            "debug": {"type": "object", "description": "The message as JSON, for people.",
                      "properties": {"reason": {"$ref": "#/components/schemas/Reason"}}}}}
    return {
        "Reason": {"type": "string", "enum": names, "description": "The stable word for what went wrong: ErrorInfo.reason."},
        "connect.ErrorDetail": detail,
        "connect.Error": {
            "type": "object", "required": ["code"],
            "properties": {
                "code": {"type": "string", "enum": [code for code, _, _ in CODES]},
                "message": {"type": "string", "description": "For people; may change."},
                "details": {"type": "array", "items": {"$ref": "#/components/schemas/connect.ErrorDetail"}}}}}


PARAMETERS = {
    "version": {"name": "connect-protocol-version", "in": "header", "schema": {"const": "1"},
                "description": "Must be there where the operator set connect_version_required."},
    "timeout": {"name": "connect-timeout-ms", "in": "header", "schema": {"type": "string", "pattern": "^[0-9]{1,10}$"},
                "description": "How long the caller waits, in milliseconds."},
    "connect": {"name": "connect", "in": "query", "schema": {"const": "v1"},
                "description": "The same as connect-protocol-version."},
    "encoding": {"name": "encoding", "in": "query", "required": True, "schema": {"const": "json"}},
}
USUAL = [{"$ref": "#/components/parameters/version"}, {"$ref": "#/components/parameters/timeout"}]


def operation(service, method, schemas, text, responses, suffix):
    answer = schemas.refer(method.output_type)
    of = {"operationId": f"{service.split('.')[-1]}.{method.name}{suffix}", "tags": [service],
          "summary": text.split(". ")[0].rstrip(".") + "." if text else method.name}
    if text:
        of["description"] = text
    if service.startswith("grpc.health."):
        of["security"] = [{}]
    of["responses"] = {"200": {"description": "Done.", "content": {"application/json": {"schema": answer}}}, **responses}
    return of


def path_item(service, method, schemas, text, responses):
    request = schemas.refer(method.input_type)
    post = operation(service, method, schemas, text, responses, "")
    post["parameters"] = USUAL
    post["requestBody"] = {"required": True, "content": {"application/json": {"schema": request}}}
    item = {"post": post}
    if method.options.idempotency_level == Method.NO_SIDE_EFFECTS:
        item["get"] = operation(service, method, schemas, text, responses, ".Get")
        item["get"]["parameters"] = USUAL[1:] + [
            {"$ref": "#/components/parameters/connect"}, {"$ref": "#/components/parameters/encoding"},
            {"name": "message", "in": "query", "required": True, "description": "The request.",
             "content": {"application/json": {"schema": request}}}]
    return item


def document(contract, reasons, version):
    schemas, paths, tags = Schemas(contract), {}, []
    responses = {status: {"$ref": f"#/components/responses/{status}"} for status in error_responses(reasons)}
    for service, descriptor in contract.services:
        tags.append(with_text({"name": service}, contract.comments["." + service]))
        for method in descriptor.method:
            if not method.client_streaming and not method.server_streaming:
                text = contract.comments[f".{service}.{method.name}"]
                paths[f"/{service}/{method.name}"] = path_item(service, method, schemas, text, responses)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sealgate", "version": version, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "The unary methods of Sealgate over plain HTTP, by the Connect protocol with JSON. What streams "
                           "(SignStream, WatchLeaves, Watch) takes a client of gRPC, gRPC-Web or Connect. Generated from the "
                           ".proto files by ops/build/gen_openapi.py; docs/api.md tells the rest."},
        "servers": [{"url": "https://localhost:8443", "description": "With client certificates."},
                    {"url": "https://localhost:8444", "description": "With bearer tokens (listen_bearer)."}],
        "security": [{"certificate": []}, {"bearer": []}],
        "tags": tags, "paths": paths,
        "components": {
            "securitySchemes": {
                "certificate": {"type": "mutualTLS", "description": "At the listener that asks for client certificates."},
                "bearer": {"type": "http", "scheme": "bearer", "description": "At the listener that asks for none."}},
            "parameters": PARAMETERS, "responses": error_responses(reasons),
            "schemas": dict(sorted({**schemas.made, **error_schemas(reasons)}.items()))}}


def main():
    root, reason_def, version = sys.argv[1:]
    made = document(Contract(read_set(root)), reasons_by_class(reason_def), version)
    json.dump(made, sys.stdout, indent=2, ensure_ascii=False)
    print()


main()
