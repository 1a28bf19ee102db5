import { ClaimedAhead, MAX_AHEAD_MS } from '../../../lib/job/fetch/claimed-ahead';
import type { Delivery } from '../../../lib/job/row/job-row';
import { until } from '../../support/until';

describe('jobs that were claimed ahead', () => {
  it('go back when they have not started in time, those of a later claim, too', async () => {
    const late: string[] = [];
    const ahead = new ClaimedAhead((deliveries) => late.push(...deliveries.map(({ id }) => id)));
    const begun = performance.now();
    ahead.push({ id: 'first' } as Delivery);
    await until('another claim has come', () => performance.now() - begun > MAX_AHEAD_MS / 2, { everyMs: 1 });
    ahead.push({ id: 'second' } as Delivery);
    await until('both are returned', () => late.join() === 'first,second');
  });
});
