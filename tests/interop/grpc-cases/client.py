"""gRPC's interoperability cases by grpcio: client.py CASE... The names are those of the descriptions."""

import os
import queue
import sys
import time

import grpc

sys.path.insert(0, os.environ["STUBS"])
grpc.__path__.append(os.path.join(os.environ["STUBS"], "grpc"))

from grpc.testing import test_pb2 as pb  # noqa: E402
from grpc.testing import test_pb2_grpc  # noqa: E402

REQUEST_SIZES = [27182, 8, 1828, 45904]
RESPONSE_SIZES = [31415, 9, 2653, 58979]
CODE = grpc.StatusCode


def payload(size):
    return pb.Payload(body=bytes(size))


def output(size, response_size, interval_us=0):
    parameters = [pb.ResponseParameters(size=response_size, interval_us=interval_us)]
    return pb.StreamingOutputCallRequest(response_parameters=parameters, payload=payload(size))


def refused(code, call, message=None):
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, error
        assert message is None or error.details() == message, error.details()
        return
    raise AssertionError(f"not {code}")


class Requests:
    """What a stream sends, given to it bit by bit."""

    def __init__(self):
        self.queue = queue.Queue()

    def __iter__(self):
        return self

    def __next__(self):
        request = self.queue.get()
        if request is None:
            raise StopIteration
        return request

    def send(self, request):
        self.queue.put(request)

    def close(self):
        self.queue.put(None)


def empty_unary(stub, _):
    assert stub.EmptyCall(pb.Empty(), timeout=10) == pb.Empty()


def large_unary(stub, _):
    answer = stub.UnaryCall(pb.SimpleRequest(response_size=314159, payload=payload(271828)), timeout=10)
    assert answer.payload.body == bytes(314159)


def client_streaming(stub, _):
    requests = (pb.StreamingInputCallRequest(payload=payload(size)) for size in REQUEST_SIZES)
    assert stub.StreamingInputCall(requests, timeout=10).aggregated_payload_size == 74922


def server_streaming(stub, _):
    request = pb.StreamingOutputCallRequest(
        response_parameters=[pb.ResponseParameters(size=size) for size in RESPONSE_SIZES])
    answers = stub.StreamingOutputCall(request, timeout=10)
    assert [len(answer.payload.body) for answer in answers] == RESPONSE_SIZES


def ping_pong(stub, _):
    requests = Requests()
    answers = stub.FullDuplexCall(requests, timeout=10)
    for request_size, response_size in zip(REQUEST_SIZES, RESPONSE_SIZES):
        requests.send(output(request_size, response_size))
        assert len(next(answers).payload.body) == response_size
    requests.close()
    assert list(answers) == []


def empty_stream(stub, _):
    assert list(stub.FullDuplexCall(iter(()), timeout=10)) == []


def timeout_on_sleeping_server(stub, _):
    requests = Requests()
    began = time.monotonic()
    answers = stub.FullDuplexCall(requests, timeout=0.02)
    requests.send(output(27182, 31415, 5000000))
    refused(CODE.DEADLINE_EXCEEDED, lambda: next(answers))
    requests.close()
    assert time.monotonic() - began < 4


def cancel_after_begin(stub, _):
    requests = Requests()
    call = stub.StreamingInputCall.future(requests)
    call.cancel()
    requests.close()
    assert call.cancelled() and call.code() == CODE.CANCELLED


def cancel_after_first_response(stub, _):
    requests = Requests()
    answers = stub.FullDuplexCall(requests)
    requests.send(output(27182, 31415))
    assert len(next(answers).payload.body) == 31415
    answers.cancel()
    refused(CODE.CANCELLED, lambda: next(answers))
    requests.close()


def custom_metadata(stub, _):
    initial = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
    trailing = ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")
    request = pb.SimpleRequest(response_size=314159, payload=payload(271828))
    answer, call = stub.UnaryCall.with_call(request, metadata=[initial, trailing], timeout=10)
    assert len(answer.payload.body) == 314159
    assert initial in [tuple(pair) for pair in call.initial_metadata()]
    assert trailing in [tuple(pair) for pair in call.trailing_metadata()]
    stream = stub.FullDuplexCall(iter([output(271828, 314159)]), metadata=[initial, trailing], timeout=10)
    assert [len(answer.payload.body) for answer in stream] == [314159]
    assert initial in [tuple(pair) for pair in stream.initial_metadata()]
    assert trailing in [tuple(pair) for pair in stream.trailing_metadata()]


def says_status(stub, message):
    status = pb.EchoStatus(code=2, message=message)
    refused(CODE.UNKNOWN, lambda: stub.UnaryCall(pb.SimpleRequest(response_status=status), timeout=10), message)
    request = pb.StreamingOutputCallRequest(response_status=status)
    refused(CODE.UNKNOWN, lambda: list(stub.FullDuplexCall(iter([request]), timeout=10)), message)


def status_code_and_message(stub, _):
    says_status(stub, "test status message")


def special_status_message(stub, _):
    says_status(stub, "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n")


def unimplemented(channel, path):
    method = channel.unary_unary(path, request_serializer=pb.Empty.SerializeToString,
                                 response_deserializer=pb.Empty.FromString)
    refused(CODE.UNIMPLEMENTED, lambda: method(pb.Empty(), timeout=10))


def unimplemented_method(_, channel):
    unimplemented(channel, "/grpc.testing.TestService/UnimplementedCall")


def unimplemented_service(_, channel):
    unimplemented(channel, "/grpc.testing.UnimplementedService/UnimplementedCall")


def main():
    with open(os.environ["CA"], "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    for name in sys.argv[1:]:
        with grpc.secure_channel(os.environ["ENDPOINT"], credentials) as channel:
            globals()[name](test_pb2_grpc.TestServiceStub(channel), channel)
        print("ok     ", name)


main()
