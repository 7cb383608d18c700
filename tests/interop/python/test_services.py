"""Health, reflection, verification and reuse of the connection, by grpcio."""

import os
import unittest

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from support import DOCUMENT, open_channel, openssl_options, openssl_verifies, sha256
from support import keys_pb2, keys_pb2_grpc, signing_pb2, signing_pb2_grpc, types_pb2
from grpc.health.v1 import health_pb2, health_pb2_grpc
from sealgate.v1 import info_pb2, info_pb2_grpc, verification_pb2, verification_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health(unittest.TestCase):
    def setUp(self):
        self.channel = open_channel()
        self.addCleanup(self.channel.close)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def test_check_tells_the_server_and_each_service(self):
        for service in ("", "sealgate.v1.SigningService"):
            with self.subTest(service):
                answer = self.health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
                self.assertEqual(answer.status, SERVING)

    def test_check_of_an_unknown_service_is_not_found(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.health.Check(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=10)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_watch_answers_at_once_and_stays_open(self):
        for service, status in (("", SERVING), ("no.such.Service", SERVICE_UNKNOWN)):
            with self.subTest(service):
                watch = self.health.Watch(health_pb2.HealthCheckRequest(service=service), timeout=30)
                self.assertEqual(next(watch).status, status)
                self.assertTrue(watch.is_active())
                watch.cancel()


class Reflection(unittest.TestCase):
    """Nothing of sealgate.v1 is known here but what the server tells."""

    VERSIONS = ("v1", "v1alpha")

    def ask(self, channel, version, **question):
        # Both versions have the same messages by number; the stubs of v1 serve for both.
        from grpc.reflection.v1 import reflection_pb2

        method = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        return next(method(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=10))

    def test_services_are_listed(self):
        with open_channel() as channel:
            for version in self.VERSIONS:
                answer = self.ask(channel, version, list_services="")
                names = {service.name for service in answer.list_services_response.service}
                self.assertLessEqual({"sealgate.v1.SigningService", "sealgate.v1.VerificationService",
                                      "sealgate.v1.KeyService", "sealgate.v1.InfoService",
                                      "grpc.health.v1.Health"}, names)

    def test_unknown_symbol_is_an_answer_not_an_end(self):
        with open_channel() as channel:
            answer = self.ask(channel, "v1", file_containing_symbol="no.such.Symbol")
            self.assertEqual(answer.error_response.error_code, grpc.StatusCode.NOT_FOUND.value[0])

    def test_signing_with_what_reflection_tells(self):
        with open_channel() as channel:
            for version in self.VERSIONS:
                with self.subTest(version):
                    self.sign_by_reflection(channel, version)

    def sign_by_reflection(self, channel, version):
        answer = self.ask(channel, version, file_containing_symbol="sealgate.v1.SigningService")
        files = descriptor_pb2.FileDescriptorSet()
        for serialized in answer.file_descriptor_response.file_descriptor_proto:
            files.file.add().MergeFromString(serialized)
        # Dependencies first, whatever the order of the answer.
        pool, waiting, known = descriptor_pool.DescriptorPool(), list(files.file), set()
        while waiting:
            ready = [file for file in waiting if known.issuperset(file.dependency)]
            self.assertTrue(ready, f"the answer lacks a file that {waiting[0].name} imports")
            for file in ready:
                pool.Add(file)
                known.add(file.name)
                waiting.remove(file)
        service = pool.FindServiceByName("sealgate.v1.SigningService")
        method = service.FindMethodByName("Sign")
        make = message_factory.MessageFactory(pool).GetPrototype
        request_type, answer_type = make(method.input_type), make(method.output_type)
        request = request_type(key="keys/dev-p256")
        request.digest.algorithm = 1
        request.digest.value = sha256().value
        answer = channel.unary_unary(
            f"/{service.full_name}/{method.name}",
            request_serializer=request_type.SerializeToString,
            response_deserializer=answer_type.FromString,
        )(request, timeout=10)
        pem = keys_pb2_grpc.KeyServiceStub(channel).GetPublicKey(
            keys_pb2.GetPublicKeyRequest(name="keys/dev-p256")).pem
        options = openssl_options(types_pb2.SIGNATURE_SCHEME_ECDSA, types_pb2.DIGEST_ALGORITHM_SHA256)
        self.assertTrue(openssl_verifies(pem, sha256().value, answer.signature, *options))


class Verification(unittest.TestCase):
    def test_verify_tells_right_from_wrong(self):
        with open_channel() as channel:
            sign = signing_pb2_grpc.SigningServiceStub(channel).Sign
            verify = verification_pb2_grpc.VerificationServiceStub(channel).Verify
            signature = sign(signing_pb2.SignRequest(key="keys/dev-p384", digest=sha256())).signature
            rows = [
                ("as signed", sha256(), signature, True, ""),
                ("another document", sha256(b"other"), signature, False, "SIGNATURE_INVALID"),
                ("cut short", sha256(), signature[:-1], False, "SIGNATURE_MALFORMED"),
            ]
            for name, digest, value, valid, reason in rows:
                with self.subTest(name):
                    answer = verify(verification_pb2.VerifyRequest(
                        key="keys/dev-p384", digest=digest, signature=value), timeout=10)
                    self.assertEqual((answer.valid, answer.reason), (valid, reason))


class Connection(unittest.TestCase):
    def test_calls_share_one_connection(self):
        from support import ENDPOINT

        port = int(ENDPOINT.rpartition(":")[2])
        before = own_connections_to(port)
        with open_channel() as channel:
            sign = signing_pb2_grpc.SigningServiceStub(channel).Sign
            for _ in range(50):
                sign(signing_pb2.SignRequest(key="keys/dev-p256", digest=sha256()), timeout=10)
            pending = [sign.future(signing_pb2.SignRequest(key="keys/dev-ed25519", message=DOCUMENT), timeout=10)
                       for _ in range(50)]
            self.assertTrue(all(answer.result().signature for answer in pending))
            self.assertEqual(len(own_connections_to(port) - before), 1)

    def test_info_tells_the_caller_who_it_is(self):
        with open_channel("guest") as channel:
            info = info_pb2_grpc.InfoServiceStub(channel).GetServerInfo(info_pb2.GetServerInfoRequest())
            self.assertEqual(info.caller, "dev-ca spiffe://dev.sealgate.local/client/guest")


def own_connections_to(port):
    """Established TCP connections of this process to the port, from /proc."""
    own = set()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            own.add(os.readlink("/proc/self/fd/" + descriptor))
        except FileNotFoundError:
            continue  # the one that listed the folder
    found = set()
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):  # grpc's sockets take both
        with open(table, encoding="ascii") as rows:
            for row in list(rows)[1:]:
                fields = row.split()
                remote, state, inode = int(fields[2].rpartition(":")[2], 16), fields[3], fields[9]
                if remote == port and state == "01" and f"socket:[{inode}]" in own:
                    found.add(inode)
    return found


if __name__ == "__main__":
    unittest.main()
