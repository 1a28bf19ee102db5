import type { Server } from 'node:http';
import type Router from '@koa/router';
import type Koa from 'koa';
import type { Config } from '../core/config';
import type { ImportFile } from '../core/load-classes';
import type { JobSetup } from '../job/definition/setup';
import type { MailSetup } from '../mailer/definition/setup';
import type { Probes, SecurityHeaders } from '../web/options';
import type { OwnWeb } from '../web/own-web';
import type { RateLimits } from '../web/rate-limit';
import type { Hooks } from './app-definition';

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
  /** Loaded only by processes that serve the web, so that the primary stays small: `() => import('./routes')`. Default: none. */
  readonly routes?: () => Promise<{ readonly default: Routes }>;
  /** One default-exported job class per file, subfolders included. Default `jobs`. */
  readonly jobs?: string;
  /** Middleware, serializers, an error reporter for jobs: `() => import('./job-setup')`. */
  readonly jobSetup?: () => Promise<{ readonly default: JobSetup }>;
  /** Models that jobs accept as arguments, subfolders included. Default `models`. */
  readonly models?: string;
  /** Knex migrations. Default `migrations`. false: a tool of the app's own runs them, and Catamount runs its own only. */
  readonly migrations?: string | false;
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
   * else: health checks, bodies, and the wait for a slot. A body that they have read is left alone. A Koa that it returns
   * is the app that was there before: its keys and context are kept, its middleware runs in a slot and before the routes,
   * and reads its bodies itself unless `bodyParser` is given.
   */
  readonly koa?: (app: Koa, environment: RouteEnvironment) => unknown;
  /**
   * What reads bodies instead of our own parser for JSON, before a request waits for a slot: a middleware, such as
   * koa-body's; false for routes that read `ctx.req`; or these by path: `{ '/hooks/stripe': false, '/files/*': parser }`.
   */
  readonly bodyParser?: OwnWeb['bodyParser'];
  /** Helmet's options, which replace ours one by one; false for no security headers. The operator's pages keep theirs. */
  readonly headers?: SecurityHeaders;
  /** Where the probes are: `{ health: '/livez', ready: '/readyz' }`; false for one, or both, that the app answers itself. */
  readonly probes?: Probes | false;
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

/** Options that the manifest has as they were given. */
export type OwnPart = 'koa' | 'bodyParser' | 'headers' | 'probes' | 'server' | 'workerBoot' | 'workerStop';

export interface AppDefinition extends Pick<AppOptions, OwnPart> {
  readonly name: string;
  readonly root: string;
  readonly routes: () => Promise<{ readonly default: Routes }>;
  readonly jobsDir: string;
  readonly jobSetup: (() => Promise<{ readonly default: JobSetup }>) | undefined;
  readonly modelsDir: string;
  readonly migrationsDir: string | false;
  readonly mailersDir: string;
  readonly previewsDir: string;
  readonly mailSetup: (() => Promise<{ readonly default: MailSetup }>) | undefined;
  readonly templatesDir: string;
  readonly localesDir: string;
  /** undefined: Node's own `import()`. */
  readonly importFile: ImportFile | undefined;
  readonly hooks: Hooks;
}
