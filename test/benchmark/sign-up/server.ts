import path from 'node:path';
import { product } from '../frame/product';
import { ROOT } from '../frame/store';

/** The product with the sample app's models, jobs and mailers, and ways to sign up of our own. */
const { boot, defineApp } = product<typeof import('../../../lib')>('lib');

void boot(
  defineApp({
    name: 'bench',
    root: path.join(ROOT, 'dist'),
    routes: () => import('./routes'),
    models: 'lib/app/models',
    mailers: 'lib/app/mailers',
    templates: 'lib/app/mailers/templates',
    locales: 'lib/app/locales',
  }),
);
