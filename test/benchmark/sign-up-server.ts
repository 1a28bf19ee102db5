import path from 'node:path';
import type { RouterContext } from '@koa/router';
import type { Routes } from '../../lib';
import { product, ROOT } from './harness/product';

/** Enqueues the new user's job within the transaction, or after its commit. */
interface Enqueuing {
  readonly within?: (userId: string) => Promise<unknown>;
  readonly after?: (userId: string) => Promise<unknown>;
}

const { boot, defineApp, transaction } = product<typeof import('../../lib')>('lib');

/** Only called in web workers, so that no other process loads the modules required here. */
const routes: Routes = (router) => {
  const { default: WelcomeEmailJob } = product<typeof import('../../jobs/welcome-email')>('jobs/welcome-email');
  const BeeQueue = require('bee-queue') as typeof import('bee-queue');
  const queue = new BeeQueue('bench-welcome', {
    redis: { url: process.env.REDIS_URL },
    isWorker: false,
    getEvents: false,
    sendEvents: false,
    storeJobs: false,
  });
  router.post('/with-job', signUp({ within: (userId) => WelcomeEmailJob.performLater(userId) }));
  router.post('/no-job', signUp({}));
  router.post('/bee-queue', signUp({ after: (userId) => queue.createJob({ userId }).save() }));
};

function signUp({ within, after }: Enqueuing) {
  const { User } = product<typeof import('../../lib/app/models/user')>('lib/app/models/user');
  const { readNewUser } = product<typeof import('../../lib/app/routes/users')>('lib/app/routes/users');
  const tokens = product<typeof import('../../lib/app/services/access-token')>('lib/app/services/access-token');
  return async (ctx: RouterContext): Promise<void> => {
    const { email: given, locale = ctx.locale, ...rest } = readNewUser(ctx);
    const secret = tokens.newSecret();
    const user = await transaction(async () => {
      const email = given.address;
      const created = await User.query().insert({ ...rest, email, locale, tokenDigest: tokens.hashToken(secret) });
      await within?.(created.id);
      return created;
    });
    await after?.(user.id);
    const { id, email, name } = user;
    ctx.status = 201;
    ctx.body = { id, email, name, locale, accessToken: tokens.formatToken({ userId: id, secret }) };
  };
}

/** The sample app's models, jobs and mailers, with three routes that enqueue the welcome mail differently or not. */
void boot(
  defineApp({
    name: 'bench',
    root: path.join(ROOT, 'dist'),
    routes: async () => ({ default: routes }),
    models: 'lib/app/models',
    mailers: 'lib/app/mailers',
    templates: 'lib/app/mailers/templates',
    locales: 'lib/app/locales',
  }),
);
