"""The audit log as an auditor's own program sees it: watched while it grows, by grpcio."""

import threading
import time
import unittest
import uuid

import grpc

from support import details_of, open_channel, sha256
from support import signing_pb2, signing_pb2_grpc, types_pb2
from sealgate.v1 import audit_pb2, audit_pb2_grpc

SIGNATURE = audit_pb2.AUDIT_EVENT_SIGNATURE


class Watching(unittest.TestCase):
    def setUp(self):
        self.channel = open_channel()
        self.addCleanup(self.channel.close)
        self.audit = audit_pb2_grpc.AuditServiceStub(self.channel)
        self.signing = signing_pb2_grpc.SigningServiceStub(self.channel)

    def size(self):
        return self.audit.GetCheckpoint(audit_pb2.GetCheckpointRequest(), timeout=10).size

    def watch(self, channel=None, timeout=150, **request):
        stub = self.audit if channel is None else audit_pb2_grpc.AuditServiceStub(channel)
        watch = stub.WatchLeaves(audit_pb2.WatchLeavesRequest(**request), timeout=timeout)
        self.addCleanup(watch.cancel)
        return watch

    def sign(self, **more):
        request = signing_pb2.SignRequest(key="keys/dev-p256", digest=sha256(), **more)
        return self.signing.Sign(request, timeout=10)

    def sign_many(self, count):
        items = [signing_pb2.BatchSignItem(item_id=str(i), request=signing_pb2.SignRequest(
            key="keys/dev-p256", digest=sha256(), purpose="watched " * 100)) for i in range(count)]
        answer = self.signing.BatchSign(signing_pb2.BatchSignRequest(items=items), timeout=120)
        self.assertEqual([r for r in answer.results if not r.HasField("response")], [])

    def test_what_is_signed_is_seen_at_once(self):
        watch = self.watch(filter=audit_pb2.AuditFilter(event=SIGNATURE), first=self.size())
        for _ in range(5):
            signed = self.sign()
            began = time.monotonic()
            # Other tests sign by this gateway meanwhile: theirs are passed over.
            leaf = next(seen.leaf for seen in watch if seen.leaf.leaf_index >= signed.receipt.leaf_index)
            self.assertLess(time.monotonic() - began, 0.5)  # without polling, which takes a second
            self.assertEqual(leaf.content.signature, signed.signature)
            self.assertEqual(leaf.leaf_index, signed.receipt.leaf_index)
            self.assertEqual(leaf.record, signed.receipt.record)
            self.assertEqual(audit_pb2.AuditRecord.FromString(leaf.record), leaf.content)

    def test_a_filter_by_request_id(self):
        wanted = str(uuid.uuid4())
        watch = self.watch(filter=audit_pb2.AuditFilter(request_id=wanted))
        self.sign()
        self.sign(request_id=wanted)
        self.assertEqual(next(watch).leaf.content.request_id, wanted)

    def test_whoever_is_slow_misses_nothing_while_much_is_signed(self):
        first = self.size()
        slow_channel = open_channel()  # whose connection nothing else has to share
        self.addCleanup(slow_channel.close)
        slow, quick = self.watch(slow_channel, first=first), self.watch(first=first)
        self.sign()
        slow_leaves = [next(slow).leaf]
        signers = [threading.Thread(target=self.sign_many, args=(200,)) for _ in range(4)]
        for signer in signers:
            signer.start()
        quick_leaves = [next(quick).leaf for _ in range(801)]
        for signer in signers:
            signer.join()
        for _ in range(800):  # and not one of them was read before
            slow_leaves.append(next(slow).leaf)
        self.assertEqual([leaf.leaf_index for leaf in quick_leaves], list(range(first, first + 801)))
        self.assertEqual(slow_leaves, quick_leaves)

    def test_a_deadline_ends_it_and_its_place_is_where_to_go_on(self):
        with self.assertRaises(grpc.RpcError) as caught:
            for _ in self.watch(first=self.size(), timeout=0.5):
                pass
        self.assertEqual(caught.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)

    def test_who_may_not_is_told_by_a_receipt_of_the_denial(self):
        channel = open_channel("guest")
        self.addCleanup(channel.close)
        with self.assertRaises(grpc.RpcError) as caught:
            next(self.watch(channel))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.PERMISSION_DENIED)
        status, info = details_of(caught.exception)
        self.assertEqual(info.reason, "METHOD_NOT_ALLOWED")
        receipt = types_pb2.AuditReceipt()
        self.assertEqual([d.Unpack(receipt) for d in status.details].count(True), 1)
        record = audit_pb2.AuditRecord.FromString(receipt.record)
        self.assertEqual(record.event, audit_pb2.AUDIT_EVENT_DENIAL)
        self.assertEqual(record.reason, "METHOD_NOT_ALLOWED")
        self.assertEqual(record.method, "sealgate.v1.AuditService/WatchLeaves")
        self.assertIn("/client/guest", record.caller)


if __name__ == "__main__":
    unittest.main()
