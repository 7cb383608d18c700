"""grpcio with stubs from the .proto files: what it signs, openssl verifies; what it may not, is refused."""

import time
import unittest

import grpc

from support import (
    DOCUMENT, details_of, digest_of, error_info, openssl_options, openssl_verifies, open_channel, raw_to_der, sha256,
    HASHES, keys_pb2, keys_pb2_grpc, signing_pb2, signing_pb2_grpc, types_pb2,
)

SHA2 = [types_pb2.DIGEST_ALGORITHM_SHA256, types_pb2.DIGEST_ALGORITHM_SHA384, types_pb2.DIGEST_ALGORITHM_SHA512]
ED25519 = types_pb2.SIGNATURE_SCHEME_ED25519
ECDSA = types_pb2.SIGNATURE_SCHEME_ECDSA
KEYS = ["keys/dev-ed25519", "keys/dev-p256", "keys/dev-p384", "keys/dev-rsa2048", "keys/dev-rsa4096"]


class Signing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.channel = open_channel()
        cls.signing = signing_pb2_grpc.SigningServiceStub(cls.channel)
        cls.keys = keys_pb2_grpc.KeyServiceStub(cls.channel)
        cls.pems = {name: cls.keys.GetPublicKey(keys_pb2.GetPublicKeyRequest(name=name)).pem for name in KEYS}

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()

    def refused(self, code, reason, method, request, **options):
        with self.assertRaises(grpc.RpcError) as caught:
            method(request, timeout=10, **options)
        error = caught.exception
        self.assertEqual(error.code(), code, error.details())
        status, info = details_of(error)
        self.assertEqual(status.code, code.value[0])
        self.assertEqual(info.reason, reason)

    def test_list_names_every_key(self):
        listed = self.keys.ListKeys(keys_pb2.ListKeysRequest())
        self.assertEqual([key.name for key in listed.keys], KEYS)
        for key in listed.keys:
            self.assertEqual(key.state, keys_pb2.KEY_STATE_ACTIVE, key)

    def test_every_algorithm_verifies_with_openssl(self):
        signed = 0
        for name in KEYS:
            key = self.keys.GetKey(keys_pb2.GetKeyRequest(name=name))
            for scheme in key.schemes:
                if scheme == ED25519:
                    continue
                for digest in key.digests:
                    with self.subTest(key=name, scheme=scheme, digest=HASHES[digest]):
                        signed += self.sign_and_verify(name, scheme, digest)
        # 2 RSA keys x 2 schemes and 2 EC keys x 2 encodings, with three SHA-2 hashes at least.
        self.assertGreaterEqual(signed, 2 * 2 * 3 + 2 * 2 * 3)

    def sign_and_verify(self, name, scheme, digest):
        content = digest_of(DOCUMENT, digest)
        encodings = [types_pb2.SIGNATURE_ENCODING_UNSPECIFIED]
        if scheme == ECDSA:
            encodings = [types_pb2.SIGNATURE_ENCODING_DER, types_pb2.SIGNATURE_ENCODING_RAW]
        done = 0
        for encoding in encodings:
            request = signing_pb2.SignRequest(key=name, scheme=scheme, digest=content, encoding=encoding)
            try:
                answer = self.signing.Sign(request, timeout=30)
            except grpc.RpcError as error:
                # SHA-3 is signed where the token can; a refusal says that it cannot.
                self.assertNotIn(digest, SHA2, error.details())
                self.assertEqual(details_of(error)[1].reason, "ALGORITHM_NOT_SUPPORTED")
                continue
            self.assertEqual(answer.key_version, name + "/versions/1")
            self.assertEqual((answer.algorithm.scheme, answer.algorithm.digest), (scheme, digest))
            signature = answer.signature
            if encoding == types_pb2.SIGNATURE_ENCODING_RAW:
                signature = raw_to_der(signature)
            options = openssl_options(scheme, digest)
            self.assertTrue(openssl_verifies(self.pems[name], content.value, signature, *options))
            self.assertFalse(openssl_verifies(self.pems[name], bytes(len(content.value)), signature, *options))
            done += 1
        return done

    def test_ed25519_signs_the_message(self):
        request = signing_pb2.SignRequest(key="keys/dev-ed25519", message=DOCUMENT)
        answer = self.signing.Sign(request)
        pem = self.pems["keys/dev-ed25519"]
        self.assertTrue(openssl_verifies(pem, DOCUMENT, answer.signature, "-rawin"))
        self.assertFalse(openssl_verifies(pem, DOCUMENT + b".", answer.signature, "-rawin"))

    def test_refusals_carry_their_reason(self):
        invalid, sign = grpc.StatusCode.INVALID_ARGUMENT, self.signing.Sign
        short = types_pb2.Digest(algorithm=types_pb2.DIGEST_ALGORITHM_SHA256, value=bytes(20))
        unnamed = types_pb2.Digest(value=bytes(20))  # SHA-1 has no number: nobody can ask for it
        unknown_number = types_pb2.Digest(algorithm=99, value=bytes(20))
        make = signing_pb2.SignRequest
        p256 = "keys/dev-p256"
        rows = [
            ("a SHA-1 digest called SHA-256", invalid, "DIGEST_LENGTH", make(key=p256, digest=short)),
            ("a digest without its algorithm", invalid, None, make(key=p256, digest=unnamed)),
            ("a digest algorithm that is none", invalid, None, make(key=p256, digest=unknown_number)),
            ("a wrong CRC", invalid, "CRC_MISMATCH", make(key=p256, digest=sha256(), content_crc32c=1)),
            ("nothing to sign", invalid, "FIELD_REQUIRED", make(key=p256)),
            ("a malformed name", invalid, "BAD_NAME", make(key="dev-p256", digest=sha256())),
            ("RSA by an EC key", invalid, "ALGORITHM_NOT_ALLOWED",
             make(key=p256, digest=sha256(), scheme=types_pb2.SIGNATURE_SCHEME_RSA_PSS)),
            ("activation", invalid, "FIELD_NOT_SERVED", make(key=p256, digest=sha256(), activation="activations/a")),
            ("request_id", invalid, "BAD_REQUEST_ID", make(key=p256, digest=sha256(), request_id="1")),
            ("capacity", invalid, "FIELD_NOT_SERVED",
             make(key=p256, digest=sha256(), capacity=signing_pb2.CAPACITY_HEAD)),
            ("an unknown key", grpc.StatusCode.NOT_FOUND, "KEY_NOT_FOUND",
             make(key="keys/nobody-has-this", digest=sha256())),
        ]
        for name, code, reason, request in rows:
            with self.subTest(name):
                if reason is None:
                    with self.assertRaises(grpc.RpcError) as caught:
                        sign(request, timeout=10)
                    self.assertEqual(caught.exception.code(), code)
                    self.assertIn(details_of(caught.exception)[1].reason,
                                  ("FIELD_REQUIRED", "ALGORITHM_NOT_ALLOWED", "MALFORMED_MESSAGE"))
                else:
                    self.refused(code, reason, sign, request)

    def test_unknown_field_is_refused(self):
        sign = self.channel.unary_unary("/sealgate.v1.SigningService/Sign")
        known = signing_pb2.SignRequest(key="keys/dev-p256", digest=sha256()).SerializeToString()
        # Field 999, a varint.
        self.refused(grpc.StatusCode.INVALID_ARGUMENT, "UNKNOWN_FIELD", sign, known + b"\xb8\x3e\x01")

    def test_unknown_method_is_unimplemented(self):
        method = self.channel.unary_unary("/sealgate.v1.SigningService/Forge")
        with self.assertRaises(grpc.RpcError) as caught:
            method(b"", timeout=10)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_without_a_client_certificate_nobody_is_known(self):
        with open_channel(None) as channel:
            request = signing_pb2.SignRequest(key="keys/dev-p256", digest=sha256())
            sign = signing_pb2_grpc.SigningServiceStub(channel).Sign
            self.refused(grpc.StatusCode.UNAUTHENTICATED, "CERT_REQUIRED", sign, request)

    def test_guest_sees_its_own_key_only(self):
        with open_channel("guest") as channel:
            keys, signing = keys_pb2_grpc.KeyServiceStub(channel), signing_pb2_grpc.SigningServiceStub(channel)
            listed = keys.ListKeys(keys_pb2.ListKeysRequest())
            self.assertEqual([key.name for key in listed.keys], ["keys/dev-p256"])
            self.assertTrue(signing.Sign(signing_pb2.SignRequest(key="keys/dev-p256", digest=sha256())).signature)
            other = signing_pb2.SignRequest(key="keys/dev-p384", digest=sha256())
            self.refused(grpc.StatusCode.NOT_FOUND, "KEY_NOT_FOUND", signing.Sign, other)
            csr = keys_pb2.CreateCsrRequest(
                name="keys/dev-p256", subject=[keys_pb2.NameAttribute(type="CN", value="guest")])
            self.refused(grpc.StatusCode.PERMISSION_DENIED, "METHOD_NOT_ALLOWED", keys.CreateCsr, csr)

    def test_batch_items_succeed_and_fail_on_their_own(self):
        make, item = signing_pb2.SignRequest, signing_pb2.BatchSignItem
        short = types_pb2.Digest(algorithm=types_pb2.DIGEST_ALGORITHM_SHA384, value=bytes(32))
        rows = [
            ("good-ec", make(key="keys/dev-p256", digest=sha256()), None),
            ("short", make(key="keys/dev-p256", digest=short), "DIGEST_LENGTH"),
            ("good-rsa", make(key="keys/dev-rsa2048", digest=sha256()), None),
            ("nobody", make(key="keys/nobody", digest=sha256()), "KEY_NOT_FOUND"),
            ("good-ed", make(key="keys/dev-ed25519", message=DOCUMENT), None),
        ]
        batch = signing_pb2.BatchSignRequest(items=[item(item_id=i, request=r) for i, r, _ in rows])
        answer = self.signing.BatchSign(batch, timeout=10)
        self.assertEqual([result.item_id for result in answer.results], [row[0] for row in rows])
        for result, (_, request, reason) in zip(answer.results, rows):
            if reason is not None:
                self.assertEqual(error_info(result.error).reason, reason)
                continue
            self.assertEqual(result.WhichOneof("result"), "response", result)
            pem, content = self.pems[request.key], request.digest.value or request.message
            options = ["-rawin"] if request.message else openssl_options(
                result.response.algorithm.scheme, types_pb2.DIGEST_ALGORITHM_SHA256)
            self.assertTrue(openssl_verifies(pem, content, result.response.signature, *options))

    def test_batch_of_two_items_with_one_id_is_refused(self):
        item = signing_pb2.BatchSignItem(
            item_id="same", request=signing_pb2.SignRequest(key="keys/dev-p256", digest=sha256()))
        batch = signing_pb2.BatchSignRequest(items=[item, item])
        self.refused(grpc.StatusCode.INVALID_ARGUMENT, "DUPLICATE_ITEM_ID", self.signing.BatchSign, batch)

    def test_stream_answers_as_results_are_ready(self):
        slow, fast = "keys/dev-rsa4096", "keys/dev-p256"
        # The order depends on the token's workers; within a few streams one fast item overtakes.
        for _ in range(5):
            keys = {f"{i:02}": slow if i % 4 == 0 else fast for i in range(32)}
            requests = (signing_pb2.SignStreamRequest(
                item_id=item_id, request=signing_pb2.SignRequest(key=key, digest=sha256()))
                for item_id, key in keys.items())
            results = list(self.signing.SignStream(requests, timeout=30))
            self.assertEqual(sorted(result.item_id for result in results), sorted(keys))
            for result in results:
                key, answer = keys[result.item_id], result.response
                options = openssl_options(answer.algorithm.scheme, types_pb2.DIGEST_ALGORITHM_SHA256)
                self.assertTrue(openssl_verifies(self.pems[key], sha256().value, answer.signature, *options))
            if [result.item_id for result in results] != sorted(keys):
                return
        self.fail("five streams came back in the order they were sent: nothing ever overtook")

    def test_deadline_ends_the_call(self):
        items = [signing_pb2.BatchSignItem(
            item_id=str(i), request=signing_pb2.SignRequest(key="keys/dev-rsa4096", digest=sha256()))
            for i in range(1000)]
        began = time.monotonic()
        with self.assertRaises(grpc.RpcError) as caught:
            self.signing.BatchSign(signing_pb2.BatchSignRequest(items=items), timeout=0.05)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertLess(time.monotonic() - began, 2)
        # And the gateway is as ready as before.
        self.assertTrue(self.signing.Sign(signing_pb2.SignRequest(key="keys/dev-p256", digest=sha256()), timeout=10))

    def test_dry_run_signs_nothing(self):
        request = signing_pb2.SignRequest(key="keys/dev-p256", digest=sha256(), dry_run=True)
        answer = self.signing.Sign(request)
        self.assertEqual(answer.signature, b"")
        self.assertEqual(answer.decision.rule_set, "configured-list")


if __name__ == "__main__":
    unittest.main()
