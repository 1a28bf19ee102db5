import path from 'node:path';
import { readMail } from '../../health/probes';
import { snakeCase } from '../../support/snake-case';
import type { OpsContext, PageModule } from '../ui/page-types';
import { Paging } from '../ui/paging';
import { localizedProblem } from '../ui/shell';
import { DELIVERY_STATES, Deliveries, type DeliveryFilter, type DeliveryRow, MAX_COUNTED } from './deliveries';
import { withJobs } from './deliveries-with-jobs';
import type { Inbox } from './inbox';
import { INBOX } from './inbox-page';

export const DELIVERIES = '/ops/mail/deliveries';

/** Pages of delivery records. @param inbox the folder with the mails of `file` delivery. */
export function deliveryRoutes(inbox: Inbox): PageModule {
  return (site) => {
    const deliveries = new Deliveries(site.knex);

    site.router.get(DELIVERIES, async (ctx) => {
      const filter = readFilter(ctx);
      const paging = Paging.of(ctx, await deliveries.count(filter));
      const rows = await withJobs(site, await deliveries.list(filter, paging.from, paging.to - paging.from));
      const { sentToday, claimedToday, failedToday, retryingToday } = await readMail(site.knex);
      const page = {
        title: ctx.state.t('mail.deliveries.title'),
        rows: rows.map((row) => ({ ...row, href: deliveryPath(row) })),
        paging,
        filter,
        isFiltering: filter.state !== null || filter.search !== '',
        states: DELIVERY_STATES,
        today: { sent: sentToday, claimed: claimedToday, failed: failedToday, retrying: retryingToday },
        more: paging.total >= MAX_COUNTED,
      };
      await site.layout.show(ctx, 'mail/deliveries', page, { deliveries: snakeCase(rows), total: paging.total });
    });

    site.router.get(`${DELIVERIES}/*key`, async (ctx) => {
      const found = await deliveries.find(ctx.params.key ?? '');
      const [row] = found ? await withJobs(site, [found]) : [];
      if (!row) throw localizedProblem(404, 'deliveryGone');
      const file = path.basename(row.response ?? '');
      const kept = row.response === path.join(site.config.mail.dir, file) && (await inbox.names()).includes(file);
      const page = { title: row.subject, row, mail: kept ? `${INBOX}/${file}` : null };
      await site.layout.show(ctx, 'mail/delivery', { ...page, back: DELIVERIES }, snakeCase(row));
    });
  };
}

export function deliveryPath({ key }: Pick<DeliveryRow, 'key'>): string {
  return `${DELIVERIES}/${key.split('/').map(encodeURIComponent).join('/')}`;
}

function readFilter({ query }: OpsContext): DeliveryFilter {
  const search = String(query.q ?? '')
    .trim()
    .slice(0, 200);
  return { state: DELIVERY_STATES.find((name) => name === query.state) ?? null, search };
}
