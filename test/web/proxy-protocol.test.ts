import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import fc from 'fast-check';
import { readProxyHeader } from '../../lib/web/proxy-protocol';

const SIGNATURE = '0d0a0d0a000d0a515549540a';
const V4 = '2111000cc00002010a0000011f9001bb';
const v2 = (rest: string) => Buffer.from(SIGNATURE + rest, 'hex');
const v1 = (line: string) => Buffer.from(line, 'latin1');
const client = (bytes: Buffer) => readProxyHeader(bytes)?.client;

describe('a header of the PROXY protocol', () => {
  it('names the client, in both versions and families; what follows it is not read', () => {
    const ipv4 = { remoteAddress: '192.0.2.1', remotePort: 8080, remoteFamily: 'IPv4' };
    assert.deepEqual(readProxyHeader(v1('PROXY TCP4 192.0.2.1 10.0.0.1 8080 443\r\nGET /')), {
      length: 40,
      client: ipv4,
    });
    assert.deepEqual(readProxyHeader(v2(`${V4}47455420`)), { length: 28, client: ipv4 });
    const ipv6 = { remoteAddress: '2001:db8::1', remotePort: 8080, remoteFamily: 'IPv6' };
    assert.deepEqual(client(v1('PROXY TCP6 2001:DB8:0::1 ::1 8080 443\r\n')), ipv6);
    const addresses = `20010db8${'0'.repeat(23)}1${'0'.repeat(31)}1`;
    assert.deepEqual(client(v2(`21210024${addresses}1f9001bb`)), ipv6);
  });

  it('skips what a proxy adds to the addresses', () => {
    assert.equal(readProxyHeader(v2(`21110010c00002010a0000011f9001bb04000161`))?.length, 32);
  });

  it('names nobody when the proxy speaks for itself or does not know', () => {
    const headers = [v1('PROXY UNKNOWN\r\n'), v1('PROXY UNKNOWN ::1 ::1 1 2\r\n'), v2('20000000'), v2('21000000')];
    for (const bytes of headers) assert.deepEqual(readProxyHeader(bytes), { length: bytes.length, client: undefined });
  });

  it('is awaited while it may still come, byte by byte', () => {
    for (const whole of [v1('PROXY TCP4 192.0.2.1 10.0.0.1 8080 443\r\n'), v2(V4)]) {
      for (let n = 0; n < whole.length; n++) assert.equal(readProxyHeader(whole.subarray(0, n)), undefined);
      assert.equal(readProxyHeader(whole)?.length, whole.length);
    }
  });

  it('is refused when it is malformed, as soon as that can be known', () => {
    const wrong = [
      'GET / HTTP/1.1\r\n',
      'PROXY  TCP4 192.0.2.1 10.0.0.1 8080 443\r\n',
      'PROXY TCP4 192.0.2.1 10.0.0.1 8080\r\n',
      'PROXY TCP4 ::1 ::1 8080 443\r\n',
      'PROXY TCP6 192.0.2.1 10.0.0.1 8080 443\r\n',
      'PROXY TCP4 192.0.2.1 10.0.0.1 65536 443\r\n',
      'PROXY TCP4 192.0.2.256 10.0.0.1 80 443\r\n',
      'PROXY UNKNOWNS\r\n',
      `PROXY ${'x'.repeat(101)}`,
    ].map(v1);
    // Another version, another command, a datagram, too short for its family, and longer than any.
    const rests = ['11110000', '22110000', `2112000c${'00'.repeat(12)}`, '21110001aa', '21210001aa', '2111ffff'];
    for (const bytes of [...wrong, ...rests.map(v2)]) assert.throws(() => readProxyHeader(bytes), /it/, String(bytes));
  });

  it('of any bytes is refused, awaited for 4112 bytes at most, or has an address', () => {
    const start = fc.constantFrom(v1('PROXY '), v1('PROXY TCP4 '), v2(''), v2('21'), v2('2111'), Buffer.alloc(0));
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 5000 }), fc.nat(5000), (begin, rest, cut) => {
        const bytes = Buffer.concat([begin, rest]);
        let header: ReturnType<typeof readProxyHeader>;
        try {
          header = readProxyHeader(bytes);
        } catch (error) {
          // More bytes do not mend it.
          assert.throws(() => readProxyHeader(Buffer.concat([bytes, rest])), { message: (error as Error).message });
          return;
        }
        if (!header) assert.ok(bytes.length < 4112);
        else {
          assert.ok(header.length <= bytes.length);
          if (header.client) assert.notEqual(isIP(header.client.remoteAddress), 0);
          assert.deepEqual(readProxyHeader(bytes.subarray(0, header.length + (cut % 9))), header);
        }
      }),
    );
  });
});
