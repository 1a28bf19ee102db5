import { product } from './harness/product';

/** The product around one route. It has no models, jobs or mailers. */
const { boot, defineApp } = product<typeof import('../../lib')>('lib');

void boot(
  defineApp({
    name: 'bench',
    root: __dirname,
    routes: async () => ({
      default: (router) =>
        router.get('/answer', (ctx) => {
          // The same as the peers answer (web-peer.ts).
          ctx.body = { status: 'ok', app: 'bench' };
        }),
    }),
  }),
);
