import type { RouterContext } from '@koa/router';
import type { Routes } from '../../../lib';
import { product } from '../frame/product';

interface BeeQueue {
  createJob(data: object): { save(): Promise<unknown> };
}

/** What is to be done for the new user's job, and when. */
interface Enqueuing {
  readonly within?: (userId: string) => Promise<unknown>;
  readonly after?: (userId: string) => Promise<unknown>;
}

const { transaction } = product<typeof import('../../../lib')>('lib');
const { User } = product<typeof import('../../../lib/app/models/user')>('lib/app/models/user');
const { readNewUser } = product<typeof import('../../../lib/app/routes/new-user')>('lib/app/routes/new-user');
const tokens = product<typeof import('../../../lib/app/services/access-token')>('lib/app/services/access-token');
const { default: WelcomeEmailJob } = product<typeof import('../../../jobs/welcome-email')>('jobs/welcome-email');
const Queue = require('bee-queue') as new (name: string, settings: object) => BeeQueue;

/** The same sign-up three times: they differ in what becomes of the welcome. */
const routes: Routes = (router) => {
  const queue = new Queue('bench-welcome', {
    redis: { url: process.env.REDIS_URL },
    isWorker: false,
    getEvents: false,
    sendEvents: false,
    storeJobs: false,
  });
  router.post('/outbox', signUp({ within: (userId) => WelcomeEmailJob.performLater(userId) }));
  router.post('/no-job', signUp({}));
  router.post('/bee-queue', signUp({ after: (userId) => queue.createJob({ userId }).save() }));
};

function signUp({ within, after }: Enqueuing) {
  return async (ctx: RouterContext): Promise<void> => {
    const { locale = ctx.locale, ...given } = readNewUser(ctx);
    const secret = tokens.newSecret();
    const user = await transaction(async () => {
      const created = await User.query().insert({ ...given, locale, tokenDigest: tokens.digestOf(secret) });
      await within?.(created.id);
      return created;
    });
    await after?.(user.id);
    const { id, email, name } = user;
    ctx.status = 201;
    ctx.body = { id, email, name, locale, accessToken: tokens.formatToken({ userId: id, secret }) };
  };
}

export default routes;
