import type { PageGroup } from '../site';

/** Queues and jobs. */
export const jobRoutes: PageGroup = ({ router }) => {
  router.get('/ops/jobs', (ctx) => ctx.redirect('/ops/jobs/queues'));
};
