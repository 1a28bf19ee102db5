import { lostWelcomes } from '../process/lost-welcomes';
import type { LoggedJob } from '../process/mail-ledger';
import { until } from '../support/until';
import { checkNotes, isOfNote, mailsByName } from './note-balance';
import { asOperator, type Environment, type Incident, type Operator, type StoresOfScene } from './scene/environment';

export interface Balance {
  /** One sentence per broken promise; empty when the run lost nothing. */
  readonly losses: readonly string[];
  readonly signedUp: number;
  readonly mails: number;
  /** Mails that one job sends to one reader, distinguished by their arguments. */
  readonly notes: number;
  readonly noteMails: number;
  readonly tasks: number;
  readonly ticks: number;
  /** Runs of jobs after their first one. */
  readonly ranAgain: number;
  readonly duplicates: readonly Duplicate[];
}

/** The promises, and the servers and files that show their outcomes. */
export type Scene = Pick<Environment, 'ledger' | 'mails' | 'incidents' | 'jobLedger' | 'postgres'> &
  StoresOfScene & { readonly platform: Pick<Environment['platform'], 'gaveUp'> };

/** Waits until every job has ended, then compares what clients were promised with what happened. */
export async function balance(environment: Scene): Promise<Balance> {
  const { ledger, mails, incidents } = environment;
  const { dead, left } = await settle(environment);
  const welcomes = mails.entries.filter((mail) => !isOfNote(mail));
  const users = await lostWelcomes((sql) => environment.postgres.administer(sql), {
    accepted: ledger.users.map(({ email }) => email),
    unsure: ledger.unsure,
    received: new Set(welcomes.map(({ to }) => to)),
  });
  const notes = await checkNotes(environment);
  const tasks = checkTasks(environment);
  const effects = await checkEffects(environment);
  const ticks = [...environment.jobLedger.ticks().keys()];
  const duplicates = duplicatesOf(mailsByName(mails.entries), incidents);
  return {
    losses: [
      ...ledger.broken,
      ...environment.platform.gaveUp,
      ...(left === '' ? [] : [`unfinished after three minutes: ${left}`]),
      ...dead.map((job) => `dead: ${job}`),
      ...users,
      ...notes.losses,
      ...tasks.losses,
      ...effects,
      ...(await checkKept(environment)),
      ...(await checkBatches(environment)),
      ...missedTicks(ticks),
      ...duplicates
        .filter(({ reason }) => !reason)
        .map(
          ({ to, at }) => `${to} got a mail twice, at ${at.map(Math.round).join(' and ')} ms, and nothing explains it`,
        ),
    ],
    signedUp: ledger.users.length,
    mails: welcomes.length,
    notes: notes.count,
    noteMails: mails.entries.length - welcomes.length,
    tasks: ledger.tasks.length,
    ticks: ticks.length,
    ranAgain: tasks.ranAgain + ranAgain(environment.jobLedger.ticks()),
    duplicates,
  };
}

function checkTasks({ ledger, jobLedger }: Scene) {
  const done = jobLedger.tasks();
  const known = new Set([...ledger.tasks.map(({ id }) => id), ...ledger.unsureTasks]);
  const undone = ledger.tasks.filter(({ id, promised }) => promised === 'a run' && !done.has(id));
  return {
    ranAgain: ranAgain(done),
    losses: [
      ...undone.map(({ id, kind }) => `job ${id} (${kind}) never ran`),
      ...ledger.tasks
        .filter(({ id, promised }) => promised === 'no run' && done.has(id))
        .map(({ id, kind }) => `job ${id} (${kind}) ran, although it was taken back`),
      ...[...done.keys()].filter((id) => !known.has(id)).map((id) => `job ${id} ran, but was never enqueued`),
      ...[...jobLedger.checkpoints()].flatMap(([id, steps]) => skippedSteps(id, steps)),
    ],
  };
}

/** The writes of steps and commits are made once, and all or none of them. */
async function checkEffects({ ledger, postgres }: Scene): Promise<string[]> {
  const rows = await postgres.administer<{ task: number; names: string }>(
    `select task, string_agg(name, ' ' order by name) as names from effects group by task`,
  );
  const made = new Map(rows.map(({ task, names }) => [task, names]));
  return [
    ...rows
      .filter(({ names }) => names !== EFFECTS)
      .map(({ task, names }) => `the effects of job ${task} are: ${names}`),
    ...ledger.tasks
      .filter(({ id, kind }) => kind === 'stepped' && !made.has(id))
      .map(({ id }) => `job ${id} (stepped) has no effects`),
  ];
}

/** Each kept job stays once, with its result. */
async function checkKept({ ledger, postgres }: Scene): Promise<string[]> {
  const rows = await postgres.administer<{ task: number; result: string | null }>(
    `select (payload -> 'args' ->> 0)::int as task, ending::json ->> 'result' as result from job_finished where class = 'KeptJob'`,
  );
  const results = new Map(rows.map(({ task, result }) => [task, result]));
  return ledger.tasks
    .filter(({ id, kind }) => kind === 'kept' && results.get(id) !== String(id))
    .map(({ id }) => `job ${id} (kept) is not there with its result, but ${results.get(id)}`);
}

