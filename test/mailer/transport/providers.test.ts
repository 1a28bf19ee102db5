import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { MailProvider } from '../../../lib/core/config';
import { RateLimited } from '../../../lib/job/definition/errors';
import { InvalidMailError, PermanentDeliveryError } from '../../../lib/mailer/definition/errors';
import type { OutgoingMessage } from '../../../lib/mailer/definition/mail-types';
import { openServer } from '../../../lib/mailer/transport/open-transport';
import { sign } from '../../../lib/mailer/transport/ses';
import { runs } from '../../fuzz/campaign';
import { type ApiFault, MailApiServer, PROVIDER_KEYS } from '../../support/mail-apis';
import { inTest } from '../../support/suite';
import { box, message } from './message';

const aws4 = require('aws4') as {
  sign(request: object, keys: object): { readonly headers: Readonly<Record<string, string>> };
};

const PROVIDERS = Object.keys(PROVIDER_KEYS) as readonly MailProvider[];

for (const provider of PROVIDERS) {
  describe(`mail by ${provider}`, () => {
    const server = inTest('stop', () => MailApiServer.start(provider));

    const open = (keys: Readonly<Record<string, string>> = {}, limitMs?: number) =>
      openServer(
        { delivery: provider, smtpUrl: null, keys: { ...PROVIDER_KEYS[provider], ...keys }, apiUrl: `${server.url}/` },
        limitMs,
      );
    const failure = async (
      given: Partial<OutgoingMessage>,
      keys?: Readonly<Record<string, string>>,
    ): Promise<Error> => {
      const error: unknown = await open(keys)
        .send(message(given))
        .then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
      return error instanceof Error ? error : assert.fail('it was sent');
    };
    const after = (fault: ApiFault) => {
      server.faults.push(fault);
      return failure({});
    };

    it('carries everything that a mail has, and shows nobody who is in Bcc', async () => {
      const receipt = await open().send(
        message({
          cc: [box('cc@example.com', 'Ünal \\ Sons')],
          bcc: [box('secret@example.com')],
          replyTo: [box('help@shop.example', 'Help')],
          html: '<p>Hello</p><img src="cid:logo@inline">',
          headers: { 'X-Order': '4711' },
          attachments: [
            { name: 'Rechnung für Ada.txt', content: Buffer.from('1 €'), type: 'text/plain' },
            { name: 'logo.png', content: Buffer.from('png'), type: 'image/png', cid: 'logo@inline' },
          ],
        }),
      );
      assert.equal(receipt.messageId, message().messageId);
      assert.match(receipt.response ?? '', /^200 /);
      const [mail = assert.fail(), ...more] = server.accepted;
      assert.deepEqual(more, []);
      const { messageId, headers, attachments, ...rest } = mail;
      assert.deepEqual(
        [...attachments].sort(({ name: a }, { name: b }) => (a < b ? -1 : 1)),
        [
          { name: 'Rechnung für Ada.txt', content: '1 €', cid: undefined },
          { name: 'logo.png', content: 'png', cid: 'logo@inline' },
        ],
      );
      assert.deepEqual(rest, {
        to: ['ada@example.com', 'cc@example.com', 'secret@example.com'],
        shown: ['ada@example.com', 'cc@example.com'],
        from: 'hello@shop.example',
        subject: 'Grüße 👋',
        text: 'Hello',
        html: '<p>Hello</p><img src="cid:logo@inline">',
        replyTo: 'help@shop.example',
      });
      assert.equal(headers['X-Order'], '4711');
      const keepsId = provider === 'postmark' || provider === 'mailgun';
      assert.equal(messageId, keepsId ? message().messageId : undefined);
    });

    it('goes to those who are left, with domains in ASCII', async () => {
      const to = [box('ada@bücher.example'), box('bob@example.com')];
      await open().send(message({ to, cc: [box('cc@example.com')], envelopeTo: ['ada@BÜCHER.example'] }));
      await open().send(message({ messageId: '<2@a.example>', to: [], bcc: [box('only@example.com')] }));
      assert.deepEqual(
        server.accepted.map((mail) => mail.to.map((address) => address.toLowerCase())),
        [['ada@xn--bcher-kva.example'], ['only@example.com']],
      );
      const bcc = [box('a@example.com'), box('b@example.com')];
      if (provider === 'ses' || provider === 'mailgun') {
        await open().send(message({ to: [], bcc }));
        assert.deepEqual(server.accepted.at(-1)?.shown, []);
      } else assert.ok((await failure({ to: [], bcc })) instanceof InvalidMailError);
    });

    it('fails for good when the mail is refused: its address, its size', async () => {
      server.limitBytes = 100_000;
      const attachments = [{ name: 'a.bin', content: Buffer.alloc(100_000) }];
      for (const refused of [{ to: [box('rejected@example.com')] }, { attachments }]) {
        const error = await failure(refused);
        assert.ok(error instanceof PermanentDeliveryError, `${error}`);
        assert.match(error.response, /^4\d\d\b/);
      }
      assert.equal(server.accepted.length, 0);
    });

    it('may be retried after a wrong key, which the error names but does not show, and after any other failure', async () => {
      for (const [name, value] of Object.entries(PROVIDER_KEYS[provider])) {
        if (name === 'AWS_REGION' || name === 'MAILGUN_DOMAIN') continue;
        const wrong = `${value}-wrong`;
        const error = await failure({}, { [name]: wrong });
        assert.ok(!(error instanceof PermanentDeliveryError), `${error}`);
        assert.match(error.message, /_KEY|_TOKEN/);
        assert.match(String((error as { readonly response?: unknown }).response), /^40[013]\b/);
        assert.doesNotMatch(error.message, /HUSH/);
      }
      const faults: readonly ApiFault[] = ['drop', { status: 500 }, { status: 503, body: '<html>' }, { status: 302 }];
      for (const fault of faults) {
        const error = await after(fault);
        assert.ok(!(error instanceof PermanentDeliveryError || error instanceof RateLimited), `${error}`);
        assert.match(error.message, new RegExp(`^${provider} (does not accept mails|cannot be reached)`));
      }
      server.faults.push('hang');
      await assert.rejects(open({}, 200).send(message()), /did not answer within 200 ms/);
      assert.equal(server.accepted.length, 1);
    });

    it('waits as long as a 429 asks: a moment here, longer in its job, and asks no more meanwhile', async () => {
      const method = open();
      server.faults.push({ status: 429, headers: { 'retry-after': '1' } }, { status: 429 });
      const since = Date.now();
      await Promise.all([method.send(message()), method.send(message({ messageId: '<2@a.example>' }))]);
      assert.equal(server.accepted.length, 2);
      assert.ok(Date.now() - since >= 1000);
      const later = new Date(Date.now() + 90_000).toUTCString();
      server.faults.push({ status: 429, headers: { 'retry-after': later }, body: { message: 'slow down' } });
      const asked = server.asked.length;
      for (const _ of [1, 2, 3]) {
        await assert.rejects(method.send(message()), (error: unknown) => {
          assert.ok(error instanceof RateLimited);
          assert.ok(error.afterMs > 60_000 && error.afterMs <= 90_000, String(error.afterMs));
          assert.match(error.message, /429 slow down/);
          return true;
        });
      }
      assert.equal(server.asked.length, asked + 1);
    });

    it('is verified without a mail: the key, and whether anybody answers', async () => {
      await open().verify?.();
      const [key = ''] = Object.keys(PROVIDER_KEYS[provider]);
      await assert.rejects(open({ [key]: 'wrong' }).verify?.() ?? assert.fail(), new RegExp(`does not accept.*${key}`));
      server.faults.push('drop');
      await assert.rejects(open().verify?.() ?? assert.fail(), /cannot be reached/);
      assert.equal(server.accepted.length, 0);
    });

    it('is cut off when the process stops', async () => {
      const method = open();
      server.faults.push('hang');
      const sending = assert.rejects(method.send(message()), /before the process stopped/);
      await method.close?.();
      await method.close?.({ force: true });
      await sending;
    });
  });
}

