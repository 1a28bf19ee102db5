import type { RedisClient } from '../../../lib/core/redis';
import { createPayload } from '../../../lib/job/record/payload';
import { failedRecord, newRecord, readRecord } from '../../../lib/job/record/record';
import { buryUnknown } from '../../../lib/job/set/bury-script';
import { DEAD_LIMIT } from '../../../lib/job/set/dead-limits';
import { dice } from '../../support/dice';

/** As many as they hold at most. */
export const QUEUES = ['critical', 'default', 'imports', 'mailer', 'slow'] as const;
export const DEAD = QUEUES.length * DEAD_LIMIT;

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
  'async Performance.call (/app/node_modules/catamount/dist/lib/job/perform/performer.js:112:24)',
  'async runInContext (/app/node_modules/catamount/dist/lib/core/execution-context.js:31:12)',
  'new Promise (<anonymous>)',
  'TLSSocket.socketErrorListener (node:_http_client:518:5)',
  'TLSSocket.emit (node:events:519:28)',
  'emitErrorNT (node:internal/streams/destroy:170:8)',
];
const BATCH = 500;
const ATTEMPTS = 3;

/** Full dead sets, as a processor leaves them: each job has failed three times, and has its newest stack and its cause's. */
export async function fillDeadSets(redis: RedisClient): Promise<void> {
  for (let from = 0; from < DEAD; from += BATCH) {
    await buryUnknown(
      redis,
      Array.from({ length: BATCH }, (_, index) => deadJob(from + index)),
    );
  }
}

function deadJob(number: number): { readonly id: string; readonly queue: string; readonly record: string } {
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
  const payload = createPayload({ name: of(CLASSES), args, tags, context, unique: undefined }, 'outbox');
  let record = readRecord(newRecord(JSON.stringify(payload)));
  const fault = of(FAULTS);
  const frames = Array.from({ length: 6 + roll(8) }, () => `\n    at ${of(FRAMES)}`).join('');
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const error = fault(number);
    error.stack = `${error}${frames}`;
    if (error.cause instanceof Error) error.cause.stack = `${error.cause}${frames.slice(0, frames.length / 2)}`;
    const run = { at: Date.now(), attempt, ms: roll(9000), host: 'web-7f9c', pid: 4000 + roll(900) };
    const deadReason = attempt === ATTEMPTS ? `${error}, ${ATTEMPTS} attempts` : undefined;
    record = failedRecord(record, error, {
      run,
      deadReason,
      dueAt: deadReason === undefined ? Date.now() + 60_000 : undefined,
    });
  }
  return { id, queue: QUEUES[number % QUEUES.length] ?? '', record: JSON.stringify(record) };
}