/** Each batch ends well, and none is left open. */
async function checkBatches({ postgres }: Scene): Promise<string[]> {
  const rows = await postgres.administer<{ id: string; outcome: string | null }>(
    `select id, outcome from job_batches where outcome is distinct from 'succeeded'`,
  );
  return rows.map(({ id, outcome }) => `the batch ${id} has not succeeded: ${outcome}`);
}

/** A step may repeat when a process dies right after it, but none may be skipped. */
function skippedSteps(id: number, steps: readonly number[]): string[] {
  const leaps = steps.filter((step, index) => step > (steps[index - 1] ?? -1) + 1);
  return leaps.length > 0 ? [`job ${id} skipped a step: ${steps.join(' ')}`] : [];
}

/** The recurring job must have a tick every 2 s from the first to the last. */
function missedTicks(ticks: readonly string[]): string[] {
  const times = ticks.map((tick) => Date.parse(tick)).sort((a, b) => a - b);
  return times.flatMap((time, index) => {
    const before = times[index - 1] ?? time - 2000;
    return time - before > 2000
      ? [`no tick between ${new Date(before).toISOString()} and ${new Date(time).toISOString()}`]
      : [];
  });
}

function ranAgain(counts: ReadonlyMap<unknown, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count - 1, 0);
}

/** A mail accepted within this time before its processor's death may not have been recorded yet, ms. */
const UNRECORDED_MS = 3000;
/** Tolerance, ms: a mail is logged before the reply is sent, and a kill after it happened. */
const CLOCK_MS = 10;

export interface Duplicate {
  readonly to: string;
  /** Times at which the server accepted the two, as `performance.now()`, like the times of injections. */
  readonly at: readonly [number, number];
  /** The incident that explains it; undefined when there is none, which counts as a loss. */
  readonly reason: string | undefined;
}

/**
 * Mails that arrived more than once. SMTP cannot rule that out: the server accepts a mail and its sender dies before
 * it has recorded that, or the reply is lost.
 */
export function duplicatesOf(
  mails: ReadonlyMap<string, readonly LoggedJob[]>,
  incidents: readonly Incident[],
): Duplicate[] {
  return [...mails].flatMap(([to, got]) =>
    got.slice(1).map((second, index) => {
      const first = got[index] ?? second;
      const reason = first.messageId === second.messageId ? explained(first, second, incidents) : undefined;
      return { to, at: [first.at, second.at], reason };
    }),
  );
}

function explained(first: LoggedJob, second: LoggedJob, incidents: readonly Incident[]): string | undefined {
  const between = incidents.filter(({ at }) => at > first.at - CLOCK_MS && at < second.at);
  if (between.some(({ kind, at }) => kind === 'processor died' && at - first.at < UNRECORDED_MS)) {
    return 'the job processor was killed between the acceptance and its record';
  }
  // This incident is recorded at its beginning and at its end.
  return between.some(({ kind }) => kind === 'answer of SMTP lost')
    ? 'the reply with the acceptance was lost'
    : undefined;
}

/** The effects of each job of SteppedJob. */
const EFFECTS = 'booked paid';
const SETTLE_MS = 180_000;

export interface Settled {
  /** Dead jobs: there should be none. */
  readonly dead: readonly string[];
  /** Unfinished jobs after SETTLE_MS, in words; empty when all have ended. */
  readonly left: string;
}

/**
 * Waits until every job has ended. It retries failed jobs at once, as an operator does after an outage: with backoff the
 * first retry would come after some 20 s and the fourth after two minutes.
 */
export function settle(environment: StoresOfScene): Promise<Settled> {
  return asOperator(environment, async (operator) => {
    const { admin } = operator;
    const done = async () => {
      await admin.act('retry', 'retry', { filter: {} });
      return (await leftOver(operator)) === '';
    };
    const ended = until('every job has ended', done, { timeoutMs: SETTLE_MS, everyMs: 500 });
    const left = await ended.then(
      () => '',
      () => leftOver(operator),
    );
    const { entries } = await (await admin.set('dead')).page({ limit: 500 });
    return { left, dead: entries.map(({ id, class: name, reason }) => `${name} ${id}: ${reason}`) };
  });
}

/** @returns the unfinished jobs in words. A tick comes every 2 s, so one job in the queues does not count. */
async function leftOver({ admin, knex }: Operator): Promise<string> {
  const rows = await knex('job_queue').whereNot('class', 'TickJob').count<{ count: string }[]>();
  const { retry, scheduled } = await admin.sizes();
  const counts = {
    'jobs, ticks apart': Number(rows[0]?.count ?? 0),
    'jobs to be retried': retry,
    'jobs that are scheduled': scheduled,
  };
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${count} ${what}`)
    .join(', ');
}
