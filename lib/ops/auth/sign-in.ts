import { setTimeout as wait } from 'node:timers/promises';
import type { Redis } from '../../core/redis';
import { RedisScript } from '../../core/redis-script';
import { clientNetwork, sameText } from '../../support/text';
import { accessMode } from '../ui/access-mode';
import type { OpsContext, PageBase, PageContext, Role } from '../ui/context';
import { localizedProblem, setCookie } from '../ui/shell';
import type { Sessions } from './sessions';

export const SIGN_IN = '/ops/sign-in';
export const SIGN_OUT = '/ops/sign-out';

/** Dependencies of signing in, in addition to those of all pages. */
export interface AuthParts extends PageBase {
  readonly sessions: Sessions;
  readonly tries: SignInThrottle;
}

export const signInRoutes = (site: AuthParts & PageContext): void => {
  const { router, sessions } = site;

  router.get(SIGN_IN, (ctx) => {
    if (ctx.state.visitor.role !== 'guest') return ctx.redirect('/ops');
    return showSignIn(site, ctx, { left: ctx.query.signed === 'out' });
  });

  router.post(SIGN_IN, async (ctx) => {
    const { form } = ctx.state;
    if (accessMode(site.config) === 'token') return enter(site, ctx, form.get('key') ?? '', form.get('next'));
    const name = form.get('name') ?? '';
    const { role, locked, busy, left, waitSeconds } = await tryPassword(site, ctx.ip, name, form.get('password') ?? '');
    site.events.emit('operator.sign-in', { role: role ?? null, address: ctx.ip, locked });
    if (role) {
      setSession(ctx, site.config, await sessions.signIn(role, ctx.host));
      ctx.status = 303;
      return ctx.redirect(ownPath(form.get('next')));
    }
    ctx.status = locked ? 429 : 401;
    if (locked) ctx.set('Retry-After', String(waitSeconds));
    await showSignIn(site, ctx, {
      name,
      next: ownPath(form.get('next')),
      wrong: locked ? { busy, minutes: Math.ceil(waitSeconds / 60) } : { left, minutes: PAUSE_SECONDS / 60 },
    });
  });

  router.post(SIGN_OUT, async (ctx) => {
    setSession(ctx, site.config, await sessions.signOut(ctx.state.visitor, ctx.host));
    ctx.status = 303;
    ctx.redirect(`${SIGN_IN}?signed=out`);
  });
};

/** Sets a session's cookie. For a browser `/ops.json` is not below `/ops`. */
function setSession(ctx: OpsContext, config: PageBase['config'], pair: string): void {
  for (const path of ['/ops', '/ops.json']) setCookie(ctx, config, pair, path);
}

interface PasswordTry {
  /** undefined for a wrong password, and for a right one that was not checked. */
  readonly role: Role | undefined;
  /** The address must pause. */
  readonly locked: boolean;
  /** Too many addresses try at once. */
  readonly busy: boolean;
  readonly left: number;
  readonly waitSeconds: number;
}

/** Counts the try of an address, and checks the password if it may try. */
async function tryPassword(site: AuthParts, ip: string, name: string, password: string): Promise<PasswordTry> {
  const { allowed, left, waitSeconds, delayMs } = await site.tries.count(ip);
  if (delayMs > 0) await wait(delayMs);
  const role = allowed ? roleOf(site, name, password) : undefined;
  // A viewer's own password clears only this try: the tries before it may have guessed the operator's.
  if (role) await (role === 'operator' ? site.tries.forget(ip) : site.tries.takeBack(ip));
  return { role, locked: !allowed || (!role && left === 0), busy: !allowed && left > 0, left, waitSeconds };
}

/**
 * The role of a program that sends name and password with each request.
 * @param credentials of Basic authentication. @throws ProblemError 401 for wrong ones, 429 when the address must pause.
 */
export async function roleByBasic(site: AuthParts, ctx: OpsContext, credentials: string): Promise<Role> {
  // A try may have to wait for its turn.
  ctx.releaseSlot();
  const [name = '', ...password] = Buffer.from(credentials, 'base64').toString('utf8').split(':');
  const { role, locked, waitSeconds } = await tryPassword(site, ctx.ip, name, password.join(':'));
  if (role) return role;
  site.events.emit('operator.sign-in', { role: null, address: ctx.ip, locked });
  if (locked) throw localizedProblem(429, 'password', { headers: { 'Retry-After': String(waitSeconds) } });
  throw localizedProblem(401, 'password', { headers: { 'WWW-Authenticate': 'Basic realm="ops", charset="UTF-8"' } });
}

/**
 * Exchanges the token of the logged link for a session and redirects, so that no address or history keeps the token.
 */
