import { Events } from '../../lib/core/events';
import { createPayload } from '../../lib/job/enqueue/enqueuer';
import { failedHistory, type JobHistory, searchedErrors } from '../../lib/job/record/history';
import { type DeadJob, insertDead, MAX_DEAD } from '../../lib/job/row/dead';
import { insertJobs } from '../../lib/job/row/insert';
import type { NewJobRow } from '../../lib/job/row/job-row';
import { JobSet } from '../../lib/job/sets/job-set';
import type { PageRequest } from '../../lib/job/sets/query';
import type { Database } from '../../lib/model/database';
import { dice } from '../support/dice';
import { connectStores } from './contender/catamount';
import type { Benchmark } from './harness/bench';
import { interleave, judged, short, spread, table } from './harness/figures';

const QUEUES = ['critical', 'default', 'imports', 'mailer', 'slow'] as const;
/** Number of jobs in full dead sets. */
const DEAD = QUEUES.length * MAX_DEAD;
const PER_PAGE = 50;
/** Limits for queries that an index answers, and for searches in the texts of all jobs, ms. */
const INDEXED = { atMost: 20 };
const SEARCHED = { atMost: 300 };

/** Searches of an operator for dead jobs, from texts that match none to texts that match all. */
const QUESTIONS: Readonly<Record<string, PageRequest>> = {
  list: {},
  'list, last page': { offset: 49_975 },
  'queue, its last page': { queue: 'mailer', offset: 9975 },
  'class, a fifth': { class: 'SyncInvoiceJob' },
  'class, none': { class: 'AbsentJob' },
  'tag, few': { tag: 'shop-123' },
  'sorted by class': { sort: { by: 'class', descending: false } },
  'error, all': { error: 'error' },
  'error, few': { error: 'order 4123' },
  'error, none': { error: 'certificate' },
  'text, a fifth': { text: '김민준' },
  'text, one': { text: 'user41234@' },
  'text, none': { text: 'nowhere' },
  'all four': { class: 'ChargeCardJob', tag: 'vip', error: 'order', text: 'grace', queue: ['default', 'slow'] },
};

/** Queries full dead sets as an operator does: the time from the call to a page of entries and their count. */
export const sets: Benchmark = {
  about: `a page of ${DEAD} dead jobs, listed and filtered: ms of the call`,
  peers: false,
  async run(bench) {
    const stores = await bench.stores();
    await stores.clear();
    const events = new Events();
    const { database, redis, end } = await connectStores(await stores.urls(0), events, 1);
    try {
      const sources = { redis: redis?.client, knex: database.knex, events, queues: [...QUEUES] };
      const dead = new JobSet({ ...sources, via: 'cli:benchmark' as const }, 'dead');
      await fillDeadSets(database);
      await stores.database.query('vacuum analyze job_dead');
      const answer = async (name: string) => {
        const begun = performance.now();
        const { total = Number.NaN } = await dead.page({ ...QUESTIONS[name], limit: PER_PAGE });
        return { ms: performance.now() - begun, total };
      };
      // The first call opens the connection, which must not be measured.
      await answer('list');
      const asked = Object.keys(QUESTIONS).filter((name) => bench.wants(name));
      const results = await interleave(asked, bench.rounds, answer);
      const lines = asked.map((name) => {
        const answers = results[name] ?? [];
        const { median, min, max } = spread(answers.map(({ ms }) => ms));
        const { error, text, sort } = QUESTIONS[name] ?? {};
        const goal = error === undefined && text === undefined && sort === undefined ? INDEXED : SEARCHED;
        return [name, String(answers[0]?.total), judged(median, goal), `${short(min)}–${short(max)}`];
      });
      bench.say(`\n${table([`${DEAD} dead jobs`, 'found', 'ms', 'least–most'], lines)}`);
      return results;
    } finally {
      await end();
    }
  },
};

const CLASSES = ['SyncInvoiceJob', 'ImportRowsJob', 'WelcomeEmailJob', 'ChargeCardJob', 'RebuildIndexJob'];
const TAGS = ['billing', 'import', 'nightly', 'vip'];
const NAMES = ['Ada Lovelace', '김민준', 'Grace Hopper', '이서연', 'Jürgen Groß'];
const FAULTS: readonly ((number: number) => Error)[] = [
  (number) => new Error(`connect ETIMEDOUT 10.0.${number % 256}.${number % 250}:5432`),
  (number) => new TypeError(`Cannot read properties of undefined (reading 'invoice_${number % 100}')`),
  (number) => new Error(`the charge of order ${number} was not answered`, { cause: new Error('socket hang up') }),
];
/** A stack of usual length. */
const STACK = Array.from(
  { length: 10 },
  (_, n) => `\n    at async Step${n}.call (/app/node_modules/a/lib/b.js:${n}:17)`,
);
const BATCH = 500;
const ATTEMPTS = 3;

/** Fills the dead sets as a processor does: each job has three errors, the newest with its stack and its cause's. */
async function fillDeadSets(database: Database): Promise<void> {
  for (let from = 0; from < DEAD; from += BATCH) {
    const jobs = Array.from({ length: BATCH }, (_, index) => deadJob(from + index));
    const rows = jobs.map(({ row }) => row);
    await insertJobs(database.knex, rows);
    const sql = 'delete from job_queue where id = any(?::uuid[]) returning *';
    const died = jobs.map((job) => job.died);
    await insertDead(database.knex, died, { sql, values: [rows.map(({ id }) => id)] });
  }
}

function deadJob(number: number): { readonly row: NewJobRow; readonly died: DeadJob } {
  const roll = dice(number);
  const of = <T>(list: readonly T[]): T => list[roll(list.length)] as T;
  const id = [8, 4, 4, 4, 12].map((length) => Array.from({ length }, () => roll(16).toString(16)).join('')).join('-');
  const context = { requestId: `req-${number.toString(36)}`, locale: 'en', attributes: { tenant: `t${roll(500)}` } };
  const args = [{ order: 100_000 + number, name: of(NAMES), email: `user${number}@example.com` }];
  const tags = roll(3) === 0 ? [] : [of(TAGS), `shop-${roll(1000)}`];
  const name = of(CLASSES);
  const payload = JSON.stringify(createPayload({ name, args, tags, context, unique: undefined }));
  let history: JobHistory = {};
  const fault = of(FAULTS);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const error = fault(number);
    error.stack = `${error}${STACK.join('')}`;
    const run = { at: Date.now(), attempt, ms: roll(9000), host: 'web-7f9c', pid: 4000 + roll(900) };
    const deadReason = attempt === ATTEMPTS ? `${error}, ${ATTEMPTS} attempts` : undefined;
    history = failedHistory(history, error, { run, key: undefined, deadReason });
  }
  const queue = QUEUES[number % QUEUES.length] ?? '';
  return {
    row: { id, queue, class: name, payload, tags, runAt: undefined },
    died: { id, history: JSON.stringify(history), attempts: ATTEMPTS, ...searchedErrors(history) },
  };
}
