import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { TREE_COMMANDS } from '../../lib/cluster/control/commands';
import { NOTABLE_EVENTS, type RecentEvent } from '../../lib/core/notable-events';
import { eventLines } from '../../lib/ops/overview/event-lines';
import { Formatter } from '../../lib/ops/ui/format';
import { pageTexts, TEXTS } from '../../lib/ops/ui/texts';

const OPS = path.resolve(__dirname, '../../lib/ops');
const APP = path.resolve(__dirname, '../../lib/app');
const APP_VIEWS = path.join(APP, 'views');
const FOLDERS = filesBelow(OPS)
  .filter((file) => file.endsWith('/locales/en.json'))
  .map((file) => path.dirname(file));
const PAGES = sourcesBelow(OPS);
const SENTENCES = 'overview.sentence.';
/** Events whose sentence depends on the action or the reason. */
const KINDS: Readonly<Record<string, readonly Readonly<Record<string, string>>[]>> = {
  'dead.dropped': ['limit', 'age'].map((reason) => ({ reason })),
  'operator.jobs': ['retry', 'promote', 'rerun', 'kill', 'delete'].map((action) => ({ action })),
  'operator.queue': ['pause', 'resume', 'clear'].map((action) => ({ action })),
  'operator.cron': ['trigger', 'pause', 'resume', 'forget'].map((action) => ({ action })),
  'operator.mails': ['delete'].map((action) => ({ action })),
};

