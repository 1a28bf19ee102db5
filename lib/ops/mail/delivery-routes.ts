import path from 'node:path';
import { assertOperator } from '../access/operators';
import type { OpsContext } from '../context';
import { Paging } from '../page/paging';
import { refusal } from '../page/refusal';
import type { PageGroup } from '../site';
import { COUNTED, DELIVERY_STATES, Deliveries, type DeliveryFilter, type DeliveryRow } from './deliveries';
import type { Inbox } from './inbox';
import { INBOX } from './inbox-routes';

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
      const found = await deliveries.list(filter, paging.from, paging.to - paging.from);
      const rows = veiled ? found.map(withoutAddresses) : found;
      const page = {
        title: ctx.state.t('mail.deliveries.title'),
        rows: rows.map((row) => ({
          ...row,
          href: `${DELIVERIES}/${row.key.split('/').map(encodeURIComponent).join('/')}`,
        })),
        paging,
        filter,
        isFiltering: filter.state !== null || filter.template !== '' || filter.search !== '',
        states: DELIVERY_STATES,
        templates: await deliveries.templates(),
        veiled,
        today: await deliveries.today(),
        more: paging.total >= COUNTED,
      };
      await site.pages.show(ctx, 'mail/deliveries', page, { deliveries: rows, total: paging.total });
    });

    site.router.get(`${DELIVERIES}/*key`, async (ctx) => {
      assertOperator(ctx);
      const row = await deliveries.find(ctx.params.key ?? '');
      if (!row) throw refusal(404, 'deliveryGone');
      const file = path.basename(row.response ?? '');
      const kept = row.response === path.join(site.config.mail.dir, file) && (await inbox.names()).includes(file);
      const [job = ''] = row.key.split('/');
      const page = {
        title: row.subject,
        row,
        job: job === 'once' ? null : job,
        mail: kept ? `${INBOX}/${file}` : null,
      };
      await site.pages.show(ctx, 'mail/delivery', { ...page, back: DELIVERIES }, row);
    });
  };
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
function withoutAddresses(row: DeliveryRow): DeliveryRow {
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
