import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { JsonValue } from '../../core/execution-context';
import { currentTransaction } from '../../model/transaction';
import { withTimeout } from '../../support/deadline';
import { toError } from '../../support/to-error';
import { JobTakenError, Snooze } from '../definition/errors';
import { deserializeArguments } from '../record/argument-decoder';
import { serializeArguments } from '../record/arguments';
import { type FinishedJob, insertFinished } from '../row/finished';
import type { Run } from './run';
import { PERSISTED, type StepStore, Steps, type StoredStep, type StoredSteps } from './steps';

/** Minimum interval between two writes to Postgres for one run, ms. */
const WRITE_MS = 250;
/** Interval at which a loop without input or output yields to timers and signals, ms. */
const TURN_MS = 20;

/** Rejects models in a cursor, which should hold their ids. */
const NO_MODELS = { models: { get: () => undefined, place: 'a cursor' } };

/** The position that a job has reached: JSON, dates and bigints. */
export type Cursor = JsonValue | Date | bigint | readonly Cursor[] | { readonly [key: string]: Cursor };

export interface CheckpointOptions {
  readonly run: Run;
  readonly owner: CheckpointOwner;
  /** undefined: a job without a row, whose values are kept here. */
  readonly store: CheckpointStore | undefined;
  /** After this time `save` ends the run, so that other jobs get its slot. */
  readonly maxRuntimeMs?: number | undefined;
  /** Called for the first failure in a row only. */
  readonly onError: (error: Error) => void;
}

/** Cursor and progress of one run. Values that come faster than they may be written wait here; the latest wins. */
export class Checkpoint {
  readonly steps: Steps;
  /** Encodes the `persisted` fields of the job; written whenever something is, and at each `flush`. */
  persisted: (() => StoredStep) | undefined;
  private latest: string | undefined;
  /** Steps, and null for the job itself, whose cursors are claimed. */
  private readonly claimed = new Set<string | null>();
  private pending: CheckpointData = {};
  private writing: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private wroteAt = Number.NEGATIVE_INFINITY;
  private turnedAt = performance.now();
  private failing = false;
  private closed = false;

  constructor(private readonly options: CheckpointOptions) {
    this.steps = new Steps(options);
  }

  /**
   * @param isNow true: it is written before this resolves.
   * @throws TypeError for an invalid cursor; the reason when the run is aborted, and a Snooze when it has run for its
   * `maxRuntime`, after the cursor was stored.
   */
  async save(cursor: Cursor, isNow = false): Promise<void> {
    const [encoded] = serializeArguments(`${this.options.run.class}.checkpoint`, [cursor], NO_MODELS);
    const text = JSON.stringify(encoded);
    const step = this.steps.within('checkpoint');
    if (step === undefined) {
      this.latest = text;
      await this.note({ cursor: text });
    } else {
      this.steps.noteCursor(step, text);
      await this.note({ steps: { [step]: { cursor: text } } });
    }
    const { run, store, maxRuntimeMs = Number.POSITIVE_INFINITY } = this.options;
    const isLong = store !== undefined && run.durationMs >= maxRuntimeMs;
    if (isNow || isLong || run.abortReason) await this.flush();
    if (run.abortReason) throw run.abortReason;
    // The next run would repeat what is not stored.
    if (isLong && Object.keys(this.pending).length === 0) throw new Snooze(0);
  }

  /** @throws TypeError for a value that is not JSON. */
  async progress(value: JsonValue): Promise<void> {
    serializeArguments(`${this.options.run.class}.progress`, [value], NO_MODELS);
    await this.note({ progress: JSON.stringify(value) });
  }

  /** @returns the latest cursor of this run or an earlier one, of the step that calls it if any. @throws errors of Postgres. */
  async cursor(): Promise<unknown> {
    const step = this.steps.within('resumeFrom');
    const text = await (step === undefined ? this.cursorText() : this.steps.cursorText(step));
    if (text === undefined) return undefined;
    const [cursor] = await deserializeArguments([JSON.parse(text) as JsonValue], NO_MODELS);
    return cursor;
  }

  /** @throws TypeError if the cursor that is meant here, of a step or of the job, was claimed before in this run. */
  claimCursor(caller: string): void {
    const step = this.steps.within(caller) ?? null;
    if (this.claimed.has(step))
      throw new TypeError(
        `${this.options.run.class}.${caller} was called twice in ${step === null ? 'one run' : `the step ${step}`}: give each a step of its own`,
      );
    this.claimed.add(step);
  }

  private async cursorText(): Promise<string | undefined> {
    const { store, owner } = this.options;
    return this.latest ?? (await store?.readCursor(owner));
  }

  /** Stores the pending values. Never rejects. */
  async flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    while (this.writing) await this.writing;
    this.notePersisted();
    if (Object.keys(this.pending).length === 0) return;
    this.writing = this.write();
    await this.writing;
    this.writing = undefined;
  }

  /** Stops the timer: nothing is written after this. */
  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
  }

  private async note(notes: CheckpointData): Promise<void> {
    this.pending = merge(this.pending, notes);
    const now = performance.now();
    const due = this.wroteAt + WRITE_MS - now;
    if (due <= 0 && !this.writing) {
      await this.flush();
      this.turnedAt = performance.now();
      return;
    }
    if (!this.closed) this.timer ??= setTimeout(() => void this.flush(), Math.max(due, 0));
    if (now - this.turnedAt < TURN_MS) return;
    await nextTurn();
    this.turnedAt = performance.now();
  }

  private notePersisted(): void {
    try {
      const stored = this.persisted?.();
      if (stored) this.pending = merge(this.pending, { steps: { [PERSISTED]: stored } });
    } catch (thrown) {
      this.options.onError(toError(thrown));
    }
  }

  private async write(): Promise<void> {
    const { store, owner, run, onError } = this.options;
    // Its row has gone.
    if (run.isCommitted) return;
    const notes = this.pending;
    this.pending = {};
    this.wroteAt = performance.now();
    try {
      const kept = await store?.write(owner, notes);
      this.failing = false;
      if (kept === 'taken' && !run.isCommitted)
        run.abort(new JobTakenError(`${run.class} was given to another process meanwhile`));
    } catch (thrown) {
      // The next write includes it, unless there is a newer value by then.
      this.pending = merge(notes, this.pending);
      if (!this.failing) onError(toError(thrown));
      this.failing = true;
    }
  }
}

