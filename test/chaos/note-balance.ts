import type { LoggedJob } from '../process/mail-ledger';
import type { Environment } from './scene/environment';

const DOMAIN = '@notes.example';

export function isOfNote({ to }: LoggedJob): boolean {
  return to.endsWith(DOMAIN);
}

/** Groups copies of the same mail. A user gets one welcome mail; notes to one reader differ by their subject. */
export function mailsByName(entries: readonly LoggedJob[]): Map<string, LoggedJob[]> {
  const mails = new Map<string, LoggedJob[]>();
  for (const entry of entries) {
    const name = isOfNote(entry) ? nameOf(entry.subject ?? '', entry.to) : entry.to;
    mails.set(name, [...(mails.get(name) ?? []), entry]);
  }
  return mails;
}

interface NoteRow {
  readonly id: string;
  readonly task: number;
  readonly text: string;
  readonly sent: boolean;
}

/** Checks that every committed note was sent, marked as sent, and has a delivery record of its own. */
export async function checkNotes({ ledger, mails, postgres }: Pick<Environment, 'ledger' | 'mails' | 'postgres'>) {
  const notes = await postgres.administer<NoteRow>('select id, task, text, sent from notes order by id');
  const records = await postgres.administer<{ name: string; count: number; sent: number }>(
    `select subject || ' to ' || recipients[1] as name, count(*)::int, count(*) filter (where state = 'sent')::int as sent
     from mail_deliveries where mailer = 'NoteMailer' group by 1`,
  );
  const expected = new Map(
    notes.map((note) => [nameOf(`note ${note.id} ${note.text}`, `reader${note.task}${DOMAIN}`), note]),
  );
  const received = new Set(mails.entries.filter(isOfNote).map(({ subject = '', to }) => nameOf(subject, to)));
  const recorded = new Map(records.map(({ name, count, sent }) => [name, { count, sent }]));
  const tasks = new Set(notes.map(({ task }) => task));
  const losses = [
    ...[...expected]
      .filter(([name]) => !received.has(name))
      .map(([name, { sent }]) => `${name} was never sent, and ${sent ? 'is marked as sent' : 'is not marked as sent'}`),
    ...[...expected].filter(([, { sent }]) => !sent).map(([name]) => `${name} is not marked as sent`),
    ...[...received].filter((name) => !expected.has(name)).map((name) => `${name} was sent, but not committed`),
    ...[...expected.keys()]
      .filter((name) => recorded.get(name)?.count !== 1 || recorded.get(name)?.sent !== 1)
      .map(
        (name) => `${name} has delivery records ${JSON.stringify(recorded.get(name))}, instead of one that says sent`,
      ),
    ...ledger.tasks
      .filter(({ id, kind }) => kind === 'notes' && !tasks.has(id))
      .map(({ id }) => `job ${id} was accepted, but its notes are missing`),
  ];
  return { count: notes.length, losses };
}

function nameOf(subject: string, to: string): string {
  return `${subject} to ${to}`;
}
