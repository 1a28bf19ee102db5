import type { MessagePort } from 'node:worker_threads';
import type { Knex } from 'knex';
import type { Events } from '../../core/events';
import { toError } from '../../support/to-error';
import type { JobLookup, Performable } from '../definition/job-class';
import { compileOptions } from '../definition/options';
import { deserializeArguments } from '../record/argument-decoder';
import type { ArgumentCodec } from '../record/arguments';
import type { Keyring } from '../record/encryption';
import { carryError, receiveError } from './carried-error';
import { Checkpoint, PostgresCheckpointStore } from './checkpoint';
import { beginRun, JobExecution } from './job-execution';
import { restorePersisted } from './persisted';
import { attachRun, type Run, runInOwnContext } from './run';
import type { FromThread, ThreadEnd, ToThread } from './threads';

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
  const { port, registry, knex, identity, events, codec, keys } = options;
  const store = new PostgresCheckpointStore(knex, identity);
  const onError = (error: Error) => events.emit('queue.error', { error, during: 'storing the cursor of a job' });
  let run: Run;
  port.on('message', (message: ToThread) => {
    if (message.do === 'abort') return run.abort(receiveError(message.reason, undefined));
    const job = new JobExecution(message.delivery);
    job.read();
    job.jobClass = registry.get(job.class);
    job.decrypt(keys);
    const makeCheckpoint = (): Checkpoint => new Checkpoint({ run: begun, owner: job.delivery, store, onError });
    const begun = beginRun(job, { codec, keys }, makeCheckpoint);
    run = begun;
    void perform(job, run, codec).then((end) => port.postMessage({ tells: 'end', ...end } satisfies FromThread));
  });
}

/** Never rejects. */
async function perform(job: JobExecution, run: Run, codec: ArgumentCodec): Promise<ThreadEnd> {
  let end: Partial<ThreadEnd>;
  try {
    const instance: Performable = new (job.requireClass())();
    attachRun(instance, run);
    const { persisted } = compileOptions(job.requireClass());
    if (persisted) await restorePersisted(instance, persisted, run, codec);
    run.args = await deserializeArguments(job.payload.args, codec);
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
