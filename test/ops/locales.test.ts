import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

const OPS = path.resolve(__dirname, '../../lib/ops');
const FOLDERS = filesBelow(OPS)
  .filter((file) => file.endsWith('/locales/en.json'))
  .map((file) => path.dirname(file));

describe("the texts of the operator's pages", () => {
  for (const folder of FOLDERS) {
    const [en, ko] = ['en', 'ko'].map((locale) => textsOf(path.join(folder, `${locale}.json`)));
    const shown = path.relative(OPS, folder);

    it(`are complete in both languages: ${shown}`, () => {
      assert.deepEqual([...(ko?.keys() ?? [])].sort(), [...(en?.keys() ?? [])].sort());
      for (const [key, text] of ko ?? []) assert.notEqual(text.trim(), '', key);
    });

    it(`tell the same values: ${shown}`, () => {
      const values = (text = '') => [...new Set(text.match(/\{\{\w+\}\}/g))].sort();
      for (const [key, text] of en ?? []) {
        // "The newest mail": where there is one, its number need not be said.
        if (key.endsWith('_one')) continue;
        assert.deepEqual(values(ko?.get(key)), values(text), key);
      }
    });
  }

  it('are there wherever a page asks for one by name', () => {
    const known = new Set(FOLDERS.flatMap((folder) => [...textsOf(path.join(folder, 'en.json')).keys()]));
    const has = (key: string) => known.has(key) || known.has(`${key}_one`);
    const asked = filesBelow(OPS)
      .filter((file) => /\.(ts|ejs)$/.test(file))
      .flatMap((file) =>
        [...fs.readFileSync(file, 'utf8').matchAll(/\bt\('([\w.]+\w)'[,)]/g)].map(([, key = '']) => key),
      );
    assert.ok(asked.length > 50);
    assert.deepEqual(
      asked.filter((key) => !has(key)),
      [],
    );
  });
});

function filesBelow(folder: string): string[] {
  return fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}

/** By `a.b.c`. */
function textsOf(file: string): Map<string, string> {
  const texts = new Map<string, string>();
  const add = (value: unknown, key: string) => {
    if (typeof value === 'string') texts.set(key, value);
    else for (const [name, inner] of Object.entries(value as object)) add(inner, key === '' ? name : `${key}.${name}`);
  };
  add(JSON.parse(fs.readFileSync(file, 'utf8')), '');
  return texts;
}
