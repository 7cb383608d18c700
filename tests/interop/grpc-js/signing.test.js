'use strict';
// grpc-js: what it signs, Node verifies; what it may not, is refused with a reason.
const assert = require('node:assert/strict');
const { after, before, describe, it } = require('node:test');
const { digest, errorInfo, grpc, hashes, health, open, reasonOf, sealgate, verifies } = require('./support');

const document = Buffer.from('Seen and signed, from JavaScript.');
const names = ['keys/dev-ed25519', 'keys/dev-p256', 'keys/dev-p384', 'keys/dev-rsa2048', 'keys/dev-rsa4096'];
const pems = {};
let signing, keys;

/** Asserts that a call is refused with this code and, unless null, this reason. */
async function refused(code, reason, call) {
  await assert.rejects(call, (error) => {
    assert.equal(error.code, code, error.message);
    if (reason !== null) assert.equal(reasonOf(error), reason);
    return true;
  });
}

before(async () => {
  signing = open(sealgate.v1.SigningService);
  keys = open(sealgate.v1.KeyService);
  for (const name of names) pems[name] = (await keys.call('GetPublicKey', { name })).pem;
});

after(() => {
  signing.close();
  keys.close();
});

describe('Sign', () => {
  it('signs by every algorithm of every key', async () => {
    let signed = 0;
    for (const name of names) {
      const key = await keys.call('GetKey', { name });
      for (const scheme of key.schemes.filter((scheme) => scheme !== 'SIGNATURE_SCHEME_ED25519')) {
        const encodings = scheme === 'SIGNATURE_SCHEME_ECDSA'
          ? ['SIGNATURE_ENCODING_DER', 'SIGNATURE_ENCODING_RAW'] : ['SIGNATURE_ENCODING_UNSPECIFIED'];
        for (const algorithm of key.digests) {
          for (const encoding of encodings) {
            const row = `${name} ${scheme} ${algorithm} ${encoding}`;
            let answer;
            try {
              answer = await signing.call('Sign', { key: name, scheme, encoding, digest: digest(document, algorithm) });
            } catch (error) {
              // SHA-3 is signed where the token can; a refusal says that it cannot.
              assert.match(hashes[algorithm], /^sha3/, `${row}: ${error.message}`);
              assert.equal(reasonOf(error), 'ALGORITHM_NOT_SUPPORTED', row);
              continue;
            }
            assert.ok(verifies(pems[name], document, answer, encoding), row);
            assert.ok(!verifies(pems[name], Buffer.from('other'), answer, encoding), row);
            signed += 1;
          }
        }
      }
    }
    assert.ok(signed >= 24, `only ${signed} combinations were signed`);
  });

  it('signs a message by Ed25519', async () => {
    const answer = await signing.call('Sign', { key: 'keys/dev-ed25519', message: document });
    assert.ok(verifies(pems['keys/dev-ed25519'], document, answer));
  });

  const p256 = { key: 'keys/dev-p256', digest: digest(document) };
  const { INVALID_ARGUMENT, NOT_FOUND } = grpc.status;
  const rows = [
    ['a digest of another length', INVALID_ARGUMENT, 'DIGEST_LENGTH',
      { ...p256, digest: { algorithm: 'DIGEST_ALGORITHM_SHA256', value: Buffer.alloc(20) } }],
    ['a digest without its algorithm', INVALID_ARGUMENT, null, { ...p256, digest: { value: Buffer.alloc(20) } }],
    ['a wrong CRC', INVALID_ARGUMENT, 'CRC_MISMATCH', { ...p256, content_crc32c: 1 }],
    ['an activation', INVALID_ARGUMENT, 'FIELD_NOT_SERVED', { ...p256, activation: 'activations/a' }],
    ['a key that is not there', NOT_FOUND, 'KEY_NOT_FOUND', { ...p256, key: 'keys/nobody-has-this' }],
    ['a name that is none', INVALID_ARGUMENT, 'BAD_NAME', { ...p256, key: '../p256' }],
  ];
  for (const [name, code, reason, request] of rows) {
    it(`refuses ${name}`, () => refused(code, reason, () => signing.call('Sign', request)));
  }

  it('refuses a caller without a certificate', async () => {
    const stranger = open(sealgate.v1.SigningService, null);
    await refused(grpc.status.UNAUTHENTICATED, 'CERT_REQUIRED', () => stranger.call('Sign', p256));
    stranger.close();
  });

  it('shows a guest its own key only', async () => {
    const guest = open(sealgate.v1.SigningService, 'guest');
    assert.ok((await guest.call('Sign', p256)).signature.length > 0);
    await refused(NOT_FOUND, 'KEY_NOT_FOUND', () => guest.call('Sign', { ...p256, key: 'keys/dev-p384' }));
    guest.close();
  });
});

