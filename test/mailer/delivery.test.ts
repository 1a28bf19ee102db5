import assert from 'node:assert/strict';
import { UserMailer } from '../../lib/app/mailers/user-mailer';
import { runInContext } from '../../lib/core/execution-context';
import { DeliveryInProgressError, InvalidMailError, TemplateError } from '../../lib/mailer/definition/errors';
import type { MailSetup } from '../../lib/mailer/definition/setup';
import { Mailer } from '../../lib/mailer/mailer';
import { TestTransport } from '../../lib/mailer/transport/local-transports';
import { Deadline } from '../../lib/support/deadline';
import { type SmtpSink, startSmtpSink } from '../support/smtp';
import { until } from '../support/until';
import { folderOf, LONG_MS, MailSystem } from './mail-system';

class NoteMailer extends Mailer {
  static override readonly layout = false;
  static readonly note = this.action('note');
  static readonly broken = this.action('broken');
  note(to: string, subject = 'Hi') {
    return this.mail({ to, subject });
  }
  broken(to: string) {
    return this.mail({ to, subject: 'Hi' });
  }
}

const TEMPLATES = { 'note_mailer/note/text.ejs': 'Hello', 'note_mailer/broken/text.ejs': 'a\n<%= nothing.here %>' };
const ada = { email: 'ada@example.com', name: 'Ada', locale: 'en' } as const;
const job = <T>(jobId: string, work: () => T, attempt = 1): T => runInContext({ jobId, attempt }, work);
const letOthersRun = () => new Promise((resolve) => setImmediate(resolve));

