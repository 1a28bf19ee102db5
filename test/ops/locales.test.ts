import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { COMMANDS } from '../../lib/cluster/control/commands';
import { NOTABLE_EVENTS, type RecentEvent } from '../../lib/core/notable-events';
import { eventLines } from '../../lib/ops/overview/health-summary';
import { Formatter } from '../../lib/ops/ui/format';
import { pageTexts, TEXTS } from '../../lib/ops/ui/texts';
import { forbiddenIn } from './forbidden-words';

const OPS = path.resolve(__dirname, '../../lib/ops');
const APP_VIEWS = path.resolve(__dirname, '../../lib/app/views');
const localesIn = (folder: string) => ['en', 'ko'].map((locale) => path.join(folder, `${locale}.json`));
const FOLDERS = filesBelow(OPS)
  .filter((file) => file.endsWith('/locales/en.json'))
  .map((file) => path.dirname(file));

const SENTENCES = 'overview.sentence.';
/** Events whose sentence depends on what was done, or why. */
const KINDS: Readonly<Record<string, readonly Readonly<Record<string, string>>[]>> = {
  'dead.dropped': ['limit', 'age'].map((reason) => ({ reason })),
  'operator.jobs': ['retry', 'promote', 'reschedule', 'kill', 'delete'].map((action) => ({ action })),
  'operator.queue': ['pause', 'resume', 'clear'].map((action) => ({ action })),
  'operator.cron': ['trigger', 'pause', 'resume', 'forget'].map((action) => ({ action })),
  'operator.mails': ['delete', 'test'].map((action) => ({ action })),
};

describe("the texts of the operator's pages", () => {
  for (const folder of FOLDERS) {
    const [en, ko] = ['en', 'ko'].map((locale) => textsOf(path.join(folder, `${locale}.json`)));
    const shown = path.relative(OPS, folder);

    it(`are complete in both languages: ${shown}`, () => {
      // English has the sentences of events from their catalogue.
      const translated = [...(ko?.keys() ?? [])].filter((key) => !key.startsWith(SENTENCES));
      assert.deepEqual(translated.sort(), [...(en?.keys() ?? [])].sort());
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

  it('have a sentence for every event that operators see, in Korean too', () => {
    const t = pageTexts(TEXTS).in('ko');
    const words = new Formatter(t, new Date('2026-03-12T14:00:00Z'), false);
    const plain = { slot: 1, code: 1, signal: null, via: 'top', count: 3, jobs: 3, set: 'dead', of: 'dead' };
    for (const name of NOTABLE_EVENTS)
      for (const kind of KINDS[name] ?? [{}]) {
        const about = { ...plain, service: 'redis', command: 'retry jobs', ...kind };
        const [line] = eventLines([{ at: '2026-03-12T13:59:00Z', name, about }], words, 1);
        assert.match(line?.text ?? '', /[가-힣]/, `${name} ${JSON.stringify(kind)}`);
      }
  });

  it('have none of the words that readers stumble over', () => {
    const files = [
      ...FOLDERS.flatMap(localesIn),
      ...['en', 'ko'].map((locale) => path.join(APP_VIEWS, `home.${locale}.json`)),
    ];
    const found = files.flatMap((file) => {
      const locale = file.endsWith('ko.json') ? 'ko' : 'en';
      return [...textsOf(file)].flatMap(([key, text]) => forbiddenIn(text, locale).map((words) => `${key}: ${words}`));
    });
    assert.deepEqual(found, []);
    // The list finds what it is for.
    assert.deepEqual(forbiddenIn('오류 4ms 만에 vm, pid 7890에서', 'ko'), ['만에 vm, pid 7890에서']);
    assert.deepEqual(forbiddenIn('default이(가) 큐 {{slot}}을 등록', 'ko'), ['등록', '이(가)', '{{slot}}을']);
    assert.deepEqual(forbiddenIn('What is to become of 238 jobs?', 'en'), ['What is to become of']);
  });

  it('tell who asked, for what, and what runs, in the language of the reader', () => {
    const t = pageTexts(TEXTS).in('ko');
    const words = new Formatter(t, new Date('2026-03-12T14:00:00Z'), false);
    const event = (about: object, name = 'operator.command') =>
      eventLines([{ at: '2026-03-12T13:59:00Z', name, about: { ...about } } as RecentEvent], words, 1)[0]?.text;
    assert.equal(event({ command: 'phased-restart', via: 'the control socket' }), '단계별 재시작, 지시: 터미널');
    assert.equal(
      event({ command: 'recycle 1', via: "the operator's pages, ::1" }),
      '1번 워커 교체, 지시: 운영자 (::1)',
    );
    assert.equal(event({ command: 'something new', via: 'SIGUSR1' }), 'something new, 지시: SIGUSR1');
    assert.equal(words.work('ImportRowsJob on default'), 'default 큐의 ImportRowsJob');
    assert.equal(words.work('GET /users'), 'GET /users');
    assert.equal(words.via('cli (ada)'), '명령줄, ada');
    // Every command that leaves an event has words.
    const orders = COMMANDS.filter(({ method }) => method === 'POST').map(({ name }) => name);
    const known = t('overview.event.command.phased-restart');
    assert.notEqual(known, 'overview.event.command.phased-restart');
    for (const name of orders)
      assert.doesNotMatch(event({ command: name, via: 'top' }) ?? '', new RegExp(`^${name}`), name);
  });

  it('are there wherever a page asks for one by name', () => {
    const keysIn = (locale: string) =>
      FOLDERS.flatMap((folder) => [...textsOf(path.join(folder, `${locale}.json`)).keys()]);
    const known = new Set([...keysIn('en'), ...keysIn('ko').filter((key) => key.startsWith(SENTENCES))]);
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
