import type { MessagePort } from 'node:worker_threads';
import type { Knex } from 'knex';
import type { Events } from '../../core/events';
import { toError } from '../../support/to-error';
import { UnknownJobError } from '../definition/errors';
import type { JobLookup, Performable } from '../definition/job-class';
import { compileOptions } from '../definition/options';
import { deserializeArguments } from '../record/argument-decoder';
import type { ArgumentCodec } from '../record/arguments';
import type { Keyring } from '../record/encryption';
import { carryError, receiveError } from './carried-error';
import { Checkpoint, PostgresCheckpointStore } from './checkpoint';
import { Keeping } from './keeping';
import { attachRun, Run, runInOwnContext } from './run';
import type { FromThread, ThreadEnd, ThreadJob, ToThread } from './threads';

export interface ThreadRunsOptions {
  readonly port: MessagePort;
  readonly registry: JobLookup;
  readonly knex: Knex;
  /** Of the processor, which has claimed the jobs. */
  readonly identity: string;
  readonly events: Events;
  readonly keys: Keyring | undefined;
  readonly codec: ArgumentCodec;
}

/** Performs the jobs that the processor sends to this thread, one at a time. */
export function serveRuns(options: ThreadRunsOptions): void {
  const { port } = options;
  let run: Run | undefined;
  port.on('message', (message: ToThread) => {
    if (message.do === 'abort') return run?.abort(receiveError(message.reason, undefined));
    const begun = begin(options, message.job);
    run = begun;
    void perform(options, message.job, begun).then((end) => {
      run = undefined;
      port.postMessage({ tells: 'end', ...end } satisfies FromThread);
    });
  });
}

function begin({ registry, knex, identity, events, codec, keys: all }: ThreadRunsOptions, job: ThreadJob): Run {
  const { args, claimedAt, encrypts, ...subject } = job;
  const jobClass = registry.get(job.class);
  const rule = jobClass && compileOptions(jobClass).keep;
  const keys = encrypts ? all : undefined;
  const store = new PostgresCheckpointStore(knex, identity);
  const onError = (error: Error) => events.emit('queue.error', { error, during: 'storing the cursor of a job' });
  const run: Run = new Run({
    ...subject,
    keys,
    keeping: rule && new Keeping({ rule, codec, keys }),
    makeCheckpoint: () => new Checkpoint({ run, owner: { id: job.id, claimedAt }, store, onError }),
  });
  return run;
}

/** Never rejects. */
async function perform({ registry, codec }: ThreadRunsOptions, job: ThreadJob, run: Run): Promise<ThreadEnd> {
  let end: Partial<ThreadEnd>;
  try {
    const jobClass = registry.get(job.class);
    if (!jobClass) throw new UnknownJobError(`there is no job class ${job.class} in this app`);
    const instance: Performable = new jobClass();
    attachRun(instance, run);
    run.args = await deserializeArguments(job.args, codec);
    const value = await runInOwnContext(run, () => instance.perform(...(run.args as never[])));
    const finished = run.isCommitted ? undefined : run.keeping?.finished(run, value);
    end = { finished, lost: run.keeping?.lost };
  } catch (thrown) {
    end = { error: carryError(toError(thrown)), isReason: thrown === run.abortReason };
    await run.openCheckpoint?.flush();
  }
  run.openCheckpoint?.close();
  const { isCommitted, watchesSignal } = run;
  return { ...end, isCommitted, watchesSignal };
}
