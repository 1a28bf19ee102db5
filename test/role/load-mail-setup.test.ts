import assert from 'node:assert/strict';
import { UserError } from '../../lib/core/errors';
import { loadMailSetup } from '../../lib/role/load-mail-setup';

type Load = Parameters<typeof loadMailSetup>[0]['mailSetup'];

describe('loading the mail setup of an app', () => {
  it('gives its default export, or nothing where there is none', async () => {
    const setup = { observers: [() => undefined] };
    assert.equal(await loadMailSetup({ mailSetup: async () => ({ default: setup }) }), setup);
    assert.deepEqual(await loadMailSetup({ mailSetup: undefined }), {});
  });

  it('names the file that is missing, or exports something else', async () => {
    const refused = (mailSetup: Load, message: RegExp) =>
      assert.rejects(
        loadMailSetup({ mailSetup }),
        (error) => error instanceof UserError && message.test(error.message),
      );
    await refused(() => import('./no-such-setup' as string), /^mailSetup \(\.\/no-such-setup\) cannot be loaded: /);
    await refused((async () => ({ default: { observers: 1 } })) as unknown as Load, /observers is a number/);
  });
});
