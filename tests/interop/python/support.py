"""The generated stubs, a channel to the instance, and openssl as the judge of signatures."""

import hashlib
import os
import subprocess
import sys
import tempfile

import grpc

# Our stubs lie beside the installed packages of the same names: google.rpc joins the namespace
# package google by itself, grpc.health must be shown to the package grpc.
_stubs = os.environ["STUBS"]
sys.path.insert(0, _stubs)
grpc.__path__.append(os.path.join(_stubs, "grpc"))

from google.rpc import error_details_pb2, status_pb2  # noqa: E402
from sealgate.v1 import keys_pb2, keys_pb2_grpc, signing_pb2, signing_pb2_grpc, types_pb2  # noqa: E402

ENDPOINT = os.environ["SEALGATE_ENDPOINT"]
PKI = os.environ["INSTANCE_PKI"]
DOCUMENT = b"Seen and signed, from Python."

HASHES = {
    types_pb2.DIGEST_ALGORITHM_SHA256: "sha256",
    types_pb2.DIGEST_ALGORITHM_SHA384: "sha384",
    types_pb2.DIGEST_ALGORITHM_SHA512: "sha512",
    types_pb2.DIGEST_ALGORITHM_SHA3_256: "sha3-256",
    types_pb2.DIGEST_ALGORITHM_SHA3_384: "sha3-384",
    types_pb2.DIGEST_ALGORITHM_SHA3_512: "sha3-512",
}


def _read(name):
    with open(os.path.join(PKI, name), "rb") as file:
        return file.read()


def open_channel(client="dev"):
    """A channel as the named client; None: without a client certificate."""
    identity = {}
    if client is not None:
        identity = {"private_key": _read(client + ".key"), "certificate_chain": _read(client + ".pem")}
    credentials = grpc.ssl_channel_credentials(_read("ca.pem"), **identity)
    # A subchannel pool of its own: channels of other identities must not lend their connection.
    return grpc.secure_channel(ENDPOINT, credentials, [("grpc.use_local_subchannel_pool", 1)])


def digest_of(document, algorithm):
    return types_pb2.Digest(
        algorithm=algorithm,
        value=hashlib.new(HASHES[algorithm].replace("-", "_"), document).digest(),
    )


def sha256(document=DOCUMENT):
    return digest_of(document, types_pb2.DIGEST_ALGORITHM_SHA256)


def details_of(error):
    """The google.rpc.Status of a failed call and its one ErrorInfo."""
    metadata = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    return status, error_info(status)


def error_info(status):
    infos = []
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            infos.append(info)
    assert len(infos) == 1, f"exactly one ErrorInfo, not {len(infos)}"
    assert infos[0].domain == "sealgate"
    return infos[0]


def openssl_verifies(pem, content, signature, *options):
    """Whether `openssl pkeyutl` accepts the signature over a digest (or raw message)."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for name, data in {"pem": pem.encode(), "in": content, "sig": signature}.items():
            paths[name] = os.path.join(folder, name)
            with open(paths[name], "wb") as file:
                file.write(data)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", paths["pem"]]
        command += ["-in", paths["in"], "-sigfile", paths["sig"], *options]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def openssl_options(scheme, digest):
    """What openssl must be told of a digest's signature."""
    options = ["-pkeyopt", "digest:" + HASHES[digest]]
    if scheme == types_pb2.SIGNATURE_SCHEME_RSA_PSS:
        options += ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest"]
    return options


def raw_to_der(raw):
    """r || s as the ECDSA-Sig-Value that openssl reads (RFC 3279 section 2.2.3)."""

    def integer(part):
        part = part.lstrip(b"\0") or b"\0"
        if part[0] >= 0x80:
            part = b"\0" + part
        return b"\x02" + bytes([len(part)]) + part

    half = len(raw) // 2
    body = integer(raw[:half]) + integer(raw[half:])
    assert len(body) < 128
    return b"\x30" + bytes([len(body)]) + body
