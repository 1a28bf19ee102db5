import assert, { AssertionError } from 'node:assert/strict';
import { UserMailer } from '../../lib/app/mailers/user-mailer';
import { Job } from '../../lib/job/job';
import { MailDeliveryJob } from '../../lib/mailer/deliver-mail-job';
import { Mailer } from '../../lib/mailer/mailer';
import { defineApp } from '../../lib/role/app/app-definition';
import {
  assertEmails,
  assertEnqueuedEmails,
  assertEnqueuedEmailWith,
  assertEnqueuedJobs,
  assertNoPart,
  assertPart,
  captureEmails,
  deliveries,
  performEnqueuedEmails,
  performEnqueuedJobs,
  type TestJobs,
  type TestMails,
  useFakeJobs,
  useTestMail,
} from '../../lib/testing';
import { folderOf } from '../mailer/mail-system';

class WelcomeJob extends Job<[email: string, fails?: number]> {
  async perform(email: string, fails = 0) {
    await UserMailer.welcome({ email, name: 'Ada', locale: 'ko' }).deliverNow();
    if (this.context.attempt <= fails) throw new RangeError('after the mail');
  }
}

class BrokenMailer extends Mailer {
  static override readonly layout = false;
  static readonly broken = this.action('broken');
  broken() {
    return this.mail({ to: 'ada@example.com', subject: 'Broken' });
  }
}

class NoteJob extends MailDeliveryJob {}
class NoteMailer extends Mailer {
  static override readonly deliveryJob = NoteJob;
  static readonly note = this.action('note');
  note() {
    return this.mail({ to: 'ada@example.com', subject: 'Note', text: 'Hi.' });
  }
}

class PartsMailer extends Mailer {
  static readonly report = this.action('report');
  report(html?: string) {
    this.attach('report.pdf', Buffer.from('%PDF'));
    this.attach('rows', 'a;b', { type: 'text/csv' });
    return this.mail({ to: 'ada@example.com', subject: 'Report', text: 'Rows', ...(html && { html }) });
  }
}

class TenantMailer extends Mailer<{ readonly tenant: { readonly name: string } }> {
  static readonly note = this.action('note');
  note(to: string) {
    return this.mail({ to, subject: this.params.tenant.name });
  }
}

const routes = async () => ({ default: () => undefined });
const app = defineApp({ name: 'shop', root: `${__dirname}/../../lib/app`, routes });

