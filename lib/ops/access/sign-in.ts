import { setTimeout as wait } from 'node:timers/promises';
import type { OpsContext } from '../context';
import { setCookie } from '../page/cookies';
import type { PageGroup, SiteParts } from '../site';
import { accessMode } from './mode';
import { type Role, Sessions, sameText } from './session';
import { PAUSE_SECONDS } from './tries';

export const SIGN_IN = '/ops/sign-in';
export const SIGN_OUT = '/ops/sign-out';

export const signInRoutes: PageGroup = (site) => {
  const { router, sessions } = site;

  router.get(SIGN_IN, (ctx) => {
    if (ctx.state.visitor.role !== 'guest') return ctx.redirect('/ops');
    return showSignIn(site, ctx, { left: ctx.query.signed === 'out' });
  });

  router.post(SIGN_IN, async (ctx) => {
    const { form } = ctx.state;
    if (accessMode(site.config) === 'token') return enter(site, ctx, form.get('key') ?? '', form.get('next'));
    const name = form.get('name') ?? '';
    const { allowed, left, waitSeconds, delayMs } = await site.tries.count(ctx.ip);
    if (delayMs > 0) await wait(delayMs);
    const role = allowed ? roleOf(site, name, form.get('password') ?? '') : undefined;
    site.events.emit('operator.sign-in', { role: role ?? null, address: ctx.ip, locked: !allowed || (!role && !left) });
    if (role) {
      // A viewer's own password says nothing of the guesses at the operator's before it.
      await (role === 'operator' ? site.tries.forget(ctx.ip) : site.tries.takeBack(ctx.ip));
      setCookie(ctx, site.config, await sessions.signIn(role, ctx.host));
      ctx.status = 303;
      return ctx.redirect(ownPath(form.get('next')));
    }
    const locked = !allowed || left === 0;
    const busy = !allowed && left > 0;
    ctx.status = locked ? 429 : 401;
    if (locked) ctx.set('Retry-After', String(waitSeconds));
    await showSignIn(site, ctx, {
      name,
      next: ownPath(form.get('next')),
      wrong: locked ? { busy, minutes: Math.ceil(waitSeconds / 60) } : { left, minutes: PAUSE_SECONDS / 60 },
    });
  });

  router.post(SIGN_OUT, async (ctx) => {
    setCookie(ctx, site.config, await sessions.signOut(ctx.state.visitor, ctx.host));
    ctx.status = 303;
    ctx.redirect(`${SIGN_IN}?signed=out`);
  });
};

/** The link in the log of the start has the token. Afterwards it stands neither in the address nor in the history. */
export async function exchangeToken(site: SiteParts, ctx: OpsContext): Promise<void> {
  const here = withoutToken(ctx);
  // Who is in already needs none.
  if (ctx.state.visitor.role !== 'guest') return ctx.redirect(here);
  await enter(site, ctx, String(ctx.query.token), here);
}

/** Lets in who has the token. It cannot be guessed, so tries are not counted. */
async function enter(site: SiteParts, ctx: OpsContext, token: string, next: string | null): Promise<void> {
  const right = site.sessions.opens(token.trim());
  site.events.emit('operator.sign-in', { role: right ? 'operator' : null, address: ctx.ip, locked: false });
  if (right) {
    setCookie(ctx, site.config, await site.sessions.signIn('operator', ctx.host));
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
  /** Where to go on. */
  readonly next?: string;
  /** They have just signed out. */
  readonly left?: boolean;
  /** `left`: tries before the pause; none: it has begun, or, `busy`, many addresses together try too often. */
  /** What was given is no token of this start's. */
  readonly wrongToken?: boolean;
  readonly wrong?: { readonly left?: number; readonly busy?: boolean; readonly minutes: number };
}

export async function showSignIn(site: SiteParts, ctx: OpsContext, shown: SignInShown): Promise<void> {
  const { visitor, t } = ctx.state;
  setCookie(ctx, site.config, Sessions.formCookie(visitor));
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

/** Compares with everything there is, whatever was given, so that time tells nothing. */
function roleOf({ config: { ops } }: SiteParts, name: string, password: string): Role | undefined {
  if (ops === null) return undefined;
  const nameIsRight = sameText(name, ops.user);
  const operator = sameText(password, ops.password);
  const viewer = sameText(password, ops.viewerPassword ?? '') && ops.viewerPassword !== null;
  if (!nameIsRight) return undefined;
  if (operator) return 'operator';
  return viewer ? 'viewer' : undefined;
}

/** A path of ours to go on to; what leads elsewhere becomes the first page. */
function ownPath(given: string | null): string {
  return given !== null && /^\/ops(?:[/?][\w\-./?=&%+~:,@!*']*)?$/.test(given) && !given.startsWith(SIGN_IN)
    ? given
    : '/ops';
}
