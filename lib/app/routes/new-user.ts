import type { RouterContext } from '@koa/router';
import { z } from 'zod';
import { ProblemError } from '../../index';
import { USER_LOCALES } from '../models/user';

const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
/** What every mail server takes: a dot-atom of at most 64 characters at a domain name. Quoted names are left out. */
const MAILBOX = new RegExp(`^(?=.{1,64}@)${ATOM}(?:\\.${ATOM})*@(?:${LABEL}\\.)+(?!\\d+$)${LABEL}$`);
/** Control characters, lone surrogates, line separators, and those that turn the direction of the text around. */
const UNFIT = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u;

/** Strangers would have the welcome carry their advertisements. */
const LONGEST_NAME = 80;
/** What mail programs make a link of. */
const LINK = /:\/\/|\bwww\.|[\p{L}\d-]\.[\p{L}][\p{L}\d-]+(?:[/?#]|:\d)/iu;

const error = {
  body: 'must be an object with email, and if you like name and locale',
  email: 'must be an e-mail address such as name@example.com, in ASCII, of at most 254 characters',
  name: `must be a name of 1 to ${LONGEST_NAME} characters, on one line, without control characters and without a web address`,
  locale: `must be ${USER_LOCALES.join(' or ')}`,
};

const NewUser = z.object(
  {
    email: z.string(error.email).trim().max(254, error.email).regex(MAILBOX, error.email),
    name: z
      .string(error.name)
      .trim()
      .refine(
        (name) => name !== '' && [...name].length <= LONGEST_NAME && !UNFIT.test(name) && !LINK.test(name),
        error.name,
      )
      .nullish()
      .transform((name) => name ?? null),
    locale: z
      .enum(USER_LOCALES, error.locale)
      .nullish()
      .transform((locale) => locale ?? undefined),
  },
  error.body,
);

/** What the caller wants to sign up with. @throws ProblemError that names each wrong field and what is allowed. */
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
