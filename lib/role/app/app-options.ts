import type { Server } from 'node:http';
import type Router from '@koa/router';
import type Koa from 'koa';
import type { Config } from '../../core/config';
import type { JsonValue } from '../../core/execution-context';
import type {
  ListeningEvent,
  PhaseCompletedEvent,
  ProcessorExitedEvent,
  StoppedEvent,
  StoppingEvent,
  WorkerExitedEvent,
  WorkerForkedEvent,
  WorkerReadyEvent,
} from '../../core/hook-events';
import type { ImportFile } from '../../core/load-classes';
import type { JobSetup } from '../../job/definition/setup';
import type { MailSetup } from '../../mailer/definition/setup';
import type { OpsAdditions } from '../../ops/ui/additions';
import type { Rate } from '../../support/duration';
import type { BodyParser, Probes, SecurityHeaders } from '../../web/options';
import type { RateLimit } from '../../web/rate-limit';

export type { BodyParser, OpsAdditions, Probes, SecurityHeaders };

/** Parts of the process that routes may need. */
export interface RouteEnvironment {
  /** The settings of the tree, for addresses, locales and the like. */
  readonly config: Config;
  /**
   * Limits how often a client may do something: `limit('sign-ups', { count: 60, seconds: 3600 })`. The name keeps its
   * counts apart from those of other limits; a rate of null allows everything.
   */
  readonly limit: (name: string, rate: Rate | null) => RateLimit;
  /**
   * Resolves with what `catamount stats --json` prints: all processes of the tree with their load, memory and restarts. Rejects
   * when the primary does not answer within 5 s, and in `requests()` of `catamount/testing`, where there is no tree.
   */
  readonly stats: () => Promise<Readonly<Record<string, JsonValue>>>;
}

/** Adds the app's routes. Runs once in each web worker, before it listens. */
export type Routes = (router: Router, environment: RouteEnvironment) => void;

/** The process in which `workerBoot` and `workerStop` are called. */
export interface WorkerEnvironment {
  /** web: it serves requests. jobs: it is the job processor. */
  readonly role: 'web' | 'jobs';
  /** The worker's slot, from 0; its successor has the same one. undefined in the job processor. */
  readonly slot: number | undefined;
  /** The settings of the tree. */
  readonly config: Config;
}

/**
 * Callbacks for events of the tree. They run in the primary, which neither awaits them nor fails with them: an error is
 * logged.
 */
export interface Hooks {
  /** Called once the tree serves. */
  readonly booted?: (event: ListeningEvent) => unknown;
  /** Called when a web worker was forked. It does not serve yet. */
  readonly workerBoot?: (event: WorkerForkedEvent) => unknown;
  /** Called when a web worker serves. */
  readonly workerReady?: (event: WorkerReadyEvent) => unknown;
  /** Called when a web worker has ended, at a stop as well as by a crash. */
  readonly workerExit?: (event: WorkerExitedEvent) => unknown;
  /** Called when a phased restart is complete. */
  readonly phase?: (event: PhaseCompletedEvent) => unknown;
  /** Called when the job processor has ended, at a stop as well as by a crash. */
  readonly processorExit?: (event: ProcessorExitedEvent) => unknown;
  /** Called when the tree begins to stop. */
  readonly stopping?: (event: StoppingEvent) => unknown;
  /** Called when all other processes have ended; the primary does not wait for anything that it starts. */
  readonly stopped?: (event: StoppedEvent) => unknown;
}

/** A module with its default export, as `import()` resolves with it. */
export interface ModuleOf<T> {
  /** The part of the app that the module holds. */
  readonly default: T;
}

