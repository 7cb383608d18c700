#!/usr/bin/python3
"""Over HTTP/1.1 whoever is refused while still writing reads the refusal, and no reset in its place.

A message is refused by its first bytes, which tell its length. One client writes all of it before it reads;
another, of far more than is ever taken from a request, reads while it writes. The connection ends either way.
"""

import os
import re
import socket
import ssl
import struct
import sys
import threading
import time

FOLDER = os.environ["SEALGATE_DEV_DIR"]
PORT = int(re.search(r"\bport=(\d+)", open(f"{FOLDER}/ports", encoding="ascii").read())[1])
TIMES = 3


def connect():
    context = ssl.create_default_context(cafile=f"{FOLDER}/pki/ca.pem")
    context.check_hostname = False
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(f"{FOLDER}/pki/dev.pem", f"{FOLDER}/pki/dev.key")
    tls = context.wrap_socket(socket.create_connection(("127.0.0.1", PORT)), server_hostname="localhost")
    tls.settimeout(20)
    return tls


def head(length):
    return (
        b"POST /sealgate.v1.SigningService/Sign HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc-web+proto\r\n"
        b"Content-Length: %d\r\n\r\n" % (length + 5)
    ) + struct.pack(">BI", 0, length)


def refusal(tls):
    """Reads until it is there: RESOURCE_EXHAUSTED."""
    seen = b""
    while not re.search(rb"grpc-status: ?8", seen):
        data = tls.recv(65536)
        assert data != b"", f"it ended with {seen!r}"
        seen += data


def ends(tls):
    """Whether the server closes within ten seconds, however it does."""
    tls.settimeout(10)
    try:
        while tls.recv(65536) != b"":
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def writes_first(length):
    tls = connect()
    tls.sendall(head(length))
    piece = bytes(65536)
    for _ in range(length // len(piece)):
        tls.sendall(piece)
        time.sleep(0.01)  # so that a reset is met by the next one
    refusal(tls)
    assert ends(tls), "the connection stays open"
    tls.close()


def reads_meanwhile(length):
    tls = connect()
    tls.sendall(head(length))
    blocked = threading.Event()

    def write():
        piece = bytes(65536)
        try:
            for _ in range(length // len(piece)):
                tls.sendall(piece)
        except OSError:
            blocked.set()

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(0.2)  # so that much is written before the answer is looked for
    refusal(tls)
    assert ends(tls), "the connection stays open"
    writer.join()
    assert blocked.is_set(), f"all of {length} bytes were taken"
    tls.close()


failed = 0
for name, client, length in (
    ("one that writes all of it first", writes_first, 3 << 20),
    ("one that writes without end and reads meanwhile", reads_meanwhile, 256 << 20),
):
    for at in range(TIMES):
        try:
            client(length)
        except (AssertionError, OSError) as error:
            print(f"FAILED: {name}, the {at + 1}. time: {error!r}")
            failed = 1
            break
    else:
        print(f"ok: {name}")
sys.exit(failed)
