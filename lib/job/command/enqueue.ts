import { toError, UserError } from '../../core/errors';
import { deserializeArguments } from '../enqueue/arguments';
import { enqueueJobs } from '../enqueue/enqueue-jobs';
import type { EnqueuedJob } from '../enqueue/request';
import type { JobClass, JobOptions } from '../job-class';
import type { JsonValue } from '../record/json';
import { type Answer, BOTH, type JobCommand } from './command';
import type { Desk } from './desk';
import { onlyOne, timeOf, wrongUsage } from './options';
import { fullMoment } from './time-text';

interface Order {
  readonly name: string;
  readonly args: readonly JsonValue[];
  readonly options: JobOptions;
}

export const ENQUEUE: JobCommand = {
  name: 'enqueue',
  operands: [{ name: 'CLASS' }, { name: 'JSON', optional: true }],
  options: ['queue', 'tag', 'wait', 'at'],
  needs: BOTH,
  help: `enqueue a job, its arguments as a JSON array such as '["ada", 7]'`,
  prepare: ({ operands: [name = '', json = '[]'], options }) => {
    const queue = onlyOne('queue', options.queue);
    const order = { name, args: argumentsOf(json), options: { queue, tags: options.tag, ...timeOf(options) } };
    return (desk) => enqueue(desk, order);
  },
};

/** As `show --json` prints them: dates, models and the like in their tagged form. */
function argumentsOf(json: string): readonly JsonValue[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch (error) {
    throw wrongUsage(`The arguments are no JSON (${toError(error).message}): give an array such as '["ada", 7]'.`);
  }
  if (Array.isArray(parsed)) return parsed as JsonValue[];
  throw wrongUsage(`The arguments are ${json.slice(0, 60)}: give an array, such as '[${json.slice(0, 60)}]'.`);
}

async function enqueue(desk: Desk, { name, args, options }: Order): Promise<Answer> {
  const jobClass = desk.jobClass(name);
  const queue = options.queue ?? jobClass.queue;
  await desk.checkQueues([queue]);
  const job = await attempt(desk, jobClass, args, options);
  const runAt = job.enqueued ? runAtOf(options) : null;
  const served = (await desk.processes.list()).some((process) => process.queues.includes(queue));
  return {
    json: { id: job.id, class: name, queue, enqueued: job.enqueued, reason: job.reason ?? null, run_at: runAt },
    text: job.enqueued
      ? `Enqueued ${name} ${job.id} on ${queue}${runAt === null ? '' : `, to run at ${fullMoment(runAt)}`}.\n`
      : '',
    notes: [...refusalOf(name, job), ...(served ? [] : [`No job processor that is alive serves the queue ${queue}.`])],
    ok: job.enqueued,
  };
}

/** What the app's code makes of it: checks, callbacks and middleware are its own. */
async function attempt(
  { parts: { equipment } }: Desk,
  jobClass: JobClass,
  json: readonly JsonValue[],
  options: JobOptions,
): Promise<EnqueuedJob> {
  try {
    const codec = { serializers: equipment.setup?.serializers, models: equipment.models };
    const args = await deserializeArguments(json, codec);
    const [job] = await enqueueJobs([{ jobClass, args, options }], 'jobs enqueue');
    if (job) return job;
  } catch (thrown) {
    const error = toError(thrown);
    throw Object.assign(new UserError(`It was not enqueued: ${error.message}`), { cause: error });
  }
  throw new Error('the enqueuer gave no answer');
}

function refusalOf(name: string, { id, enqueued, reason }: EnqueuedJob): string[] {
  if (enqueued) return [];
  if (reason === 'duplicate') return [`Not enqueued: ${name} is unique, and job ${id} is on its way.`];
  return [`Not enqueued: the app's own code has cancelled it.`];
}

function runAtOf({ wait, waitUntil }: JobOptions): string | null {
  if (waitUntil) return waitUntil.toISOString();
  return wait === undefined ? null : new Date(Date.now() + Number(wait)).toISOString();
}
