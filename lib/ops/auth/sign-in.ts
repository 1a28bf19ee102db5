import { isSameSecret } from '../../support/same-secret';
import { accessMode } from '../ui/access-mode';
import type { OpsContext, PageBase, PageContext } from '../ui/page-types';
import { localizedProblem, setCookie } from '../ui/shell';
import type { Sessions } from './sessions';
import { MAX_TRIES, PAUSE_SECONDS, type Refusal, type SignInThrottle } from './sign-in-throttle';

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
    if (accessMode(site.config) === 'token') return tryToken(site, ctx, form.get('key') ?? '', form.get('next'));
    const name = form.get('name') ?? '';
    const refused = await tryPassword(site, ctx.ip, name, form.get('password') ?? '');
    reportTry(site, ctx, refused);
    if (!refused) return enter(site, ctx, form.get('next'));
    const { waitSeconds } = refused;
    ctx.status = waitSeconds > 0 ? 429 : 401;
    if (waitSeconds > 0) ctx.set('Retry-After', String(waitSeconds));
    await showSignIn(site, ctx, {
      name,
      next: ownPath(form.get('next')),
      wrong: { ...refused, count: MAX_TRIES, minutes: Math.ceil((waitSeconds || PAUSE_SECONDS) / 60) },
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

/** Counts the try of an address, and checks the password if it may try. @returns undefined for the right password. */
async function tryPassword(site: AuthParts, ip: string, name: string, password: string): Promise<Refusal | undefined> {
  const counted = await site.throttle.take(ip);
  if (counted.waitSeconds > 0 || !checkPassword(site, name, password)) return counted;
  await site.throttle.forget(ip);
  return undefined;
}

function reportTry({ events }: AuthParts, { ip }: OpsContext, refused: Refusal | undefined): void {
  const locked = refused !== undefined && refused.waitSeconds > 0;
  events.emit('operator.sign-in', { role: refused ? null : 'operator', address: ip, locked });
}

/**
 * Admits a program that sends name and password with each request.
 * @param credentials of Basic authentication. @throws ProblemError 401 for wrong ones, 429 when the address must pause.
 */
export async function admitByBasic(site: AuthParts, ctx: OpsContext, credentials: string): Promise<void> {
  const [name = '', ...password] = Buffer.from(credentials, 'base64').toString('utf8').split(':');
  const refused = await tryPassword(site, ctx.ip, name, password.join(':'));
  // A program sends them with every request, so only wrong ones are worth a line of the log.
  if (!refused) return;
  reportTry(site, ctx, refused);
  const { waitSeconds } = refused;
  if (waitSeconds > 0) throw localizedProblem(429, 'password', { headers: { 'Retry-After': String(waitSeconds) } });
  throw localizedProblem(401, 'password', { headers: { 'WWW-Authenticate': 'Basic realm="ops", charset="UTF-8"' } });
}

/**
 * Exchanges the token of the logged link for a session and redirects, so that no address or history keeps the token.
 */
export async function exchangeToken(site: AuthParts, ctx: OpsContext): Promise<void> {
  const here = withoutToken(ctx);
  // A signed-in visitor needs no token.
  if (ctx.state.visitor.role !== 'guest') return ctx.redirect(here);
  await tryToken(site, ctx, String(ctx.query.token), here);
}

/** Starts a session for the right token. Tries are not counted, since a random token cannot be guessed. */
async function tryToken(site: AuthParts, ctx: OpsContext, token: string, next: string | null): Promise<void> {
  const right = site.sessions.opens(token.trim());
  site.events.emit('operator.sign-in', { role: right ? 'operator' : null, address: ctx.ip, locked: false });
  if (right) return enter(site, ctx, next);
  ctx.status = ctx.method === 'POST' ? 401 : ctx.path === '/ops' ? 200 : 404;
  await showSignIn(site, ctx, { next: ownPath(next), wrongToken: true });
}

async function enter(site: AuthParts, ctx: OpsContext, next: string | null): Promise<void> {
  setSession(ctx, site.config, await site.sessions.signIn(ctx.host));
  ctx.status = 303;
  ctx.redirect(ownPath(next));
}

function withoutToken(ctx: OpsContext): string {
  const parts = ctx.querystring.split('&').filter((part) => part !== '' && !/^token(=|$)/.test(part));
  return parts.length === 0 ? ctx.path : `${ctx.path}?${parts.join('&')}`;
}

export interface SignInShown {
  readonly name?: string;
  /** Path to open after signing in. */
  readonly next?: string;
  readonly left?: boolean;
  /** The token given is not the one of this run. */
  readonly wrongToken?: boolean;
  readonly wrong?: Refusal & { readonly count: number; readonly minutes: number };
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

/** Compares both, whatever was given, so that the time taken reveals nothing. */
function checkPassword({ config: { ops } }: PageBase, name: string, password: string): boolean {
  const [rightName, rightPassword] = [isSameSecret(name, ops?.user ?? ''), isSameSecret(password, ops?.password ?? '')];
  return ops !== null && rightName && rightPassword;
}

/** The path to open next, restricted to our own pages against open redirects; anything else becomes `/ops`. */
function ownPath(target: string | null): string {
  return target !== null && /^\/ops(?:[/?][\w\-./?=&%+~:,@!*']*)?$/.test(target) && !target.startsWith(SIGN_IN)
    ? target
    : '/ops';
}
