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
import { interleave, short, spread, table } from './harness/figures';

const QUEUES = ['critical', 'default', 'imports', 'mailer', 'slow'] as const;
/** Number of jobs in full dead sets. */
const DEAD = QUEUES.length * MAX_DEAD;
const PER_PAGE = 50;
/** Limits for queries that an index answers, and for searches in the texts of all jobs, ms. */
const GOALS_MS = { list: 20, text: 300 } as const;

/** Searches of an operator for dead jobs, from texts that match none to texts that match all. */
const QUESTIONS: Readonly<Record<string, PageRequest>> = {
  list: {},
  'list, in the middle': { offset: 25_000 },
  'list, last page': { offset: 49_975 },
  'queue, a fifth': { queue: 'mailer' },
  'queue, its last page': { queue: 'mailer', offset: 9975 },
  'class, a fifth': { class: 'SyncInvoiceJob' },
  'class, none': { class: 'AbsentJob' },
  'tag, a sixth': { tag: 'billing' },
  'tag, few': { tag: 'shop-123' },
  'tag, none': { tag: 'absent' },
  'sorted by class': { sort: { by: 'class', descending: false } },
  'error, all': { error: 'error' },
  'error, a fifth': { error: 'socket HANG up' },
  'error, few': { error: 'order 4123' },
  'error, none': { error: 'certificate' },
  'error, in file names only': { error: 'execution' },
  'text, all': { text: 'job' },
  'text, a fifth': { text: '김민준' },
  'text, letters of many': { text: 'retry_after' },
  'text, one': { text: 'user41234@' },
  'text, none': { text: 'nowhere' },
  'text, in file names only': { text: 'node_modules' },
  'text, an e': { text: 'e' },
  'text, as JSON has it': { text: '"order":141234' },
  'class and error': { class: 'SyncInvoiceJob', error: 'etimedout' },
  'tag and text': { tag: 'vip', text: 'LOVELACE' },
  'all four': { class: 'ChargeCardJob', tag: 'vip', error: 'order', text: 'grace', queue: ['default', 'slow'] },
};

interface Answer {
  readonly ms: number;
  readonly total: number;
}

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
      const sources = {
        redis: redis?.client,
        knex: database.knex,
        events,
        queues: [...QUEUES],
        via: 'cli:benchmark' as const,
      };
      const dead = new JobSet(sources, 'dead');
      const filledMs = await fillDeadSets(database);
      await stores.database.query('vacuum analyze job_dead');
      // The first call opens the connection, which must not be measured.
      await answer(dead, 'list');
      const asked = Object.keys(QUESTIONS).filter((name) => bench.wants(name));
      const results = await interleave(asked, bench.rounds, (name) => answer(dead, name));
      bench.say(`\n${DEAD} jobs died in ${short(filledMs / 1000)} s`);
      bench.say(
        `\n${table(
          [`${DEAD} dead jobs`, 'found', 'ms', 'least–most', 'goal'],
          asked.map((name) => lineOf(name, results[name] ?? [])),
        )}`,
      );
      return { ...results, filledMs };
    } finally {
      await end();
    }
  },
};

function lineOf(name: string, answers: readonly Answer[]): string[] {
  const { median: ms, min, max } = spread(answers.map((one) => one.ms));
  const { error, text, sort } = QUESTIONS[name] ?? {};
  const goal = error === undefined && text === undefined && sort === undefined ? GOALS_MS.list : GOALS_MS.text;
  return [
    name,
    String(answers[0]?.total),
    short(ms),
    `${short(min)}–${short(max)}`,
    `≤ ${goal} ${ms <= goal ? '✓' : '✗'}`,
  ];
}

async function answer(dead: JobSet, name: string): Promise<Answer> {
  const begun = performance.now();
  const { total = Number.NaN } = await dead.page({ ...QUESTIONS[name], limit: PER_PAGE });
  return { ms: performance.now() - begun, total };
}

