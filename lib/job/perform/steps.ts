import { AsyncLocalStorage } from 'node:async_hooks';
import type { Knex } from 'knex';
import { currentTransaction, transaction } from '../../model/transaction';
import { JobTakenError } from '../definition/errors';
import type { ArgumentCodec } from '../record/arguments';
import { decodeResult, encodeResult, type ResultOwner, type StoredResult } from '../record/ending';
import type { FinishedJob } from '../row/finished';
import type { CheckpointOptions, CheckpointOwner, Kept } from './checkpoint';
import type { Run } from './run';

/** How a step runs. */
export interface StepOptions {
  /** true: the step runs in a transaction, which also stores that it is done. So its writes are made once. Default false. */
  readonly transaction?: boolean;
}

/** What a transaction does. Queries of models join it by themselves; others are made on `trx`. */
export type TransactionWork<T> = (trx: Knex.Transaction) => T;

/** A step, as the job's row has it. Results and cursors are texts, since jsonb would sort their keys. */
export type StoredStep = DoneStep | { readonly cursor: string } | { readonly persisted: StoredResult };

interface DoneStep extends StoredResult {
  /** ms since 1970. */
  readonly at: number;
}

/** The name under which a job's `persisted` fields are stored: no step has it. */
export const PERSISTED = '';

/** Steps by name. */
export type StoredSteps = Readonly<Record<string, StoredStep>>;

/** Keeps the steps of jobs. What it does is part of the current transaction, if there is one. */
export interface StepStore {
  readSteps(owner: CheckpointOwner): Promise<StoredSteps>;
  finishStep(owner: CheckpointOwner, name: string, step: DoneStep): Promise<Kept>;
  /** Ends the job. @param finished what is kept of it, if its class keeps any. */
  deleteJob(owner: CheckpointOwner, finished: FinishedJob | undefined): Promise<Kept>;
}

const MAX_NAME = 100;
const UNPRINTABLE = /[\p{Cc}\p{Surrogate}]/u;

/** The step whose code runs. */
interface Scope {
  readonly run: Run;
  readonly name: string;
  /** true: it is done as a whole, in a transaction, so it has no cursor. */
  readonly isWhole: boolean;
}

const current = new AsyncLocalStorage<Scope>();

/** The steps of one run, and its commit. */
export class Steps {
  private readonly names = new Set<string>();
  /** The cursors that this run has stored, by step. */
  private readonly cursors = new Map<string, string>();
  private reading: Promise<StoredSteps> | undefined;

  constructor(
    private readonly options: Pick<CheckpointOptions, 'run' | 'owner'> & { readonly store: StepStore | undefined },
  ) {}

  /** Runs a step, unless an earlier run has done it. @returns its result. */
  async step<T>(
    name: string,
    work: TransactionWork<T>,
    { transaction: inTransaction = false }: StepOptions,
    codec: ArgumentCodec,
  ): Promise<Awaited<T>> {
    this.claimName(name);
    const stored = await this.stored(name);
    const { run } = this.options;
    const owner: ResultOwner = { id: run.id, class: run.class, part: `result of the step ${name}`, keys: run.keys };
    if (stored && 'at' in stored) return (await decodeResult(stored, codec, owner)) as Awaited<T>;
    if (run.abortReason) throw run.abortReason;
    const isWhole = inTransaction || currentTransaction() !== undefined;
    const runAndStore = async (trx?: Knex.Transaction) => {
      const result = await current.run({ run, name, isWhole }, async () => work(trx as Knex.Transaction));
      const subject = `the result of the step ${name} of ${run.class}`;
      const step = { at: Date.now(), ...encodeResult(result, subject, codec, owner) };
      await this.keep((store, delivery) => store.finishStep(delivery, name, step));
      return result;
    };
    return await (inTransaction ? transaction(runAndStore) : runAndStore());
  }

  /** Ends the job in the transaction in which `work` runs. */
  async commit<T>(work: TransactionWork<T> | undefined): Promise<Awaited<T> | undefined> {
    const { run } = this.options;
    const within = `${run.class}.commit`;
    if (run.isCommitted) throw new TypeError(`${within} was called twice: after it, perform may only return`);
    if (currentTransaction())
      throw new TypeError(`${within} was called in a transaction: pass the work to commit instead`);
    if (run.abortReason) throw run.abortReason;
    const result = await transaction(async (trx) => {
      const done = await current.run({ run, name: 'commit()', isWhole: true }, async () => work?.(trx));
      const finished = run.keeping?.finished(run, done);
      await this.keep((store, owner) => store.deleteJob(owner, finished));
      return done;
    });
    run.isCommitted = true;
    return result;
  }

  /**
   * The step in which `caller` (`checkpoint` or `resumeFrom`) is called, whose cursor is meant; undefined outside of steps.
   * @throws TypeError in a transaction: a cursor that outlives its rollback would skip work that was not done.
   */
  within(caller: string): string | undefined {
    const scope = current.getStore();
    const { run } = this.options;
    if (scope?.run !== run) return undefined;
    if (scope.isWhole)
      throw new TypeError(
        `${run.class}.${caller} was called in ${scope.name}, which is done as a whole in a transaction: call it outside`,
      );
    return scope.name;
  }

  noteCursor(name: string, text: string): void {
    this.cursors.set(name, text);
  }

  async cursorText(name: string): Promise<string | undefined> {
    const stored = this.cursors.get(name) ?? (await this.stored(name));
    if (typeof stored === 'string') return stored;
    return stored && 'cursor' in stored ? stored.cursor : undefined;
  }

  private claimName(name: string): void {
    const { run } = this.options;
    const named = `the step ${JSON.stringify(name)} of ${run.class}`;
    if (typeof name !== 'string' || name.trim() === '' || name.length > MAX_NAME || UNPRINTABLE.test(name))
      throw new TypeError(`${named} has an invalid name: give it 1 to ${MAX_NAME} printable characters`);
    if (run.isCommitted) throw new TypeError(`${named} follows commit(): do it before, or within`);
    if (this.names.has(name)) throw new TypeError(`${named} was called twice in one run: give each its own name`);
    this.names.add(name);
  }

  /** What earlier runs have stored under a name. @throws errors of Postgres. */
  async stored(name: string): Promise<StoredStep | undefined> {
    const { store, owner } = this.options;
    this.reading ??= store?.readSteps(owner) ?? Promise.resolve({});
    const steps = await this.reading;
    return Object.hasOwn(steps, name) ? steps[name] : undefined;
  }

  /** @throws JobTakenError if the row is no longer that of this delivery: a transaction around it is rolled back. */
  private async keep(write: (store: StepStore, owner: CheckpointOwner) => Promise<Kept>): Promise<void> {
    const { store, owner, run } = this.options;
    if (!store || (await write(store, owner)) === 'kept') return;
    const taken = new JobTakenError(`${run.class} was given to another process meanwhile`);
    run.abort(taken);
    throw taken;
  }
}