describe('MailDelivery', () => {
  let system: MailSystem;
  afterEach(() => system.close());

  /** Locks the records of all mails until it is committed. */
  const holdRecords = async () => {
    const holder = await system.database.knex.transaction();
    await holder.raw('select from mail_deliveries for update');
    return holder;
  };
  const recordWaits = () =>
    until('a record waits to be written', async () => {
      const waiting = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
      return (await system.testDatabase.query(waiting)).length > 0;
    });

  describe('through SMTP', () => {
    let sink: SmtpSink;
    beforeEach(async () => {
      sink = await startSmtpSink();
      system = await MailSystem.open({ delivery: 'smtp', smtpUrl: sink.url });
    });
    afterEach(() => sink.stop());

    it('sends the mail, records it and emits the event', async () => {
      const result = await job('job-1', () => UserMailer.welcome(ada).deliverNow());
      const [mail] = sink.messages;
      assert.equal(mail?.subject, 'Welcome to Catamount');
      assert.deepEqual(result, { status: 'sent', messageId: mail?.messageId });
      assert.match(mail?.messageId ?? '', /^<job-1\.[0-9a-f-]{36}@shop\.example>$/);
      assert.equal(mail?.headers.get('auto-submitted'), 'auto-generated');
      const [{ to, via, messageId } = assert.fail()] = system.all('mail.sent');
      assert.deepEqual({ to, via, messageId }, { to: ['ada@example.com'], via: 'smtp', messageId: mail?.messageId });
      const [{ key, state, mailer, action, response } = assert.fail()] = await system.records();
      assert.match(String(key), /^job-1\/[0-9a-f]{16}\/1$/);
      assert.deepEqual({ state, mailer, action }, { state: 'sent', mailer: 'UserMailer', action: 'welcome' });
      assert.match(String(response), /^250 /);
    });

    it('fails on a 4xx and on a connection cut during DATA, and a later run sends with the same Message-ID', async () => {
      sink.failNext(451, 'later', 'data');
      sink.failNext(0, 'cut', 'drop');
      const messageIds: unknown[] = [];
      for (const attempt of [1, 2]) {
        await assert.rejects(job('job-1', () => UserMailer.welcome(ada).deliverNow(), attempt));
        const [record] = await system.records();
        assert.equal(record?.state, 'failed');
        // The first is the cut; a server that refuses one mail works.
        assert.equal(system.delivery.progress.read().error === undefined, attempt === 2);
        messageIds.push(record.message_id);
      }
      await job('job-1', () => UserMailer.welcome(ada).deliverNow(), 3);
      assert.equal(sink.messages.length, 1);
      const records = await system.records();
      assert.equal(records.length, 1);
      assert.deepEqual([records[0]?.state, records[0]?.attempts, records[0]?.error], ['sent', 3, null]);
      messageIds.push(records[0]?.message_id, sink.messages[0]?.messageId);
      assert.equal(new Set(messageIds).size, 1, messageIds.join());
      assert.equal(system.all('mail.failed').length, 2);
    });

    it('lets only one of two concurrent runs of a job send', async () => {
      const other = await system.another();
      sink.hold();
      const first = job('job-1', () => UserMailer.welcome(ada).deliverNow());
      await until('the first mail waits for the reply of the server', () => sink.waiting === 1);
      await assert.rejects(
        job('job-1', () => other.delivery.deliver(UserMailer.welcome(ada)), 2),
        DeliveryInProgressError,
      );
      await assert.rejects(
        job('job-1', () => UserMailer.welcome(ada).deliverNow(), 2),
        DeliveryInProgressError,
      );
      sink.release();
      await first;
      const again = await job('job-1', () => other.delivery.deliver(UserMailer.welcome(ada)), 3);
      assert.equal(again.status, 'skipped');
      assert.equal(sink.messages.length, 1);
      await other.close();
    });

    it('finishes the mails in flight when it stops, and accepts no new ones', async () => {
      sink.hold();
      const sending = job('job-1', () => UserMailer.welcome(ada).deliverNow());
      await until('the mail waits for the reply of the server', () => sink.waiting === 1);
      const stopping = system.delivery.stop(Deadline.after(LONG_MS));
      await assert.rejects(UserMailer.welcome(ada).deliverNow(), /has stopped/);
      sink.release();
      await Promise.all([sending, stopping, system.delivery.stop(Deadline.after(0))]);
      assert.equal((await system.records())[0]?.state, 'sent');
    });

    it('aborts the mails in flight at the deadline, and does not stop before they are recorded as failed', async () => {
      sink.hold();
      const late = assert.rejects(job('job-1', () => UserMailer.welcome(ada).deliverNow()));
      await until('the mail waits for the reply of the server', () => sink.waiting === 1);
      const holder = await holdRecords();
      // Only the time for mails is up.
      const deadline = Object.assign(Deadline.after(LONG_MS), { part: () => Deadline.after(0) });
      let stopped = false;
      const stopping = system.delivery.stop(deadline).then(() => {
        stopped = true;
      });
      await recordWaits();
      assert.equal(stopped, false);
      await holder.commit();
      await Promise.all([stopping, late]);
      const [{ state, error } = assert.fail()] = await system.records();
      assert.equal(state, 'failed');
      assert.doesNotMatch(String(error), /within/, 'it was cut off before its own time limit');
    });
  });

  it('does not let its job go on before the mail is recorded as sent', async () => {
    const transport = new TestTransport();
    system = await MailSystem.open({}, { transport, templatesDir: folderOf(TEMPLATES), patienceMs: LONG_MS });
    const { send } = transport;
    let holder: Awaited<ReturnType<typeof holdRecords>> | undefined;
    transport.send = async (message) => {
      holder = await holdRecords();
      return send.call(transport, message);
    };
    let isDone = false;
    const sending = job('j', () => NoteMailer.note('a@example.com').deliverNow()).then(() => {
      isDone = true;
    });
    await recordWaits();
    assert.equal(isDone, false);
    await holder?.commit();
    await sending;
  });

  it('does not send in the slower of two runs if its claim expired while the mail was built', async () => {
    const transport = new TestTransport();
    let first = true;
    let other: Awaited<ReturnType<MailSystem['another']>> | undefined;
    const setup: MailSetup = {
      interceptors: [
        async (message) => {
          if (!first) return message;
          first = false;
          // Meanwhile the claim expires, and another processor runs the job.
          await job('j', () => other?.delivery.deliver(NoteMailer.note('a@example.com')), 2);
          return message;
        },
      ],
    };
    system = await MailSystem.open({}, { transport, templatesDir: folderOf(TEMPLATES), setup, leaseMs: 0 });
    other = await system.another();
    await assert.rejects(
      job('j', () => NoteMailer.note('a@example.com').deliverNow()),
      DeliveryInProgressError,
    );
    assert.equal(transport.messages.length, 1);
    assert.deepEqual(
      (await system.records()).map(({ state }) => state),
      ['sent'],
    );
    await other.close();
  });

  it('sends identical mails of one run as often as the run asks, and none of them again in later runs', async () => {
    const transport = new TestTransport();
    system = await MailSystem.open({}, { transport, templatesDir: folderOf(TEMPLATES) });
    const run = async () => {
      await NoteMailer.note('a@example.com').deliverNow();
      await NoteMailer.note('b@example.com').deliverNow();
      await NoteMailer.note('a@example.com').deliverNow();
    };
    await job('j', run);
    assert.equal(transport.messages.length, 3);
    await job('j', run, 2);
    assert.equal(transport.messages.length, 3);
    // The same attempt again in the same process: a stalled job that was rescued.
    system.events.emit('job.started', { id: 'j', class: 'X', queue: 'mailer', attempt: 2, waitedMs: 0 });
    await job('j', run, 2);
    assert.equal(transport.messages.length, 3);
    await NoteMailer.note('a@example.com').deliverNow();
    assert.equal(transport.messages.length, 4);
  });

  it('sends no mail again although its action has changed its argument', async () => {
    class StampMailer extends NoteMailer {
      static readonly stamped = this.action('stamped');
      stamped(order: { at?: number }) {
        order.at = performance.now();
        return this.mail({ to: 'a@example.com', subject: 'Hi', template: 'note_mailer/note' });
      }
    }
    const transport = new TestTransport();
    system = await MailSystem.open({}, { transport, templatesDir: folderOf(TEMPLATES) });
    for (const attempt of [1, 2]) await job('j', () => StampMailer.stamped({}).deliverNow(), attempt);
    assert.equal(transport.messages.length, 1);
  });

  it('sends all mails of a job whose failed run is followed by one that has only the rest, in another order', async () => {
    const transport = new TestTransport();
    system = await MailSystem.open({}, { transport, templatesDir: folderOf(TEMPLATES) });
    const send = async (ids: readonly number[]) => {
      for (const id of ids) await NoteMailer.note('ada@example.com', `note ${id}`).deliverNow();
    };
    await job('j', () => send([1, 2, 3]));
    await job('j', () => send([5, 4]), 2);
    assert.deepEqual(
      transport.messages.map(({ subject }) => subject),
      [1, 2, 3, 5, 4].map((id) => `note ${id}`),
    );
  });

  it('records a template error, with its file and line', async () => {
    system = await MailSystem.open({}, { templatesDir: folderOf(TEMPLATES) });
    await assert.rejects(NoteMailer.broken('a@example.com').deliverNow(), (error) => {
      assert.ok(error instanceof TemplateError);
      assert.match(error.message, /note_mailer\/broken\/text\.ejs:2: nothing is not defined/);
      return true;
    });
    await letOthersRun();
    const [record] = await system.records();
    assert.equal(record?.state, 'failed');
    assert.match(String(record?.error), /text\.ejs:2/);
    assert.equal(system.all('mail.failed').length, 1);
  });

  it('fails with the error of the mail, although that cannot be recorded', async () => {
    const transport = new TestTransport();
    system = await MailSystem.open({}, { transport, templatesDir: folderOf(TEMPLATES) });
    transport.send = async () => {
      await system.testDatabase.query('drop table mail_deliveries');
      throw new Error('the server is away');
    };
    await assert.rejects(NoteMailer.note('a@example.com').deliverNow(), /the server is away/);
    assert.deepEqual(
      system.all('process.error').map(({ during }) => during),
      ['recording a failed mail'],
    );
    const other = await system.another();
    await other.delivery.start();
    await until('its first look for old records has failed', () =>
      system.all('process.error').some(({ during }) => during === 'removing old delivery records'),
    );
    await other.close();
  });

  it('claims nothing for an invalid mail', async () => {
    system = await MailSystem.open({}, { templatesDir: folderOf(TEMPLATES) });
    await assert.rejects(NoteMailer.note('').deliverNow(), InvalidMailError);
    await assert.rejects(NoteMailer.note('a@example.com', 'Hi\r\nBcc: b@example.com').deliverNow(), InvalidMailError);
    assert.deepEqual(await system.records(), []);
  });
});
