"""docs/openapi.json against a validator that we did not write, and real answers against it.

    check.py OPENAPI.JSON HOST:PORT PKI-DIR

Every operation of the document is called, as well as it can be and wrongly; what is sent and what comes
back must be what the document says, whatever the status.
"""
import base64
import hashlib
import http.client
import json
import ssl
import sys
import unittest
import urllib.parse

from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

with open(sys.argv[1], encoding="utf-8") as file:
    DOCUMENT = json.load(file)
HOST, PORT = sys.argv[2].split(":")
PKI = sys.argv[3]

SHA256 = base64.b64encode(hashlib.sha256(b"Seen and described.").digest()).decode()
DIGEST = {"algorithm": "DIGEST_ALGORITHM_SHA256", "value": SHA256}
SIGN = {"key": "keys/dev-p256", "digest": DIGEST}
# One request that succeeds and one that does not, with its status, for each path. None: nothing can be wrong; False: the
# right one is not made.
REQUESTS = {
    "/grpc.health.v1.Health/Check": ({}, ({"service": "nobody"}, 404)),
    "/sealgate.v1.InfoService/GetServerInfo": ({}, None),
    "/sealgate.v1.InfoService/GetCapacity": ({}, None),
    "/sealgate.v1.KeyService/ListKeys": ({"pageSize": 2}, ({"pageToken": "x"}, 400)),
    "/sealgate.v1.KeyService/GetKey": ({"name": "keys/dev-p256"}, ({"name": "keys/nobody"}, 404)),
    "/sealgate.v1.KeyService/GetPublicKey": ({"name": "keys/dev-rsa2048"}, ({"name": "nobody"}, 400)),
    "/sealgate.v1.KeyService/CreateCsr": (
        {"name": "keys/dev-p256", "subject": [{"type": "CN", "value": "openapi"}]}, ({"name": "keys/dev-ed25519"}, 400)),
    "/sealgate.v1.SigningService/Sign": (SIGN, ({**SIGN, "requestId": "not served yet"}, 400)),
    "/sealgate.v1.SigningService/BatchSign": (
        {"items": [{"itemId": "good", "request": SIGN}, {"itemId": "none", "request": {**SIGN, "key": "keys/nobody"}}]},
        ({"items": [{"itemId": "twice", "request": SIGN}] * 2}, 400)),
    "/sealgate.v1.VerificationService/Verify": (None, ({"digest": DIGEST}, 400)),
    "/sealgate.v1.AuditService/ListLeaves": ({"pageSize": 2}, None),
    "/sealgate.v1.AuditService/GetReceipt": ({"name": "audit/main/leaves/0"}, ({"name": "audit/main"}, 400)),
    "/sealgate.v1.AuditService/GetCheckpoint": ({}, None),
    "/sealgate.v1.AuditService/GetConsistencyProof": ({"oldSize": "1"}, None),
    "/sealgate.v1.TokenService/ListTokens": ({}, None),
    "/sealgate.v1.TokenService/GetToken": ({"name": "tokens/softhsm"}, ({"name": "tokens/nobody"}, 404)),
    "/sealgate.v1.TokenService/CompareTokens": (
        {"name": "tokens/softhsm", "other": "tokens/softhsm"}, ({"name": "tokens/softhsm", "other": "softhsm"}, 400)),
    # Others use the token meanwhile: it is only resumed.
    "/sealgate.v1.TokenService/DrainToken": (False, ({"name": "tokens/softhsm"}, 400)),
    "/sealgate.v1.TokenService/ResumeToken": ({"name": "tokens/softhsm", "reason": "as described"}, ({}, 400)),
}


def validator(reference):
    return Draft202012Validator({"$ref": reference, "components": DOCUMENT["components"]},
                                format_checker=Draft202012Validator.FORMAT_CHECKER)


