import { Paging } from '../page/paging';
import type { PageGroup } from '../site';
import { COUNTED, DELIVERY_STATES, Deliveries, type DeliveryFilter, type DeliveryRow } from './deliveries';

const LIST = '/ops/mail/deliveries';
const ADDRESS = /[^\s<>"'(),;:]+@[^\s<>"'(),;:]+/g;

/** What became of each mail. Viewers see it without addresses. */
export const deliveryRoutes: PageGroup = (site) => {
  const deliveries = new Deliveries(site.knex);

  site.router.get(LIST, async (ctx) => {
    const { visitor, t } = ctx.state;
    const veiled = visitor.role === 'viewer';
    const state = DELIVERY_STATES.find((name) => name === ctx.query.state) ?? null;
    // A search would tell what is veiled.
    const search = veiled
      ? ''
      : String(ctx.query.q ?? '')
          .trim()
          .slice(0, 200);
    const filter: DeliveryFilter = { state, search };
    const paging = Paging.of(ctx, await deliveries.count(filter));
    const rows = await deliveries.list(filter, paging.from, paging.to - paging.from);
    const shown = veiled ? rows.map(withoutAddresses) : rows;
    await site.pages.show(
      ctx,
      'mail/deliveries',
      {
        title: t('mail.deliveries.title'),
        rows: shown,
        paging,
        state,
        states: DELIVERY_STATES,
        search,
        veiled,
        today: await deliveries.today(),
        more: paging.total >= COUNTED,
      },
      { deliveries: shown, total: paging.total },
    );
  });
};

/** The subject may name somebody, and the answer repeats the address. */
function withoutAddresses(row: DeliveryRow): DeliveryRow {
  const veil = (text: string | null) => text?.replace(ADDRESS, '…') ?? null;
  return {
    ...row,
    recipients: row.recipients.map(() => '…'),
    subject: '…',
    message_id: '…',
    response: veil(row.response),
    error: veil(row.error),
  };
}