describe('mails in a test', () => {
  let jobs: TestJobs;
  let mail: TestMails;
  beforeEach(async () => {
    jobs = await useFakeJobs();
    mail = await useTestMail({ app });
  });
  afterEach(async () => {
    await mail.restore();
    await jobs.restore();
  });

  it('need the app, and say so', async () => {
    const useWrongly = useTestMail as (options?: unknown) => Promise<TestMails>;
    for (const [given, shown] of [
      [undefined, 'undefined: is it exported, and imported by that name?'],
      [{}, 'undefined: is it exported, and imported by that name?'],
      [{ app: './app.js' }, 'the text "./app.js"'],
      [{ app: { default: {} } }, 'an object of Object'],
    ] as const) {
      await assert.rejects(useWrongly(given), {
        name: 'TypeError',
        message: `useTestMail takes the app that defineApp returns, as app.js exports it, but was given ${shown}`,
      });
    }
    // The earlier connection still works.
    assert.deepEqual(deliveries(), []);
  });

  const perform = (...args: [string, number?]) => performEnqueuedJobs(() => WelcomeJob.performLater(...args));

  it('are rendered as in production, and kept', async () => {
    await perform('ada@example.com');
    const [welcome, ...others] = deliveries();
    assert.deepEqual(others, []);
    assert.deepEqual(welcome?.to, [{ name: 'Ada', address: 'ada@example.com' }]);
    assert.deepEqual(welcome?.from, { name: 'Test', address: 'test@example.com' });
    assert.match(welcome?.subject ?? '', /[가-힣]/, "in the recipient's language");
    assert.match(welcome?.html ?? '', /http:\/\/localhost:3000/);
    assert.notEqual(welcome?.text, '');
    mail.clear();
    assert.deepEqual(deliveries(), []);
  });

  it('have the sender, the links and the default language that the test gives', async () => {
    mail = await useTestMail({ app, from: 'me@shop.example', appUrl: 'https://shop.example', defaultLocale: 'ko' });
    await UserMailer.welcome({ email: 'ada@example.com', name: 'Ada', locale: 'tlh' }).deliverNow();
    const [{ from, subject, text } = assert.fail()] = deliveries();
    assert.equal(from.address, 'me@shop.example');
    assert.match(`${subject} ${text}`, /[가-힣].*\nhttps:\/\/shop\.example/s);
  });

  it('are sent once by a job that runs twice', async () => {
    await perform('ada@example.com', 2);
    assertEmails(1);
    await perform('ada@example.com');
    assertEmails(2);
  });

  it('are counted, within a block or in all', async () => {
    assertEmails(0);
    await assertEmails(1, () => perform('ada@example.com'));
    const captured = await captureEmails(async () => {
      await perform('bob@example.com');
      await perform('cid@example.com');
    });
    assert.deepEqual(
      captured.map(({ to }) => to[0]?.address),
      ['bob@example.com', 'cid@example.com'],
    );
    assertEmails(3);
    assert.throws(
      () => assertEmails(1),
      (error) =>
        error instanceof AssertionError &&
        /^1 mails should be sent, found 3\n {2}".+" to ada@example.com\n/.test(error.message) &&
        /mails\.test/.test(error.stack?.split('\n    at ')[1] ?? ''),
    );
    await assert.rejects(
      assertEmails(0, () => perform('dan@example.com')),
      /0 mails should be sent, found 1\n {2}".+" to dan@example.com$/,
    );
  });

  it('have parts, which are asserted one by one', async () => {
    assert.throws(() => assertPart('html'), /^AssertionError.*: assertPart: no mail has been sent/);
    await PartsMailer.report().deliverNow();
    const [plain] = deliveries();
    assert.equal(assertPart('text'), 'Rows');
    assert.equal(assertPart('application/pdf').toString(), '%PDF');
    assert.equal(assertPart('text/csv').toString(), 'a;b');
    assertNoPart('html');
    assertNoPart('image/png');
    const parts = 'it has text, application/pdf, text/csv';
    assert.throws(
      () => assertPart('image/png'),
      (error) =>
        error instanceof AssertionError &&
        error.message === `the mail should have the part image/png; ${parts}` &&
        /mails\.test/.test(error.stack?.split('\n    at ')[1] ?? ''),
    );
    assert.throws(() => assertNoPart('text/csv'), { message: `the mail should not have the part text/csv; ${parts}` });
    await PartsMailer.report('<b>Rows</b>').deliverNow();
    assert.match(assertPart('html'), /<b>Rows/);
    assert.throws(() => assertNoPart('html'), AssertionError);
    assertNoPart('html', plain);
    // @ts-expect-error a part is html, text or a media type
    assert.throws(() => assertPart('pdf'), /^TypeError: assertPart takes 'html', 'text' or the media type/);
  });

  it('for later are enqueued, compared with their arguments, and sent when they are performed', async () => {
    const bob = { email: 'bob@example.com', name: 'Bob', locale: 'en' } as const;
    await UserMailer.welcome(bob).deliverLater();
    await UserMailer.welcome({ ...bob, name: 'Rob' }).deliverLater({ wait: '1h', queue: 'slow' });
    await WelcomeJob.performLater('ada@example.com');
    assertEnqueuedEmailWith(UserMailer, 'welcome', { args: [bob], times: 1, queue: 'mailer' });
    assertEnqueuedEmailWith(UserMailer, 'welcome', { args: [{ ...bob, name: 'Rob' }], wait: '1h', queue: 'slow' });
    assertEnqueuedEmails(2);
    await assertEnqueuedEmails(1, () => UserMailer.welcome(bob).deliverLater());
    assert.throws(
      () => assertEnqueuedEmailWith(UserMailer, 'welcome', { args: [{ ...bob, name: 'Cid' }] }),
      /^AssertionError.*: the mail UserMailer\.welcome\(\{ email: 'bob@example\.com', name: 'Cid', locale: 'en' \}\): one or more should be enqueued, found none\nEnqueued:\n {2}the mail UserMailer\.welcome\(/,
    );
    await assertEmails(3, () => performEnqueuedJobs());
    assert.equal(deliveries()[0]?.to[0]?.address, 'bob@example.com');
  });

  it('for later are matched by mailer and action, and by any further criteria', async () => {
    const bob = { email: 'bob@example.com', name: 'Bob', locale: 'en' } as const;
    const tenant = { name: 'acme' };
    const later = async () => {
      await UserMailer.welcome(bob).deliverLater();
      await TenantMailer.with({ tenant }).note('bob@example.com').deliverLater({ queue: 'slow' });
    };
    await assertEnqueuedEmailWith(UserMailer, 'welcome', { times: 1 }, later);
    assertEnqueuedEmailWith(UserMailer, 'welcome', { args: [bob], params: {} });
    assertEnqueuedEmailWith(TenantMailer, 'note', { params: { tenant }, queue: 'slow' });
    assertEnqueuedEmailWith(TenantMailer, 'note', { args: ['bob@example.com'] });
    assertEnqueuedEmailWith(TenantMailer, 'note', { params: { tenant: { name: 'other' } }, times: 0 });
    assertEnqueuedEmailWith(TenantMailer, 'note', { args: ['ada@example.com'], times: 0 });
    assert.throws(
      () => assertEnqueuedEmailWith(TenantMailer, 'note', { queue: 'mailer' }),
      /^AssertionError.*: the mail TenantMailer\.note on mailer: one or more should be enqueued, found none\nEnqueued:\n {2}the mail UserMailer\.welcome\(/,
    );
    await assert.rejects(performEnqueuedEmails(), /there is no mailer TenantMailer in this app/);
    const mistakes = () => {
      // @ts-expect-error it has no such action
      assertEnqueuedEmailWith(UserMailer, 'farewell');
      // @ts-expect-error an address is a string
      assertEnqueuedEmailWith(TenantMailer, 'note', { args: [5] });
      // @ts-expect-error a tenant has a name
      assertEnqueuedEmailWith(TenantMailer, 'note', { params: { tenant: 'acme' } });
    };
    assert.ok(mistakes);
  });

  it('for later are delivered without the other jobs', async () => {
    const bob = { email: 'bob@example.com', name: 'Bob', locale: 'en' } as const;
    await UserMailer.welcome({ ...bob, email: 'before@example.com' }).deliverLater();
    await WelcomeJob.performLater('ada@example.com');
    const job = await performEnqueuedEmails(() => UserMailer.welcome(bob).deliverLater());
    assert.equal(job.enqueued, true);
    const receivers = () => deliveries().map(({ to }) => to[0]?.address);
    assert.deepEqual(receivers(), ['bob@example.com']);
    await performEnqueuedEmails();
    assert.deepEqual(receivers(), ['bob@example.com', 'before@example.com']);
    assertEnqueuedJobs(1);
  });

  it('for later count as mails when their mailer has a job class of its own', async () => {
    await NoteMailer.note().deliverLater();
    assertEnqueuedEmails(1);
    assertEnqueuedEmailWith(NoteMailer, 'note', { queue: 'mailer', times: 1 });
    assertEnqueuedJobs(1);
    assert.throws(() => assertEnqueuedEmails(0), /the mail NoteMailer\.note\(\)/);
    // The app does not have this mailer: a mail, and not another job, was to be delivered.
    await assert.rejects(performEnqueuedEmails(), /there is no mailer NoteMailer in this app/);
  });

  it('fail as in production', async () => {
    await mail.restore();
    const root = folderOf({ 'mailers/templates/broken_mailer/broken/text.ejs': '<%= nothing.here %>' });
    mail = await useTestMail({ app: defineApp({ name: 'shop', root, routes }) });
    await assert.rejects(BrokenMailer.broken().deliverNow(), /nothing is not defined/);
    await assert.rejects(UserMailer.welcome({ email: 'a@b', name: '', locale: 'en' }).deliverNow());
    assertEmails(0);
  });

  it('are not recorded without useTestMail', async () => {
    await mail.restore();
    await mail.restore();
    assert.throws(() => deliveries(), /deliveries needs test mail: call useTestMail\(\) first/);
    await assert.rejects(
      UserMailer.welcome({ email: 'a@b.c', name: '', locale: 'en' }).deliverNow(),
      /delivers no mail/,
    );
  });
});
