import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { loadI18n } from '../../lib/core/i18n';
import type { MissingText } from '../../lib/core/locales';
import { tempFolder } from '../support/temp-folder';

function folderOf(files: Readonly<Record<string, object>>): string {
  const folder = tempFolder('texts');
  for (const [locale, texts] of Object.entries(files)) {
    fs.writeFileSync(path.join(folder, `${locale}.json`), JSON.stringify(texts));
  }
  return folder;
}

describe('texts', () => {
  const en = { a: { hello: 'Hello', name: 'Hi {{name}}, {{lng}}', cat_one: 'a cat', cat_other: '{{count}} cats' } };
  const ko = { a: { hello: '안녕하세요' } };

  it('are looked up in one locale, otherwise in the default one; otherwise the key is shown', async () => {
    const i18n = await loadI18n([folderOf({ en, ko })], 'en');
    // Twice: the second lookup is cached.
    for (const _ of [1, 2]) {
      assert.equal(i18n.in('ko')('a.hello'), '안녕하세요');
      assert.equal(i18n.in('en')('a.hello'), 'Hello');
      assert.equal(i18n.in('tlh')('a.hello'), 'Hello');
      assert.equal(i18n.in('ko')('a.cat', { count: 1 }), 'a cat');
      assert.equal(i18n.in('ko')('a.none'), 'a.none');
      assert.equal(i18n.in('__proto__')('__proto__.hello'), '__proto__.hello');
    }
    assert.deepEqual([i18n.has('a.cat_one', 'ko'), i18n.has('a.none', 'ko')], [true, false]);
  });

  it('of a regional locale fall back to its language, then to the default locale, then to English', async () => {
    const texts = {
      'pt-BR': { a: 'você' },
      pt: { a: 'tu', b: 'ecrã' },
      de: { a: 'du', c: 'Bild' },
      en: { d: 'screen' },
    };
    const missing: MissingText[] = [];
    const i18n = await loadI18n([folderOf(texts)], 'de-AT', { onMissing: (text) => missing.push(text) });
    for (const _ of [1, 2]) {
      const t = i18n.in('pt-BR');
      assert.deepEqual(
        ['a', 'b', 'c', 'd', 'e'].map((key) => t(key)),
        ['você', 'ecrã', 'Bild', 'screen', 'e'],
      );
      assert.equal(t('d', { n: 1 }), 'screen');
      assert.equal(i18n.in('pt-br')('a'), 'você');
      assert.equal(i18n.in('de-AT')('d'), 'screen');
      assert.equal(i18n.in('fr')('c'), 'Bild');
    }
    assert.deepEqual([i18n.has('d', 'pt-BR'), i18n.has('e', 'pt-BR')], [true, false]);
    assert.deepEqual([i18n.hasOwn('b', 'pt-BR'), i18n.hasOwn('c', 'pt-BR')], [true, false]);
    // Once for each text. A language without a file is not one of the app's locales.
    assert.deepEqual(missing, [
      { key: 'c', locale: 'pt-BR', shown: 'de' },
      { key: 'd', locale: 'pt-BR', shown: 'en' },
      { key: 'd', locale: 'de-AT', shown: 'en' },
    ]);
  });

  it('say so when DEFAULT_LOCALE has none, and English is shown', async () => {
    const missing: MissingText[] = [];
    const i18n = await loadI18n([folderOf({ en: { a: 'hello' } })], 'de', { onMissing: (text) => missing.push(text) });
    assert.equal(i18n.in('de')('a'), 'hello');
    assert.deepEqual(missing, [{ key: 'a', locale: 'de', shown: 'en' }]);
  });

  it('with a count use the plural form of their language, or its "other" form where that is missing', async () => {
    const pl = { cat_one: 'kot', cat_few: '{{count}} koty', cat_many: '{{count}} kotów', cat_other: '{{count}} kota' };
    const t = (await loadI18n([folderOf({ en: en.a, pl, cs: { cat_other: '{{count}} koček' } })], 'en')).in('pl');
    assert.deepEqual(
      [1, 2, 5, 1.5].map((count) => t('cat', { count })),
      ['kot', '2 koty', '5 kotów', '1.5 kota'],
    );
    const cs = (await loadI18n([folderOf({ en: en.a, cs: { cat_other: '{{count}} koček' } })], 'en')).in('cs');
    assert.deepEqual(
      [1, 2].map((count) => cs('cat', { count })),
      ['1 koček', '2 koček'],
    );
  });

  it('take values literally, on each call, and a value named lng does not change the locale', async () => {
    const t = (await loadI18n([folderOf({ en, ko })], 'en')).in('en');
    assert.equal(t('a.name', { name: '<b> & {{lng}}', lng: 'ko' }), 'Hi <b> & {{lng}}, en');
    assert.equal(t('a.name', { name: 'Ada' }), 'Hi Ada, en');
    assert.equal(t('a.name', { name: 'Bob' }), 'Hi Bob, en');
    assert.deepEqual([t('a.cat', { count: 1 }), t('a.cat', { count: 2 })], ['a cat', '2 cats']);
  });

  it('throw in strict mode when a value is missing', async () => {
    const t = (await loadI18n([folderOf({ en })], 'en', { strict: true })).in('en');
    const expected = {
      name: 'MissingValueError',
      message: 'the text "Hi {{name}}, {{lng}}" is given no value for {{name}}',
    };
    for (const values of [undefined, {}, { name: undefined }, { replace: { lng: 'x' } }]) {
      assert.throws(() => t('a.name', values), expected);
    }
    assert.equal(t('a.name', { replace: { name: null, lng: '{{name}}' } }), 'Hi , {{name}}');
    assert.equal(t('a.name', { replace: { name: '', lng: 0 } }), 'Hi , 0');
  });

  it('of a later folder take precedence, and no file is written', async () => {
    const [first, second] = [folderOf({ en, ko }), folderOf({ en: { a: { hello: 'Hey' } } })];
    const t = (await loadI18n([first, '/nowhere', second], 'en')).in('en');
    assert.deepEqual([t('a.hello'), t('a.missing'), t('a.name', { name: 'x' })], ['Hey', 'a.missing', 'Hi x, en']);
    assert.deepEqual(fs.readdirSync(second), ['en.json']);
  });

  it('from a file that cannot be read as texts are rejected, and the file is named', async () => {
    const folder = folderOf({ en });
    const file = path.join(folder, 'ko.json');
    for (const [source, reason] of [
      ['{"a":', /ko\.json: .*JSON/],
      ['[]', /ko\.json: it should hold an object of texts/],
    ] as const) {
      fs.writeFileSync(file, source);
      await assert.rejects(
        loadI18n([folder], 'en'),
        (error: Error) => error.name === 'UserError' && reason.test(error.message),
      );
    }
  });
});
