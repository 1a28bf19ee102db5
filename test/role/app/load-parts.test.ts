import assert from 'node:assert/strict';
import { UserError } from '../../../lib/core/errors';
import type { AppDefinition } from '../../../lib/role/app/app-definition';
import { appService } from '../../../lib/role/app/app-service';
import { loadJobSetup, loadMailSetup } from '../../../lib/role/app/load-parts';
import { Deadline } from '../../../lib/support/deadline';
import { deferred } from '../../../lib/support/deferred';

type Load = () => Promise<unknown>;
const job = (jobSetup: Load | undefined) => loadJobSetup({ jobSetup } as unknown as Parameters<typeof loadJobSetup>[0]);
const mail = (mailSetup: Load | undefined) =>
  loadMailSetup({ mailSetup } as unknown as Parameters<typeof loadMailSetup>[0]);

const REFUSED: readonly (readonly [title: string, load: () => Promise<unknown>, message: RegExp])[] = [
  [
    'a missing file',
    () => job(() => import('./no-such-setup' as string)),
    /^jobSetup \(\.\/no-such-setup\) cannot be loaded: /,
  ],
  [
    'a missing file of mailSetup',
    () => mail(() => import('./no-such-setup' as string)),
    /^mailSetup \(\.\/no-such-setup\) cannot be loaded: /,
  ],
  [
    'a file that throws',
    () => job(() => Promise.reject(new Error('it broke'))),
    /^jobSetup \(of defineApp\) cannot be loaded: it broke in line \d+ of .*load-parts\.test\.ts: fix it$/,
  ],
  [
    'a file without a default export',
    () => job(() => import('../../support/until')),
    /^jobSetup \(\.\.\/\.\.\/support\/until\) must default-export an object; it is a undefined$/,
  ],
  [
    'middleware that is not an array',
    () => job(async () => ({ default: { performMiddleware: 1 } })),
    /performMiddleware is a number; give an array of functions/,
  ],
  ['observers that are not an array', () => mail(async () => ({ default: { observers: 1 } })), /observers is a number/],
];

describe('the setup of an app', () => {
  it('is the default export of its file, or empty if there is none', async () => {
    const jobSetup = { filterArguments: ['iban'] };
    assert.equal(await job(async () => ({ default: jobSetup })), jobSetup);
    const mailSetup = { observers: [() => undefined] };
    assert.equal(await mail(async () => ({ default: mailSetup })), mailSetup);
    assert.deepEqual([await job(undefined), await mail(undefined)], [{}, {}]);
  });

  for (const [title, load, message] of REFUSED) {
    it(`is rejected with an error for ${title}`, () =>
      assert.rejects(load(), (error: Error) => error instanceof UserError && message.test(error.message)));
  }
});

describe("an app's workerBoot and workerStop", () => {
  const service = (own: Pick<AppDefinition, 'workerBoot' | 'workerStop'>) =>
    appService(own as AppDefinition, { role: 'web' } as unknown as Parameters<typeof appService>[1]) ?? assert.fail();

  it('make the boot wait for workerBoot, and fail with it', async () => {
    const pool = deferred();
    const order: string[] = [];
    const started = service({ workerBoot: () => pool.promise })
      .start()
      .then(() => order.push('started'));
    await new Promise(setImmediate);
    order.push('connected');
    pool.resolve();
    await started;
    assert.deepEqual(order, ['connected', 'started']);
    for (const workerBoot of [() => Promise.reject(new Error('no pool')), () => assert.fail('no pool')])
      await assert.rejects(service({ workerBoot }).start(), /no pool/);
  });

  it('are called in pairs, and workerStop is given until the deadline of the stop', async () => {
    let stops = 0;
    const idle = service({ workerStop: () => void stops++ });
    await idle.stop(Deadline.after(0));
    assert.equal(stops, 0);
    await idle.start();
    await idle.stop(Deadline.after(60_000));
    assert.equal(stops, 1);
    const hanging = service({ workerStop: () => new Promise(() => undefined) });
    await hanging.start();
    await assert.rejects(hanging.stop(Deadline.after(20)), /^Error: workerStop of defineApp did not end in time$/);
  });
});
