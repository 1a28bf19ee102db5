import type { Model, ModelClass } from 'objection';
import { keepBroadcastsHere } from '../broadcast/broadcast';
import { NotConnectedError } from '../core/errors';
import { Redactor } from '../core/redact';
import type { JobSetup } from '../job/definition/setup';
import { Job } from '../job/job';
import type { ArgumentCodec } from '../job/record/arguments';
import { ephemeralKeyring } from '../job/record/encryption';
import { loadModels, type ModelLookup } from '../model/model-lookup';
import type { AppDefinition } from '../role/app/app-definition';
import { loadJobSetup } from '../role/app/load-parts';
import { FakeJobs, InlineJobs, type MemoryJobs } from './memory-jobs';
import type { TestDatabase, TestDatabaseOptions } from './test-database';

/**
 * Keeps jobs in memory, without Redis or Postgres, until the test performs them. All checks of `performLater` apply,
 * and arguments pass through JSON.
 *
 *     let jobs
 *     beforeEach(async () => { jobs = await useFakeJobs() })
 *     afterEach(() => jobs.restore())
 *
 *     it('welcomes', async () => {
 *       const user = await signUp({ email: 'ada@example.com' })
 *       assertEnqueued(WelcomeEmailJob, { args: [user.id] })
 *       await performEnqueuedJobs()
 *     })
 */
export async function useFakeJobs(options: DependencyOptions = {}): Promise<TestJobs> {
  return connectMode(new FakeJobs(await TestDependencies.load(options)));
}

/**
 * Performs jobs at once, inside `performLater`, or when the outermost transaction commits. `wait` and `waitUntil` are
 * ignored. The error of a job is thrown to the enqueuing code, unless its class discards it, and nothing is retried. A
 * job that snoozes stays enqueued for `performEnqueuedJobs`. A unique job is a duplicate only while another with its key
 * is running or has snoozed. For a job that runs at the commit,
 * `transaction()` throws the error; in knex's own transactions it becomes an unhandled rejection, which fails the test
 * run.
 */
export async function useInlineJobs(options: DependencyOptions = {}): Promise<TestJobs> {
  return connectMode(new InlineJobs(await TestDependencies.load(options)));
}

/** The handle that `useFakeJobs` and `useInlineJobs` return. */
export interface TestJobs {
  /** Forgets all jobs, enqueued and performed. */
  clear(): void;
  /** Reconnects the previous mode. Idempotent. */
  restore(): Promise<void>;
  /** Calls `restore`, at the end of a scope with `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A stack of modes, of which the last one is in use. */
const connected: MemoryJobs[] = [];

function connectMode(mode: MemoryJobs): TestJobs {
  keepBroadcastsHere();
  connected.push(mode);
  connectLast();
  const restore = async () => {
    const index = connected.indexOf(mode);
    if (index < 0) return;
    connected.splice(index, 1);
    connectLast();
  };
  return { clear: () => mode.clear(), restore, [Symbol.asyncDispose]: restore };
}

/** @throws NotConnectedError if the test has connected no mode. */
export function connectedMode(caller: string): MemoryJobs {
  const mode = connected.at(-1);
  if (mode) return mode;
  throw new NotConnectedError(`${caller} needs test jobs: call useFakeJobs() or useInlineJobs() first`);
}

function connectLast(): void {
  const mode = connected.at(-1);
  Job.connect(mode, mode?.dependencies ?? {});
}

/** Options of `useFakeJobs` and `useInlineJobs`: the parts of an app that its jobs need. */
export interface DependencyOptions {
  /** The app, as `defineApp` returns it, with its job setup and models. Default: none. */
  readonly app?: AppDefinition | undefined;
  /** Replaces the app's job setup. */
  readonly setup?: JobSetup | undefined;
  /** Models that may be job arguments. Default: those in the app's folder. */
  readonly models?: readonly ModelClass<Model>[] | undefined;
}

/** The app's extensions for jobs: middleware, serializers, models and filters. */
export class TestDependencies {
  readonly codec: ArgumentCodec;
  readonly redactor: Redactor;
  readonly keys = ephemeralKeyring();

  private constructor(
    readonly setup: JobSetup,
    readonly models: ModelLookup | undefined,
  ) {
    this.codec = { serializers: setup.serializers, models };
    this.redactor = new Redactor(setup.filterArguments);
  }

  /** @throws UserError for an invalid job setup. */
  static async load({ app, setup, models }: DependencyOptions): Promise<TestDependencies> {
    const found = setup ?? (app ? await loadJobSetup(app) : {});
    if (models) return new TestDependencies(found, lookupIn(models));
    return new TestDependencies(found, app && (await loadModels(app.modelsDir, app)));
  }
}

function lookupIn(models: readonly ModelClass<Model>[]): ModelLookup {
  return { get: (name) => models.find((model) => model.name === name), place: 'the models of this test' };
}

/**
 * Connects models and `transaction()` to a test database, until `close()`.
 *
 *     let database
 *     before(async () => { database = await useTestDatabase({ app }) })
 *     beforeEach(() => database.begin())
 *     afterEach(() => database.rollBack())
 *     after(() => database.close())
 */
export async function useTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  // knex and objection are loaded only by tests that use them.
  const { openTestDatabase } = await import('./test-database');
  return openTestDatabase(options);
}