describe('mail by resend', () => {
  const server = inTest('stop', () => MailApiServer.start('resend'));
  const open = () => openServer({ delivery: 'resend', smtpUrl: null, keys: PROVIDER_KEYS.resend, apiUrl: server.url });

  it('is sent once under its Message-ID, and dead when another mail comes with that', async () => {
    await open().send(message());
    await open().send(message({ date: new Date() }));
    assert.equal(server.accepted.length, 1);
    await assert.rejects(open().send(message({ text: 'Hi' })), (error: unknown) => {
      assert.ok(error instanceof PermanentDeliveryError);
      assert.match(error.answer, /^409 invalid_idempotent_request/);
      return true;
    });
    const concurrent = { name: 'concurrent_idempotent_requests', message: 'in progress' };
    server.faults.push({ status: 409, body: concurrent }, { status: 400, body: { message: 'API key is invalid' } });
    for (const _ of server.faults.slice()) {
      await assert.rejects(open().send(message()), (error) => !(error instanceof PermanentDeliveryError));
    }
    await open().send(message({ messageId: `<${'x'.repeat(300)}@a.example>` }));
    assert.equal(server.accepted.length, 2);
  });
});

describe('mail by postmark', () => {
  const server = inTest('stop', () => MailApiServer.start('postmark'));
  const open = () =>
    openServer({ delivery: 'postmark', smtpUrl: null, keys: PROVIDER_KEYS.postmark, apiUrl: server.url });

  it('tells who is inactive, and is dead if all are; its account may be mended', async () => {
    const to = ['ada', 'inactive1', 'inactive2'].map((name) => box(`${name}@example.com`));
    const { refused } = await open().send(message({ to }));
    assert.deepEqual(
      refused?.map(({ address, permanent }) => [address, permanent]),
      [
        ['inactive1@example.com', undefined],
        ['inactive2@example.com', undefined],
      ],
    );
    await assert.rejects(open().send(message({ to: to.slice(1) })), PermanentDeliveryError);
    server.faults.push({ status: 422, body: { ErrorCode: 412, Message: 'Account is Pending' } });
    await assert.rejects(open().send(message()), (error) => !(error instanceof PermanentDeliveryError));
  });
});

