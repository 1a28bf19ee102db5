import type { Delivery } from '../adapter/fused-call';
import type { JobClass, Performable } from '../job-class';
import { type Payload, type RoadTraces, readPayload, roadTraces } from '../record/payload';
import { readyAt } from '../record/ready-at';
import { type JobRecord, readRecord } from '../record/record';
import type { Run } from './run';

const NO_RECORD: JobRecord = { data: null, options: {}, status: 'created', progress: 0 };
/** Of a record that cannot be read: nothing. */
const NO_PAYLOAD: Payload = { v: 1, class: 'unreadable', args: [], attrs: {}, enqueuedAt: 0 };

/** A delivered job, and what is known of it by the time something comes of it. */
export class DeliveredJob {
  record = NO_RECORD;
  payload = NO_PAYLOAD;
  /** undefined: it could not be read, or this app has no such class. */
  jobClass: JobClass | undefined;
  run: Run | undefined;
  /** The instance that runs it. */
  instance: Performable | undefined;
  /** Its `afterDiscard` may have ended a process already: it is not called any more. */
  callbackIsSpared = false;
  /** `run.args` are what `perform` takes. */
  argsAreRead = false;

  constructor(readonly delivery: Delivery) {}

  /** @throws UnreadableJobError; Error when a newer version wrote it. */
  read(): void {
    this.record = readRecord(this.delivery.record);
    this.payload = readPayload(this.record.data);
  }

  get id(): string {
    return this.delivery.id;
  }

  get queue(): string {
    return this.delivery.queue;
  }

  get class(): string {
    return this.payload.class;
  }

  /** 1 for the first run. */
  get attempt(): number {
    return (Number(this.record.options.attempts) || 0) + 1;
  }

  /** The record as it came: the app's code is given parts of `record` and `payload`, and may change them in place. */
  recordAsDelivered(): JobRecord {
    return this.hasRecord ? readRecord(this.delivery.record) : NO_RECORD;
  }

  /** The arguments as they came, likewise. */
  argsAsDelivered(): Payload['args'] {
    return this.payload === NO_PAYLOAD ? NO_PAYLOAD.args : readPayload(this.recordAsDelivered().data).args;
  }

  /** How long it has waited since it could have run, ms. */
  waitedMs(now = Date.now()): number {
    return Math.max(0, now - (readyAt(this.record.options) ?? now));
  }

  /** false: its text is no record at all, and stays as it is. */
  get hasRecord(): boolean {
    return this.record !== NO_RECORD;
  }

  /** What its end leaves behind. */
  get traces(): RoadTraces {
    return roadTraces(this.payload === NO_PAYLOAD ? undefined : this.payload);
  }

  /** Whether a cursor or progress may be beside it, as far as this run and the record can tell. */
  get mayBeNoted(): boolean {
    return this.run?.notesInUse !== undefined || this.record.options.noted === true || this.delivery.deliveries > 1;
  }
}
