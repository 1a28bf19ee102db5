import path from 'node:path';
import { countMailsToRetry } from '../../verdict/mails-to-retry';
import { assertOperator } from '../access/operators';
import type { OpsContext } from '../context';
import { Paging } from '../page/paging';
import { refusal } from '../page/refusal';
import { TimeWords } from '../page/time-words';
import type { PageGroup } from '../site';
import { COUNTED, DELIVERY_STATES, Deliveries, type DeliveryFilter, type DeliveryRow } from './deliveries';
import type { Inbox } from './inbox';
import { INBOX } from './inbox-routes';
import { withJobs } from './mail-jobs';

export const DELIVERIES = '/ops/mail/deliveries';
const ADDRESS = /[^\s<>"'(),;:]{1,320}@[^\s<>"'(),;:]{1,320}/g;

/** What became of each mail. Viewers see it without addresses. @param inbox where some of them lie. */
export function deliveryRoutes(inbox: Inbox): PageGroup {
  return (site) => {
    const deliveries = new Deliveries(site.knex);

    site.router.get(DELIVERIES, async (ctx) => {
      const veiled = ctx.state.visitor.role === 'viewer';
      const filter = filterOf(ctx, veiled);
      const paging = Paging.of(ctx, await deliveries.count(filter));
      const found = await withJobs(site, await deliveries.list(filter, paging.from, paging.to - paging.from));
      const rows = veiled ? found.map(withoutAddresses) : found;
      const queues = site.config.jobs.queues.map((queue) => queue.name);
      const [today, retrying] = await Promise.all([
        deliveries.today(),
        // Without Redis nobody knows of jobs.
        countMailsToRetry({ knex: site.knex, redis: site.redis.client, queues }).catch(() => 0),
      ]);
      const page = {
        title: ctx.state.t('mail.deliveries.title'),
        rows: rows.map((row) => ({ ...row, href: deliveryPath(row) })),
        paging,
        filter,
        isFiltering: filter.state !== null || filter.template !== '' || filter.search !== '',
        states: DELIVERY_STATES,
        templates: await deliveries.templates(),
        veiled,
        today: { ...today, failed: Math.max(0, today.failed - retrying), retrying },
        time: new TimeWords(ctx.state.t, new Date()),
        more: paging.total >= COUNTED,
      };
      await site.pages.show(ctx, 'mail/deliveries', page, { deliveries: rows, total: paging.total });
    });

    site.router.get(`${DELIVERIES}/*key`, async (ctx) => {
      assertOperator(ctx);
      const found = await deliveries.find(ctx.params.key ?? '');
      const [row] = found ? await withJobs(site, [found]) : [];
      if (!row) throw refusal(404, 'deliveryGone');
      const file = path.basename(row.response ?? '');
      const kept = row.response === path.join(site.config.mail.dir, file) && (await inbox.names()).includes(file);
      const time = new TimeWords(ctx.state.t, new Date());
      const page = { title: row.subject, row, time, mail: kept ? `${INBOX}/${file}` : null };
      await site.pages.show(ctx, 'mail/delivery', { ...page, back: DELIVERIES }, row);
    });
  };
}

/** The page of one mail. */
export function deliveryPath({ key }: Pick<DeliveryRow, 'key'>): string {
  return `${DELIVERIES}/${key.split('/').map(encodeURIComponent).join('/')}`;
}

function filterOf(ctx: OpsContext, veiled: boolean): DeliveryFilter {
  const given = (name: string) =>
    String(ctx.query[name] ?? '')
      .trim()
      .slice(0, 200);
  return {
    state: DELIVERY_STATES.find((name) => name === ctx.query.state) ?? null,
    template: given('template'),
    // A search would tell what is veiled.
    search: veiled ? '' : given('q'),
  };
}

/** The subject may name somebody, the answer repeats the address, and the key is made from it. */
export function withoutAddresses<Row extends DeliveryRow>(row: Row): Row {
  const veil = (text: string | null) => text?.replace(ADDRESS, '…') ?? null;
  return {
    ...row,
    key: row.key.replace(/\/.*$/, ''),
    recipients: row.recipients.map(() => '…'),
    subject: '…',
    message_id: '…',
    response: veil(row.response),
    error: veil(row.error),
  };
}
