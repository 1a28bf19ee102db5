import net from 'node:net';
import type Router from '@koa/router';
import type { RouterContext } from '@koa/router';
import type { Knex } from 'knex';
import type Koa from 'koa';
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

/** Request state that is available to every page. */
export interface OpsState {
  visitor: Visitor;
  locale: Locale;
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
  /** Name of the app. */
  readonly appName: string;
  readonly events: Events;
  readonly redis: Redis;
  readonly knex: Knex;
  /** Reads and changes the whole tree; in a worker by messages to the primary. */
  readonly tree: Operations;
  /** The folder of the app's job classes, and the argument names that its job setup redacts. */
  readonly jobs: {
    readonly classes: () => Promise<Iterable<JobClass>>;
    readonly filterArguments: readonly (string | RegExp)[];
  };
  /** True once the process drains; event streams end then. */
  readonly isLeaving: () => boolean;
  /** Mail previews: their folder, and the folders whose changes reload an open preview. */
  readonly previews: { readonly folder: string; readonly madeOf: readonly string[] };
}

export type Role = 'operator' | 'viewer';

/** The sender of a request. `secret` is shared with their browser; form tokens are derived from it. */
export interface Visitor {
  readonly role: Role | 'guest';
  readonly secret: string;
}

/**
 * `absent`: nothing is served below /ops. `token`: pages are for requests from this machine with the token that the log
 * prints at the start. `signed`: pages are for operators and viewers who signed in.
 */
type AccessMode = 'absent' | 'token' | 'signed';

export function accessMode({ ops, environment }: Pick<Config, 'ops' | 'environment'>): AccessMode {
  if (ops !== null) return 'signed';
  return environment === 'production' ? 'absent' : 'token';
}

/** Services that all pages share. */
export interface PageBase extends OpsOptions {
  readonly pages: Layout;
  readonly streams: Streams;
  /** Numbers of the header. Never rejects; an unknown number is null. */
  readonly counts: () => Promise<Counts>;
  readonly assets: Assets;
  /** The collector of all pages that show trees. */
  readonly statusCollector: () => Promise<StatusCollector>;
}

/** The context in which a group of pages adds its routes. Paths begin with `/ops/`. */
export interface PageContext extends PageBase {
  readonly router: Router<OpsState>;
}

/** Adds the routes of some pages. Forms only reach them from operators and after their token was checked. */
export type PageModule = (site: PageContext) => void | Promise<void>;

/**
 * True if the Host header names this machine. It is checked against DNS rebinding: a foreign page whose name resolves
 * to this machine sends that name as the host.
 */
export function isLoopbackHost(host: string): boolean {
  if (!URL.canParse(`http://${host}`)) return false;
  const { hostname } = new URL(`http://${host}`);
  return hostname === 'localhost' || hostname.endsWith('.localhost') || isLoopbackAddress(hostname);
}

/** True for a direct request from this machine: a proxy here may forward requests of anybody, under any Host. */
export function isFromHere(ctx: Pick<Koa.Context, 'host' | 'forwarded' | 'req'>): boolean {
  return isLoopbackHost(ctx.host) && !ctx.forwarded && isLoopbackAddress(ctx.req.socket.remoteAddress);
}

/** @param address of a connection; undefined for a Unix socket, which only this machine can reach. */
export function isLoopbackAddress(address: string | undefined): boolean {
  if (address === undefined) return true;
  const plain = address.replace(/^\[|\]$/g, '').replace(/^::ffff:/i, '');
  return plain === '::1' || (net.isIPv4(plain) && plain.startsWith('127.'));
}
