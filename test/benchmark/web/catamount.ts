import { product } from '../frame/product';
import { answer } from './answer';

/** The product around one route, as an app of somebody's own would be. Migrations, jobs and mailers: those of the sample app. */
const { boot, defineApp } = product<typeof import('../../../lib')>('lib');

void boot(
  defineApp({
    name: 'bench',
    root: __dirname,
    routes: async () => ({ default: (router) => router.get('/answer', answer) }),
  }),
);
