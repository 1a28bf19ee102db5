import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { CLI_COMMANDS } from '../lib/cli/cli-commands';
import { TREE_COMMANDS } from '../lib/cluster/control/commands';
import { JOB_COMMANDS } from '../lib/job/cli/commands';
import { ASSIGNED, guideBlocks } from './guide-blocks';

const ROOT = path.resolve(__dirname, '..');

const guides = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.md'], { cwd: ROOT, encoding: 'utf8' })
  .split('\n')
  .filter((file) => file !== '' && fs.existsSync(path.join(ROOT, file)));

const read = (file: string) => fs.readFileSync(path.join(ROOT, file), 'utf8');

/** The anchor that GitHub gives to a heading. */
function anchorOf(heading: string): string {
  const words = heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '');
  return words.trim().replace(/\s/g, '-');
}

function anchorsOf(file: string): Set<string> {
  return new Set([...read(file).matchAll(/^#+ +(.+)$/gm)].map(([, heading = '']) => anchorOf(heading)));
}

describe('the guides', () => {
  it('link only to existing files and headings', () => {
    const dead = guides.flatMap((guide) =>
      [...read(guide).matchAll(/\]\((?!https?:|mailto:)([^)\s#]*)(?:#([^)\s]+))?(?: "[^"]*")?\)/g)]
        .filter(([, target = '', anchor]) => {
          const file = target === '' ? guide : path.join(path.dirname(guide), target);
          if (!fs.existsSync(path.join(ROOT, file))) return true;
          return anchor !== undefined && !anchorsOf(file).has(anchor);
        })
        .map(([link]) => `${guide}: ${link}`),
    );
    assert.deepEqual(dead, []);
  });

  it('have at most 1,800 words each', () => {
    // Titles of links, which name tests, show only under the pointer.
    const words = (guide: string) =>
      read(guide)
        .replace(/ "[^"]*"\)/g, ')')
        .split(/\s+/)
        .filter(Boolean).length;
    const long = guides.filter((guide) => words(guide) > 1800);
    assert.deepEqual(
      long.map((guide) => `${guide}: ${words(guide)}`),
      [],
    );
  });

  it('name only existing npm scripts', () => {
    const { scripts } = JSON.parse(read('package.json')) as { readonly scripts: Readonly<Record<string, string>> };
    const named = guides.flatMap((guide) =>
      [...read(guide).matchAll(/`npm run ([\w:-]+)/g)].map(([, name = '']) => `${guide}: ${name}`),
    );
    assert.ok(named.length > 0);
    assert.deepEqual(
      named.filter((entry) => scripts[entry.split(': ')[1] ?? ''] === undefined),
      [],
    );
  });

  it('name only existing commands of catamount', () => {
    const known = [...CLI_COMMANDS, ...TREE_COMMANDS].map(({ name }) => name);
    const ofJobs = JOB_COMMANDS.map(({ name }) => `jobs ${name}`);
    const isThere = (line: string) => {
      const [first = '', second = ''] = line.split(' ');
      if (first !== 'jobs' || !/^[a-z]/.test(second)) return first === 'jobs' || known.includes(first);
      return [...known, ...ofJobs].some((name) => `${name} `.startsWith(`jobs ${second} `));
    };
    const named = guides.flatMap((guide) =>
      [...read(guide).matchAll(/`(?:npx )?catamount ([^`]+)`/g)].map(([, line = '']) => [guide, line] as const),
    );
    assert.ok(named.length > 40);
    assert.deepEqual(
      named.filter(([, line]) => !isThere(line)),
      [],
    );
  });

  it('name only existing files and folders of lib', () => {
    const folders = fs
      .readdirSync(path.join(ROOT, 'lib'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory());
    const named = guides.flatMap((guide) =>
      [...read(guide).matchAll(/`(?:lib\/)?(([\w-]+)(?:\/[\w-]+)+)(\.ts)?\/?`/g)]
        .filter(([, , folder]) => folders.some(({ name }) => name === folder))
        .map(([, target = '']) => [guide, target] as const),
    );
    assert.ok(named.length > 0);
    assert.deepEqual(
      named.filter(([guide, target]) =>
        [path.dirname(guide), 'lib'].every((folder) => {
          const file = path.join(ROOT, folder, target);
          return !fs.existsSync(file) && !fs.existsSync(`${file}.ts`);
        }),
      ),
      [],
    );
  });

  it('contain no machine paths and no placeholders', () => {
    assert.deepEqual(
      guides.filter((guide) => /@@|\/root\/|\/home\/|\/work\//.test(read(guide))),
      [],
    );
  });

  it('name only existing test files', () => {
    const named = guides.flatMap((guide) =>
      [...read(guide).matchAll(/\btest\/[\w/-]+\.(?:test|deep)\.ts\b/g)].map(([file]) => `${guide}: ${file}`),
    );
    assert.deepEqual(
      named.filter((entry) => !fs.existsSync(path.join(ROOT, entry.split(': ')[1] ?? ''))),
      [],
    );
  });

  it('have only examples that a test compiles and runs', () => {
    const blocks = guideBlocks();
    const matches = (guide: string, text: string) =>
      ASSIGNED.filter((one) => one.guide === guide && text.startsWith(one.begins));
    const unassigned = blocks.filter(({ guide, text }) => matches(guide, text).length !== 1);
    assert.deepEqual(
      unassigned.map(({ guide, text }) => `${guide}: ${text.split('\n')[0]}`),
      [],
    );
    assert.equal(ASSIGNED.length, blocks.length, 'assignments of missing blocks');
    const missing = ASSIGNED.filter(({ by }) => !fs.existsSync(path.join(ROOT, by)));
    assert.deepEqual(missing, []);
  });
});

describe('the comments of lib', () => {
  it('are at most 132 columns wide', () => {
    const files = execFileSync('git', ['ls-files', 'lib/*.ts', 'lib/*.cts', 'lib/*.cjs'], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    const wide = files
      .split('\n')
      .filter((file) => file !== '' && fs.existsSync(path.join(ROOT, file)))
      .flatMap((file) =>
        read(file)
          .split('\n')
          .map((line, index) => ({ line, place: `${file}:${index + 1}` })),
      )
      .filter(({ line }) => line.length > 132 && /^\s*(\/\/|\/?\*)/.test(line));
    assert.deepEqual(
      wide.map(({ place }) => place),
      [],
    );
  });
});
