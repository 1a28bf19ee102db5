import assert from 'node:assert/strict';
import { DurableWrites } from '../../lib/mailer/delivery/durable-writes';
import { Mailer } from '../../lib/mailer/mailer';
import { TestTransport } from '../../lib/mailer/transport/local-transports';
import { Deadline } from '../../lib/support/deadline';
import { until } from '../support/until';
import { folderOf, LONG_MS, MailSystem } from './mail-system';

class NoteMailer extends Mailer {
  static readonly note = this.action('note');
  note(to: string) {
    return this.mail({ to, subject: 'A note' });
  }
}

const TEMPLATES = { 'layouts/mailer/html.ejs': '<%- slot("content") %>', 'note_mailer/note/html.ejs': '<p>x</p>' };

/** Postgres fails just after a mail has been sent. The mail must still be recorded as sent. */
describe('a mail that is sent while Postgres becomes unavailable', () => {
  let system: MailSystem;
  let whenSent: () => Promise<unknown>;
  before(async () => {
    const transport = new TestTransport();
    const send = transport.send.bind(transport);
    transport.send = async (message) => {
      const receipt = await send(message);
      await whenSent();
      return receipt;
    };
    system = await MailSystem.open({}, { transport, templatesDir: folderOf(TEMPLATES), patienceMs: 20 });
  });
  after(() => system.close());

  const stateOf = async (to: string) =>
    (await system.testDatabase.query('select state from mail_deliveries where recipients = array[$1]', [to]))[0]?.state;

  it('does not keep its job waiting, and is recorded as sent as soon as possible', async () => {
    whenSent = () => system.testDatabase.query('alter table mail_deliveries rename to hidden');
    const { status } = await NoteMailer.note('away@example.com').deliverNow();
    assert.equal(status, 'sent');
    const troubles = () =>
      system.all('process.error').filter(({ during }) => during === 'recording a mail that was sent');
    // The job does not wait, so it may end before the first attempt to record the mail has failed.
    await until('the failure is reported', () => troubles().length >= 1);
    await system.testDatabase.query('alter table hidden rename to mail_deliveries');
    await until('it is recorded', async () => (await stateOf('away@example.com')) === 'sent');
  });

  it('is recorded as sent even if its process is stopping', async () => {
    whenSent = () => system.testDatabase.query('alter table mail_deliveries rename to hidden');
    await NoteMailer.note('stop@example.com').deliverNow();
    let tries = 0;
    system.database.knex.on('query-error', () => tries++);
    const stopped = system.delivery.stop(Deadline.after(LONG_MS));
    await until('recording has been attempted several times', () => tries > 2);
    await system.testDatabase.query('alter table hidden rename to mail_deliveries');
    await stopped;
    assert.equal(await stateOf('stop@example.com'), 'sent');
  });

  it('has its record given up after ten minutes or at the end of a stop, and no sooner', async () => {
    let now = 0;
    let tries = 0;
    const errors: Error[] = [];
    const writes = new DurableWrites(
      (error) => errors.push(error),
      0,
      () => now,
    );
    const work = async () => {
      tries++;
      throw new Error('Postgres is away');
    };
    await writes.write('recording', work);
    now = 599_999;
    const before = tries;
    await until('it has failed again', () => tries > before + 1 || errors.length > 1);
    assert.equal(errors.length, 1, 'only its first failure is reported');
    now = 600_000;
    await until('it is given up', () => errors.length === 2);
    now = 0;
    await writes.write('recording', work);
    await until('another one has failed', () => errors.length === 3);
    await writes.stop(Deadline.after(0));
    await until('it is given up at the deadline of the stop', () => errors.length === 4);
  });
});
