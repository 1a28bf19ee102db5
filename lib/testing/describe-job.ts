import { inspect } from 'node:util';
import { isMailJob } from '../mailer/deliver-mail-job';
import { formatDuration } from '../support/duration';
import type { LoggedJob } from './job-log';
import type { EnqueuedMatch } from './job-match';
import { readable, toTestJob } from './test-job';
import type { TestDependencies } from './use-jobs';

const MAX_LISTED = 20;
const ENDS: Readonly<Partial<Record<LoggedJob['state'], string>>> = {
  pending: 'in a transaction that has not committed',
  performing: 'running',
  discarded: 'discarded',
  dead: 'dead',
  failed: 'failed',
  cancelled: 'cancelled',
  expired: 'expired',
};

/** Example: `WelcomeEmailJob('7') on mailer, run 2 times: discarded (Error: gone)`. */
function describeJob(entry: LoggedJob, { codec, redactor }: TestDependencies): string {
  const { at, runs } = toTestJob(entry, codec);
  const { name, queue, jobClass, encrypt } = entry.request;
  const shown = encrypt ? undefined : redactor.show(jobClass, entry.args);
  const waits = entry.state === 'enqueued' || entry.state === 'pending';
  const { runAt } = entry.request;
  const what =
    describeMail(entry, shown) ?? `${name}(${shown ? readable(shown, codec).map(valueText).join(', ') : '…'})`;
  const facts = [
    `${what} on ${queue}`,
    ...(at && waits ? [`at ${at.toISOString()}`] : []),
    ...(runAt && 'inMs' in runAt && waits ? [`with wait ${formatDuration(runAt.inMs)}`] : []),
    ...(runs > 1 ? [`run ${runs} times`] : []),
  ];
  const end = ENDS[entry.state];
  const error = entry.error && ` (${entry.error.name}: ${entry.error.message})`;
  return `${facts.join(', ')}${end ? `: ${end}` : ''}${error ?? ''}`;
}

/** Example: ` with params { tenant: 'acme' }`; empty if there are none. */
export function paramsText(params: unknown): string {
  if (typeof params !== 'object' || params === null || Object.keys(params).length === 0) return '';
  return ` with params ${valueText(params)}`;
}

/** A mail for later, as the code that enqueued it wrote it: `the mail UserMailer.welcome('ada@example.com')`. */
function describeMail({ request }: LoggedJob, shown: readonly unknown[] | undefined): string | undefined {
  const [mail] = shown ?? [];
  if (!isMailJob(request.jobClass) || typeof mail !== 'object' || mail === null) return undefined;
  const { mailer, action, args, params } = mail as Record<string, unknown>;
  const values = Array.isArray(args) ? args.map(valueText).join(', ') : '';
  return `the mail ${mailer}.${action}(${values})${paramsText(params)}`;
}

/** Lists jobs below a heading, one per line, or says that there are none. */
export function listJobs(heading: string, entries: readonly LoggedJob[], dependencies: TestDependencies): string {
  if (entries.length === 0) return `${heading}: none`;
  const lines = entries.slice(0, MAX_LISTED).map((entry) => `  ${describeJob(entry, dependencies)}`);
  if (entries.length > MAX_LISTED) lines.push(`  and ${entries.length - MAX_LISTED} more`);
  return [`${heading}:`, ...lines].join('\n');
}

/** Describes the jobs that a match selects: `WelcomeEmailJob('7') on mailer at …`. */
export function describeMatch(
  name: string,
  {
    args,
    queue,
    at,
    wait,
    where,
  }: Pick<EnqueuedMatch, 'queue' | 'at' | 'wait'> & {
    readonly args?: readonly unknown[];
    readonly where?: unknown;
  },
): string {
  return [
    args === undefined ? name : `${name}(${args.map(valueText).join(', ')})`,
    ...(queue === undefined ? [] : [`on ${queue}`]),
    ...(at === undefined ? [] : [at === null ? 'to run at once' : `at ${at.toISOString()}`]),
    ...(wait === undefined ? [] : [`with wait ${JSON.stringify(wait)}`]),
    ...(where === undefined ? [] : ['that the where function accepts']),
  ].join(' ');
}

function valueText(value: unknown): string {
  return inspect(value, { depth: 6, breakLength: Number.POSITIVE_INFINITY, compact: true, maxStringLength: 200 });
}
