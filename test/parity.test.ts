import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

/** What Puma, Sidekiq, ActiveJob and ActionMailer have, and what it is here. */
const TABLES = ['lib/cluster/puma.md', 'lib/job/sidekiq.md', 'lib/job/activejob.md', 'lib/mailer/actionmailer.md'];
/** A test: `[text](file "a part of its name")`. */
const TEST = /\[[^\]]+\]\(([^)\s]+)(?: "([^"]+)")?\)/g;
const NAME = /\b(?:it|describe|power)\(\s*(['"`])((?:(?!\1).)+)\1/g;

const ROOT = path.resolve(__dirname, '..');
const read = (file: string) => fs.readFileSync(path.join(ROOT, file), 'utf8');

const rows = TABLES.flatMap((table) =>
  [...read(table).matchAll(/^\| (.+) \|$/gm)]
    .map(([, cells = '']) => cells.split(' | '))
    .filter(([, , shownBy]) => shownBy !== 'shown by')
    .map(([theirs = '', ours = '', shownBy = '', ...more]) => {
      assert.deepEqual(more, [], `${table}: a cell of ${theirs} has a bar`);
      return { place: `${table}: ${theirs}`, ours, shownBy, folder: path.dirname(table) };
    }),
);

/** The names of the tests of a file that are not skipped. */
const namesIn = (file: string) => [...read(file).matchAll(NAME)].map(([, , name = '']) => name);

describe('the tables of what Puma, Sidekiq, ActiveJob and ActionMailer have', () => {
  it('say of each row what it is here', () => {
    assert.ok(rows.length > 150);
    const unmarked = rows.filter(({ ours }) => !/^(✓|✗|n\/a) ?/.test(ours));
    assert.deepEqual(unmarked, []);
  });

  it('name a test for each ✓, by a part of its name, as the title of the link', () => {
    const wrong = rows.flatMap(({ place, ours, shownBy, folder }) => {
      const tests = [...shownBy.matchAll(TEST)];
      if (tests.length === 0) return ours.startsWith('✓') ? [`${place}: no test`] : [];
      return tests
        .filter(([, file = '', title]) => {
          const test = path.join(folder, file);
          return !test.startsWith('test/') || !title || !namesIn(test).some((name) => name.includes(title));
        })
        .map(([link]) => `${place}: ${link}`);
    });
    assert.deepEqual(wrong, [], 'give links such as [job](../../test/job/job.test.ts "rejects invalid options")');
  });

  it('give the reason of each n/a', () => {
    const reasons = rows.flatMap(({ place, ours }) =>
      ours
        .split(/n\/a:? ?/)
        .slice(1)
        .map((reason) => [place, reason]),
    );
    assert.ok(reasons.length > 30);
    assert.deepEqual(
      reasons.filter(([, reason = '']) => reason.split(' ').length < 4),
      [],
    );
  });
});
