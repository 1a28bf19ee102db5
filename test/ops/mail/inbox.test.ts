import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { cookiesOf, OpsWeb, tokenIn } from '../ops-web';
import { Mailbox } from './mailbox';

const INBOX = '/ops/mail/inbox';

describe('the inbox', () => {
  let ops: OpsWeb;
  let folder: string;
  let box: Mailbox;

  before(async () => {
    ops = await OpsWeb.start();
    box = new Mailbox(ops);
    ({ folder } = box);
  });
  after(() => ops?.stop());
  beforeEach(() => fs.rmSync(folder, { recursive: true, force: true }));

  const list = async (query = '') => {
    const answer = (await ops.get(`${INBOX}.json${query}`)).json<{ total: number; mails: { subject: string }[] }>();
    return { total: answer.total, subjects: answer.mails.map(({ subject }) => subject) };
  };
  const form = async (at: string) => {
    const page = await ops.get(at);
    const until = /name="until" value="([^"]*)"/.exec(page.body)?.[1] ?? '';
    return { cookies: { Cookie: cookiesOf(page) }, fields: { token: tokenIn(page.body), until } };
  };

  it('shows sent mails, newest first, in pages', async () => {
    assert.match((await ops.get(INBOX)).body, /No mails yet/);
    for (let i = 0; i < 51; i++) await box.send({ subject: `Number ${i}` });
    const { total, subjects } = await list();
    assert.deepEqual([total, subjects.length, subjects[0], subjects[49]], [51, 50, 'Number 50', 'Number 1']);
    assert.deepEqual((await list('?page=2')).subjects, ['Number 0']);
    assert.deepEqual((await list('?page=99')).subjects, ['Number 0']);
    assert.match((await ops.get(`${INBOX}?page=2`)).body, /51–51 of 51/);
  });

  it('reads only mails in its folder, whatever the requested name', async () => {
    const name = await box.send();
    assert.equal((await ops.get(`${INBOX}/${name}`)).status, 200);
    fs.writeFileSync(path.join(folder, '.hidden.eml'), 'Subject: hidden\r\n\r\nsecret');
    fs.writeFileSync(path.join(folder, 'notes.txt'), 'secret');
    fs.writeFileSync(path.join(ops.folder, 'outside.eml'), 'Subject: outside\r\n\r\nsecret');
    fs.symlinkSync(path.join(ops.folder, 'outside.eml'), path.join(folder, 'link.eml'));
    fs.mkdirSync(path.join(folder, 'folder.eml'));
    fs.writeFileSync(path.join(folder, 'huge.eml'), '');
    fs.truncateSync(path.join(folder, 'huge.eml'), 50_000_001);
    const tricks = [
      ...['.hidden.eml', 'notes.txt', 'link.eml', 'folder.eml', 'huge.eml', 'nothing.eml', '%00.eml', `${name}%00.eml`],
      ...['..%2F..%2Foutside.eml', '..%2foutside.eml', '%2e%2e%2f%2e%2e%2foutside.eml', '..%5C..%5Coutside.eml'],
      ...[
        encodeURIComponent(path.join(ops.folder, 'outside.eml')),
        '....%2F%2Foutside.eml',
        '%252e%252e%252foutside.eml',
      ],
    ];
    for (const trick of tricks) {
      for (const piece of ['', '/body', '/mail.eml', '/attachments/0']) {
        const answer = await ops.get(`${INBOX}/${trick}${piece}`);
        assert.equal(answer.status, 404, trick + piece);
        assert.doesNotMatch(answer.body, /secret/);
      }
    }
    assert.deepEqual((await list()).subjects, [`Mail ${box.sent}`]);
    const { cookies, fields } = await form(`${INBOX}/clear`);
    const deleted = await ops.post(`${INBOX}/..%2F..%2Foutside.eml/delete`, fields, cookies);
    assert.equal(deleted.status, 404);
    assert.ok(fs.existsSync(path.join(ops.folder, 'outside.eml')));
  });

  it('warns of HTML that Gmail cuts off, by its bytes', async () => {
    const name = await box.send({ html: `<p>${'가'.repeat(35_000)}</p>` });
    assert.match((await ops.get(`${INBOX}/${name}`)).body, /The HTML is 105\.\d kB\.<\/b> Gmail cuts off/);
    const long = await box.send({ html: 'x'.repeat(200_001) });
    const cutOff = async (mail: string) =>
      (await ops.get(`${INBOX}/${mail}?part=source`)).body.includes('The rest is only in the .eml file');
    assert.deepEqual([await cutOff(name), await cutOff(long)], [false, true]);
  });

  it('escapes what strangers wrote', async () => {
    const name = await box.send({
      from: { name: '"><script>alert(1)</script>', address: 'x@example.com' },
      to: [{ name: '<img src=x onerror=alert(1)>', address: 'y@example.com' }],
      subject: '</title><script>alert(1)</script>',
      text: '</pre><script>alert(1)</script>',
      headers: { 'Content-Language': '"><script>alert(1)</script>', 'X-Odd': '<script>alert(1)</script>' },
      attachments: [{ name: '"><script>.svg', content: Buffer.from('<svg onload=alert(1)>'), type: 'image/svg+xml' }],
    });
    for (const at of ['', '?part=text', '?part=headers', '?part=raw'].map((query) => `${INBOX}/${name}${query}`)) {
      const { body, headers } = await ops.get(at);
      assert.doesNotMatch(body, /<script>alert|<img src=x|<svg onload/, at);
      assert.match(String(headers['content-security-policy']), /script-src 'self'/);
    }
    assert.doesNotMatch((await ops.get(INBOX)).body, /<script>alert|<img src=x/);
    const file = await ops.get(`${INBOX}/${name}/attachments/0`);
    assert.match(String(file.headers['content-disposition']), /^attachment; /);
    assert.equal(file.headers['content-type'], 'application/octet-stream');
    assert.equal(file.headers['x-content-type-options'], 'nosniff');
  });

  it('deletes one mail, or all that were shown, and only by a form', async () => {
    const [first = ''] = [await box.send(), await box.send()];
    const { cookies, fields } = await form(`${INBOX}/clear`);
    assert.equal((await ops.get(`${INBOX}/clear?token=${fields.token}&until=${fields.until}`)).status, 200);
    assert.equal((await list()).total, 2);
    const one = await ops.post(`${INBOX}/${first}/delete`, fields, cookies);
    assert.deepEqual([one.status, one.headers.location], [303, INBOX]);
    assert.equal((await ops.get(`${INBOX}/${first}`)).status, 404);
    const late = await box.send({ subject: 'Late' });
    assert.equal((await ops.post(`${INBOX}/clear`, fields, cookies)).status, 303);
    assert.deepEqual(fs.readdirSync(folder), [late]);
    const via = 'pages:127.0.0.1';
    assert.deepEqual(ops.mails.slice(-2), Array(2).fill({ action: 'delete', count: 1, via }));
  });
});