export async function exchangeToken(site: AuthParts, ctx: OpsContext): Promise<void> {
  const here = withoutToken(ctx);
  // A signed-in visitor needs no token.
  if (ctx.state.visitor.role !== 'guest') return ctx.redirect(here);
  await enter(site, ctx, String(ctx.query.token), here);
}

/** Starts a session for the right token. Tries are not counted, since a random token cannot be guessed. */
async function enter(site: AuthParts, ctx: OpsContext, token: string, next: string | null): Promise<void> {
  const right = site.sessions.opens(token.trim());
  site.events.emit('operator.sign-in', { role: right ? 'operator' : null, address: ctx.ip, locked: false });
  if (right) {
    setSession(ctx, site.config, await site.sessions.signIn('operator', ctx.host));
    ctx.status = 303;
    return ctx.redirect(ownPath(next));
  }
  ctx.status = ctx.method === 'POST' ? 401 : ctx.path === '/ops' ? 200 : 404;
  await showSignIn(site, ctx, { next: ownPath(next), wrongToken: true });
}

function withoutToken(ctx: OpsContext): string {
  const parts = ctx.querystring.split('&').filter((part) => part !== '' && !/^token(=|$)/.test(part));
  return parts.length === 0 ? ctx.path : `${ctx.path}?${parts.join('&')}`;
}

export interface SignInShown {
  readonly name?: string;
  /** Path to open after signing in. */
  readonly next?: string;
  /** True right after signing out. */
  readonly left?: boolean;
  /** The token given is not the one of this run. */
  readonly wrongToken?: boolean;
  /** A rejected password. `left`: tries before the pause, absent during it; `busy`: too many addresses try at once. */
  readonly wrong?: { readonly left?: number; readonly busy?: boolean; readonly minutes: number };
}

export async function showSignIn(site: AuthParts, ctx: OpsContext, shown: SignInShown): Promise<void> {
  const { visitor, t } = ctx.state;
  setCookie(ctx, site.config, site.sessions.formCookie(visitor));
  const here = ctx.path === SIGN_IN ? '/ops' : ctx.originalUrl;
  const byToken = accessMode(site.config) === 'token';
  await site.pages.show(ctx, byToken ? 'sign-in-by-token' : 'sign-in', {
    title: t(byToken ? 'signIn.byToken.title' : 'signIn.title'),
    example: `${ctx.protocol}://${ctx.host}/ops?token=…`,
    wrongToken: false,
    name: '',
    left: false,
    wrong: undefined,
    action: SIGN_IN,
    ...shown,
    next: ownPath(shown.next ?? here),
  });
}

/** Compares with every secret, whatever was given, so that the time taken reveals nothing. */
function roleOf({ config: { ops } }: PageBase, name: string, password: string): Role | undefined {
  if (ops === null) return undefined;
  const nameIsRight = sameText(name, ops.user);
  const operator = sameText(password, ops.password);
  const viewer = sameText(password, ops.viewerPassword ?? '') && ops.viewerPassword !== null;
  if (!nameIsRight) return undefined;
  if (operator) return 'operator';
  return viewer ? 'viewer' : undefined;
}