/** Data that a run stores for its successors and for operators, as JSON texts. */
export interface CheckpointData {
  readonly cursor?: string;
  readonly progress?: string;
  /** Cursors of steps, which change nothing in steps that are done, and `persisted` fields. */
  readonly steps?: StoredSteps;
}

function merge(older: CheckpointData, newer: CheckpointData): CheckpointData {
  const both = { ...older, ...newer };
  return older.steps && newer.steps ? { ...both, steps: { ...older.steps, ...newer.steps } } : both;
}

/** Identifies one delivery of a job. */
export interface CheckpointOwner {
  readonly id: string;
  readonly claimedAt: string;
}

/** taken: another process has the job. */
export type Kept = 'kept' | 'taken';

export interface CheckpointStore extends StepStore {
  write(owner: CheckpointOwner, notes: CheckpointData): Promise<Kept>;
  readCursor(owner: Pick<CheckpointOwner, 'id'>): Promise<string | undefined>;
}

/** SQL: the cursors of steps, added to the steps of the row, except to those that are done: a late write must not undo them. */
const MERGED_STEPS = `coalesce(coalesce(steps, '{}') || (
  select jsonb_object_agg(key, value) from jsonb_each(?::jsonb) where steps -> key -> 'at' is null), steps)`;

/** SQL: the row is that of this delivery. */
const FENCE = 'id = ?::uuid and claimed_by = ? and claimed_at = ?::timestamptz';

/** Timeout of one write, ms. It is shorter than the time that a stop leaves a job to react to its signal. */
const ANSWER_MS = 250;

/** Stores in the row of the job, which takes both along when it dies. */
export class PostgresCheckpointStore implements CheckpointStore {
  /**
   * @param identity of the processor that has claimed the job.
   * @param answerMs timeout of one write, after which the job goes on without it.
   */
  constructor(
    private readonly knex: Knex,
    private readonly identity: string,
    private readonly answerMs = ANSWER_MS,
  ) {}

  /** Only the delivery that has the job may write: one that stalled must not overwrite the data of its successor. */
  async write({ id, claimedAt }: CheckpointOwner, { cursor, progress, steps }: CheckpointData): Promise<Kept> {
    const written = this.knex.raw<{ rowCount: number }>(
      `update ${TABLES.jobs} set cursor = coalesce(?::json, cursor), progress = coalesce(?::json, progress)
       ${steps ? `, steps = ${MERGED_STEPS}` : ''} where ${FENCE}`,
      [
        cursor ?? null,
        progress ?? null,
        ...(steps ? [JSON.stringify(steps)] : []),
        id,
        this.identity,
        claimedAt,
      ] as Knex.RawBinding[],
    );
    const late = () => new Error(`Postgres did not answer within ${this.answerMs} ms`);
    const { rowCount } = await withTimeout(Promise.resolve(written), this.answerMs, late);
    return rowCount > 0 ? 'kept' : 'taken';
  }

  async readCursor({ id }: Pick<CheckpointOwner, 'id'>): Promise<string | undefined> {
    const { rows } = await this.knex.raw<{ rows: { readonly cursor: string | null }[] }>(
      `select cursor::text from ${TABLES.jobs} where id = ?::uuid`,
      [id],
    );
    return rows[0]?.cursor ?? undefined;
  }

  async readSteps({ id }: CheckpointOwner): Promise<StoredSteps> {
    const { rows } = await this.db.raw<{ rows: { readonly steps: StoredSteps | null }[] }>(
      `select steps from ${TABLES.jobs} where id = ?::uuid`,
      [id],
    );
    return rows[0]?.steps ?? {};
  }

  finishStep(owner: CheckpointOwner, name: string, step: StoredStep): Promise<Kept> {
    const text = JSON.stringify({ [name]: step });
    return this.fenced(owner, `update ${TABLES.jobs} set steps = coalesce(steps, '{}') || ?::jsonb`, [text]);
  }

  async deleteJob(owner: CheckpointOwner, finished: FinishedJob | undefined): Promise<Kept> {
    if (!finished) return this.fenced(owner, `delete from ${TABLES.jobs}`, []);
    const deletion = {
      sql: `delete from ${TABLES.jobs} where ${FENCE} returning *`,
      values: [owner.id, this.identity, owner.claimedAt],
    };
    return (await insertFinished(this.db, [finished], deletion)).length > 0 ? 'kept' : 'taken';
  }

  /** A step belongs to the transaction that it runs in. */
  private get db(): Knex {
    return currentTransaction() ?? this.knex;
  }

  private async fenced({ id, claimedAt }: CheckpointOwner, change: string, values: readonly string[]): Promise<Kept> {
    const { rowCount } = await this.db.raw<{ rowCount: number }>(`${change} where ${FENCE}`, [
      ...values,
      id,
      this.identity,
      claimedAt,
    ]);
    return rowCount > 0 ? 'kept' : 'taken';
  }
}
