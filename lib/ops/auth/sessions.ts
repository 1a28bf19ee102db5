import { createHmac, randomBytes, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import type { Knex } from 'knex';
import type { Config } from '../../core/config';
import type { Redis } from '../../core/redis';
import { lazy } from '../../support/lazy';
import { isSameSecret } from '../../support/same-secret';
import type { Visitor } from '../ui/page-types';
import { readCookie } from '../ui/shell';
import { SignOuts } from './sign-outs';

/** Lifetime of a session, s. */
const SESSION_SECONDS = 12 * 60 * 60;
const SESSION = 'catamount_ops';
const FORMS = 'catamount_ops_forms';
const SECRET = /^[A-Za-z0-9_-]{22}$/;

interface SessionOptions {
  readonly config: Pick<Config, 'ops' | 'opsToken' | 'databaseUrl'>;
  readonly appName: string;
  readonly redis: Redis;
  readonly knex: Knex;
  /** ms since 1970. Default: `Date.now`. */
  readonly now?: () => number;
}

/** Sessions live in a signed cookie, so that the pages work while Redis or Postgres is unavailable. */
export class Sessions {
  private readonly key: () => Promise<Buffer>;
  private readonly token: string | null;
  private readonly signOuts: SignOuts;
  private readonly now: () => number;

  constructor(options: SessionOptions) {
    this.key = lazy(() => sessionKey(options));
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
    return this.token !== null && isSameSecret(token, this.token);
  }

  private async signedIn(cookie = ''): Promise<Visitor | undefined> {
    const [secret = '', expires = '', signature = '', ...more] = cookie.split('.');
    if (!SECRET.test(secret) || more.length > 0) return undefined;
    if (!isSameSecret(await this.sign([secret, expires]), signature) || Number(expires) <= this.now() / 1000)
      return undefined;
    return (await this.signOuts.has(secret)) ? undefined : { role: 'operator', secret };
  }

  /** Starts a session with a new secret, which prevents session fixation. @returns the cookie to set. */
  async signIn(host: string): Promise<string> {
    const parts = [newSecret(), String(Math.floor(this.now() / 1000) + SESSION_SECONDS)];
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

/**
 * The key that signs sessions. All processes and trees of the app derive the same one, even while Postgres is unavailable. A
 * new password ends every session.
 *
 * The database's URL is part of the key and usually has a random password. So nobody can find the operator's password from a
 * stolen cookie; scrypt makes that slow in any case. Without passwords the key derives from the access token, which is random,
 * so a restart ends every session.
 */
function sessionKey({ config: { ops, opsToken, databaseUrl }, appName }: SessionOptions): Promise<Buffer> {
  const secrets = ops ? [databaseUrl, ops.user, ops.password] : [opsToken];
  return promisify(scrypt)(JSON.stringify(secrets), `sessions of ${appName}`, 32) as Promise<Buffer>;
}

/** A visitor without a session: a guest, or a program that sends a token or a password with each request. */
export function unsigned(role: Visitor['role'], cookies: string): Visitor {
  const secret = readCookie(cookies, FORMS);
  return { role, secret: secret && SECRET.test(secret) ? secret : newSecret() };
}

function newSecret(): string {
  return randomBytes(16).toString('base64url');
}
