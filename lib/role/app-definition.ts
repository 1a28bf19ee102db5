import type { Server } from 'node:http';
import path from 'node:path';
import type Router from '@koa/router';
import type Koa from 'koa';
import type { Config } from '../core/config';
import { UserError } from '../core/errors';
import type { EventMap, EventName, Events } from '../core/events';
import type { ImportFile } from '../core/load-classes';
import type { JobSetup } from '../job/definition/setup';
import type { MailSetup } from '../mailer/definition/setup';
import { toError } from '../support/async';
import type { RateLimits } from '../web/rate-limit';

/** Parts of the process that routes may need. */
export interface RouteEnvironment {
  readonly config: Config;
  /** Limits how often a caller may do something: `limit('sign-ups', { count: 60, seconds: 3600 })`. */
  readonly limit: RateLimits['limit'];
}

/** Adds the app's routes. Runs once in each web worker, before it listens. */
export type Routes = (router: Router, environment: RouteEnvironment) => void;

/** The process in which `workerBoot` and `workerStop` are called. */
export interface WorkerEnvironment {
  readonly role: 'web' | 'jobs';
  readonly config: Config;
}

/** The app's manifest. Folders are relative to `root`. */
export interface AppOptions {
  readonly name: string;
  /** Absolute path that the other folders are relative to: usually `__dirname`. */
  readonly root: string;
  /** Loaded only by processes that serve the web, so that the primary stays small: `() => import('./routes')`. */
  readonly routes: () => Promise<{ readonly default: Routes }>;
  /** One default-exported job class per file, subfolders included. Default `jobs`. */
  readonly jobs?: string;
  /** Middleware, serializers, an error reporter for jobs: `() => import('./job-setup')`. */
  readonly jobSetup?: () => Promise<{ readonly default: JobSetup }>;
  /** Models that jobs accept as arguments, subfolders included. Default `models`. */
  readonly models?: string;
  /** Knex migrations. Default `migrations`. */
  readonly migrations?: string;
  /** One mailer per file: `deliverLater` stores a mail with the name of its mailer. Default `mailers`. */
  readonly mailers?: string;
  /** Previews for /ops/mail: one subclass of MailerPreview per file. Default: `previews` below the mailers. */
  readonly previews?: string;
  /** Interceptors, observers, a renderer for mails: `() => import('./mail-setup')`. */
  readonly mailSetup?: () => Promise<{ readonly default: MailSetup }>;
  /** Templates `<mailer>/<action>/{html,text}.ejs`. Default `mailers/templates`. */
  readonly templates?: string;
  /** Translations `<locale>.json`. Default `locales`. */
  readonly locales?: string;
  /**
   * Loads a file of the folders above. Default: Node's own `import()`. A test runner that compiles modules itself, such
   * as Vitest, loads a second copy of each unless it is given its own: `(file) => import(file)`.
   */
  readonly import?: ImportFile;
  /**
   * Gives the Koa app its keys and middleware. They run inside the request log and the handling of errors, and before all
   * else: health checks, bodies, and the wait for a slot. A body that they have read is left alone.
   */
  readonly koa?: (app: Koa, environment: RouteEnvironment) => unknown;
  /**
   * Adds listeners to the HTTP server of each worker, such as one for `upgrade`. `goodbye` is aborted when the worker is
   * about to stop: connections that are upgraded end then, and a WebSocket that is still open later is closed with 1001.
   */
  readonly server?: (server: Server, worker: { readonly config: Config; readonly goodbye: AbortSignal }) => unknown;
  /** Awaited in each web worker and in the job processor, before it serves or runs jobs. */
  readonly workerBoot?: (worker: WorkerEnvironment) => unknown;
  /** Awaited there when requests and jobs have ended, until the deadline of the stop. */
  readonly workerStop?: (worker: WorkerEnvironment) => unknown;
  /** Called in the primary. */
  readonly hooks?: Hooks;
}

