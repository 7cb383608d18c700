// connect-node: every protocol and form of messages against the same instance; Node's crypto judges.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { createFileRegistry, createRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import {
  compressionGzip, createConnectTransport, createGrpcTransport, createGrpcWebTransport, Http2SessionManager,
} from '@connectrpc/connect-node';

const { SEALGATE_ENDPOINT: endpoint, INSTANCE_PKI: pki, DESCRIPTORS: descriptors } = process.env;
const baseUrl = `https://${endpoint}`;
const files = createFileRegistry(fromBinary(FileDescriptorSetSchema, fs.readFileSync(descriptors)));
const service = (name) => files.getService(`sealgate.v1.${name}`);
const ErrorInfo = files.getMessage('google.rpc.ErrorInfo');
const read = (name) => fs.readFileSync(path.join(pki, name));

/** Options of TLS for a client of the instance; null: no client certificate. */
const tls = (client) => ({
  ca: read('ca.pem'), servername: 'localhost',
  ...(client === null ? {} : { key: read(`${client}.key`), cert: read(`${client}.pem`) }),
});

const open = [];
/** One connection for all calls of a transport, closed in the end. */
function session(client) {
  const manager = new Http2SessionManager(baseUrl, {}, tls(client));
  open.push(manager);
  return manager;
}
/** The same for HTTP/1.1: connections that are kept. */
function agent(client) {
  // Node's https says nothing of ALPN by itself, and the gateway wants to be told.
  const kept = new https.Agent({ keepAlive: true, maxSockets: 8, ALPNProtocols: ['http/1.1'], ...tls(client) });
  open.push({ abort: () => kept.destroy() });
  return kept;
}
after(() => open.forEach((manager) => manager.abort()));

const document = Buffer.from('Seen and signed, from connect-node.');
const digest = { algorithm: 1, value: crypto.createHash('sha256').update(document).digest() };
const request = { key: 'keys/dev-p256', content: { case: 'digest', value: digest } };

async function refused(code, reason, call) {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof ConnectError, String(error));
    assert.equal(error.code, code, error.message);
    if (reason === null) return true;
    const infos = error.findDetails(ErrorInfo);
    assert.equal(infos.length, 1);
    assert.equal(infos[0].reason, reason);
    return true;
  });
}

const version = process.env.HTTP_VERSION;

const all = {
  Connect: createConnectTransport,
  'Connect with GET': (options) => createConnectTransport({ ...options, useHttpGet: true }),
  'gRPC-Web': createGrpcWebTransport,
  gRPC: createGrpcTransport,
};

// gRPC needs trailers, which HTTP/1.1 has no good way for.
const protocols = Object.entries(all).filter(([name]) => version === '2' || name !== 'gRPC');

for (const [protocol, createTransport] of protocols) {
  for (const useBinaryFormat of [true, false]) {
    for (const gzip of [false, true]) {
      const name = `${protocol}, ${useBinaryFormat ? 'proto' : 'JSON'}${gzip ? ', gzip' : ''}`;
      const transport = (client = 'dev') => createTransport({
        baseUrl, useBinaryFormat,
        ...(version === '2' ? { httpVersion: '2', sessionManager: session(client) }
          : { httpVersion: '1.1', nodeOptions: { agent: agent(client) } }),
        // Any in an answer is JSON by its type.
        jsonOptions: { registry: createRegistry(ErrorInfo, files.getMessage('google.rpc.ResourceInfo'), files.getMessage('google.rpc.BadRequest')) },
        ...(gzip ? { sendCompression: compressionGzip, compressMinBytes: 1 } : {}),
      });

      describe(name, () => {
        const one = transport();
        const signing = createClient(service('SigningService'), one);
        const keys = createClient(service('KeyService'), one);
        const info = createClient(service('InfoService'), one);
        const health = createClient(files.getService('grpc.health.v1.Health'), one);

        it('signs, and gives the key that verifies it', async () => {
          const { signature } = await signing.sign(request);
          const { pem } = await keys.getPublicKey({ name: 'keys/dev-p256' });
          assert.ok(crypto.verify('sha256', document, pem, signature));
        });

        it('has times, durations, lists and numbers of 64 bits', async () => {
          const answer = await info.getServerInfo({});
          assert.ok(Math.abs(Number(answer.serverTime.seconds) - Date.now() / 1000) < 60);
          assert.equal(answer.limits.deadlineMax.seconds, 30n);
          assert.ok(answer.schemes.length >= 4);
        });

        it('tells a refusal with its details', () => refused(Code.NotFound, 'KEY_NOT_FOUND',
          () => signing.sign({ ...request, key: 'keys/nobody' })));

        it('tells a refusal of what is malformed', () => refused(Code.InvalidArgument, 'DIGEST_LENGTH',
          () => signing.sign({ ...request, content: { case: 'digest', value: { algorithm: 2, value: digest.value } } })));

        it('knows nobody without a certificate', () => refused(Code.Unauthenticated, 'CERT_REQUIRED',
          () => createClient(service('SigningService'), transport(null)).sign(request)));

        it('lets every item of a batch succeed or fail on its own', async () => {
          const { results } = await signing.batchSign({ items: [
            { itemId: 'good', request }, { itemId: 'nobody', request: { ...request, key: 'keys/nobody' } }] });
          assert.equal(results[0].result.case, 'response');
          assert.equal(results[1].result.value.code, Code.NotFound);
          assert.ok(results[1].result.value.details[0].typeUrl.endsWith('google.rpc.ErrorInfo'));
        });

        it('signs a stream, where both directions can be had', { skip: version !== '2' }, async () => {
          async function* items() {
            for (let i = 0; i < 20; i += 1) yield { itemId: String(i), request };
          }
          const seen = new Set();
          for await (const answer of signing.signStream(items())) {
            assert.equal(answer.result.case, 'response');
            seen.add(answer.itemId);
          }
          assert.equal(seen.size, 20);
        });

        it('streams health until it is cancelled', async () => {
          const controller = new AbortController();
          await refused(Code.Canceled, null, async () => {
            for await (const { status } of health.watch({}, { signal: controller.signal })) {
              assert.equal(status, 1);
              controller.abort();
            }
          });
        });

        it('refuses a message that is too large', () => refused(Code.ResourceExhausted, 'MESSAGE_TOO_LARGE',
          () => signing.sign({ ...request, purpose: crypto.randomBytes(1000000).toString('hex') })));

        it('ends at a deadline', () => refused(Code.DeadlineExceeded, null, () => signing.batchSign({
          items: Array.from({ length: 1000 }, (_, i) => ({ itemId: String(i), request: { ...request, key: 'keys/dev-rsa4096' } })),
        }, { timeoutMs: 50 })));

        it('answers many at once on one connection', async () => {
          const answers = await Promise.all(Array.from({ length: 100 }, () => signing.sign(request)));
          assert.ok(answers.every(({ signature }) => signature.length > 60));
        });
      });
    }
  }
}
