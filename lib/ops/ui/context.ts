import type Router from '@koa/router';
import type { RouterContext } from '@koa/router';
import type { Knex } from 'knex';
import type { Operations } from '../../cluster/status';
import type { Config, Locale } from '../../core/config';
import type { Events } from '../../core/events';
import type { Translate } from '../../core/i18n';
import type { Redis } from '../../core/redis';
import type { StatusCollector } from '../../health/status-collector';
import type { JobClass } from '../../job/definition/job-class';
import type { Assets } from './assets';
import type { Streams } from './event-stream';
import type { Counts, Layout } from './layout';

export const THEMES = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

/** What every page knows of its request. */
export interface OpsState {
  visitor: Visitor;
  locale: Locale;
  theme: Theme;
  t: Translate;
  /** Asked for by `Accept: application/json`, or by `.json` at the end of the path. */
  json: boolean;
  /** The fields of a POST, whose CSRF token has been checked. */
  form: URLSearchParams;
}

export type OpsContext = RouterContext<OpsState>;
export type OpsMiddleware = (ctx: OpsContext, next: () => Promise<unknown>) => unknown;

/** What the operator's pages are made from. The role gives it, in every web worker. */
export interface OpsOptions {
  readonly config: Config;
  /** Of the app. */
  readonly appName: string;
  readonly events: Events;
  readonly redis: Redis;
  readonly knex: Knex;
  /** Shows the whole tree, and changes it: a worker asks the primary. */
  readonly tree: Operations;
  /** The app's job classes, loaded when they are asked for, and what its job setup hides of arguments. */
  readonly jobs: {
    readonly classes: () => Iterable<JobClass>;
    readonly filterArguments: readonly (string | RegExp)[];
  };
  /** True once the process has been asked to go: streams end then. */
  readonly isLeaving: () => boolean;
  /** Of mails. While one is looked at, a change in the folders that it is made of shows it anew. */
  readonly previews: { readonly folder: string; readonly madeOf: readonly string[] };
}

export type Role = 'operator' | 'viewer';

/** Who asks. `secret` is known to their browser and to us: form tokens are made from it. */
export interface Visitor {
  readonly role: Role | 'guest';
  readonly secret: string;
}

/**
 * `absent`: nothing is served below /ops. `token`: to who asks from this machine and has the token that the log of the start
 * tells. `signed`: to those who sign in.
 */
type AccessMode = 'absent' | 'token' | 'signed';

export function accessMode({ ops, environment }: Pick<Config, 'ops' | 'environment'>): AccessMode {
  if (ops !== null) return 'signed';
  return environment === 'production' ? 'absent' : 'token';
}

/** What all pages share. */
export interface PageBase extends OpsOptions {
  readonly pages: Layout;
  readonly streams: Streams;
  /** The numbers in the header. Never rejects; null: not known. */
  readonly counts: () => Promise<Counts>;
  readonly assets: Assets;
  /** One for all pages that tell of trees. */
  readonly statusCollector: () => Promise<StatusCollector>;
}

/** What a group of pages has at hand to add its routes. Paths begin with `/ops/`. */
export interface PageContext extends PageBase {
  readonly router: Router<OpsState>;
}

/** Adds the routes of some pages. Forms reach them with their token checked, and only from operators. */
export type PageModule = (site: PageContext) => void | Promise<void>;
