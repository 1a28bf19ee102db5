import type { PageModule } from '../ui/page-types';

import { actionRoutes } from './actions';
import { batchRoutes } from './batches';
import { busyRoutes } from './busy';
import { classRoutes } from './classes';
import { cronRoutes } from './cron';
import { jobPageRoutes } from './job-page';
import { listRoutes } from './list';
import { jobPageContext } from './page-context';
import { queueRoutes } from './queues';
import { SET_PAGES } from './set-pages';

export const jobRoutes: PageModule = (site) => {
  const jobSite = jobPageContext(site);
  site.router.get('/ops/jobs', (ctx) => ctx.redirect('/ops/jobs/queues'));
  const lists = SET_PAGES.flatMap((page) => [listRoutes(page), actionRoutes(page)]);
  for (const pages of [queueRoutes, busyRoutes, ...lists, cronRoutes, batchRoutes, classRoutes, jobPageRoutes])
    pages(jobSite);
};
