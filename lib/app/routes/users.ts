import { ProblemError, type Routes } from '../../index';
import type { User } from '../models/user';
import { authenticate } from '../services/authenticate';
import { EmailTakenError, signUp } from '../services/sign-up';
import { SignUpLimits } from '../services/sign-up-limits';
import { readNewUser } from './new-user';
import { refuseSignUp } from './too-many-sign-ups';

export const userRoutes: Routes = (router, environment) => {
  const limits = new SignUpLimits(environment);

  router.post('/users', async (ctx) => {
    const { locale = ctx.locale, ...given } = readNewUser(ctx);
    const seconds = await limits.take(ctx.ip, given.email);
    if (seconds > 0) return refuseSignUp(ctx, seconds);
    const { user, accessToken } = await signUp({ ...given, locale }).catch(async (error: unknown) => {
      // A taken address counts: else one could ask for as many as one likes who has signed up.
      if (error instanceof EmailTakenError) throw taken();
      await limits.giveBack(ctx.ip, given.email);
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
