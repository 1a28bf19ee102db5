import path from 'node:path';
import { defineApp } from '../index';

/** The manifest of the sample app. The primary also loads it, so it imports nothing heavy. */
export default defineApp({
  name: 'catamount',
  root: path.resolve(__dirname, '../..'),
  routes: () => import('./routes'),
  jobs: 'jobs',
  models: 'lib/app/models',
  migrations: 'migrations',
  mailers: 'lib/app/mailers',
  templates: 'lib/app/mailers/templates',
  locales: 'lib/app/locales',
});
