import type Router from '@koa/router';
import type { RouterContext } from '@koa/router';
import type { Knex } from 'knex';
import type { Tree } from '../../cluster/status';
import type { Config, ShippedLocale } from '../../core/config';
import type { Caller, Events } from '../../core/events';
import type { Translate } from '../../core/i18n';
import type { Redis } from '../../core/redis';
import type { StatusCollector } from '../../health/status-collector';
import type { JobClass } from '../../job/definition/job-class';
import type { LoadedModels } from '../../model/model-lookup';
import type { OpsAdditions } from './additions';
import type { Assets } from './assets';
import type { Streams } from './event-stream';
import type { Counts, Layout } from './layout';
import type { Theme } from './theme';

export interface OpsState {
  visitor: Visitor;
  locale: ShippedLocale;
  theme: Theme;
  t: Translate;
  /** True for `Accept: application/json`, or a path that ends with `.json`. */
  json: boolean;
  /** The fields of a POST, whose CSRF token has been checked. */
  form: URLSearchParams;
}

export type OpsContext = RouterContext<OpsState>;
export type OpsMiddleware = (ctx: OpsContext, next: () => Promise<unknown>) => unknown;

/** Dependencies of the operator's pages, provided by the role of every web worker. */
export interface OpsOptions {
  readonly config: Config;
  readonly appName: string;
  readonly events: Events;
  readonly redis: Redis;
  readonly knex: Knex;
  /** Reads and changes the whole tree; in a worker by messages to the primary. */
  readonly tree: Tree;
  /** The folder of the app's job classes, and the argument names that its job setup redacts. */
  readonly jobs: {
    readonly classes: () => Promise<Iterable<JobClass>>;
    readonly filterArguments: readonly (string | RegExp)[];
  };
  /** The app's models, among which the owner of an address is looked for. */
  readonly models: LoadedModels;
  /** True once the process drains; event streams end then. */
  readonly isLeaving: () => boolean;
  readonly additions?: OpsAdditions | undefined;
  readonly previews: {
    readonly folder: string;
    /** The folders whose changes reload an open preview. */
    readonly madeOf: readonly string[];
    /** The folder of the texts, whose locales a preview can be shown in. */
    readonly locales: string;
  };
}

/** The sender of a request. `secret` is shared with their browser; form tokens are derived from it. */
export interface Visitor {
  /** viewer: sees everything and changes nothing. guest: may only sign in. */
  readonly role: 'operator' | 'viewer' | 'guest';
  /** Who it is, if the app's own sign-in let them in. */
  readonly name?: string;
  readonly secret: string;
}

/** Who sends the request, for the log and the audit: by name, or by address where no name is known. */
export function callerOf({ ip, state }: Pick<OpsContext, 'ip' | 'state'>): Caller {
  return `pages:${state.visitor.name ?? ip}`;
}

/** Services that all pages share. */
export interface PageBase extends OpsOptions {
  readonly layout: Layout;
  readonly streams: Streams;
  /** Numbers of the header, as old as this at most, ms. Never rejects; an unknown number is null. */
  readonly counts: (freshMs?: number) => Promise<Counts>;
  readonly assets: Assets;
  /** The collector of all pages that show trees. */
  readonly statusCollector: () => Promise<StatusCollector>;
}

/** The context in which a group of pages adds its routes. Paths begin with `/ops/`. */
export interface PageContext extends PageBase {
  readonly router: Router<OpsState>;
}

/** Adds the routes of some pages. A form reaches them only from an operator whose token was checked. */
export type PageModule = (site: PageContext) => void | Promise<void>;
