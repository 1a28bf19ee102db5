import Koa from 'koa';
import helmet from 'koa-helmet';
import { EXIT, UserError } from '../core/errors';
import { toError } from '../support/to-error';
import { isObject } from '../support/type-guards';
import type { ApplicationOptions } from './application';
import type { BodyParser, Probes, SecurityHeaders } from './options';

/** The options of an app (`AppOptions`) that concern the web. */
export interface OwnWeb {
  readonly koa?: ((app: Koa) => unknown) | undefined;
  readonly bodyParser?: BodyParser | undefined;
  readonly headers?: SecurityHeaders | undefined;
  readonly probes?: Probes | false | undefined;
}

/** @returns the parts that an app replaces with its own. @throws UserError for an option of the wrong kind. */
export async function ownWeb(own: OwnWeb): Promise<Partial<ApplicationOptions>> {
  const { bodyParser, headers, probes } = own;
  const koa = new Koa();
  const returned = await own.koa?.(koa);
  const existing = returned === koa || !isKoa(returned) ? undefined : returned;
  return {
    ...(existing ? joined(koa, existing) : { koa }),
    headers: readHeaders(headers),
    probes: readProbes(probes),
    // An existing Koa app reads its bodies itself.
    parser: readParser(bodyParser ?? (existing ? false : undefined)),
  };
}

/** Keeps the existing app's keys, context and settings. Its middleware runs in a slot, and that of `koa` before all. */
function joined(koa: Koa, existing: Koa): Pick<ApplicationOptions, 'koa' | 'existing'> {
  const middleware = existing.middleware.splice(0);
  for (const first of koa.middleware) existing.use(first);
  existing.keys ??= koa.keys;
  return { koa: existing, existing: middleware };
}

/** Checks for members instead of the class, since the app may use another copy of koa. */
function isKoa(value: unknown): value is Koa {
  return (
    isObject(value) &&
    'middleware' in value &&
    Array.isArray(value.middleware) &&
    'use' in value &&
    'callback' in value &&
    'context' in value
  );
}

/** Helmet rejects an option that is given under two names, so the app's names are changed to those that we use. */
const NAMES: Readonly<Record<string, string>> = { hsts: 'strictTransportSecurity', frameguard: 'xFrameOptions' };

function readHeaders(headers: unknown): SecurityHeaders | undefined {
  if (headers === undefined || headers === false) return headers;
  if (!isObject(headers)) throw wrong('headers', headers, "give helmet's options, or false");
  try {
    helmet(headers);
  } catch (thrown) {
    throw wrong('headers', headers, `helmet says: ${toError(thrown).message}`);
  }
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [NAMES[name] ?? name, value]));
}

function readProbes(probes: unknown): Probes | undefined {
  if (probes === undefined) return undefined;
  if (probes === false) return { health: false, ready: false };
  if (!isObject(probes)) throw wrong('probes', probes, "give { health: '/livez', ready: '/readyz' }, or false");
  const { health = '/health', ready = '/ready', ...others } = probes as Readonly<Record<string, unknown>>;
  const [surplus] = Object.keys(others);
  if (surplus !== undefined) throw wrong(`probes.${surplus}`, others[surplus], 'the probes are health and ready');
  const path = (name: string, value: unknown): string | false => {
    if (value === false || (typeof value === 'string' && /^\/[^?#\s]*$/.test(value))) return value;
    throw wrong(`probes.${name}`, value, 'give a path that begins with /, or false');
  };
  const paths = { health: path('health', health), ready: path('ready', ready) };
  if (paths.health !== false && paths.health === paths.ready) throw wrong('probes', probes, 'give each its own path');
  return paths;
}

function readParser(parser: unknown): BodyParser | undefined {
  if (parser === undefined || parser === false || typeof parser === 'function') return parser as BodyParser | undefined;
  throw wrong('bodyParser', parser, 'give a middleware, or false');
}

function wrong(option: string, value: unknown, remedy: string): UserError {
  const shown = typeof value === 'function' ? 'a function' : (JSON.stringify(value) ?? String(value));
  return new UserError(`defineApp: ${option} is ${shown}; ${remedy}`, EXIT.config);
}
