import assert from 'node:assert/strict';
import { UserError } from '../../lib/core/errors';
import { checkMailSetup } from '../../lib/mailer/definition/setup';

describe('a mail setup', () => {
  it('may have any of its parts, or none', () => {
    const full = { interceptors: [() => 'cancel'], observers: [], render: () => ({ text: '' }) };
    assert.equal(checkMailSetup(full, 'mailSetup'), full);
    assert.deepEqual(checkMailSetup({}, 'mailSetup'), {});
  });

  it('is rejected with the reason, and what to do about it', () => {
    const refusals: readonly (readonly [unknown, RegExp])[] = [
      [undefined, /^mailSetup \(.\/setup\) must default-export an object; it is a undefined$/],
      [
        { interceptor: [] },
        /there is no interceptor in a mail setup; it may have interceptors, previewInterceptors, observers, assetHost, render, deliveryMethods$/,
      ],
      [{ observers: () => undefined }, /observers is a function; give an array of functions/],
      [{ interceptors: ['staging'] }, /interceptors is an array with something else in it/],
      [{ assetHost: 'cdn.shop.example' }, /assetHost is a string; give an absolute http or https URL/],
      [{ render: 'mjml' }, /render is a string; give a function/],
    ];
    for (const [given, message] of refusals) {
      assert.throws(
        () => checkMailSetup(given, 'mailSetup (./setup)'),
        (error) => error instanceof UserError && message.test(error.message),
      );
    }
  });
});
