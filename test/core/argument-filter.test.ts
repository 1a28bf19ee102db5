import assert from 'node:assert/strict';
import type { JsonValue } from '../../lib/core/execution-context';
import { Redactor } from '../../lib/core/redact';

const REDACTED = '[FILTERED]';
const shown = (value: JsonValue, filter = new Redactor()) => filter.filter([value])[0];

describe('the argument filter', () => {
  /** Sensitive names, word by word. Not imported from the filter: if it loses a name, the test must notice. */
  const NAMES = [
    ['password'],
    ['passwd'],
    ['passphrase'],
    ['secret'],
    ['token'],
    ['api', 'key'],
    ['authorization'],
    ['credential'],
    ['private', 'key'],
    ['ssn'],
    ['card', 'number'],
    ['cvv'],
    ['cvc'],
    ['otp'],
  ];
  const capital = (word: string) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`;
  const pascal = (words: readonly string[]) => words.map(capital).join('');
  /** How people write a name as a key, or as a part of one. */
  const WRITINGS: Readonly<Record<string, (words: readonly string[]) => string>> = {
    'in snake case': (words) => words.join('_'),
    'in upper case': (words) => words.join('_').toUpperCase(),
    'in one word': (words) => words.join(''),
    'with hyphens, behind an X': (words) => `X-${words.map(capital).join('-')}`,
    'with spaces': (words) => words.join(' '),
    'in the plural': (words) => `${words.join('_')}s`,
    'in camel case, behind something': (words) => `user${pascal(words)}`,
    'in camel case, before something': (words) => `${words[0]}${pascal(words.slice(1))}Hash`,
    'behind an acronym': (words) => `JWT${pascal(words)}`,
    'as an acronym, before something': (words) => `${words.join('').toUpperCase()}Value`,
    'as an acronym, behind something': (words) => `user${words.join('').toUpperCase()}`,
    'with a number': (words) => `${words.join('_')}2`,
    'in camel case, behind a number': (words) => `oauth2${pascal(words)}`,
  };
  for (const [how, write] of Object.entries(WRITINGS)) {
    it(`redacts the values of sensitive keys, written ${how}`, () => {
      for (const key of NAMES.map(write)) assert.deepEqual(shown({ [key]: 'x' }), { [key]: REDACTED }, key);
    });
  }

  it('shows the values of keys that only resemble sensitive ones', () => {
    const keys = 'tokenizer secretary passwordless key keys card number session option laptop'.split(' ');
    for (const key of keys) assert.deepEqual(shown({ [key]: 'x' }), { [key]: 'x' }, key);
  });

  it('redacts at any depth, whatever the value', () => {
    const value = { users: [{ name: 'Ann', auth: { token: { nested: [1] }, otp: 123456 } }] };
    assert.deepEqual(shown(value), { users: [{ name: 'Ann', auth: { token: REDACTED, otp: REDACTED } }] });
  });

  it('redacts what the app names: words are matched like the built-in ones, patterns against the literal key', () => {
    const filter = new Redactor(['phoneNumber', 'iban', /^x-/gi, '(']);
    assert.deepEqual(
      shown({ phone_number: 1, homePhoneNumbers: 2, IBAN: 3, ibanish: 4, 'X-Trace': 5, 'x-Other': 6, max: 7 }, filter),
      {
        phone_number: REDACTED,
        homePhoneNumbers: REDACTED,
        IBAN: REDACTED,
        ibanish: 4,
        'X-Trace': REDACTED,
        'x-Other': REDACTED,
        max: 7,
      },
    );
    assert.deepEqual(shown({ 'X-Trace': 5 }, filter), { 'X-Trace': REDACTED }, 'the same, filtered again');
  });

  it('truncates what is long, wide or deep', () => {
    assert.equal(shown('a'.repeat(200)), 'a'.repeat(200));
    assert.equal(shown('a'.repeat(1234)), `${'a'.repeat(200)}… (1234 characters)`);
    assert.deepEqual(shown(Array.from({ length: 30 }, (_, i) => i)), [...Array(20).keys(), '… 10 more']);
    const wide = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`k${i}`, i]));
    assert.equal(Object.keys(shown(wide) as object).length, 51);
    let deep: JsonValue = 'bottom';
    for (let i = 0; i < 90; i++) deep = [deep];
    assert.equal(JSON.stringify(shown(deep)), `${'['.repeat(7)}"…"${']'.repeat(7)}`);
  });

  it('shows no arguments of a class with logArguments: false, nor of an unknown class', () => {
    const filter = new Redactor();
    assert.deepEqual(filter.show({}, [1]), [1]);
    assert.deepEqual(filter.show({ logArguments: true }, [1]), [1]);
    assert.equal(filter.show({ logArguments: false }, [1]), undefined);
    assert.equal(filter.show(undefined, [1]), undefined);
  });
});