describe('mail by ses', () => {
  const server = inTest('stop', () => MailApiServer.start('ses'));
  const open = () => openServer({ delivery: 'ses', smtpUrl: null, keys: PROVIDER_KEYS.ses, apiUrl: server.url });

  it('waits for a sender that is not verified, and for an account that is paused', async () => {
    const unverified = message({ from: box('unverified@shop.example') });
    await assert.rejects(open().send(unverified), (error) => !(error instanceof PermanentDeliveryError));
    server.faults.push({ status: 400, headers: { 'x-amzn-errortype': 'SendingPausedException' } });
    await assert.rejects(open().send(message()), (error) => !(error instanceof PermanentDeliveryError));
    server.faults.push({ status: 400, headers: { 'x-amzn-errortype': 'MessageRejected' }, body: { message: 'virus' } });
    await assert.rejects(open().send(message()), PermanentDeliveryError);
  });

  it('is signed as the examples of AWS are', () => {
    const secretAccessKey = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
    const keys = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey, region: 'us-east-1' };
    const signed = (headers: Readonly<Record<string, string>>, body: string) =>
      sign(keys, 'service', new URL('https://example.amazonaws.com/'), headers, body, new Date('2015-08-30T12:36:00Z'));
    // post-vanilla and post-x-www-form-urlencoded of the test suite for Signature Version 4.
    const scope = 'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request';
    assert.equal(
      signed({}, '').authorization,
      `${scope}, SignedHeaders=host;x-amz-date, Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b`,
    );
    assert.equal(
      signed({ 'content-type': 'application/x-www-form-urlencoded' }, 'Param1=value1').authorization,
      `${scope}, SignedHeaders=content-type;host;x-amz-date, Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a`,
    );
  });

  it('is signed as the package aws4 signs, whatever keys, address and body are', () => {
    const characters = (from: string, maxLength: number) =>
      fc.string({ unit: fc.constantFrom(...from), minLength: 1, maxLength });
    const visible = Array.from({ length: 94 }, (_, n) => String.fromCharCode(0x21 + n)).join('');
    const given = fc.record({
      accessKeyId: characters('AKID0123456789', 20),
      secretAccessKey: characters(visible, 60),
      sessionToken: fc.option(characters(visible, 200), { nil: undefined }),
      region: characters('eu-central1', 14),
      port: fc.constantFrom('', ':8443'),
      prefix: fc.array(characters("a-._~!$&'()*+,;=:@ ü", 8), { maxLength: 2 }),
      body: fc.string({ unit: 'binary' }),
      now: fc.date({ min: new Date(0), max: new Date('2099-12-31'), noInvalidDate: true }),
    });
    fc.assert(
      fc.property(given, ({ port, prefix, body, now, ...keys }) => {
        const url = new URL(`https://mail.example${port}/${[...prefix, 'v2/email'].join('/')}`);
        const time = now.toISOString().replace(/[-:]|\.\d+/g, '');
        const request = {
          ...{ service: 'ses', region: keys.region, method: 'POST', host: url.host, path: url.pathname, body },
          headers: { 'content-type': 'application/json', 'content-length': 0, 'x-amz-date': time },
          extraHeadersToIgnore: { 'content-length': true },
        };
        const signed = sign(keys, 'ses', url, { 'content-type': 'application/json' }, body, now);
        assert.equal(signed.authorization, aws4.sign(request, keys).headers.Authorization);
      }),
      runs(1000),
    );
  });
});
