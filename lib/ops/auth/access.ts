import { createHmac, randomBytes } from 'node:crypto';
import type { Knex } from 'knex';
import { type Config, TABLES } from '../../core/config';
import type { Redis } from '../../core/redis';
import { answerWithin, RedisTimeoutError } from '../../core/redis-script';
import { lazy } from '../../support/async';
import { sameText } from '../../support/text';
import { readBody } from '../../web/body';
import { accessMode, isFromHere, isLoopbackHost } from '../ui/access-mode';
import type { OpsContext, OpsMiddleware, Role, Visitor } from '../ui/context';
import { formToken, localizedProblem, readCookie, setCookie } from '../ui/shell';
import type { AuthParts } from './sign-in';
import { exchangeToken, roleByBasic, SIGN_IN, SIGN_OUT, showSignIn } from './sign-in';

/**
 * Guards pages that show addresses, arguments or contents, and questions whose answer only an operator may give.
 * @throws ProblemError 403 unless the visitor is an operator.
 */
export function assertOperator(ctx: OpsContext): void {
  if (ctx.state.visitor.role !== 'operator') throw localizedProblem(403, 'viewer');
}

const FIELD = 'token';
const BASIC = /^basic +([\w+/=-]+)$/i;

/**
 * Fields of a form that this visitor's own page has sent.
 * @throws ProblemError 403 for another origin or a stale token, 415 for a body that is not a form, 413 for a large one.
 */
export async function readForm(ctx: OpsContext): Promise<URLSearchParams> {
  const origin = ctx.get('Origin');
  if (!URL.canParse(origin) || new URL(origin).host !== ctx.host) throw localizedProblem(403, 'elsewhere');
  if (!ctx.is('application/x-www-form-urlencoded')) throw localizedProblem(415, 'noForm');
  const form = new URLSearchParams((await readBody(ctx.res)).toString('utf8'));
  if (!sameText(form.get(FIELD) ?? '', formToken(ctx.state.visitor))) throw localizedProblem(403, 'stale');
  return form;
}

/**
 * Guards everything below /ops except the assets: who may read, who may change something, and that a form comes from the
 * visitor's own page. A guest may only sign in, and a viewer may only read: all methods other than GET and HEAD, and so
 * every action on jobs, mails and processes, are for operators.
 */
export function authenticate(site: AuthParts): OpsMiddleware {
  const mode = accessMode(site.config);
  return async (ctx, next) => {
    if (mode === 'token') assertFromHere(ctx);
    const bears = mode === 'token' && site.sessions.opens(ctx.get('Authorization').replace(/^bearer /i, ''));
    const reads = ctx.method === 'GET' || ctx.method === 'HEAD';
    // Browsers send it by themselves, also from other sites, so it only reads.
    const basic = mode === 'signed' && reads && ctx.state.json && BASIC.exec(ctx.get('Authorization'))?.[1];
    const role = bears ? 'operator' : basic ? await roleByBasic(site, ctx, basic) : undefined;
    const cookies = ctx.get('Cookie');
    const visitor = role ? unsigned(role, cookies) : await site.sessions.visitor(cookies, ctx.host);
    ctx.state.visitor = visitor;
    const { token } = ctx.query;
    if (
      mode === 'token' &&
      reads &&
      token !== undefined &&
      (visitor.role === 'guest' || site.sessions.opens(String(token)))
    )
      return exchangeToken(site, ctx);
    if (visitor.role === 'guest' && ctx.path !== SIGN_IN) {
      // Every path gives the same reply, so that a stranger cannot find out which pages exist.
      if (ctx.state.json || !reads) throw localizedProblem(404, 'signedOut');
      // A link on another site omits our SameSite cookies; a reload from our own page sends them.
      if (/^(cross|same)-site$/.test(ctx.get('Sec-Fetch-Site'))) ctx.set('Refresh', `0; url=${ctx.originalUrl}`);
      ctx.status = ctx.path === '/ops' ? 200 : 404;
      return showSignIn(site, ctx, {});
    }
    if (bears) setCookie(ctx, site.config, site.sessions.formCookie(visitor));
    if (!reads) {
      if (visitor.role === 'viewer' && ctx.path !== SIGN_OUT && ctx.path !== SIGN_IN)
        throw localizedProblem(403, 'viewer');
      // A slow sender of a body must not occupy a request slot.
      ctx.releaseSlot();
      ctx.state.form = await readForm(ctx);
    }
    await next();
  };
}

