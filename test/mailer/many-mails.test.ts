import assert from 'node:assert/strict';
import { UserMailer } from '../../lib/app/mailers/user-mailer';
import { runInContext } from '../../lib/core/execution-context';
import { type ReceivedMail, type SmtpSink, startSmtpSink } from '../support/smtp';
import { MailSystem } from './mail-system';

const MANY = 56;
const AT_ONCE = 10;
/** What can break a mail: markup, quotes, text that looks escaped or encoded, placeholders, right-to-left text, length. */
const NAMES = [
  "O'Brien <b>",
  'Zoë & Søns "Ltd"',
  '김민지',
  '🐈‍⬛ 👩‍👩‍👧 é',
  '&amp; &lt;b&gt; &#39;',
  '{{name}} {{count}} $t(email.welcome.open)',
  "<%= locals %> <script>alert('x')</script>",
  'שלום עולם',
  'Comma, Semi; Colon: <a@evil.example>',
  '$& $1 $$ \\ \\n %s',
  'data-inline --> ]]>',
  '한'.repeat(200),
  'a'.repeat(200),
  '.',
];

interface Reader {
  readonly email: string;
  readonly name: string;
  readonly locale: 'en' | 'ko';
}

const readers = Array.from({ length: MANY }, (_, n): Reader => {
  const name = `${NAMES[Math.floor(n / 2) % NAMES.length]} ${n}`;
  return { email: `user${n}@example.com`, name, locale: n % 2 ? 'ko' : 'en' };
});

describe(`${MANY} welcome mails, half of them Korean, through a real SMTP server`, () => {
  let sink: SmtpSink;
  let system: MailSystem;
  let mails: ReadonlyMap<string | undefined, ReceivedMail>;

  before(async () => {
    sink = await startSmtpSink();
    system = await MailSystem.open({ delivery: 'smtp', smtpUrl: sink.url });
    // Every job runs twice, one run after the other, as when the acknowledgement of the first is lost.
    for (const attempt of [1, 2]) {
      const queue = [...readers.entries()];
      const lane = async () => {
        for (let next = queue.shift(); next; next = queue.shift()) {
          const [n, reader] = next;
          await runInContext({ jobId: `job-${n}`, attempt }, () => UserMailer.welcome(reader).deliverNow());
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, lane));
    }
    mails = new Map(sink.messages.map((mail) => [mail.envelope.to.join(), mail]));
  });
  after(async () => {
    await system.close();
    await sink.stop();
  });

  const each = (check: (mail: ReceivedMail, reader: Reader) => void) => {
    for (const reader of readers) check(mails.get(reader.email) ?? assert.fail(`${reader.email} got none`), reader);
  };
  const heading = ({ locale, name }: Reader) => (locale === 'ko' ? `${name} 님, 반갑습니다.` : `Welcome, ${name}.`);

  it('arrive once each', () => {
    assert.equal(sink.messages.length, MANY);
    assert.equal(new Set(sink.messages.map(({ messageId }) => messageId)).size, MANY);
    assert.equal(system.all('mail.sent').length, MANY);
    assert.equal(system.all('mail.skipped').length, MANY);
  });

  it('have two parts in UTF-8, encoded as ASCII lines that every server accepts', () => {
    each(({ raw, headers }, { locale }) => {
      assert.match(raw, /^Content-Type: multipart\/alternative;/m);
      const parts = [...raw.matchAll(/^Content-Type: text\/(\w+); charset=([\w-]+)\r$/gm)];
      assert.deepEqual(
        parts.map(([, type, charset]) => [type, charset]),
        [
          ['plain', 'utf-8'],
          ['html', 'utf-8'],
        ],
      );
      assert.match(raw, /^[\t\r\n\x20-\x7e]*$/);
      assert.ok(raw.split('\r\n').every((line) => line.length <= 998 && !line.includes('\n')));
      assert.equal(headers.get('content-language'), locale);
    });
  });

  it('have the right subject and recipient, whatever the name contains', () => {
    each(({ subject, to }, { name, email, locale }) => {
      // The subject has nothing of the name: whoever signs up somebody else must not be able to write into it.
      assert.equal(subject, locale === 'ko' ? 'Catamount에 오신 것을 환영합니다' : 'Welcome to Catamount');
      assert.deepEqual([to].flat()[0]?.value, [{ name, address: email }]);
    });
  });

  it('have the name unchanged in the text, and escaped once in the HTML', () => {
    each(({ text, html }, reader) => {
      assert.ok(text?.startsWith(`${heading(reader)}\n`), text);
      const escaped = heading(reader).replace(/[&<>"']/g, (character) => `&${ENTITIES.get(character)};`);
      assert.ok(String(html).includes(`>${escaped}</h1>`), String(html));
    });
  });
});

const ENTITIES = new Map([
  ['&', 'amp'],
  ['<', 'lt'],
  ['>', 'gt'],
  ['"', '#34'],
  ["'", '#39'],
]);
