import { UserError } from '../../core/errors';
import { refusal } from '../page/refusal';
import { cronRows } from './cron-rows';
import { actOnce, backOf, type JobPages, showPage } from './job-site';

const LIST = '/ops/jobs/cron';

/** What a form may ask for, and what that is called there. */
const ACTS = { run: 'runNow', pause: 'pause', resume: 'resume', forget: 'forget' } as const;

/** Recurring jobs. */
export const cronRoutes: JobPages = (site) => {
  const { router, desk } = site;

  router.get(LIST, async (ctx) => {
    const cron = await cronRows(site, ctx);
    const locals = { title: ctx.state.t('jobs.cron.title'), cron, everything: ctx.state.visitor.role === 'operator' };
    await showPage(site, ctx, 'cron', locals, { cron });
  });

  for (const what of ['run', 'pause', 'resume', 'forget'] as const) {
    router.post(`${LIST}/:name/${what}`, async (ctx) => {
      const { name = '' } = ctx.params;
      await actOnce(site, ctx, backOf(ctx, LIST), async () => {
        await desk
          .cron(ctx)
          [ACTS[what]](name)
          .catch((error: unknown) => {
            throw error instanceof UserError ? refusal(404, 'cronGone', { values: { name } }) : error;
          });
        return { what: `cron.${what}`, name };
      });
    });
  }
};
