import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { LOCALES } from '../../../lib/core/config';
import { loadI18n } from '../../../lib/core/i18n';
import { pageTexts, TEXTS } from '../../../lib/ops/ui/texts';
import { removeFolder, tempFolder } from '../../support/temp-folder';

/** Keys such as `a.b.c`, without their plural suffix. */
function keysOf(part: object, prefix = ''): string[] {
  return Object.entries(part).flatMap(([name, value]: [string, unknown]) =>
    typeof value === 'string'
      ? [prefix + name.replace(/_(one|other)$/, '')]
      : keysOf(value as object, `${prefix}${name}.`),
  );
}

describe("the texts of the operator's pages, as they are looked up,", () => {
  for (const locale of LOCALES) {
    it(`are the same as with i18next: ${locale}`, async () => {
      const [known, texts] = [(await loadI18n(TEXTS, 'en')).in(locale), pageTexts(TEXTS).in(locale)];
      const files = TEXTS.map((folder) => path.join(folder, `${locale}.json`));
      const keys = new Set(files.flatMap((file) => keysOf(JSON.parse(fs.readFileSync(file, 'utf8')) as object)));
      assert.ok(keys.size > 500);
      const names = ['n', 'span', 'name', 'title', 'slot', 'who'];
      const values = Object.fromEntries(names.map((name) => [name, `<${name}>`]));
      for (const key of keys) {
        for (const count of [0, 1, 2, 1.5, 1000])
          assert.equal(texts(key, { ...values, count }), known(key, { ...values, count }));
        assert.equal(texts(key), known(key));
      }
      for (const key of ['nowhere', 'page', 'page.title.more', 'constructor', '']) assert.equal(texts(key), key);
    });
  }

  it('fall back to English', () => {
    const [first, second] = [tempFolder('texts'), tempFolder('texts')];
    fs.writeFileSync(
      path.join(first, 'en.json'),
      JSON.stringify({ a: { b: 'first {{n}}' }, days_one: 'a day', days_other: '{{count}} days' }),
    );
    fs.writeFileSync(path.join(first, 'ko.json'), JSON.stringify({ c: '다' }));
    for (const locale of ['en', 'ko']) fs.writeFileSync(path.join(second, `${locale}.json`), '{"c":"second"}');
    const texts = pageTexts([first, second]);
    assert.equal(texts.in('en')('a.b', { n: 1 }), 'first 1');
    assert.equal(texts.in('en')('a.b', { n: null }), 'first ');
    assert.equal(texts.in('en')('days', { count: 1 }), 'a day');
    assert.equal(texts.in('ko')('c'), '다');
    assert.equal(texts.in('en')('c'), 'second');
    assert.equal(texts.in('ko')('days', { count: 2 }), '2 days');
    assert.equal(texts.has('a.b', 'ko'), true);
    for (const folder of [first, second]) removeFolder(folder);
  });
});
