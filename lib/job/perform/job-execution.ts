import { UnknownJobError } from '../definition/errors';
import type { JobClass, Performable } from '../definition/job-class';
import type { Digests } from '../definition/limits';
import { compileOptions } from '../definition/options';
import type { ArgumentCodec } from '../record/arguments';
import { type Keyring, readArguments } from '../record/encryption';
import { type JobHistory, readHistory } from '../record/history';
import { type Payload, parsePayload } from '../record/payload';
import type { Delivery } from '../row/job-row';
import type { Checkpoint } from './checkpoint';
import { Keeping } from './keeping';
import { Run } from './run';

/** Stands for a payload that cannot be read. */
const NO_PAYLOAD: Payload = { v: 1, class: 'unreadable', args: [], attrs: {}, enqueuedAt: 0 };

const NO_TAGS: readonly string[] = [];

/** A delivered job, with everything that is known of it at the time of its outcome. */
export class JobExecution {
  readonly id = this.delivery.id;
  readonly queue = this.delivery.queue;
  /** 1 for the first run. */
  readonly attempt = this.delivery.attempts + 1;
  payload = NO_PAYLOAD;
  /** JSON of the arguments, if they are encrypted. */
  private decrypted: string | undefined;
  /** Stands in for the keys of a job whose arguments are encrypted. */
  digests: Digests | undefined;
  /** undefined if the payload could not be read, or this app has no such class. */
  jobClass: JobClass | undefined;
  run: Run | undefined;
  /** The instance that runs the job. */
  instance: Performable | undefined;
  /** true if its `afterDiscard` has been called, or may have killed a process before, so that it is not called again. */
  skipsCallback = false;
  /** true once a handler of `rescueFrom` has been called: no other is. */
  wasRescued = false;
  /** true once `run.args` holds the deserialized arguments. */
  argsAreRead = false;

  constructor(readonly delivery: Delivery) {}

  /** @throws UnreadableJobError; NewerFormatError. */
  read(): void {
    this.payload = parsePayload(this.delivery.payload);
  }

  /** Decrypts the arguments, if they are encrypted. @throws MissingKeyError; UnreadableJobError. */
  decrypt(keys: Keyring | undefined): void {
    if (this.payload.encrypted === undefined) return;
    this.digests = keys;
    const args = readArguments(this.payload, this.id, keys);
    this.decrypted = JSON.stringify(args);
    this.payload = { ...this.payload, args };
  }

  /** true: its arguments are encrypted, and could not be decrypted. */
  get isUndecrypted(): boolean {
    return this.payload.encrypted !== undefined && this.decrypted === undefined;
  }

  /** @throws UnknownJobError if this app has no such class. */
  requireClass(): JobClass {
    if (!this.jobClass) throw new UnknownJobError(`there is no job class ${this.class} in this app`);
    return this.jobClass;
  }

  get class(): string {
    return this.payload.class;
  }

  /** The key whose jobs run in order; undefined for other jobs. */
  get inOrderOf(): string | undefined {
    const isInOrder = this.jobClass && compileOptions(this.jobClass).unique?.isInOrder;
    return isInOrder ? (this.delivery.limitKey ?? undefined) : undefined;
  }

  /** What became of its earlier runs. */
  get history(): JobHistory {
    return readHistory(this.delivery.history);
  }

  /** The arguments as delivered: the app's code gets parts of `payload`, and may have modified them. */
  argsAsDelivered(): Payload['args'] {
    if (this.decrypted !== undefined) return JSON.parse(this.decrypted) as Payload['args'];
    return this.payload === NO_PAYLOAD ? NO_PAYLOAD.args : parsePayload(this.delivery.payload).args;
  }

  /** How long it could wait for its first run, if that time was over at its claim, by the clock of Postgres, ms. */
  get expiredAfterMs(): number | undefined {
    const { expiresInMs } = this.payload;
    if (expiresInMs === undefined) return undefined;
    const { attempts, deliveries, claimedAt, readyAt } = this.delivery;
    if (attempts > 0 || deliveries > 1 || this.history.begun) return undefined;
    // Postgres writes an offset as `+00`. In tests there is no claim.
    const now = claimedAt === '' ? Date.now() : Date.parse(claimedAt.replace(/([+-]\d\d)$/, '$1:00'));
    return now - readyAt > expiresInMs ? expiresInMs : undefined;
  }

  /** Time since the job could have run, ms. */
  waitedMs(now = Date.now()): number {
    return Math.max(0, now - this.delivery.readyAt);
  }
}

/** Begins the run of a job whose payload has been read. */
export function beginRun(
  { delivery, payload, jobClass, attempt }: JobExecution,
  { codec = {}, keys: all }: { readonly codec?: ArgumentCodec | undefined; readonly keys?: Keyring | undefined },
  makeCheckpoint: () => Checkpoint,
): Run {
  const { encrypt, keep: rule } = jobClass ? compileOptions(jobClass) : { encrypt: false, keep: undefined };
  const keys = encrypt || payload.encrypted !== undefined ? all : undefined;
  return new Run({
    id: delivery.id,
    queue: delivery.queue,
    class: payload.class,
    attempt,
    deliveries: delivery.deliveries,
    tags: payload.tags ?? NO_TAGS,
    enqueuedAtMs: payload.enqueuedAt,
    carried: payload.attrs,
    batchId: payload.batch,
    makeCheckpoint,
    keys,
    keeping: rule && new Keeping({ rule, codec, keys }),
  });
}
