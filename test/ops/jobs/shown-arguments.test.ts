import assert from 'node:assert/strict';
import type { JsonValue } from '../../../lib/core/execution-context';
import { Redactor } from '../../../lib/core/redact';
import { JobClasses } from '../../../lib/ops/jobs/job-classes';
import { argumentLine, shownArguments } from '../../../lib/ops/jobs/shown-arguments';

const shown = (args: readonly JsonValue[]) =>
  shownArguments(args).map(({ name, text }) => (name === null ? text : `${name} = ${text}`));

describe('arguments on the pages', () => {
  it('are shown by the keys of a single object, otherwise by position', () => {
    assert.deepEqual(shown([{ user: 4812, locale: 'ko' }]), ['user = 4812', 'locale = "ko"']);
    assert.deepEqual(shown([4812, 'ko', null, true]), ['4812', '"ko"', 'null', 'true']);
    assert.deepEqual(shown([{ a: 1 }, { b: [2, { c: 'd' }] }]), ['{a: 1}', '{b: [2, {c: "d"}]}']);
    assert.deepEqual(shown([]), []);
    assert.deepEqual(shown([{}]), ['{}']);
  });

  it('show dates, bigints, models and custom values in readable form', () => {
    const args = [
      { $date: '2026-11-26T00:00:00.000Z' },
      { $bigint: '12345678901234567890' },
      { $number: '-0' },
      { $model: ['User', 7] },
      { $value: ['money', { amount: 1 }] },
      { $$date: 'x' },
      { $model: 'nonsense' },
    ];
    assert.deepEqual(shown(args), [
      '2026-11-26T00:00:00.000Z',
      '12345678901234567890n',
      '-0',
      'User 7',
      'money {amount: 1}',
      '{$$date: "x"}',
      '{$model: "nonsense"}',
    ]);
    assert.deepEqual(shown([{ $date: '2026-11-26T00:00:00.000Z' }]), ['2026-11-26T00:00:00.000Z']);
  });

  it('escape characters that change the text direction', () => {
    assert.deepEqual(shown([{ 'a\u2066': 'user\u202egnp.exe', b: ['\u061c'] }]), [
      'a\\u2066 = "user\\u202egnp.exe"',
      'b = ["\\u061c"]',
    ]);
  });

  it('have no text where the filter redacts them', () => {
    const filtered = new Redactor(['email']).filter([{ id: 1, email: 'a@b.c', deep: { token: 'x' } }]);
    assert.deepEqual(shownArguments(filtered), [
      { name: 'id', text: '1' },
      { name: 'email', text: null },
      { name: 'deep', text: '{token: "[FILTERED]"}' },
    ]);
  });

  it('are not shown while the classes that say what to hide do not load', async () => {
    const classes = new JobClasses({ classes: () => Promise.reject(new Error('no such module')), filterArguments: [] });
    await classes.load();
    assert.equal(classes.get('PlainJob'), undefined);
  });

  it('are truncated to one line', () => {
    const line = argumentLine(shownArguments(['x'.repeat(300), 'y'.repeat(300), 'z']));
    assert.deepEqual(
      line.map(({ text }) => text?.length),
      [302, 95],
    );
    assert.ok(line.at(-1)?.text?.endsWith('…'));
  });
});
