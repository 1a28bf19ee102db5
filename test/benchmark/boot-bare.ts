import cluster from 'node:cluster';
import http from 'node:http';
import BeeQueue from 'bee-queue';
import createKnex from 'knex';
import Koa from 'koa';

/**
 * `node boot-bare.js [workers]`: a minimal app without Catamount. One file serves requests and performs jobs, in one
 * process or with node:cluster in several, without checks, logs or supervision.
 */
const workers = Number(process.argv[2] ?? 0);

function serve(): void {
  const knex = createKnex({ client: 'pg', connection: process.env.DATABASE_URL ?? '', pool: { min: 0, max: 5 } });
  const queue = new BeeQueue('bare', { redis: { url: process.env.REDIS_URL } });
  queue.process(2, async () => undefined);
  const app = new Koa();
  app.use(async (ctx, next) => {
    if (ctx.path !== '/ready') return next();
    await Promise.all([knex.raw('select 1'), queue.checkHealth()]);
    ctx.body = { status: 'ok' };
  });
  http.createServer(app.callback()).listen(Number(process.env.PORT), '127.0.0.1');
  process.once('SIGTERM', () => process.exit());
}

function fork(): void {
  for (let n = 0; n < workers; n++) cluster.fork();
  process.once('SIGTERM', () => {
    for (const worker of Object.values(cluster.workers ?? {})) worker?.kill();
    cluster.disconnect(() => process.exit());
  });
}

if (workers > 0 && cluster.isPrimary) fork();
else serve();