/** The path to open next, restricted to our own pages against open redirects; anything else becomes `/ops`. */
function ownPath(given: string | null): string {
  return given !== null && /^\/ops(?:[/?][\w\-./?=&%+~:,@!*']*)?$/.test(given) && !given.startsWith(SIGN_IN)
    ? given
    : '/ops';
}

/** Number of tries that one address has before it must pause. */
export const TRIES = 5;
/** Length of that pause, s. */
export const PAUSE_SECONDS = 15 * 60;
const PREFIX = 'catamount:ops:tries:';
const KNOWN = 'catamount:ops:known:';
const PACE = 'catamount:ops:pace';
/** An address with a successful sign-in stays exempt from the shared pace for this long, s. */
const KNOWN_SECONDS = 90 * 24 * 60 * 60;
/** Maximum number of addresses kept in memory while Redis is unavailable. */
const REMEMBERED = 10_000;
/** Shared pace of all unknown addresses: a burst, then one try per interval; a try waits at most LONGEST_MS. */
const AT_ONCE = 30;
const EVERY_MS = 1000;
const LONGEST_MS = 10_000;

/**
 * Counts before the password is checked, so that concurrent tries cannot slip past the limit. Tries from unknown
 * addresses also share one pace (GCRA); a try rejected for it does not count against its address.
 */
const COUNT = new RedisScript(`
local count = redis.call('incr', KEYS[1])
if count == 1 or count == tonumber(ARGV[1]) then redis.call('expire', KEYS[1], ARGV[2]) end
local left = redis.call('ttl', KEYS[1])
if count > tonumber(ARGV[1]) or redis.call('exists', KEYS[2]) == 1 then return {count, left, 0} end
local time = redis.call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local every, ahead = tonumber(ARGV[3]), tonumber(ARGV[3]) * tonumber(ARGV[4])
local at = math.max(tonumber(redis.call('get', KEYS[3]) or 0), now - ahead) + every
if at - now > tonumber(ARGV[5]) then
  redis.call('decr', KEYS[1])
  return {count, left, at - now}
end
redis.call('set', KEYS[3], string.format('%.0f', at), 'PX', ahead + tonumber(ARGV[5]))
return {count, left, math.max(0, at - now)}`);

const TAKE_BACK = new RedisScript(`
if tonumber(redis.call('get', KEYS[1]) or 0) > 0 then redis.call('decr', KEYS[1]) end
return 0`);

export interface Counted {
  /** The password may be checked, after `delayMs`. */
  readonly allowed: boolean;
  readonly delayMs: number;
  /** Tries left for this address; above 0 without `allowed`: the shared pace rejected the try. */
  readonly left: number;
  /** Seconds until the next try may be made. */
  readonly waitSeconds: number;
}

interface Remembered {
  count: number;
  until: number;
}

/**
 * Counts password tries by address: in Redis for all processes, in this process's memory while Redis is unavailable.
 */
export class SignInThrottle {
  private readonly memory = new Map<string, Remembered>();
  private readonly known = new Set<string>();
  private pacedTo = 0;

  /** @param now ms since 1970. */
  constructor(
    private readonly redis: Redis,
    private readonly now: () => number = Date.now,
  ) {}

  async count(ip: string): Promise<Counted> {
    const address = clientNetwork(ip);
    const [count, left, turnMs] = await this.countInRedis(address).catch(() => this.countInMemory(address));
    if (turnMs > LONGEST_MS)
      return { allowed: false, delayMs: 0, left: TRIES - count + 1, waitSeconds: LONGEST_MS / 1000 };
    return {
      allowed: count <= TRIES,
      delayMs: turnMs,
      left: Math.max(0, TRIES - count),
      waitSeconds: Math.max(1, left),
    };
  }

  /** After the operator's password: the wrong tries before it were typing errors. */
  async forget(ip: string): Promise<void> {
    const address = this.remember(ip);
    this.memory.delete(address);
    await this.redis.client.del(PREFIX + address).catch(() => undefined);
  }

  /** After a viewer's password: this try was right, but those before it may have been guesses. */
  async takeBack(ip: string): Promise<void> {
    const address = this.remember(ip);
    const entry = this.memory.get(address);
    if (entry && entry.count > 0) entry.count--;
    await TAKE_BACK.run(this.redis.client, [PREFIX + address], []).catch(() => undefined);
  }

  /** Marks the address as known after a successful sign-in. */
  private remember(ip: string): string {
    const address = clientNetwork(ip);
    this.known.add(address);
    dropOldest(this.known);
    this.redis.client.set(KNOWN + address, '1', { EX: KNOWN_SECONDS }).catch(() => undefined);
    return address;
  }

  private async countInRedis(address: string): Promise<[number, number, number]> {
    const reply = await COUNT.run(
      this.redis.client,
      [PREFIX + address, KNOWN + address, PACE],
      [TRIES, PAUSE_SECONDS, EVERY_MS, AT_ONCE, LONGEST_MS].map(String),
    );
    return reply as [number, number, number];
  }

  private countInMemory(address: string): [number, number, number] {
    const ms = this.now();
    const now = ms / 1000;
    const seen = this.memory.get(address);
    const entry = seen && seen.until > now ? seen : { count: 0, until: now + PAUSE_SECONDS };
    entry.count++;
    if (entry.count === TRIES) entry.until = now + PAUSE_SECONDS;
    this.memory.delete(address);
    this.memory.set(address, entry);
    dropOldest(this.memory);
    const { count } = entry;
    const left = Math.ceil(entry.until - now);
    if (count > TRIES || this.known.has(address)) return [count, left, 0];
    const at = Math.max(this.pacedTo, ms - EVERY_MS * AT_ONCE) + EVERY_MS;
    if (at - ms > LONGEST_MS) entry.count--;
    else this.pacedTo = at;
    return [count, left, Math.max(0, at - ms)];
  }
}

function dropOldest(memory: Map<string, unknown> | Set<string>): void {
  const [oldest] = memory.keys();
  if (memory.size > REMEMBERED && oldest !== undefined) memory.delete(oldest);
}
