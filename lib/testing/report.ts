import { inspect } from 'node:util';
import { type JobClass, jobNameOf, type Performable } from '../job/job-class';
import type { Equipment } from './equipment';
import type { EnqueuedMatch } from './job-match';
import type { LedgerEntry } from './ledger';
import { readable, testJobOf } from './test-job';

/** Jobs that a message names at most. */
const SHOWN = 20;
const ENDS: Readonly<Partial<Record<LedgerEntry['state'], string>>> = {
  pending: 'in a transaction that has not committed',
  performing: 'running',
  discarded: 'discarded',
  dead: 'dead',
  failed: 'failed',
};

/** `WelcomeEmailJob('7') on mailer, at 2030-01-01T00:00:00.000Z, run 2 times: discarded (Error: gone)`. */
export function describeJob(entry: LedgerEntry, { codec, filter }: Equipment): string {
  const { at, runs } = testJobOf(entry, codec);
  const { name, queue, jobClass } = entry.request;
  const shown = filter.show(jobClass, entry.args);
  const facts = [
    `${name}(${shown ? readable(shown, codec).map(valueText).join(', ') : '…'}) on ${queue}`,
    ...(at && (entry.state === 'enqueued' || entry.state === 'pending') ? [`at ${at.toISOString()}`] : []),
    ...(runs > 1 ? [`run ${runs} times`] : []),
  ];
  const end = ENDS[entry.state];
  const error = entry.error && ` (${entry.error.name}: ${entry.error.message})`;
  return `${facts.join(', ')}${end ? `: ${end}` : ''}${error ?? ''}`;
}

/** A heading and a job a line, or that there is none. */
export function listJobs(heading: string, entries: readonly LedgerEntry[], equipment: Equipment): string {
  if (entries.length === 0) return `${heading}: none`;
  const lines = entries.slice(0, SHOWN).map((entry) => `  ${describeJob(entry, equipment)}`);
  if (entries.length > SHOWN) lines.push(`  and ${entries.length - SHOWN} more`);
  return [`${heading}:`, ...lines].join('\n');
}

/** What was looked for: `WelcomeEmailJob('7') on mailer at …`. */
export function describeMatch<J extends Performable>(
  jobClass: JobClass<J>,
  { args, queue, at, wait, where }: EnqueuedMatch<J>,
): string {
  const name = jobNameOf(jobClass);
  return [
    args === undefined ? name : `${name}(${args.map(valueText).join(', ')})`,
    ...(queue === undefined ? [] : [`on ${queue}`]),
    ...(at === undefined ? [] : [at === null ? 'to run at once' : `at ${at.toISOString()}`]),
    ...(wait === undefined ? [] : [`with wait ${JSON.stringify(wait)}`]),
    ...(where === undefined ? [] : ['that the where function takes']),
  ].join(' ');
}

function valueText(value: unknown): string {
  return inspect(value, { depth: 6, breakLength: Number.POSITIVE_INFINITY, compact: true, maxStringLength: 200 });
}
