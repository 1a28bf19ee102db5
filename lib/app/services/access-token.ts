import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { User } from '../models/user';

const MAX_BIGINT = 9_223_372_036_854_775_807n;

/** `<user id>:<secret>`. The database stores only a digest of the secret. */
export interface AccessToken {
  readonly userId: string;
  readonly secret: string;
}

/** @returns 256 random bits, URL-safe. */
export function newSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** A plain hash is as good as a slow one here, since the secret is long and random. */
export function hashToken(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** Compares in constant time. */
export function matches(secret: string, digest: Buffer): boolean {
  return timingSafeEqual(hashToken(secret), digest);
}

export function formatToken({ userId, secret }: AccessToken): string {
  return `${userId}:${secret}`;
}

/** @returns undefined if the text cannot be a token, so that it causes no query. */
export function parseToken(text: string): AccessToken | undefined {
  const [, userId, secret] = /^([1-9]\d{0,18}):([A-Za-z0-9_-]{43})$/.exec(text) ?? [];
  if (userId === undefined || secret === undefined || BigInt(userId) > MAX_BIGINT) return undefined;
  return { userId, secret };
}

/** @param header the Authorization header. @returns the user of its token; undefined without a valid one. */
export async function authenticate(header: string): Promise<User | undefined> {
  const [, text = ''] = /^Bearer +(\S+) *$/i.exec(header) ?? [];
  const token = parseToken(text);
  if (!token) return undefined;
  const user = await User.findById(token.userId);
  return user && matches(token.secret, user.tokenDigest) ? user : undefined;
}
