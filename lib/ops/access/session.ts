import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { type KeyStores, sessionKey } from './session-key';
import { SignOuts } from './sign-outs';

export type Role = 'operator' | 'viewer';

/** Who asks. `secret` is known to their browser and to us: form tokens are made from it. */
export interface Visitor {
  readonly role: Role | 'guest';
  readonly secret: string;
}

/** How long a sign-in lasts, seconds. */
export const SESSION_SECONDS = 12 * 60 * 60;
const SESSION = 'catamount_ops';
const FORMS = 'catamount_ops_forms';
const SECRET = /^[A-Za-z0-9_-]{22}$/;

/** Who is signed in travels in a signed cookie, so the pages work while Redis or Postgres does not. */
export class Sessions {
  private readonly key: () => Promise<Buffer>;
  private readonly token: string | null;
  private readonly signOuts: SignOuts;
  private readonly now: () => number;

  /** @param options `now`: ms since 1970. */
  constructor(options: KeyStores & { readonly now?: () => number }) {
    this.key = sessionKey(options);
    this.token = options.config.opsToken;
    this.signOuts = new SignOuts(options.redis, options.knex);
    this.now = options.now ?? Date.now;
  }

  /** @param cookies the header. @param host that was asked. */
  async visitor(cookies: string, host: string): Promise<Visitor> {
    return (await this.signedIn(readCookie(cookies, this.cookieAt(host)))) ?? unsigned('guest', cookies);
  }

  /** Who bears the token has no session. */
  bearer(cookies: string): Visitor {
    return unsigned('operator', cookies);
  }

  /** Whether this is the token that lets in who has not signed in. */
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

  /** A new visitor, never the one before the sign-in, and their cookie. */
  async signIn(role: Role, host: string): Promise<string> {
    const parts = [role, newSecret(), String(Math.floor(this.now() / 1000) + SESSION_SECONDS)];
    return `${this.cookieAt(host)}=${[...parts, await this.sign(parts)].join('.')}; Max-Age=${SESSION_SECONDS}`;
  }

  /** In every browser that has the same cookie, for good. */
  async signOut({ secret }: Visitor, host: string): Promise<string> {
    await this.signOuts.add(secret, SESSION_SECONDS);
    return `${this.cookieAt(host)}=; Max-Age=0`;
  }

  /** Whether a visitor has signed out since they were let in, for streams, which the gate sees once. */
  async hasLeft({ role, secret }: Visitor): Promise<boolean> {
    return role !== 'guest' && (await this.signOuts.has(secret));
  }

  /** For those who are not signed in: what their forms are bound to. Another cookie, so that it ends no session. */
  static formCookie({ secret }: Visitor): string {
    return `${FORMS}=${secret}`;
  }

  /** Browsers give a cookie to every port of a host, and who develops two apps has both at localhost. */
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

function unsigned(role: 'operator' | 'guest', cookies: string): Visitor {
  const secret = readCookie(cookies, FORMS);
  return { role, secret: secret && SECRET.test(secret) ? secret : newSecret() };
}

function newSecret(): string {
  return randomBytes(16).toString('base64url');
}

/** Takes as long for a near miss as for any other. */
export function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHmac('sha256', 'compare').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

export function readCookie(header: string, name: string): string | undefined {
  for (const pair of header.split(';')) {
    const at = pair.indexOf('=');
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return undefined;
}