function assertFromHere(ctx: OpsContext): void {
  if (!isLoopbackHost(ctx.host)) throw localizedProblem(403, 'otherHost', { values: { host: ctx.host } });
  if (!isFromHere(ctx)) throw localizedProblem(403, 'otherMachine');
  const reads = ctx.method === 'GET' || ctx.method === 'HEAD';
  if (!reads && /^(cross|same)-site$/.test(ctx.get('Sec-Fetch-Site'))) throw localizedProblem(403, 'elsewhere');
}

/** Lifetime of a session, s. */
const SESSION_SECONDS = 12 * 60 * 60;
const SESSION = 'catamount_ops';
const FORMS = 'catamount_ops_forms';
const SECRET = /^[A-Za-z0-9_-]{22}$/;

/** Sessions live in a signed cookie, so that the pages work while Redis or Postgres is unavailable. */
export class Sessions {
  private readonly key: () => Promise<Buffer>;
  private readonly token: string | null;
  private readonly signOuts: SignOuts;
  private readonly now: () => number;

  /** @param options `now`: ms since 1970, default `Date.now`. */
  constructor(options: KeyStores & { readonly now?: () => number }) {
    this.key = sessionKey(options);
    this.token = options.config.opsToken;
    this.signOuts = new SignOuts(options.redis, options.knex);
    this.now = options.now ?? Date.now;
  }

  /** @param cookies the Cookie header. @param host the Host header. */
  async visitor(cookies: string, host: string): Promise<Visitor> {
    return (await this.signedIn(readCookie(cookies, this.cookieAt(host)))) ?? unsigned('guest', cookies);
  }

  /** True for this tree's access token; always false when sign-in is by password. */
  opens(token: string): boolean {
    return this.token !== null && sameText(token, this.token);
  }

  private async signedIn(cookie = ''): Promise<Visitor | undefined> {
    const [role = '', secret = '', expires = '', signature = '', ...more] = cookie.split('.');
    if ((role !== 'operator' && role !== 'viewer') || !SECRET.test(secret) || more.length > 0) return undefined;
    if (!sameText(await this.sign([role, secret, expires]), signature) || Number(expires) <= this.now() / 1000)
      return undefined;
    return (await this.signOuts.has(secret)) ? undefined : { role, secret };
  }

  /** Starts a session with a new secret, which prevents session fixation. @returns the cookie to set. */
  async signIn(role: Role, host: string): Promise<string> {
    const parts = [role, newSecret(), String(Math.floor(this.now() / 1000) + SESSION_SECONDS)];
    return `${this.cookieAt(host)}=${[...parts, await this.sign(parts)].join('.')}; Max-Age=${SESSION_SECONDS}`;
  }

  /** Ends the session for good, also for copies of its cookie. @returns the cookie to set. */
  async signOut({ secret }: Visitor, host: string): Promise<string> {
    await this.signOuts.add(secret, SESSION_SECONDS);
    return `${this.cookieAt(host)}=; Max-Age=0`;
  }

  /**
   * True once the visitor has signed out. Streams ask this, since `authenticate` checks a request only when it begins.
   */
  async hasLeft({ role, secret }: Visitor): Promise<boolean> {
    return role !== 'guest' && (await this.signOuts.has(secret));
  }

  /** Binds the forms of visitors without a session. It is another cookie, so that setting it ends no session. */
  formCookie({ secret }: Visitor): string {
    return `${FORMS}=${secret}`;
  }

  /** Cookies ignore the port: two apps in development, both on localhost, would overwrite each other's session. */
  private cookieAt(host: string): string {
    const [, port] = /:(\d+)$/.exec(host) ?? [];
    return this.token === null || port === undefined ? SESSION : `${SESSION}_${port}`;
  }

  private async sign(parts: readonly string[]): Promise<string> {
    return createHmac('sha256', await this.key())
      .update(parts.join('.'))
      .digest('base64url');
  }
}

/** A visitor without a session: a guest, or a program that sends a token or a password with each request. */
function unsigned(role: Visitor['role'], cookies: string): Visitor {
  const secret = readCookie(cookies, FORMS);
  return { role, secret: secret && SECRET.test(secret) ? secret : newSecret() };
}

function newSecret(): string {
  return randomBytes(16).toString('base64url');
}

export interface KeyStores {
  readonly config: Pick<Config, 'ops' | 'opsToken'>;
  readonly appName: string;
  readonly redis: Redis;
  readonly knex: Knex;
}

const NAME = 'sessions';
const COPY = 'catamount:ops:key';
const KEY_TIMEOUT_MS = 2000;

