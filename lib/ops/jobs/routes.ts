import { Deeds } from '../page/deeds';
import type { PageGroup } from '../site';
import { actRoutes } from './act-routes';
import { busyRoutes } from './busy-routes';
import { classRoutes } from './class-routes';
import { cronRoutes } from './cron-routes';
import { findRoutes } from './find-routes';
import { JobClasses } from './job-classes';
import { JobDesk } from './job-desk';
import { jobPageRoutes } from './job-routes';
import type { JobDeed, JobSite } from './job-site';
import { listRoutes } from './list-routes';
import { queueRoutes } from './queue-routes';
import { SET_PAGES } from './set-pages';

/** Queues and jobs. */
export const jobRoutes: PageGroup = (site) => {
  const jobSite: JobSite = {
    ...site,
    desk: new JobDesk(site),
    deeds: new Deeds<JobDeed>(site.redis.client),
    classes: new JobClasses(site.jobs),
  };
  site.router.get('/ops/jobs', (ctx) => ctx.redirect('/ops/jobs/queues'));
  const lists = SET_PAGES.flatMap((page) => [listRoutes(page), actRoutes(page)]);
  for (const pages of [queueRoutes, busyRoutes, ...lists, cronRoutes, classRoutes, jobPageRoutes, findRoutes])
    pages(jobSite);
};
