// Pages in a real Chromium call the gateway across origins with a bearer token; openssl judges what they
// bring home. A page of an origin that is not allowed gets nothing. Trust in the development CA comes
// from an NSS database, as a user's would, so certificate errors are errors.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { chromium } from 'playwright-core';

const { BEARER_URL: baseUrl, CERTIFICATE_URL: certificateUrl, TOKEN_FILE: tokenFile, PUBLIC_KEY: publicKey,
  PAGE_PORT: pagePort, OTHER_PORT: otherPort, WORK: work } = process.env;
const token = fs.readFileSync(tokenFile, 'utf8').trim();
const servers = [];
let context;

/** A plain server of the page: its origin is http://localhost:PORT. */
function serve(port) {
  const server = http.createServer((request, response) => {
    const isScript = request.url === '/page.js';
    response.writeHead(200, { 'content-type': isScript ? 'text/javascript' : 'text/html' });
    response.end(isScript ? fs.readFileSync(path.join(work, 'page.js')) : '<!doctype html><script src="/page.js"></script>');
  });
  servers.push(server);
  return new Promise((resolve) => server.listen(port, 'localhost', resolve));
}

async function pageOf(port) {
  const page = await context.newPage();
  await page.goto(`http://localhost:${port}/`);
  await page.waitForFunction(() => window.ways !== undefined);
  return page;
}

const call = (page, way, url, text) => page.evaluate((args) => window.call(...args), [way, url, token, text]);

before(async () => {
  await Promise.all([serve(pagePort), serve(otherPort)]);
  context = await chromium.launchPersistentContext(fs.mkdtempSync(path.join(work, 'profile-')), {
    executablePath: '/usr/bin/chromium',
    env: { ...process.env, HOME: path.join(work, 'home') },
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
});
after(async () => {
  await context?.close();
  servers.forEach((server) => { server.closeAllConnections(); server.close(); });
});

const names = ['connect-web, Connect, JSON', 'connect-web, Connect, bytes', 'connect-web, Connect, GET', 'connect-web, gRPC-Web',
  "Google's grpc-web, text", "Google's grpc-web, bytes"];

describe('a page of an origin that is allowed', () => {
  for (const [i, way] of names.entries()) {
    it(`signs by ${way}`, async () => {
      const page = await pageOf(pagePort);
      assert.deepEqual(await page.evaluate(() => window.ways), names);
      const text = `Seen and signed in a browser, by ${way}.`;
      const seen = await call(page, way, baseUrl, text);
      assert.equal(seen.failed, undefined, JSON.stringify(seen.failed));
      const [document, signature] = [path.join(work, `${i}.txt`), path.join(work, `${i}.sig`)];
      fs.writeFileSync(document, text);
      fs.writeFileSync(signature, Buffer.from(seen.signature, 'hex'));
      const openssl = spawnSync('openssl', ['dgst', '-sha256', '-verify', publicKey, '-signature', signature, document]);
      assert.equal(openssl.status, 0, String(openssl.stderr));
      assert.equal(seen.caller, 'bearer app');
      if (way !== "Google's grpc-web, bytes") assert.equal(seen.health, 1);

      // Google's client hands the status over, and no details of it.
      const isConnect = way.startsWith('connect-web');
      assert.equal(seen.nobody.code, 16);
      assert.equal(seen.wrong.code, 16);
      assert.equal(seen.noKey.code, 5);
      if (isConnect) {
        assert.equal(seen.nobody.reason, 'BEARER_REQUIRED');
        assert.equal(seen.wrong.reason, 'BEARER_UNKNOWN');
        assert.equal(seen.noKey.reason, 'KEY_NOT_FOUND');
      }
      await page.close();
    });
  }

  it('has no use for its token where certificates count', async () => {
    const page = await pageOf(pagePort);
    const seen = await call(page, names[0], certificateUrl, 'x');
    assert.equal(seen.failed.reason, 'CERT_REQUIRED', JSON.stringify(seen));
    await page.close();
  });
});

describe('a page of another origin', () => {
  for (const way of names) {
    it(`is kept from calling by ${way}`, async () => {
      const page = await pageOf(otherPort);
      const complaints = [];
      page.on('console', (message) => complaints.push(message.text()));
      const seen = await call(page, way, baseUrl, 'x');
      assert.ok(seen.failed, 'it called');
      assert.equal(seen.failed.reason, '', 'it was told why');
      assert.ok(complaints.some((text) => /blocked by CORS policy/.test(text)), `the browser did not say so: ${complaints}`);
      await page.close();
    });
  }
});
