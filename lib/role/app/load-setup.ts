import { type Carrier, connectBroadcasts } from '../../broadcast/broadcast';
import { RedisCarrier, type RedisCarrierOptions } from '../../broadcast/redis-carrier';
import type { Config } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import type { Redis } from '../../core/redis';
import type { JobSetup } from '../../job/definition/setup';
import type { JobDependencies } from '../../job/enqueue/enqueue';
import { JobEnqueuer } from '../../job/enqueue/enqueuer';
import { Hints } from '../../job/hint/hints';
import { Job } from '../../job/job';
import type { MailSetup } from '../../mailer/definition/setup';
import type { Database } from '../../model/database';
import type { Service } from '../../support/service';
import type { ApplicationOptions } from '../../web/application';
import {
  type AppDefinition,
  notAFunction,
  type RouteEnvironment,
  type Routes,
  type WorkerEnvironment,
} from './app-definition';

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
  const where = `${option} (${importedPath(load)})`;
  if (typeof load !== 'function') {
    throw new UserError(`defineApp: ${notAFunction(option, load)}`, EXIT.config);
  }
  let loaded: { readonly default: T };
  try {
    loaded = await load();
  } catch (thrown) {
    throw toLoadError(`${where} cannot be loaded`, thrown);
  }
  return check(loaded?.default, where);
}

/** @returns the error that the app's code has thrown, with its place and the remedy. @param subject of the sentence. */
function toLoadError(subject: string, thrown: unknown): UserError {
  const { loadFault } = require('../../core/load-fault') as typeof import('../../core/load-fault');
  return Object.assign(new UserError(`${subject}: ${loadFault('', thrown).message}`, EXIT.config), { cause: thrown });
}

/** Path that the function imports, compiled or not, for messages: only its source text contains it. */
function importedPath(load: () => unknown): string {
  return /(?:import|require)\(\s*["'`]([^"'`]+)["'`]/.exec(load.toString())?.[1] ?? 'of defineApp';
}

/** The app's extensions of its job layer; empty without `jobSetup`. @throws UserError that names the file. */
export async function loadJobSetup({ jobSetup }: Pick<AppDefinition, 'jobSetup'>): Promise<JobSetup> {
  if (!jobSetup) return {};
  const { checkJobSetup } = await import('../../job/definition/setup');
  return loadSetup('jobSetup', jobSetup, checkJobSetup);
}

/** The app's extensions of its mail; empty without `mailSetup`. @throws UserError that names the file. */
export async function loadMailSetup({ mailSetup }: Pick<AppDefinition, 'mailSetup'>): Promise<MailSetup> {
  if (!mailSetup) return {};
  const { checkMailSetup } = await import('../../mailer/definition/setup');
  return loadSetup('mailSetup', mailSetup, checkMailSetup);
}

interface JobConnections extends JobDependencies {
  readonly database: Database;
  readonly redis: Redis;
  readonly events: Events;
  readonly queues?: Config['jobs']['queues'];
}

/** Makes `performLater` work in this process. @returns a function that undoes it. */
export function connectJobs({ database, redis, events, setup, models, queues }: JobConnections): () => void {
  const served = queues?.map(({ name }) => name);
  const enqueuer = new JobEnqueuer(database.knex, redis.isOff ? undefined : new Hints(redis.client), events, served);
  enqueuer.started();
  Job.connect(enqueuer, { setup, models });
  return () => Job.connect(undefined, {});
}

/** Makes `broadcast` and `subscribe` work in this process. @param siblings undefined: it belongs to no tree. */
export function connectToSubscribers({
  siblings,
  ...options
}: RedisCarrierOptions & { readonly siblings?: Carrier | undefined }): void {
  const onError = (error: Error, during: string) => options.events.emit('process.error', { error, during });
  const others = options.redis.isOff ? [] : [new RedisCarrier(options)];
  connectBroadcasts({ carriers: [...(siblings ? [siblings] : []), ...others], onError });
}

/** The app's routes. @throws UserError that names the file, when it cannot be loaded or exports no function. */
export async function loadRoutes({ routes }: Pick<AppDefinition, 'routes'>): Promise<Routes> {
  return loadSetup('routes', routes as () => Promise<{ readonly default: Routes }>, (value, where) => {
    if (typeof value === 'function') return checkedRoutes(value as Routes, where);
    const wrong = 'its default export is no function';
    throw new UserError(`${where}: ${wrong}; export one: (router, environment) => { … }`, EXIT.config);
  });
}

/** Makes what the routes throw final: every worker would throw it again, and the tree would restart workers for ever. */
function checkedRoutes(routes: Routes, where: string): Routes {
  return (router, environment) => {
    try {
      return routes(router, environment);
    } catch (thrown) {
      throw toLoadError(where, thrown);
    }
  };
}

/**
 * Loads the options that the app sets for its web; there may be none.
 * @param environment if it is missing, the options are only checked, and `koa` is not called.
 * @throws UserError for an option that cannot be used.
 */
export async function loadOwnWeb(
  app: Pick<AppDefinition, 'koa' | 'bodyParser' | 'headers' | 'probes'>,
  environment?: RouteEnvironment,
): Promise<Partial<ApplicationOptions>> {
  const { koa, bodyParser, headers, probes } = app;
  if (koa === undefined && bodyParser === undefined && headers === undefined && probes === undefined) return {};
  const { ownWeb } = await import('../../web/own-web');
  return ownWeb({ koa: koa && environment && ((app) => koa(app, environment)), bodyParser, headers, probes });
}

/** The app's own part of a web worker or the job processor: `workerBoot` and `workerStop`; undefined: it has neither. */
export function appService(app: AppDefinition, worker: WorkerEnvironment): Service | undefined {
  if (!app.workerBoot && !app.workerStop) return undefined;
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
