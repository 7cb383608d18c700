'use strict';
// A channel to the instance, the messages of proto/, and Node's crypto as the judge of signatures.
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');
const protobuf = require('protobufjs');

const { SEALGATE_ENDPOINT: endpoint, INSTANCE_PKI: pki, PROTO: protoFolder } = process.env;

const loadOptions = { includeDirs: [protoFolder], keepCase: true, enums: String, oneofs: true, defaults: true };
const { sealgate, grpc: { health } } = grpc.loadPackageDefinition(protoLoader.loadSync([
  'sealgate/v1/signing.proto', 'sealgate/v1/keys.proto', 'sealgate/v1/verification.proto',
  'sealgate/v1/info.proto', 'grpc/health/v1/health.proto',
], loadOptions));

// google.rpc.Status travels as bytes in a trailer, so its messages are needed by themselves.
const rpc = new protobuf.Root();
rpc.resolvePath = (_, target) => path.join(protoFolder, target);
rpc.loadSync(['google/rpc/status.proto', 'google/rpc/error_details.proto']);

const read = (name) => fs.readFileSync(path.join(pki, name));

/** Credentials of a client; null: no client certificate. */
function credentials(client) {
  return client === null
    ? grpc.credentials.createSsl(read('ca.pem'))
    : grpc.credentials.createSsl(read('ca.pem'), read(`${client}.key`), read(`${client}.pem`));
}

/** The stub of a service, with every unary method as a promise: stub.call('Sign', request). */
function open(Service, client = 'dev') {
  const stub = new Service(endpoint, credentials(client), { 'grpc.use_local_subchannel_pool': 1 });
  stub.call = (method, request, timeoutMs = 10000) => new Promise((resolve, reject) => {
    stub[method](request, { deadline: Date.now() + timeoutMs }, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
  return stub;
}

/** The one ErrorInfo in the details of a google.rpc.Status. */
function errorInfo(status) {
  const infos = status.details.filter((any) => (any.type_url || any.typeUrl).endsWith('/google.rpc.ErrorInfo'));
  if (infos.length !== 1) throw new Error(`exactly one ErrorInfo, not ${infos.length}`);
  return rpc.lookupType('google.rpc.ErrorInfo').decode(infos[0].value);
}

function reasonOf(error) {
  const [bytes] = error.metadata.get('grpc-status-details-bin');
  return errorInfo(rpc.lookupType('google.rpc.Status').decode(bytes)).reason;
}

const hashes = {
  DIGEST_ALGORITHM_SHA256: 'sha256', DIGEST_ALGORITHM_SHA384: 'sha384', DIGEST_ALGORITHM_SHA512: 'sha512',
  DIGEST_ALGORITHM_SHA3_256: 'sha3-256', DIGEST_ALGORITHM_SHA3_384: 'sha3-384', DIGEST_ALGORITHM_SHA3_512: 'sha3-512',
};

const digest = (document, algorithm = 'DIGEST_ALGORITHM_SHA256') => ({
  algorithm, value: crypto.createHash(hashes[algorithm]).update(document).digest(),
});

/** Whether Node accepts the signature over the document itself, hashed by Node. */
function verifies(pem, document, answer, encoding) {
  const key = { key: pem };
  const { scheme, digest: hash } = answer.algorithm;
  if (scheme === 'SIGNATURE_SCHEME_RSA_PSS') {
    key.padding = crypto.constants.RSA_PKCS1_PSS_PADDING;
    key.saltLength = crypto.constants.RSA_PSS_SALTLEN_DIGEST;
  }
  if (encoding === 'SIGNATURE_ENCODING_RAW') key.dsaEncoding = 'ieee-p1363';
  return crypto.verify(scheme === 'SIGNATURE_SCHEME_ED25519' ? null : hashes[hash], document, key, answer.signature);
}

module.exports = { digest, errorInfo, grpc, hashes, health, open, reasonOf, sealgate, verifies };
