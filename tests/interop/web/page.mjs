// What runs in the browser: connect-web, by both of its protocols, and Google's grpc-web. The page hands
// back what it saw; who judges it is outside (web.test.mjs).
import { create, createFileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-web';
import grpcWeb from 'grpc-web';
import descriptors from './descriptors.pb';

const files = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors));
const service = (name) => files.getService(name);
const ErrorInfo = files.getMessage('google.rpc.ErrorInfo');
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

async function requestOf(text) {
  const value = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
  return { key: 'keys/dev-p256', content: { case: 'digest', value: { algorithm: 1, value } } };
}

const reasonOf = (error) => (error instanceof ConnectError
  ? { code: error.code, reason: error.findDetails(ErrorInfo)[0]?.reason ?? '', message: error.message }
  : { code: error.code ?? -1, reason: '', message: String(error.message ?? error) });

async function refusal(call) {
  try {
    await call();
  } catch (error) {
    return reasonOf(error);
  }
  return null;
}

/** The first message of a stream; then it is cancelled. */
async function firstOf(watch) {
  const controller = new AbortController();
  try {
    for await (const message of watch(controller.signal)) {
      controller.abort();
      return message;
    }
  } finally {
    controller.abort();
  }
  return null;
}

async function byConnectWeb(createTransport, options, token, text) {
  const authorize = (bearer) => (next) => (request) => {
    request.header.set('authorization', `Bearer ${bearer}`);
    return next(request);
  };
  const client = (name, bearer) => createClient(service(name),
    createTransport({ ...options, interceptors: bearer === null ? [] : [authorize(bearer)] }));
  const request = await requestOf(text);
  const { signature } = await client('sealgate.v1.SigningService', token).sign(request);
  const info = await client('sealgate.v1.InfoService', token).getServerInfo({});
  const health = await firstOf((signal) => client('grpc.health.v1.Health', token).watch({}, { signal }));
  return {
    signature: hex(signature),
    caller: info.caller,
    health: health.status,
    nobody: await refusal(() => client('sealgate.v1.SigningService', null).sign(request)),
    wrong: await refusal(() => client('sealgate.v1.SigningService', 'x'.repeat(43)).sign(request)),
    noKey: await refusal(() => client('sealgate.v1.SigningService', token).sign({ ...request, key: 'keys/dev-rsa2048' })),
  };
}

/** Google's client without its code generator: a method is a descriptor of two functions. */
function googleMethod(method) {
  const kind = method.methodKind === 'server_streaming' ? grpcWeb.MethodType.SERVER_STREAMING : grpcWeb.MethodType.UNARY;
  const path = `/${method.parent.typeName}/${method.name}`;
  return new grpcWeb.MethodDescriptor(path, kind, Object, Object,
    (message) => toBinary(method.input, create(method.input, message)), (bytes) => fromBinary(method.output, bytes));
}

async function byGoogle(format, baseUrl, token, text) {
  const client = new grpcWeb.GrpcWebClientBase({ format });
  const method = (name, which) => googleMethod(service(name).method[which]);
  const sign = method('sealgate.v1.SigningService', 'sign');
  const watch = method('grpc.health.v1.Health', 'watch');
  const info = method('sealgate.v1.InfoService', 'getServerInfo');
  const unary = (of, message, metadata) => new Promise((resolve, reject) => {
    client.rpcCall(baseUrl + of.getName(), message, metadata, of, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
  const metadata = { authorization: `Bearer ${token}` };
  const request = await requestOf(text);
  const { signature } = await unary(sign, request, metadata);
  const { caller } = await unary(info, {}, metadata);
  // A browser hands Google's binary form over only when the stream ends; its text form as it comes.
  const health = format !== 'text' ? null : await new Promise((resolve, reject) => {
    const stream = client.serverStreaming(baseUrl + watch.getName(), {}, {}, watch);
    stream.on('data', (message) => { stream.cancel(); resolve(message); });
    stream.on('error', reject);
  });
  return {
    signature: hex(signature),
    caller,
    health: health?.status ?? null,
    nobody: await refusal(() => unary(sign, request, {})),
    wrong: await refusal(() => unary(sign, request, { authorization: `Bearer ${'x'.repeat(43)}` })),
    noKey: await refusal(() => unary(sign, { ...request, key: 'keys/dev-rsa2048' }, metadata)),
  };
}

const ways = {
  'connect-web, Connect, JSON': (url, ...rest) => byConnectWeb(createConnectTransport, { baseUrl: url }, ...rest),
  'connect-web, Connect, bytes': (url, ...rest) => byConnectWeb(createConnectTransport, { baseUrl: url, useBinaryFormat: true }, ...rest),
  'connect-web, Connect, GET': (url, ...rest) => byConnectWeb(createConnectTransport, { baseUrl: url, useHttpGet: true }, ...rest),
  'connect-web, gRPC-Web': (url, ...rest) => byConnectWeb(createGrpcWebTransport, { baseUrl: url }, ...rest),
  "Google's grpc-web, text": (url, ...rest) => byGoogle('text', url, ...rest),
  "Google's grpc-web, bytes": (url, ...rest) => byGoogle('binary', url, ...rest),
};

window.ways = Object.keys(ways);
window.call = async (way, baseUrl, token, text) => {
  try {
    return await ways[way](baseUrl, token, text);
  } catch (error) {
    return { failed: reasonOf(error) };
  }
};
