import assert from 'node:assert/strict';
import { UserError } from '../../lib/core/errors';
import { loadJobSetup } from '../../lib/role/load-job-setup';

type Load = Parameters<typeof loadJobSetup>[0]['jobSetup'];

describe('loading the job setup of an app', () => {
  const refused = (jobSetup: Load, message: RegExp) =>
    assert.rejects(loadJobSetup({ jobSetup }), (error) => error instanceof UserError && message.test(error.message));

  it('gives its default export, or nothing where there is none', async () => {
    const setup = { filterArguments: ['iban'] };
    assert.equal(await loadJobSetup({ jobSetup: async () => ({ default: setup }) }), setup);
    assert.deepEqual(await loadJobSetup({ jobSetup: undefined }), {});
  });

  it('names the file that is missing, breaks, or exports something else', async () => {
    await refused(() => import('./no-such-setup' as string), /^jobSetup \(\.\/no-such-setup\) cannot be loaded: /);
    await refused(
      () => Promise.reject(new Error('it broke')),
      /^jobSetup \(of defineApp\) cannot be loaded: it broke$/,
    );
    await refused(
      (() => import('../support/until')) as unknown as Load,
      /^jobSetup \(\.\.\/support\/until\) must default-export an object; it is a undefined$/,
    );
    await refused(
      (async () => ({ default: { performMiddleware: 1 } })) as unknown as Load,
      /performMiddleware is a number; give an array of functions/,
    );
  });
});
