import { until } from '../../support/until';
import { imports } from './shop/billing';
import ImportRowsJob from './shop/jobs/import-rows';
import SecretJob from './shop/jobs/secret';
import SyncInvoiceJob from './shop/jobs/sync-invoice';
import WelcomeMailJob from './shop/jobs/welcome-mail';
import type { ShopStage } from './shop-stage';

/** Fills every set with at least one job, by having jobs run, fail and die. @returns the ids of the dead ones. */
export async function seed(stage: ShopStage, dead = 3): Promise<string[]> {
  await stage.processor();
  const ids: string[] = [];
  for (let i = 0; i < dead; i++) {
    const order = { invoice: `inv_${i}`, amount: 12_900 + i, token: 'tok_secret', email: 'ada@example.com' };
    ids.push((await SyncInvoiceJob.performLater(order)).id);
  }
  await SecretJob.performLater('sesame');
  await WelcomeMailJob.performLater(4812, 'ko');
  await WelcomeMailJob.set({ wait: '2h' }).performLater(4790, 'en');
  await until('they are dead', async () => (await stage.deadIds()).length === dead + 1);
  await until('one is to be retried', () => stage.eventsNamed('job.retrying').length === 1);
  await ImportRowsJob.performLater({ import: 771, from: 12_000 });
  await until('one runs', () => imports.held === 1);
  return ids;
}
