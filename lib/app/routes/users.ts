import type { RouterContext } from '@koa/router';
import { z } from 'zod';
import {
  DISPLAY_NAME_RULE,
  EMAIL_RULE,
  ProblemError,
  parseDisplayName,
  parseEmail,
  type Routes,
  SignUpLimits,
} from '../../index';
import type { User } from '../models/user';
import { authenticate } from '../services/access-token';
import { EmailTakenError, signUp } from '../services/sign-up';
import { USER_LOCALES, userLocale } from '../services/user-locale';

export const userRoutes: Routes = (router, environment) => {
  const limits = new SignUpLimits(environment);

  router.post('/users', async (ctx) => {
    const { email, name, locale = userLocale(ctx.locale) } = readNewUser(ctx);
    const seconds = await limits.take(ctx.ip, email);
    if (seconds > 0) throw tooMany(seconds);
    const { user, accessToken } = await signUp({ email: email.address, name, locale }).catch(async (error: unknown) => {
      // A taken address counts as well: otherwise anybody could test without limit which addresses have signed up.
      if (error instanceof EmailTakenError) throw taken();
      await limits.giveBack(ctx.ip, email);
      throw error;
    });
    ctx.status = 201;
    ctx.set({ Location: '/users/me', 'Cache-Control': 'no-store' });
    ctx.body = { ...present(user), accessToken };
  });

  router.get('/users/me', async (ctx) => {
    const user = await authenticate(ctx.get('Authorization'));
    if (!user) throw unauthorized(ctx.get('Authorization') !== '');
    ctx.set('Cache-Control', 'no-store');
    ctx.body = present(user);
  });
};

function present({ id, email, name, locale }: User) {
  return { id, email, name, locale };
}

function taken(): ProblemError {
  return new ProblemError(422, { errors: [{ pointer: '/email', detail: 'is already taken' }] });
}

function unauthorized(tried: boolean): ProblemError {
  const challenge = 'Bearer realm="catamount"';
  return new ProblemError(401, {
    detail: 'Send the access token you got at sign-up: "Authorization: Bearer <id>:<secret>".',
    headers: {
      'WWW-Authenticate': tried ? `${challenge}, error="invalid_token"` : challenge,
      'Cache-Control': 'no-store',
    },
  });
}

const error = {
  body: 'must be an object with email, and optionally name and locale',
  locale: `must be ${USER_LOCALES.join(' or ')}`,
};

/** A field that `parse` reads, which returns undefined for what does not obey the rule. */
const field = <T>(parse: (value: unknown) => T | undefined, rule: string) =>
  z.unknown().transform((value, { addIssue }) => {
    const parsed = parse(value);
    if (parsed !== undefined) return parsed;
    addIssue(rule);
    return z.NEVER;
  });

const NewUser = z.object(
  {
    email: field(parseEmail, EMAIL_RULE),
    name: field(parseDisplayName, DISPLAY_NAME_RULE)
      .nullish()
      .transform((name) => name ?? null),
    locale: z
      .enum(USER_LOCALES, error.locale)
      .nullish()
      .transform((locale) => locale ?? undefined),
  },
  error.body,
);

/** Validates the body of a sign-up. @throws ProblemError that names each invalid field and what is allowed. */
export function readNewUser(ctx: Pick<RouterContext, 'request'>): z.output<typeof NewUser> {
  if (ctx.request.body === undefined) throw unreadable(ctx.request.type);
  const parsed = NewUser.safeParse(ctx.request.body);
  if (parsed.success) return parsed.data;
  const details = new Map(parsed.error.issues.map((issue) => [pointerTo(issue.path), issue.message]));
  throw new ProblemError(422, { errors: [...details].map(([pointer, detail]) => ({ pointer, detail })) });
}

function unreadable(type: string): ProblemError {
  if (type.endsWith('json')) return new ProblemError(400, { detail: `The body ${error.body}.` });
  return new ProblemError(415, {
    detail: 'Send the body as application/json.',
    headers: { 'Accept-Post': 'application/json' },
  });
}

function pointerTo(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part)}`).join('');
}

function tooMany(seconds: number): ProblemError {
  const minutes = Math.ceil(seconds / 60);
  const when = minutes === 1 ? 'a minute' : `${minutes} minutes`;
  return new ProblemError(429, {
    detail: `There were too many sign-ups from your network, or with mail addresses like this one. Try again in ${when}.`,
    headers: { 'Retry-After': String(seconds), 'Cache-Control': 'no-store' },
  });
}
