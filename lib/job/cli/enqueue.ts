import { UserError } from '../../core/errors';
import type { JsonValue } from '../../core/execution-context';
import { escapeControls } from '../../support/terminal-text';
import { table } from '../../support/text-table';
import { toError } from '../../support/to-error';
import { cronJson } from '../admin/job-json';
import type { CronAction, CronListing } from '../cron/cron-table';
import { Cron } from '../cron/run-time-cron';
import type { EnqueuedJob, JobClass, JobOptions } from '../definition/job-class';
import { queueFor } from '../definition/options';
import { enqueueJobs } from '../enqueue/enqueue';
import { deserializeArguments } from '../record/argument-decoder';
import {
  type Answer,
  type CommandContext,
  checkQueues,
  findJobClass,
  type JobCommand,
  onlyOne,
  readTime,
  wrongUsage,
} from './command';
import { fullMoment, shortMoment } from './list';

interface Typed {
  readonly name: string;
  readonly args: readonly JsonValue[];
  readonly options: JobOptions;
}

export const ENQUEUE: JobCommand = {
  name: 'enqueue',
  operands: [{ name: 'CLASS' }, { name: 'JSON', optional: true }],
  options: ['queue', 'tag', 'wait', 'expires-in', 'priority'],
  help: `enqueue a job, its arguments as a JSON array such as '["ada", 7]'`,
  prepare: ({ operands: [name = '', json = '[]'], options }) => {
    const queue = onlyOne('queue', options.queue);
    const given = {
      queue,
      tags: options.tag,
      wait: readTime('wait', options.wait),
      expiresIn: readTime('expires-in', options['expires-in']),
      priority: readPriority(options.priority),
    };
    const typed = { name, args: parseArguments(json), options: given };
    return (context) => enqueue(context, typed);
  },
};

/** Its range is checked at the enqueue. @throws UserError. */
function readPriority(given: string | undefined): number | undefined {
  if (given === undefined || /^-?\d{1,9}$/.test(given)) return given === undefined ? undefined : Number(given);
  throw wrongUsage(`--priority is ${JSON.stringify(given)}; give a whole number, such as --priority=-10.`);
}

/** Parses arguments in the form that `show --json` prints: dates, models and others are tagged. */
function parseArguments(json: string): readonly JsonValue[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch (error) {
    throw wrongUsage(`The arguments are not JSON (${toError(error).message}): give an array such as '["ada", 7]'.`);
  }
  if (Array.isArray(parsed)) return parsed as JsonValue[];
  throw wrongUsage(`The arguments are ${json.slice(0, 60)}: give an array, such as '[${json.slice(0, 60)}]'.`);
}

async function enqueue(context: CommandContext, { name, args, options }: Typed): Promise<Answer> {
  const jobClass = findJobClass(context, name);
  const { queue, values } = await refusable(async () => {
    const { setup, models } = context.equipment;
    const values = await deserializeArguments(args, { serializers: setup?.serializers, models });
    return { queue: options.queue ?? queueFor(jobClass, values), values };
  });
  await checkQueues(context, [queue]);
  const job = await refusable(() => attempt(jobClass, values, { ...options, queue }));
  const runAt = job.enqueued ? describeRunAt(options) : null;
  const processes = await context.admin.knownProcesses();
  // Without Redis it is not known.
  const served = processes?.some((process) => process.queues.includes(queue)) ?? true;
  return {
    json: { id: job.id, class: name, queue, enqueued: job.enqueued, reason: job.reason ?? null, run_at: runAt },
    text: job.enqueued
      ? `Enqueued ${name} ${job.id} on ${queue}${runAt === null ? '' : `, to run at ${fullMoment(runAt)}`}.\n`
      : '',
    notes: [...explainResult(name, job), ...(served ? [] : [`No running job processor serves the queue ${queue}.`])],
    ok: job.enqueued,
  };
}

async function attempt(jobClass: JobClass, args: readonly unknown[], options: JobOptions): Promise<EnqueuedJob> {
  const [job] = await enqueueJobs([{ jobClass, args, options }], 'jobs enqueue');
  if (!job) throw new Error('the enqueuer gave no answer');
  return job;
}

