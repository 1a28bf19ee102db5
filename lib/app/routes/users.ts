import { ProblemError, type Routes } from '../../index';
import type { User } from '../models/user';
import { authenticate } from '../services/authenticate';
import { EmailTakenError, signUp } from '../services/sign-up';
import { readNewUser } from './new-user';

export const userRoutes: Routes = (router) => {
  router.post('/users', async (ctx) => {
    const { locale = ctx.locale, ...given } = readNewUser(ctx);
    const { user, accessToken } = await signUp({ ...given, locale }).catch(explain);
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

function explain(error: unknown): never {
  if (!(error instanceof EmailTakenError)) throw error;
  throw new ProblemError(422, { errors: [{ pointer: '/email', detail: 'is already taken' }] });
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
