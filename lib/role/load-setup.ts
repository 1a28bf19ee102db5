import { EXIT, UserError } from '../core/errors';
import type { Events } from '../core/events';
import type { Redis } from '../core/redis';
import type { JobSetup } from '../job/definition/setup';
import type { JobDependencies } from '../job/enqueue/enqueue';
import { JobEnqueuer } from '../job/enqueue/enqueuer';
import { Job } from '../job/job';
import type { MailSetup } from '../mailer/definition/setup';
import type { Database } from '../model/database';
import { toError } from '../support/async';
import type { Service } from '../support/service';
import type { ApplicationOptions } from '../web/application';
import type { AppDefinition, RouteEnvironment, Routes, WorkerEnvironment } from './app-definition';

/**
 * Loads a module that the manifest gives as a function: `() => import('./job-setup')`.
 * @param check validates the default export; `where` names the option and its file.
 * @throws UserError that names the file.
 */
async function loadSetup<T>(
  option: string,
  load: () => Promise<{ readonly default: T }>,
  check: (value: unknown, where: string) => T,
): Promise<T> {
  const where = `${option} (${fileOf(load)})`;
  let loaded: { readonly default: T };
  try {
    loaded = await load();
  } catch (thrown) {
    const error = toError(thrown);
    throw Object.assign(new UserError(`${where} cannot be loaded: ${error.message}`), { cause: error });
  }
  return check(loaded?.default, where);
}

/** Path that the function imports, compiled or not, for messages: nothing but its source text has it. */
function fileOf(load: () => unknown): string {
  return /(?:import|require)\(\s*["'`]([^"'`]+)["'`]/.exec(load.toString())?.[1] ?? 'of defineApp';
}

/** The app's extensions of its job layer; empty without `jobSetup`. @throws UserError that names the file. */
export async function loadJobSetup({ jobSetup }: Pick<AppDefinition, 'jobSetup'>): Promise<JobSetup> {
  if (!jobSetup) return {};
  const { checkJobSetup } = await import('../job/definition/setup');
  return loadSetup('jobSetup', jobSetup, checkJobSetup);
}

/** The app's extensions of its mail; empty without `mailSetup`. @throws UserError that names the file. */
export async function loadMailSetup({ mailSetup }: Pick<AppDefinition, 'mailSetup'>): Promise<MailSetup> {
  if (!mailSetup) return {};
  const { checkMailSetup } = await import('../mailer/definition/setup');
  return loadSetup('mailSetup', mailSetup, checkMailSetup);
}

interface JobConnections extends JobDependencies {
  readonly database: Database;
  readonly redis: Redis;
  readonly events: Events;
}

/** Makes `performLater` work in this process. @returns a function that undoes it. */
export function connectJobs({ database, redis, events, setup, models }: JobConnections): () => void {
  const enqueuer = new JobEnqueuer(database.knex, redis.client, events);
  enqueuer.started();
  Job.connect(enqueuer, { setup, models });
  return () => Job.connect(undefined, {});
}

/** The app's routes. @throws UserError that names the file, when it cannot be loaded or exports no function. */
export async function loadRoutes({ routes }: Pick<AppDefinition, 'routes'>): Promise<Routes> {
  return loadSetup('routes', routes as () => Promise<{ readonly default: Routes }>, (value, where) => {
    if (typeof value === 'function') return value as Routes;
    const wrong = 'its default export is no function';
    throw new UserError(`${where}: ${wrong}; export one: (router, environment) => { … }`, EXIT.config);
  });
}

/**
 * What the app says of its web, if anything. @param environment undefined: only to check it, without calling `koa`.
 * @throws UserError for what cannot be used.
 */
export async function loadOwnWeb(
  app: Pick<AppDefinition, 'koa' | 'bodyParser' | 'headers' | 'probes'>,
  environment?: RouteEnvironment,
): Promise<Partial<ApplicationOptions>> {
  const { koa, bodyParser, headers, probes } = app;
  if (koa === undefined && bodyParser === undefined && headers === undefined && probes === undefined) return {};
  const { ownWeb } = await import('../web/own-web');
  return ownWeb({ koa: koa && environment && ((app) => koa(app, environment)), bodyParser, headers, probes });
}

/** The app's own part of a web worker or the job processor: `workerBoot` and `workerStop`. */
export function appService(app: AppDefinition, worker: WorkerEnvironment): Service {
  let started = false;
  return {
    name: 'the app',
    start: async () => {
      started = true;
      await app.workerBoot?.(worker);
    },
    stop: async (deadline) => {
      if (!started) return;
      const stopped = await deadline.wait(Promise.resolve(worker).then(app.workerStop ?? (() => undefined)));
      if (stopped !== 'done') throw new Error('workerStop of defineApp did not end in time');
    },
  };
}
