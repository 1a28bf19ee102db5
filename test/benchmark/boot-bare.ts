import http from 'node:http';
import BeeQueue from 'bee-queue';
import createKnex from 'knex';
import Koa from 'koa';

// A minimal app without Catamount: one process serves requests and performs jobs, without checks, logs or supervision.
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