/** Runs the app's own checks, callbacks and middleware, whose errors are the user's. */
async function refusable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    const error = toError(thrown);
    throw Object.assign(new UserError(`It was not enqueued: ${error.message}`), { cause: error });
  }
}

function explainResult(name: string, job: EnqueuedJob): string[] {
  if (job.enqueued) return job.replaced ? [`It takes the place of the ${name} that waited.`] : [];
  const { id, reason } = job;
  if (reason === 'duplicate') return [`Not enqueued: ${name} is unique, and job ${id} is on its way.`];
  if (reason === 'throttled') return [`Not enqueued: ${name} is throttled, and one has begun just now.`];
  return [`Not enqueued: the app's own code cancelled it.`];
}

function describeRunAt({ wait }: JobOptions): string | null {
  return wait === undefined ? null : new Date(Date.now() + Number(wait)).toISOString();
}

const NAME = [{ name: 'NAME' }] as const;

const CRON_LIST: JobCommand = {
  name: 'cron list',
  operands: [],
  options: [],
  help: 'recurring jobs: their times, what they missed, whether they are paused',
  prepare: () => async (context) => listing(context, await context.admin.cron.list()),
};

const CRON_UPSERT: JobCommand = {
  name: 'cron upsert',
  operands: [...NAME, { name: 'CLASS' }, { name: 'TIMES' }, { name: 'JSON', optional: true }],
  options: ['time-zone'],
  help: `declare a recurring job at run time, or change it; TIMES such as '0 3 * * *'`,
  prepare: ({ operands: [name = '', className = '', at = '', json = '[]'], options: { 'time-zone': timeZone } }) => {
    const parsed = parseArguments(json);
    return async (context) => {
      const { setup, models } = context.equipment;
      const args = await deserializeArguments(parsed, { serializers: setup?.serializers, models });
      const zone = timeZone !== undefined && { timeZone };
      await Cron.upsert(name, { class: findJobClass(context, className), at, args: args as never, ...zone });
      return { json: { name, class: className }, text: `${name} enqueues ${className} at its times.\n` };
    };
  },
};

interface Change {
  readonly help: string;
  readonly done: string;
}

const CHANGES: Readonly<Record<CronAction, Change>> = {
  trigger: {
    help: 'enqueue a recurring job now, in addition to its times',
    done: 'will be enqueued by a job processor that has its class',
  },
  pause: { help: 'skip the times of a recurring job from now on', done: 'is paused' },
  resume: { help: 'enqueue it at its times again; what the pause skipped is not caught up', done: 'runs at its times' },
  forget: {
    help: 'delete a recurring job that was declared at run time, or whose class is gone',
    done: 'is forgotten; if a class declares it, a job processor that has the class brings it back as new',
  },
};

export const CRON: readonly JobCommand[] = [
  CRON_LIST,
  CRON_UPSERT,
  ...(Object.keys(CHANGES) as CronAction[]).map(
    (action): JobCommand => ({
      name: `cron ${action}`,
      operands: NAME,
      options: [],
      help: CHANGES[action].help,
      prepare:
        ({ operands: [name = ''] }) =>
        async ({ admin: { cron } }) => {
          await cron.act(action, name);
          return { json: { name, action }, text: `${name} ${CHANGES[action].done}.\n` };
        },
    }),
  ),
];

function listing({ terminal }: CommandContext, listed: readonly CronListing[]): Answer {
  const heading = ['name', 'times', 'zone', 'next', 'last', 'missed', 'caught up', 'state'];
  const rows = listed.map((one) => [
    escapeControls(one.name),
    escapeControls(one.spec),
    escapeControls(one.timeZone),
    shortMoment(one.nextTick?.toISOString() ?? null),
    shortMoment(one.lastTick?.toISOString() ?? null),
    String(one.missed),
    String(one.caughtUp),
    one.paused ? 'paused' : one.known ? 'open' : 'unknown to every job processor',
  ]);
  return {
    json: { cron: listed.map(cronJson) },
    text:
      listed.length === 0
        ? 'There are no recurring jobs (a class declares them with `static cron`).\n'
        : `${table([heading, ...rows], terminal.columns).join('\n')}\n`,
  };
}