/**
 * The key that signs sessions: a random one, or OPS_SECRET, combined with the passwords, so that a new password ends
 * every session. The passwords alone would not do: a viewer knows one of them and could guess the other with their own
 * cookie. Without passwords the key derives from the access token, which is random: a restart ends every session.
 */
export function sessionKey(stores: KeyStores): () => Promise<Buffer> {
  const { config, appName } = stores;
  return lazy(async () => {
    const { ops, opsToken } = config;
    if (ops === null)
      return createHmac('sha256', opsToken ?? '')
        .update(`sessions of ${appName}`)
        .digest();
    const secret = ops.secret ?? (await storedKey(stores));
    const parts = JSON.stringify([appName, ops.user, ops.password, ops.viewerPassword]);
    return createHmac('sha256', secret).update(parts).digest();
  });
}

/**
 * The key in Postgres, created on first use. Processes that start while Postgres is unavailable use the copy in Redis.
 */
async function storedKey({ redis, knex }: KeyStores): Promise<Buffer> {
  try {
    const key = await answerWithin(KEY_TIMEOUT_MS, keyInPostgres(knex)).catch((error: unknown) => {
      throw error instanceof RedisTimeoutError ? new PostgresTimeoutError(KEY_TIMEOUT_MS) : error;
    });
    await redis.client.set(COPY, key.toString('base64')).catch(() => undefined);
    return key;
  } catch (error) {
    const copy = await redis.client.get(COPY).catch(() => null);
    if (copy === null) throw error;
    return Buffer.from(copy, 'base64');
  }
}

/** Has the code of a network timeout, so that the pages report both in the same way. */
class PostgresTimeoutError extends Error {
  override readonly name = 'PostgresTimeoutError';
  readonly code = 'ETIMEDOUT';

  constructor(limitMs: number) {
    super(`Postgres did not answer within ${limitMs} ms`);
  }
}

async function keyInPostgres(knex: Knex): Promise<Buffer> {
  await knex.raw(`insert into ${TABLES.keys} (name, key) values (?, ?) on conflict do nothing`, [
    NAME,
    randomBytes(32),
  ]);
  const { rows } = await knex.raw<{ rows: { key: Buffer }[] }>(`select key from ${TABLES.keys} where name = ?`, [NAME]);
  const [row] = rows;
  if (!row) throw new Error(`The key of the sessions was deleted from ${TABLES.keys} while it was read`);
  return row.key;
}

const PREFIX = 'catamount:ops:signed-out:';
/** Time limit for each store, ms: a request must not hang because one of them is unavailable. */
const SIGN_OUT_TIMEOUT_MS = 1000;

/** Ended sessions, kept in Postgres, which is durable, and in Redis, which answers while Postgres is unavailable. */
export class SignOuts {
  constructor(
    private readonly redis: Redis,
    private readonly knex: Knex,
  ) {}

  async add(secret: string, seconds: number): Promise<void> {
    const session = digestOf(secret);
    const inPostgres = async () => {
      await this.knex.raw(
        `insert into ${TABLES.signOuts} (session, expires_at) values (?, now() + ? * interval '1 second')
         on conflict do nothing`,
        [session, seconds],
      );
      await this.knex.raw(`delete from ${TABLES.signOuts} where expires_at < now()`);
    };
    await Promise.allSettled([
      answerWithin(SIGN_OUT_TIMEOUT_MS, inPostgres()),
      answerWithin(SIGN_OUT_TIMEOUT_MS, this.redis.client.set(PREFIX + session, '1', { EX: seconds })),
    ]);
  }

  /** False while neither store answers, so that the pages work through an outage. */
  async has(secret: string): Promise<boolean> {
    const session = digestOf(secret);
    const answers = await Promise.allSettled([
      answerWithin(SIGN_OUT_TIMEOUT_MS, this.redis.client.exists(PREFIX + session)),
      answerWithin(SIGN_OUT_TIMEOUT_MS, this.knex.raw(`select 1 from ${TABLES.signOuts} where session = ?`, [session])),
    ]);
    const [inRedis, inPostgres] = answers;
    return (
      (inRedis.status === 'fulfilled' && inRedis.value > 0) ||
      (inPostgres.status === 'fulfilled' && inPostgres.value.rows.length > 0)
    );
  }
}

/** Digest of the secret: forms are bound to the secret itself, so the stored digest is of no use to a reader. */
function digestOf(secret: string): string {
  return createHmac('sha256', secret).update('signed out').digest('base64url');
}