def call(verb, path, request, certificate="dev"):
    context = ssl.create_default_context(cafile=f"{PKI}/ca.pem")
    context.set_alpn_protocols(["http/1.1"])
    if certificate is not None:
        context.load_cert_chain(f"{PKI}/{certificate}.pem", f"{PKI}/{certificate}.key")
    connection = http.client.HTTPSConnection(HOST, int(PORT), context=context, timeout=30)
    body = json.dumps(request)
    if verb == "get":
        query = urllib.parse.urlencode({"connect": "v1", "encoding": "json", "message": body})
        connection.request("GET", f"{path}?{query}")
    else:
        connection.request("POST", path, body, {"content-type": "application/json"})
    answer = connection.getresponse()
    result = answer.status, answer.getheader("content-type"), json.loads(answer.read())
    connection.close()
    return result


class OpenApi(unittest.TestCase):
    def agree(self, verb, path, request, status, certificate="dev"):
        """The request and the answer are what the document says of them."""
        post = DOCUMENT["paths"][path]["post"]
        wanted = post["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        validator(wanted).validate(request)
        seen, content_type, body = call(verb, path, request, certificate)
        self.assertEqual(seen, status, body)
        self.assertEqual(content_type, "application/json")
        told = DOCUMENT["paths"][path][verb]["responses"][str(status)]
        if "$ref" in told:
            told = DOCUMENT["components"]["responses"][told["$ref"].split("/")[-1]]
        validator(told["content"]["application/json"]["schema"]["$ref"]).validate(body)
        return body

    def test_the_document_is_openapi(self):
        validate(DOCUMENT)
        self.assertEqual(set(DOCUMENT["paths"]), set(REQUESTS))

    def test_every_operation_answers_as_it_says(self):
        signed = call("post", "/sealgate.v1.SigningService/Sign", SIGN)[2]
        good = {"key": "keys/dev-p256", "digest": DIGEST, "signature": signed["signature"]}
        for path, item in DOCUMENT["paths"].items():
            for verb in item:
                with self.subTest(verb + " " + path):
                    right, wrong = REQUESTS[path]
                    if right is not False:
                        self.assertTrue(self.agree(verb, path, good if right is None else right, 200))
                    if wrong is not None:
                        error = self.agree(verb, path, wrong[0], wrong[1])
                        reason = error["details"][0]["debug"]["reason"]
                        self.assertIn(f"`{reason}`", DOCUMENT["components"]["responses"][str(wrong[1])]["description"])

    def test_who_is_nobody_is_told_so_as_it_says(self):
        for path, item in DOCUMENT["paths"].items():
            for verb, operation in item.items():
                with self.subTest(verb + " " + path):
                    is_open = operation.get("security") == [{}]
                    right = REQUESTS[path][0] or {}
                    status = 200 if is_open else 401
                    self.agree(verb, path, right, status, certificate=None)

    def test_the_schemas_refuse_what_is_not_so(self):
        answer = validator("#/components/schemas/sealgate.v1.SignResponse")
        signed = call("post", "/sealgate.v1.SigningService/Sign", SIGN)[2]
        self.assertTrue(answer.is_valid(signed))
        for wrong in ({**signed, "colour": "red"}, {**signed, "signTime": "yesterday"}, {**signed, "encoding": 1},
                      {**signed, "signatureCrc32c": -1}):
            self.assertFalse(answer.is_valid(wrong), wrong)
        request = validator("#/components/schemas/sealgate.v1.SignRequest")
        self.assertFalse(request.is_valid({**SIGN, "message": "QQ=="}), "two members of a oneof")

    def test_only_what_changes_nothing_has_a_get(self):
        without = {path for path, item in DOCUMENT["paths"].items() if "get" not in item}
        self.assertEqual(without, {"/sealgate.v1.SigningService/Sign", "/sealgate.v1.SigningService/BatchSign",
                                   "/sealgate.v1.KeyService/CreateCsr", "/sealgate.v1.TokenService/DrainToken",
                                   "/sealgate.v1.TokenService/ResumeToken"})


unittest.main(argv=sys.argv[:1], verbosity=2)
