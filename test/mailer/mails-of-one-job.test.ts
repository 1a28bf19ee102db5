import assert from 'node:assert/strict';
import { runInContext } from '../../lib/core/execution-context';
import { Mailer } from '../../lib/mailer/mailer';
import { type SmtpSink, startSmtpSink } from '../support/smtp';
import { folderOf, MailSystem } from './mail-system';

interface Note {
  readonly id: number;
  readonly text: string;
}

class NoteMailer extends Mailer<{ readonly tone?: string }> {
  static override readonly layout = false;
  static readonly note = this.action('note');
  note(to: string, id: number, text: string) {
    return this.mail({ to, subject: `${id} ${text}${this.params.tone ?? ''}` });
  }
}

const READER = 'ada@example.com';
const NOTES: readonly Note[] = [1, 2, 3, 4, 5].map((id) => ({ id, text: `note ${id}` }));
const subjects = (notes: readonly Note[]) => notes.map(({ id, text }) => `${id} ${text}`);

describe('the mails that one job sends to one reader', () => {
  let system: MailSystem;
  let sink: SmtpSink;
  beforeEach(async () => {
    sink = await startSmtpSink();
    system = await MailSystem.open(
      { delivery: 'smtp', smtpUrl: sink.url },
      { templatesDir: folderOf({ 'note_mailer/note/text.ejs': 'Hello' }) },
    );
  });
  afterEach(async () => {
    await system.close();
    await sink.stop();
  });

  const inRun = <T>(attempt: number, work: () => Promise<T>) => runInContext({ jobId: 'notes-job', attempt }, work);
  const received = () => sink.messages.map(({ subject }) => subject);

  /** One run of a job that sends the unsent notes and marks those that were sent. @param failsAt the note before which it fails. */
  function run(attempt: number, unsent: readonly Note[], marked: Set<number>, failsAt?: number): Promise<void> {
    return inRun(attempt, async () => {
      for (const { id, text } of unsent) {
        if (id === failsAt) throw new Error('the API fails');
        const { status } = await NoteMailer.note(READER, id, text).deliverNow();
        assert.equal(status, 'sent', `note ${id} was not sent, yet it is to be marked as sent`);
        marked.add(id);
      }
    });
  }

  it('are all sent when a failed run is followed by one that has only the rest, in another order', async () => {
    for (const failsAt of [2, 3, 5]) {
      sink.messages.length = 0;
      await system.testDatabase.query('truncate mail_deliveries');
      const marked = new Set<number>();
      await assert.rejects(run(1, NOTES, marked, failsAt), /the API fails/);
      const rest = NOTES.filter(({ id }) => !marked.has(id)).reverse();
      await run(2, rest, marked);
      assert.equal(marked.size, NOTES.length);
      assert.deepEqual(received().sort(), subjects(NOTES));
    }
  });

  it('are skipped by a later run that sends them again, whatever it has sent before', async () => {
    const send = (attempt: number, notes: readonly Note[]) =>
      inRun(attempt, () => Promise.all(notes.map(({ id, text }) => NoteMailer.note(READER, id, text).deliverNow())));
    await send(1, NOTES.slice(0, 3));
    const again = await send(2, [...NOTES].reverse());
    assert.deepEqual(
      again.map(({ status }) => status),
      ['sent', 'sent', 'skipped', 'skipped', 'skipped'],
    );
    assert.deepEqual(received().sort(), subjects(NOTES));
  });

  it('may be identical on purpose, and count as new when their arguments change', async () => {
    const twice = (attempt: number, text: string) =>
      inRun(attempt, async () => [
        await NoteMailer.with({ tone: '!' }).note(READER, 1, text).deliverNow(),
        await NoteMailer.with({ tone: '!' }).note(READER, 1, text).deliverNow(),
        await NoteMailer.with({ tone: '?' }).note(READER, 1, text).deliverNow(),
      ]);
    await twice(1, 'hello');
    assert.deepEqual(received(), ['1 hello!', '1 hello!', '1 hello?']);
    assert.ok((await twice(2, 'hello')).every(({ status }) => status === 'skipped'));
    assert.ok((await twice(3, 'goodbye')).every(({ status }) => status === 'sent'));
    assert.equal(received().length, 6);
  });
});