export interface AppDefinition extends Pick<AppOptions, 'koa' | 'server' | 'workerBoot' | 'workerStop'> {
  readonly name: string;
  readonly root: string;
  readonly routes: () => Promise<{ readonly default: Routes }>;
  readonly jobsDir: string;
  readonly jobSetup: (() => Promise<{ readonly default: JobSetup }>) | undefined;
  readonly modelsDir: string;
  readonly migrationsDir: string;
  readonly mailersDir: string;
  readonly previewsDir: string;
  readonly mailSetup: (() => Promise<{ readonly default: MailSetup }>) | undefined;
  readonly templatesDir: string;
  readonly localesDir: string;
  /** undefined: Node's own `import()`. */
  readonly importFile: ImportFile | undefined;
  readonly hooks: Hooks;
}

/** @throws UserError when the name or the root cannot be used. */
export function defineApp(options: AppOptions): AppDefinition {
  if (!/^[A-Za-z][\w-]*$/.test(options.name)) {
    throw new UserError(
      `defineApp: name is ${JSON.stringify(options.name)}; use letters, digits, - and _, such as shop`,
    );
  }
  if (!path.isAbsolute(options.root)) {
    throw new UserError(`defineApp: root is ${JSON.stringify(options.root)}; give an absolute path, such as __dirname`);
  }
  const folder = (given: string | undefined, standard: string) => path.resolve(options.root, given ?? standard);
  return Object.freeze({
    name: options.name,
    root: options.root,
    routes: options.routes,
    jobsDir: folder(options.jobs, 'jobs'),
    jobSetup: options.jobSetup,
    modelsDir: folder(options.models, 'models'),
    migrationsDir: folder(options.migrations, 'migrations'),
    mailersDir: folder(options.mailers, 'mailers'),
    previewsDir: folder(options.previews, path.join(options.mailers ?? 'mailers', 'previews')),
    mailSetup: options.mailSetup,
    templatesDir: folder(options.templates, 'mailers/templates'),
    localesDir: folder(options.locales, 'locales'),
    importFile: options.import,
    ...(options.koa && { koa: options.koa }),
    ...(options.server && { server: options.server }),
    ...(options.workerBoot && { workerBoot: options.workerBoot }),
    ...(options.workerStop && { workerStop: options.workerStop }),
    hooks: options.hooks ?? {},
  });
}

/** The event behind each hook. */
const HEARS = {
  /** Emitted once the tree serves. */
  booted: 'primary.listening',
  workerBoot: 'worker.forked',
  workerReady: 'worker.ready',
  workerExit: 'worker.exited',
  /** Emitted when a phased restart is complete. */
  phase: 'phase.completed',
  processorExit: 'processor.exited',
  stopping: 'primary.stopping',
  stopped: 'primary.stopped',
} as const satisfies Readonly<Record<string, EventName>>;

/** Callbacks for events of the tree. They run in the primary, which neither awaits them nor fails with them. */
export type Hooks = {
  readonly [H in keyof typeof HEARS]?: (event: EventMap[(typeof HEARS)[H]]) => unknown;
};

/**
 * Calls the app's hooks from now on. A hook that throws or rejects is reported as `process.error` and has no other
 * effect.
 */
export function callHooks(hooks: Hooks, events: Events): void {
  for (const [name, event] of Object.entries(HEARS)) {
    const hook = hooks[name as keyof Hooks] as ((payload: unknown) => unknown) | undefined;
    if (!hook) continue;
    events.on(event, (payload) => {
      const report = (thrown: unknown) => {
        events.emit('process.error', { error: toError(thrown), during: `the app's hook ${name}` });
      };
      try {
        Promise.resolve(hook(payload)).catch(report);
      } catch (thrown) {
        report(thrown);
      }
    });
  }
}

/** Our tables first, then the app's. They share one history: migrations are identified by name. */
export function migrationFolders(app: AppDefinition): string[] {
  const ours = ['job', 'mailer', 'ops'].map((part) => path.join(__dirname, '..', part, 'migrations'));
  return [...ours, app.migrationsDir];
}
