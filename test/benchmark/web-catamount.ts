import { product } from './harness/product';

/** An app of one route, without models, jobs or mailers. */
const { boot, defineApp } = product<typeof import('../../lib')>('lib');

void boot(
  defineApp({
    name: 'bench',
    root: __dirname,
    routes: async () => ({
      default: (router) =>
        router.get('/answer', (ctx) => {
          // The same answer as the peers' (web-peer.ts).
          ctx.body = { status: 'ok', app: 'bench' };
        }),
    }),
  }),
);
