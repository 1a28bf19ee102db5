import { setTimeout as wait } from 'node:timers/promises';
import { sameText } from '../../support/text';
import { accessMode } from '../ui/access-mode';
import type { OpsContext, PageBase, PageContext, Role } from '../ui/context';
import { localizedProblem, setCookie } from '../ui/shell';
import type { Sessions } from './sessions';
import { PAUSE_SECONDS, type SignInThrottle } from './sign-in-throttle';

export const SIGN_IN = '/ops/sign-in';
export const SIGN_OUT = '/ops/sign-out';

/** Dependencies of signing in, in addition to those of all pages. */
export interface AuthParts extends PageBase {
  readonly sessions: Sessions;
  readonly throttle: SignInThrottle;
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
  const { allowed, left, waitSeconds, delayMs } = await site.throttle.count(ip);
  if (delayMs > 0) await wait(delayMs);
  const role = allowed ? checkPassword(site, name, password) : undefined;
  // A viewer's own password clears only this try: the tries before it may have guessed the operator's.
  if (role) await (role === 'operator' ? site.throttle.forget(ip) : site.throttle.takeBack(ip));
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
  await site.layout.show(ctx, byToken ? 'sign-in-by-token' : 'sign-in', {
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
function checkPassword({ config: { ops } }: PageBase, name: string, password: string): Role | undefined {
  if (ops === null) return undefined;
  const nameIsRight = sameText(name, ops.user);
  const operator = sameText(password, ops.password);
  const viewer = sameText(password, ops.viewerPassword ?? '') && ops.viewerPassword !== null;
  if (!nameIsRight) return undefined;
  if (operator) return 'operator';
  return viewer ? 'viewer' : undefined;
}

/** The path to open next, restricted to our own pages against open redirects; anything else becomes `/ops`. */
function ownPath(target: string | null): string {
  return target !== null && /^\/ops(?:[/?][\w\-./?=&%+~:,@!*']*)?$/.test(target) && !target.startsWith(SIGN_IN)
    ? target
    : '/ops';
}
