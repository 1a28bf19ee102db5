import path from 'node:path';
import type Router from '@koa/router';
import type { Config } from '../core/config';
import { UserError } from '../core/errors';
import type { JobSetup } from '../job/setup';
import type { MailSetup } from '../mailer/setup';
import type { RateLimits } from '../web/rate-limit';
import type { Hooks } from './hooks';
// What we add to Koa's types, for whoever writes routes.
import '../web/context';

/** What routes may need of the process that they are added to. */
export interface RouteEnvironment {
  readonly config: Config;
  /** A limit on how often somebody may do something: `limit('sign-ups', { count: 60, seconds: 3600 })`. */
  readonly limit: RateLimits['limit'];
}

/** Adds the app's routes. Runs once in each web worker, before it listens. */
export type Routes = (router: Router, environment: RouteEnvironment) => void;

/** What an app tells Catamount of itself. Folders are relative to `root`. */
export interface AppOptions {
  readonly name: string;
  /** The folder that the others are relative to: usually `__dirname`. */
  readonly root: string;
  /** Loaded by the web workers only, so that the primary stays small: `() => import('./routes')`. */
  readonly routes: () => Promise<{ readonly default: Routes }>;
  /** One default-exported job class per file. Default `jobs`. */
  readonly jobs?: string;
  /** Middleware, serializers, an error reporter for jobs: `() => import('./job-setup')`. */
  readonly jobSetup?: () => Promise<{ readonly default: JobSetup }>;
  /** Models that jobs may be given as arguments; folders below it count. Default `models`. */
  readonly models?: string;
  /** knex migrations. Default `migrations`. */
  readonly migrations?: string;
  /** One mailer per file, as the mails that `deliverLater` sends are told by the name of theirs. Default `mailers`. */
  readonly mailers?: string;
  /** Previews of mails, for /ops/mail: one subclass of MailerPreview per file. Default: `previews` below the mailers. */
  readonly previews?: string;
  /** Interceptors, observers, a renderer for mails: `() => import('./mail-setup')`. */
  readonly mailSetup?: () => Promise<{ readonly default: MailSetup }>;
  /** `<mailer>/<action>/{html,text}.ejs`. Default `mailers/templates`. */
  readonly templates?: string;
  /** `<locale>.json`. Default `locales`. */
  readonly locales?: string;
  /** Heard in the primary. */
  readonly hooks?: Hooks;
}

export interface AppDefinition {
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
    hooks: options.hooks ?? {},
  });
}