const CLASSES = ['SyncInvoiceJob', 'ImportRowsJob', 'WelcomeEmailJob', 'ChargeCardJob', 'RebuildIndexJob'];
const TAGS = ['billing', 'import', 'nightly', 'vip'];
const NAMES = ['Ada Lovelace', '김민준', 'Grace Hopper', '이서연', 'Jürgen Groß'];
const FAULTS: readonly ((number: number) => Error)[] = [
  (number) => new Error(`connect ETIMEDOUT 10.0.${number % 256}.${number % 250}:5432`),
  (number) => new TypeError(`Cannot read properties of undefined (reading 'invoice_${number % 100}')`),
  (number) => new Error(`Request failed with status code 503: {"error":"rate limited","retry_after":${number % 60}}`),
  (number) => new RangeError(`Row ${number} has 14 columns where 15 were expected`),
  (number) =>
    new Error(`the charge of order ${number} was not answered within 5 s`, { cause: new Error('socket hang up') }),
];
const FRAMES = [
  'Object.request (/app/node_modules/axios/dist/node/axios.cjs:2019:14)',
  'process.processTicksAndRejections (node:internal/process/task_queues:105:5)',
  'async Client._query (/app/node_modules/pg/lib/client.js:526:17)',
  'async Runner.ensureConnection (/app/node_modules/knex/lib/execution/internal/ensure-connection-callback.js:13:17)',
  'async Ledger.settle (/app/services/ledger/settle.js:88:21)',
  'async /app/services/invoices/sync-invoice.js:41:9',
  'async Performance.call (/app/node_modules/catamount/dist/lib/job/perform/executor.js:112:24)',
  'async runInContext (/app/node_modules/catamount/dist/lib/core/execution-context.js:31:12)',
  'new Promise (<anonymous>)',
  'TLSSocket.socketErrorListener (node:_http_client:518:5)',
  'TLSSocket.emit (node:events:519:28)',
  'emitErrorNT (node:internal/streams/destroy:170:8)',
];
const BATCH = 500;
const ATTEMPTS = 3;

/** Fills the dead sets as a processor does: each job has three errors, the newest with its stack and its cause's. */
async function fillDeadSets(database: Database): Promise<number> {
  let ms = 0;
  for (let from = 0; from < DEAD; from += BATCH) {
    const jobs = Array.from({ length: BATCH }, (_, index) => deadJob(from + index));
    const rows = jobs.map(({ row }) => row);
    await insertJobs(database.knex, rows);
    const begun = performance.now();
    await insertDead(
      database.knex,
      jobs.map(({ died }) => died),
      { sql: 'delete from job_queue where id = any(?::uuid[]) returning *', values: [rows.map(({ id }) => id)] },
    );
    ms += performance.now() - begun;
  }
  return ms;
}

function deadJob(number: number): { readonly row: NewJobRow; readonly died: DeadJob } {
  const roll = dice(number);
  const of = <T>(list: readonly T[]): T => list[roll(list.length)] as T;
  const id = [8, 4, 4, 4, 12].map((length) => Array.from({ length }, () => roll(16).toString(16)).join('')).join('-');
  const context = {
    requestId: `req-${number.toString(36)}-${roll(1e9)}`,
    locale: 'en',
    attributes: { tenant: `t${roll(500)}` },
  };
  const args = [
    {
      order: 100_000 + number,
      amount: roll(1e6),
      name: of(NAMES),
      email: `user${number}@example.com`,
      rows: [roll(99), roll(99)],
    },
  ];
  const tags = roll(3) === 0 ? [] : [of(TAGS), `shop-${roll(1000)}`];
  const name = of(CLASSES);
  const payload = JSON.stringify(createPayload({ name, args, tags, context, unique: undefined }));
  let history: JobHistory = {};
  const fault = of(FAULTS);
  const frames = Array.from({ length: 6 + roll(8) }, () => `\n    at ${of(FRAMES)}`).join('');
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const error = fault(number);
    error.stack = `${error}${frames}`;
    if (error.cause instanceof Error) error.cause.stack = `${error.cause}${frames.slice(0, frames.length / 2)}`;
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