describe("the texts of the operator's pages", () => {
  for (const folder of FOLDERS) {
    const [en, ko] = ['en', 'ko'].map((locale) => textsOf(path.join(folder, `${locale}.json`)));
    const shown = path.relative(OPS, folder);

    it(`are complete in both languages: ${shown}`, () => {
      // The English sentences of events are in the event catalogue.
      const translated = [...(ko?.keys() ?? [])].filter((key) => !key.startsWith(SENTENCES));
      assert.deepEqual(translated.sort(), [...(en?.keys() ?? [])].sort());
      for (const [key, text] of ko ?? []) assert.notEqual(text.trim(), '', key);
    });

    it(`contain the same values in both languages: ${shown}`, () => {
      const values = (text = '') => [...new Set(text.match(/\{\{\w+\}\}/g))].sort();
      for (const [key, text] of en ?? []) {
        // Singular forms may leave out the number, as in "The newest mail".
        if (key.endsWith('_one')) continue;
        assert.deepEqual(values(ko?.get(key)), values(text), key);
      }
    });
  }

  it('have a sentence for every event that operators see, in Korean too', () => {
    const t = pageTexts(TEXTS).in('ko');
    const words = new Formatter(t, new Date('2026-03-12T14:00:00Z'));
    const plain = { slot: 1, code: 1, signal: null, via: 'socket', count: 3, jobs: 3, set: 'dead', of: 'dead' };
    for (const name of NOTABLE_EVENTS)
      for (const kind of KINDS[name] ?? [{}]) {
        const about = { ...plain, command: 'retry jobs', ...kind };
        const [line] = eventLines([{ at: '2026-03-12T13:59:00Z', name, about }], words, 1);
        assert.match(line?.text ?? '', /[가-힣]/, `${name} ${JSON.stringify(kind)}`);
      }
  });

  it("say who requested which command, and what is running, in the reader's language", () => {
    const t = pageTexts(TEXTS).in('ko');
    const words = new Formatter(t, new Date('2026-03-12T14:00:00Z'));
    const event = (about: object, name = 'operator.command') =>
      eventLines([{ at: '2026-03-12T13:59:00Z', name, about: { ...about } } as RecentEvent], words, 1)[0]?.text;
    assert.equal(event({ command: 'phased-restart', via: 'socket' }), '단계별 재시작, 지시: 터미널');
    assert.equal(event({ command: 'recycle 1', via: 'pages:::1' }), '1번 워커 교체, 지시: 운영자 ::1');
    assert.equal(event({ command: 'something new', via: 'signal:SIGUSR1' }), 'something new, 지시: SIGUSR1');
    const full = { part: 'fetch', cause: 'postgresDisk', spanMs: 10_000, about: 'no space (in: update "a")' };
    assert.match(event(full, 'processor.stalled') ?? '', /\(no space\)$/);
    assert.equal(
      words.work({ what: 'ImportRowsJob on default', job: { class: 'ImportRowsJob', queue: 'default' } }),
      'default 큐의 ImportRowsJob',
    );
    assert.equal(words.work({ what: 'GET /users' }), 'GET /users');
    assert.equal(words.caller('cli:ada'), '터미널의 ada');
    // Every command that emits an event has a text.
    const orders = TREE_COMMANDS.filter(({ method }) => method === 'POST').map(({ name }) => name);
    const known = t('overview.event.command.phased-restart');
    assert.notEqual(known, 'overview.event.command.phased-restart');
    for (const name of orders)
      assert.doesNotMatch(event({ command: name, via: 'socket' }) ?? '', new RegExp(`^${name}`), name);
  });

  it('exist for every key that a page uses', () => {
    const keysIn = (locale: string) =>
      FOLDERS.flatMap((folder) => [...textsOf(path.join(folder, `${locale}.json`)).keys()]);
    const known = new Set([...keysIn('en'), ...keysIn('ko').filter((key) => key.startsWith(SENTENCES))]);
    const has = (key: string) => known.has(key) || known.has(`${key}_one`);
    const asked = PAGES.flatMap((text) => [...text.matchAll(/\bt\('([\w.]+\w)'[,)]/g)].map(([, key = '']) => key));
    assert.ok(asked.length > 50);
    assert.deepEqual(
      asked.filter((key) => !has(key)),
      [],
    );
    // Composed keys, too: some key must match the constant parts of the template.
    const texts = [...known].map((key) => key.replace(/_(one|other)$/, ''));
    const composed = PAGES.flatMap((text) => [...text.matchAll(/\bt\(`([^`]+)`/g)].map(([, key = '']) => key));
    assert.ok(composed.length > 20);
    assert.deepEqual(
      composed.filter((key) => !key.startsWith('$') && !texts.some((one) => patternOf(key).test(one))),
      [],
    );
  });
});

describe("the app's texts", () => {
  const files = (locale: string) => [
    path.join(APP, `locales/${locale}.json`),
    path.join(APP_VIEWS, `home.${locale}.json`),
  ];
  const keysIn = (locale: string) => files(locale).flatMap((file) => [...textsOf(file).keys()]);

  it('are complete in both languages, and all used by its views and mails', () => {
    assert.deepEqual(keysIn('ko').sort(), keysIn('en').sort());
    const words = new Set(sourcesBelow(APP).flatMap((source) => source.match(/\w+/g) ?? []));
    const names = keysIn('en').map((key) => key.split('.').at(-1) ?? '');
    assert.deepEqual(
      names.filter((name) => !words.has(name)),
      [],
    );
  });
});

/** A pattern of all strings that a template literal may produce. */
function patternOf(template: string): RegExp {
  return new RegExp(
    `^${template
      .split(/(?:\$\{[^}]*\})+/)
      .map((part) => part.replace(/\W/g, '\\$&'))
      .join('(.+)')}$`,
  );
}

function sourcesBelow(folder: string): string[] {
  return filesBelow(folder)
    .filter((file) => /\.(ts|ejs|js|html)$/.test(file))
    .map((file) => fs.readFileSync(file, 'utf8'));
}

function filesBelow(folder: string): string[] {
  return fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}

/** Texts by their key, such as `a.b.c`. */
function textsOf(file: string): Map<string, string> {
  const texts = new Map<string, string>();
  const add = (value: unknown, key: string) => {
    if (typeof value === 'string') texts.set(key, value);
    else for (const [name, inner] of Object.entries(value as object)) add(inner, key === '' ? name : `${key}.${name}`);
  };
  add(JSON.parse(fs.readFileSync(file, 'utf8')), '');
  return texts;
}
