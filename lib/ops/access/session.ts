import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import type { Config } from '../../core/config';
import type { Redis } from '../../core/redis';

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
const SIGNED_OUT = 'catamount:ops:signed-out:';
const SECRET = /^[A-Za-z0-9_-]{22}$/;

/**
 * Who is signed in travels in a signed cookie, so the pages work while Redis does not. The key is made from the
 * passwords: it is the same in every process, and a new password ends every session. Redis remembers who signed out.
 */
export class Sessions {
  private constructor(
    private readonly key: Buffer | null,
    private readonly redis: Redis,
    private readonly now: () => number,
  ) {}

  static async create(options: {
    readonly config: Pick<Config, 'ops'>;
    readonly appName: string;
    readonly redis: Redis;
    /** ms since 1970. */
    readonly now?: () => number;
  }): Promise<Sessions> {
    const { redis, now = Date.now } = options;
    const { ops } = options.config;
    if (ops === null) return new Sessions(null, redis, now);
    // Slow to make, so that a stolen cookie is of no use for guessing the password.
    const words = JSON.stringify([ops.password, ops.viewerPassword]);
    const key = (await promisify(scrypt)(words, JSON.stringify(['ops', options.appName, ops.user]), 32)) as Buffer;
    return new Sessions(key, redis, now);
  }

  /** @param cookies the header. @param openRole of those who need not sign in. */
  async visitor(cookies: string, openRole: 'operator' | 'guest'): Promise<Visitor> {
    const known = openRole === 'guest' ? await this.signedIn(readCookie(cookies, SESSION)) : undefined;
    if (known) return known;
    const secret = readCookie(cookies, FORMS);
    return { role: openRole, secret: secret && SECRET.test(secret) ? secret : newSecret() };
  }

  private async signedIn(cookie = ''): Promise<Visitor | undefined> {
    const [role = '', secret = '', expires = '', signature = ''] = cookie.split('.');
    if ((role !== 'operator' && role !== 'viewer') || !SECRET.test(secret)) return undefined;
    if (!sameText(this.sign([role, secret, expires]), signature) || Number(expires) <= this.now() / 1000)
      return undefined;
    return (await this.hasSignedOut(secret)) ? undefined : { role, secret };
  }

  /** A new visitor, never the one before the sign-in, and their cookie. */
  signIn(role: Role): string {
    const parts = [role, newSecret(), String(Math.floor(this.now() / 1000) + SESSION_SECONDS)];
    return `${SESSION}=${[...parts, this.sign(parts)].join('.')}; Max-Age=${SESSION_SECONDS}`;
  }

  /** Also in every other browser that has the same cookie, as soon as Redis answers. */
  async signOut({ secret }: Visitor): Promise<string> {
    const { client } = this.redis;
    await client.set(this.signedOutKey(secret), '1', { EX: SESSION_SECONDS }).catch(() => undefined);
    return `${SESSION}=; Max-Age=0`;
  }

  /** For those who are not signed in: what their forms are bound to. Another cookie, so that it ends no session. */
  static formCookie({ secret }: Visitor): string {
    return `${FORMS}=${secret}`;
  }

  private async hasSignedOut(secret: string): Promise<boolean> {
    return (await this.redis.client.exists(this.signedOutKey(secret)).catch(() => 0)) > 0;
  }

  private signedOutKey(secret: string): string {
    return SIGNED_OUT + createHmac('sha256', secret).update('signed out').digest('base64url');
  }

  private sign(parts: readonly string[]): string {
    if (!this.key) throw new Error('nobody signs in where the pages are open');
    return createHmac('sha256', this.key).update(parts.join('.')).digest('base64url');
  }
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