/** The app's manifest. Folders are relative to `root`. */
export interface AppOptions {
  /** Letters, digits, - and _. Names the tree in the log and to operators, and keeps its rate limits apart from others'. */
  readonly name: string;
  /** Absolute path that the other folders are relative to: usually `__dirname`. */
  readonly root: string;
  /** Loaded only by processes that serve the web, so that the primary stays small: `() => import('./routes')`. Default: none. */
  readonly routes?: () => Promise<ModuleOf<Routes>>;
  /** One default-exported job class per file, subfolders included. Default `jobs`. */
  readonly jobs?: string;
  /** Middleware, serializers, an error reporter for jobs: `() => import('./job-setup')`. */
  readonly jobSetup?: () => Promise<ModuleOf<JobSetup>>;
  /** Models that jobs accept as arguments, subfolders included. Default `models`. */
  readonly models?: string;
  /** Knex migrations. Default `migrations`. false: a tool of the app's own runs them, and Catamount runs its own only. */
  readonly migrations?: string | false;
  /** One mailer per file: `deliverLater` stores a mail with the name of its mailer. Default `mailers`. */
  readonly mailers?: string;
  /** Previews for /ops/mail: one subclass of MailerPreview per file. Default: `previews` below the mailers. */
  readonly previews?: string;
  /** Interceptors, observers, a renderer for mails: `() => import('./mail-setup')`. */
  readonly mailSetup?: () => Promise<ModuleOf<MailSetup>>;
  /**
   * Templates `<mailer>/<action>/{html,text}.ejs`. Of several folders, the first one that has a file provides it. Default
   * `mailers/templates`.
   */
  readonly templates?: string | readonly string[];
  /** Translations `<locale>.json`. Default `locales`. */
  readonly locales?: string;
  /**
   * Loads a file of the folders above. Default: Node's own `import()`. A test runner that compiles modules itself, such
   * as Vitest, loads a second copy of each unless it is given its own: `(file) => import(file)`.
   */
  readonly import?: ImportFile;
  /**
   * Gives the Koa app its keys and middleware. They run inside the request log and the handling of errors, and before all else:
   * health checks, bodies, and the wait for a slot. A body that they have read is left alone.
   *
   * A Koa that the function returns is the app's existing one, whose keys and context are kept. Its middleware runs in a slot,
   * before the routes, and reads its bodies itself unless `bodyParser` is given.
   */
  readonly koa?: (app: Koa, environment: RouteEnvironment) => unknown;
  /**
   * Reads bodies before a request waits for a slot: a middleware, such as koa-body's. What it does not read is left to our own
   * JSON parser. false: the routes read `ctx.req`.
   */
  readonly bodyParser?: BodyParser;
  /** Helmet's options, which replace ours one by one; false for no security headers. The operator's pages keep theirs. */
  readonly headers?: SecurityHeaders;
  /** Paths of the probes: `{ health: '/livez', ready: '/readyz' }`; false for one, or both, that the app answers itself. */
  readonly probes?: Probes | false;
  /**
   * Adds listeners to the HTTP server of each worker, such as one for `upgrade`. `goodbye` is aborted when the worker is about
   * to stop. End upgraded connections then: a WebSocket that is still open later is closed with 1001.
   */
  readonly server?: (server: Server, worker: { readonly config: Config; readonly goodbye: AbortSignal }) => unknown;
  /**
   * Awaited once, in the primary, before it listens and forks the first worker or job processor. An error ends the start. Close
   * the connections that it opens: children inherit none.
   */
  readonly beforeFork?: (primary: { readonly config: Config }) => unknown;
  /**
   * Awaited in the primary, before `catamount phased-restart` or `catamount restart` replaces anything, by whatever way it was
   * asked for. An error ends the restart, and everything serves on.
   */
  readonly beforeRestart?: (primary: {
    readonly command: 'phased-restart' | 'restart';
    readonly config: Config;
  }) => unknown;
  /** Awaited in each web worker and in the job processor, before it serves or runs jobs. */
  readonly workerBoot?: (worker: WorkerEnvironment) => unknown;
  /** Awaited in the same processes when requests and jobs have ended, until the deadline of the stop. */
  readonly workerStop?: (worker: WorkerEnvironment) => unknown;
  /** Additions to the operator's pages: who may see them, and tabs. */
  readonly ops?: OpsAdditions;
  /** Called in the primary. */
  readonly hooks?: Hooks;
}

/** Options that the manifest has as they were given. */
export type OwnPart =
  | 'koa'
  | 'bodyParser'
  | 'headers'
  | 'probes'
  | 'server'
  | 'beforeFork'
  | 'beforeRestart'
  | 'workerBoot'
  | 'workerStop'
  | 'ops';

/** The checked manifest of an app, with absolute paths, as `defineApp` makes it for `boot` and `connect`. */
export interface AppDefinition extends Pick<AppOptions, OwnPart> {
  /** The name given to `defineApp`. */
  readonly name: string;
  /** Absolute path of the app. */
  readonly root: string;
  /** Loads the routes, in processes that serve the web. */
  readonly routes: () => Promise<ModuleOf<Routes>>;
  /** Absolute path of the folder of job classes. */
  readonly jobsDir: string;
  /** Loads the app's additions to the job layer; undefined: there are none. */
  readonly jobSetup: (() => Promise<ModuleOf<JobSetup>>) | undefined;
  /** Absolute path of the folder of models. */
  readonly modelsDir: string;
  /** Absolute path of the folder of migrations; false: the app's own tool runs them. */
  readonly migrationsDir: string | false;
  /** Absolute path of the folder of mailers. */
  readonly mailersDir: string;
  /** Absolute path of the folder of previews. */
  readonly previewsDir: string;
  /** Loads the app's additions to its mail; undefined: there are none. */
  readonly mailSetup: (() => Promise<ModuleOf<MailSetup>>) | undefined;
  /** Absolute path of the first folder of mail templates, into which generators write. */
  readonly templatesDir: string;
  /** Absolute paths of all folders of mail templates. */
  readonly templatesDirs: readonly string[];
  /** Absolute path of the folder of translations. */
  readonly localesDir: string;
  /** undefined: Node's own `import()`. */
  readonly importFile: ImportFile | undefined;
  /** Absolute path of the file that called `defineApp`, for generators; undefined if it is not known. */
  readonly file: string | undefined;
  /** The options as they were given to `defineApp`, for the check of the app. */
  readonly given: AppOptions;
  /** Callbacks in the primary; empty unless some were given. */
  readonly hooks: Hooks;
}

/** The connections that `connect` opens. */
export interface Connection {
  /** Closes the connections. Nothing can be enqueued afterwards. */
  disconnect(): Promise<void>;
}
