import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

const OPS = path.resolve(__dirname, '../../../lib/ops');

/** The files of a folder with the given ending, by their paths. */
function readAll(folder: string, ending: string): ReadonlyMap<string, string> {
  const names = fs.readdirSync(path.join(OPS, folder), { recursive: true, encoding: 'utf8' });
  const files = names.filter((name) => name.endsWith(ending));
  return new Map(files.map((name) => [name, fs.readFileSync(path.join(OPS, folder, name), 'utf8')]));
}

describe('the CSS classes in the views', () => {
  it('have a rule in the style sheet, or are used by a script', () => {
    const known = [...readAll('assets', '.css').values(), ...readAll('assets', '.js').values()].join('\n');
    const named = new Set<string>();
    const unknown: string[] = [];
    for (const [file, view] of readAll('views', '.ejs')) {
      for (const [, classes = ''] of view.replace(/<%.*?%>/gs, ' ').matchAll(/ class="([^"]*)"/g)) {
        for (const name of classes.split(/\s+/).filter(Boolean)) {
          named.add(name);
          if (!new RegExp(`\\.${name}(?![\\w-])`).test(known)) unknown.push(`${file}: ${name}`);
        }
      }
    }
    assert.deepEqual(unknown, []);
    assert.ok(named.size > 50);
  });
});
