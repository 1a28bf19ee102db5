import { defineApp } from '../../../../lib/role/app/app-definition';

/** A shop whose jobs fail on demand. */
export default defineApp({
  name: 'shop',
  root: __dirname,
  routes: () => import('./routes'),
  jobSetup: () => import('./job-setup'),
});
