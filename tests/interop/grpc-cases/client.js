'use strict';
// gRPC's interoperability cases by grpc-js: client.js CASE... The names are those of the descriptions.
const assert = require('node:assert/strict');
const fs = require('node:fs');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const { CA, ENDPOINT, PROTO } = process.env;
const definition = loader.loadSync('grpc/testing/test.proto', { includeDirs: [PROTO], keepCase: true });
const { TestService } = grpc.loadPackageDefinition(definition).grpc.testing;
const credentials = grpc.credentials.createSsl(fs.readFileSync(CA));

const requestSizes = [27182, 8, 1828, 45904];
const responseSizes = [31415, 9, 2653, 58979];
const payload = (size) => ({ body: Buffer.alloc(size) });
const output = (size, responseSize, interval_us = 0) => ({
  response_parameters: [{ size: responseSize, interval_us }], payload: payload(size),
});
const inTime = (ms = 10000) => ({ deadline: Date.now() + ms });

/** A unary call; resolves to its answer and metadata. */
const unary = (client, method, request, metadata = new grpc.Metadata()) => new Promise((resolve, reject) => {
  const seen = {};
  const call = client[method](request, metadata, inTime(), (error, answer) => {
    if (error) reject(error);
    else seen.answer = answer;
  });
  call.on('metadata', (initial) => { seen.initial = initial; });
  call.on('status', (status) => { if (status.code === grpc.status.OK) resolve({ ...seen, trailing: status.metadata }); });
});

/** The end of a stream: sizes of its answers, status and metadata. `onAnswer` sees each. */
const drain = (call, onAnswer = () => {}) => new Promise((resolve) => {
  const seen = { sizes: [] };
  call.on('metadata', (initial) => { seen.initial = initial; });
  call.on('data', ({ payload: { body } }) => { seen.sizes.push(body.length); onAnswer(seen.sizes.length); });
  call.on('error', () => {}); // the status says it
  call.on('status', (status) => resolve({ ...seen, status }));
});

const saysStatus = async (client, details) => {
  const response_status = { code: 2, message: details };
  const expected = { code: grpc.status.UNKNOWN, details };
  await assert.rejects(unary(client, 'UnaryCall', { response_status }), expected);
  const call = client.FullDuplexCall(inTime());
  call.end({ response_status });
  const { status } = await drain(call);
  assert.deepEqual({ code: status.code, details: status.details }, expected);
};

const unimplemented = (client, path) => assert.rejects(new Promise((resolve, reject) => {
  const bytes = (value) => value;
  client.makeUnaryRequest(path, bytes, bytes, Buffer.alloc(0), inTime(), (error, answer) => (error ? reject(error) : resolve(answer)));
}), { code: grpc.status.UNIMPLEMENTED });

const metadata = () => {
  const sent = new grpc.Metadata();
  sent.set('x-grpc-test-echo-initial', 'test_initial_metadata_value');
  sent.set('x-grpc-test-echo-trailing-bin', Buffer.from('ababab', 'hex'));
  return sent;
};
const checkEcho = (initial, trailing) => {
  assert.deepEqual(initial.get('x-grpc-test-echo-initial'), ['test_initial_metadata_value']);
  assert.deepEqual(trailing.get('x-grpc-test-echo-trailing-bin'), [Buffer.from('ababab', 'hex')]);
};

const cases = {
  async empty_unary(client) {
    assert.deepEqual((await unary(client, 'EmptyCall', {})).answer, {});
  },
  async large_unary(client) {
    const { answer } = await unary(client, 'UnaryCall', { response_size: 314159, payload: payload(271828) });
    assert.deepEqual(answer.payload.body, Buffer.alloc(314159));
  },
  async client_streaming(client) {
    const answer = await new Promise((resolve, reject) => {
      const call = client.StreamingInputCall(inTime(), (error, value) => (error ? reject(error) : resolve(value)));
      for (const size of requestSizes) call.write({ payload: payload(size) });
      call.end();
    });
    assert.equal(answer.aggregated_payload_size, 74922);
  },
  async server_streaming(client) {
    const { sizes, status } = await drain(client.StreamingOutputCall(
      { response_parameters: responseSizes.map((size) => ({ size })) }, inTime()));
    assert.deepEqual(sizes, responseSizes);
    assert.equal(status.code, grpc.status.OK);
  },
  async ping_pong(client) {
    const call = client.FullDuplexCall(inTime());
    const next = (i) => (i < 4 ? call.write(output(requestSizes[i], responseSizes[i])) : call.end());
    next(0);
    const { sizes, status } = await drain(call, next);
    assert.deepEqual(sizes, responseSizes);
    assert.equal(status.code, grpc.status.OK);
  },
  async empty_stream(client) {
    const call = client.FullDuplexCall(inTime());
    call.end();
    const { sizes, status } = await drain(call);
    assert.deepEqual(sizes, []);
    assert.equal(status.code, grpc.status.OK);
  },
  async timeout_on_sleeping_server(client) {
    const began = Date.now();
    const call = client.FullDuplexCall(inTime(20));
    call.write(output(27182, 31415, 5000000));
    assert.equal((await drain(call)).status.code, grpc.status.DEADLINE_EXCEEDED);
    assert.ok(Date.now() - began < 4000);
  },
  async cancel_after_begin(client) {
    await assert.rejects(new Promise((resolve, reject) => {
      client.StreamingInputCall(inTime(), (error, value) => (error ? reject(error) : resolve(value))).cancel();
    }), { code: grpc.status.CANCELLED });
  },
  async cancel_after_first_response(client) {
    const call = client.FullDuplexCall(inTime());
    call.write(output(27182, 31415));
    const { sizes, status } = await drain(call, () => call.cancel());
    assert.deepEqual(sizes, [31415]);
    assert.equal(status.code, grpc.status.CANCELLED);
  },
  async custom_metadata(client) {
    const request = { response_size: 314159, payload: payload(271828) };
    const { answer, initial, trailing } = await unary(client, 'UnaryCall', request, metadata());
    assert.equal(answer.payload.body.length, 314159);
    checkEcho(initial, trailing);
    const call = client.FullDuplexCall(metadata(), inTime());
    call.end(output(271828, 314159));
    const stream = await drain(call);
    assert.deepEqual(stream.sizes, [314159]);
    checkEcho(stream.initial, stream.status.metadata);
  },
  status_code_and_message: (client) => saysStatus(client, 'test status message'),
  special_status_message: (client) => saysStatus(client,
    '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n'),
  unimplemented_method: (client) => unimplemented(client, '/grpc.testing.TestService/UnimplementedCall'),
  unimplemented_service: (client) => unimplemented(client, '/grpc.testing.UnimplementedService/UnimplementedCall'),
};

(async () => {
  for (const name of process.argv.slice(2)) {
    const client = new TestService(ENDPOINT, credentials);
    await cases[name](client);
    client.close();
    console.log('ok     ', name);
  }
})();