describe('BatchSign', () => {
  it('lets every item succeed or fail on its own', async () => {
    const items = [
      { item_id: 'good', request: { key: 'keys/dev-rsa2048', digest: digest(document) } },
      { item_id: 'short', request: { key: 'keys/dev-p256', digest: { algorithm: 'DIGEST_ALGORITHM_SHA512', value: Buffer.alloc(32) } } },
      { item_id: 'nobody', request: { key: 'keys/nobody', digest: digest(document) } },
      { item_id: 'message', request: { key: 'keys/dev-ed25519', message: document } },
    ];
    const { results } = await signing.call('BatchSign', { items });
    assert.deepEqual(results.map((result) => result.item_id), items.map((item) => item.item_id));
    assert.ok(verifies(pems['keys/dev-rsa2048'], document, results[0].response));
    assert.equal(errorInfo(results[1].error).reason, 'DIGEST_LENGTH');
    assert.equal(errorInfo(results[2].error).reason, 'KEY_NOT_FOUND');
    assert.ok(verifies(pems['keys/dev-ed25519'], document, results[3].response));
  });

  it('ends at its deadline', async () => {
    const items = Array.from({ length: 1000 }, (_, i) => (
      { item_id: String(i), request: { key: 'keys/dev-rsa4096', digest: digest(document) } }));
    await refused(grpc.status.DEADLINE_EXCEEDED, null, () => signing.call('BatchSign', { items }, 50)
      .catch((error) => { throw error; }));
  });
});

describe('SignStream', () => {
  const stream = (count) => new Promise((resolve, reject) => {
    const call = signing.SignStream({ deadline: Date.now() + 30000 });
    const results = [];
    call.on('data', (result) => results.push(result));
    call.on('error', reject);
    call.on('end', () => resolve(results));
    for (let i = 0; i < count; i += 1) {
      const key = i % 4 === 0 ? 'keys/dev-rsa4096' : 'keys/dev-p256';
      call.write({ item_id: `${key} ${i}`, request: { key, digest: digest(document) } });
    }
    call.end();
  });

  it('answers every item once, as it is ready', async () => {
    // The order depends on the token's workers; within a few streams one fast item overtakes.
    for (let round = 0; round < 5; round += 1) {
      const results = await stream(32);
      assert.equal(new Set(results.map((result) => result.item_id)).size, 32);
      for (const { item_id: id, response } of results) assert.ok(verifies(pems[id.split(' ')[0]], document, response), id);
      const order = results.map((result) => Number(result.item_id.split(' ')[1]));
      if (order.some((place, i) => place !== i)) return;
    }
    assert.fail('five streams came back in the order they were sent: nothing ever overtook');
  });
});

describe('Health', () => {
  it('tells Check and Watch that it serves', async () => {
    const stub = open(health.v1.Health);
    assert.equal((await stub.call('Check', { service: '' })).status, 'SERVING');
    const status = await new Promise((resolve, reject) => {
      const watch = stub.Watch({ service: '' });
      watch.once('data', (answer) => { resolve(answer.status); watch.cancel(); });
      watch.on('error', (error) => { if (error.code !== grpc.status.CANCELLED) reject(error); });
    });
    assert.equal(status, 'SERVING');
    stub.close();
  });
});
