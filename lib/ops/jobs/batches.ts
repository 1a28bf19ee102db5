import { snakeCase } from '../../support/snake-case';
import { isUuid } from '../../support/uuid';
import type { OpsContext } from '../ui/page-types';
import { localizedProblem } from '../ui/shell';
import { type JobPageContext, type RouteModule, readBack, showOutcome, showPage } from './page-context';

const LIST = '/ops/jobs/batches';
/** Batches on the page, the latest first. */
const SHOWN = 100;

/** The batches: what is left of each, with the actions that apply to it. */
export const batchRoutes: RouteModule = (site) => {
  const { router } = site;

  router.get(LIST, async (ctx) => {
    const batches = await site.admin(ctx).batches.list({ limit: SHOWN });
    const locals = { title: ctx.state.t('jobs.batch.title'), batches, shown: SHOWN };
    await showPage(site, ctx, 'batches', locals, { batches: snakeCase(batches) });
  });

  router.get(`${LIST}/:id/cancel`, async (ctx) => {
    const { t } = ctx.state;
    const batch = await readOpen(site, ctx);
    await showPage(site, ctx, 'delete-one', {
      title: t('jobs.batch.cancel.question'),
      cost: t('jobs.batch.cancel.cost', { count: batch.pending }),
      go: t('jobs.batch.cancel.go'),
      name: batch.description || batch.id,
      job: null,
      spec: batch.id,
      target: `${LIST}/${batch.id}/cancel`,
      back: LIST,
      current: 'batches',
    });
  });

  router.post(`${LIST}/:id/cancel`, async (ctx) => {
    const { id } = await readOpen(site, ctx);
    await site.admin(ctx).batches.cancel(id);
    showOutcome(ctx, LIST, { what: 'batch.cancel', name: id });
  });

  router.post(`${LIST}/:id/retry`, async (ctx) => {
    const { id, dead } = await readOpen(site, ctx);
    const { moved } = await site.admin(ctx).act('retry', 'dead', { filter: { batch: id } });
    showOutcome(ctx, readBack(ctx, LIST), { what: 'retry', moved, asked: dead });
  });

  router.post(`${LIST}/:id/seal`, async (ctx) => {
    const { id } = await readOpen(site, ctx);
    await site.admin(ctx).batches.seal(id);
    showOutcome(ctx, readBack(ctx, LIST), { what: 'batch.seal', name: id });
  });
};

/** The batch that the path names. @throws ProblemError 404 if there is none, or it has ended. */
async function readOpen(site: JobPageContext, ctx: OpsContext) {
  const { id = '' } = ctx.params;
  const batch = isUuid(id) ? await site.admin(ctx).batches.find(id) : undefined;
  if (!batch || batch.endedAt) throw localizedProblem(404, 'batchGone', { values: { id } });
  return batch;
}
