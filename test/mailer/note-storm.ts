import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { transaction } from '../../lib/model/transaction';
import { JobSystem } from '../job/job-system';
import { explainDoubles } from '../process/explained-doubles';
import { type LoggedJob, MailLedger } from '../process/mail-ledger';
import { dice } from '../support/dice';
import type { Line } from '../support/output';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';
import { folderOf } from './mail-system';
import { NotesJob, startNoteProcessor } from './note-processor';

export interface NoteStormOptions {
  readonly jobs: number;
  /** How often the processor is killed. */
  readonly kills: number;
  readonly seed: number;
}

const MOST_NOTES = 5;
/** Rows per statement. */
const ALL_AT_ONCE = 500;

interface Note {
  readonly id: number;
  readonly reader: string;
  readonly text: string;
}

/** Each pair of job and arguments is one mail, whatever fails in between and whichever process is killed. */
export function noteStorm({ jobs, kills: many, seed }: NoteStormOptions): void {
  describe(`${jobs} jobs that send the unsent of up to ${MOST_NOTES} notes each (seed ${seed})`, () => {
    let system: JobSystem;
    let ledger: MailLedger;
    let child: ChildProcess | undefined;

    before(async () => {
      system = await JobSystem.start({}, { migrated: true });
      ledger = await MailLedger.start();
      await system.postgres.query(
        'create table notes (id int primary key, reader text not null, text text not null, sent bool not null default false)',
      );
    });
    after(async () => {
      child?.kill('SIGKILL');
      await system.stop();
      await ledger.stop();
    });

    it('mail each note once, while calls in between fail and the processor is killed', async function () {
      const begun = performance.now();
      this.timeout(jobs * 100 + 4 * WAIT_LIMIT_MS);
      const roll = dice(seed);
      const readers = Array.from({ length: jobs }, (_, n) => `reader${n}@example.com`);
      const notes = readers.flatMap((reader) => Array.from({ length: 1 + roll(MOST_NOTES) }, () => reader)).map(toNote);
      await insert(notes);
      for (let from = 0; from < jobs; from += ALL_AT_ONCE) {
        const some = readers.slice(from, from + ALL_AT_ONCE).map((reader) => [reader] as const);
        await transaction(() => NotesJob.performAllLater(some));
      }

      const late = monitorEventLoopDelay({ resolution: 1 });
      late.enable();
      const recorded: Line[] = [];
      const kills: number[] = [];
      const templatesDir = folderOf({ 'note_mailer/note/text.ejs': 'Hello' });
      const begin = (generation: number) => {
        const lineage = { identity: `notes-${generation}`, dead: generation > 0 ? [`notes-${generation - 1}`] : [] };
        const { url: database } = system.postgres;
        const { url: redis } = system.redisServer;
        const started = startNoteProcessor({ database, redis, smtp: ledger.url, templatesDir, lineage });
        started.on('message', (text: string) => recorded.push({ stream: 'stdout', text, json: {} }));
        child = started;
        return started;
      };
      let current = begin(0);
      for (let kill = 1; kill <= many; kill++) {
        const wanted = Math.floor((notes.length * kill) / (many + 1));
        await until(`${wanted} mails have arrived`, () => ledger.entries.length >= wanted, { timeoutMs: limitMs() });
        const exited = once(current, 'exit');
        current.kill('SIGKILL');
        kills.push(performance.now());
        await exited;
        current = begin(kill);
      }
      await until(
        'every job has ended, and has sent its notes',
        async () => {
          const [row] = await system.postgres.query<{ left: number }>(
            'select count(*)::int as left from notes where not sent',
          );
          assert.equal(row?.left, 0);
          assert.equal(await system.jobCount(), 0);
          return true;
        },
        { timeoutMs: limitMs() },
      );
      late.disable();

      const mails = new Map<string, LoggedJob[]>();
      for (const entry of ledger.entries) {
        const name = `${entry.subject} to ${entry.to}`;
        mails.set(name, [...(mails.get(name) ?? []), entry]);
      }
      assert.deepEqual(
        [...mails.keys()].sort(),
        notes.map(({ id, reader, text }) => `note ${id} ${text} to ${reader}`).sort(),
      );
      // Throws for any duplicate that the gap in SMTP does not explain.
      const doubles = explainDoubles(mails, kills, recorded, late.max / 1e6);
      const records = await system.postgres.query<{ state: string; count: number }>(
        'select state, count(*)::int from mail_deliveries group by state',
      );
      assert.deepEqual(records, [{ state: 'sent', count: notes.length }]);
      keep({
        jobs,
        kills: many,
        notes: notes.length,
        mails: ledger.entries.length,
        doubles,
        ms: performance.now() - begun,
      });
    });

    const limitMs = () => jobs * 50 + WAIT_LIMIT_MS;

    async function insert(notes: readonly Note[]): Promise<void> {
      for (let from = 0; from < notes.length; from += ALL_AT_ONCE) {
        await system.postgres.query(
          'insert into notes (id, reader, text) select id, reader, text from jsonb_to_recordset($1) as n(id int, reader text, text text)',
          [JSON.stringify(notes.slice(from, from + ALL_AT_ONCE))],
        );
      }
    }

    /** Writes the figures to a file. */
    function keep(report: object): void {
      const folder = path.resolve(__dirname, '../../.catamount/chaos');
      fs.mkdirSync(folder, { recursive: true });
      fs.writeFileSync(path.join(folder, `notes-${jobs}-${seed}.json`), JSON.stringify(report, null, 2));
    }
  });
}

/** Texts may be equal; ids are unique. */
function toNote(reader: string, id: number): Note {
  return { id, reader, text: `hello ${id % 3}` };
}
