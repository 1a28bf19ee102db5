import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { createClient } from 'redis';
import { pageTexts, TEXTS } from '../../lib/ops/ui/texts';
import { catamountWith } from '../cluster/primary/operator';
import { useSupervisorApp } from '../cluster/primary/supervisor-app';
import { ScrapedText } from '../ops/metrics/scrape';
import { cookiesOf, tokenIn } from '../ops/ops-web';
import { request } from '../support/http';
import type { Tree } from '../support/tree';
import { until } from '../support/until';

const run = promisify(execFile);
const TOKEN = 'sesame-opens-0123456789';
const OPERATOR = { OPS_USER: 'ada', OPS_PASSWORD: 'correct horse' };

interface Told {
  readonly title: string;
  readonly lines: readonly string[];
}

/** `told-alike.test.ts` checks every state with made-up statuses; this checks some states with a real tree. */
describe('the state of a real tree, as /ops, top, status and the metrics report it:', () => {
  const app = useSupervisorApp();
  let tree: Tree;
  let cookie: string;
  before(async () => {
    tree = await app.start({ ...OPERATOR, METRICS_TOKEN: TOKEN });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    cookie = await signIn();
  });

  async function signIn(): Promise<string> {
    const page = await tree.request('GET', '/ops/sign-in');
    const fields = { name: OPERATOR.OPS_USER, password: OPERATOR.OPS_PASSWORD, token: tokenIn(page.body) };
    const answer = await request(`${tree.baseUrl}/ops/sign-in`, {
      method: 'POST',
      body: new URLSearchParams(fields).toString(),
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        origin: tree.baseUrl,
        cookie: cookiesOf(page),
      },
    });
    assert.equal(answer.status, 303);
    return cookiesOf(answer);
  }

  async function onThePage(locale: 'en' | 'ko'): Promise<Told> {
    const { status, body } = await tree.request('GET', '/ops', { headers: { cookie, 'accept-language': locale } });
    assert.equal(status, 200);
    assert.match(body, new RegExp(`<html lang="${locale}"`));
    const [section = ''] = /<section class="verdict".*?<\/section>/s.exec(body) ?? [];
    const [, title = ''] = /<h1[^>]*>(.*?)<\/h1>/s.exec(section) ?? [];
    const items = [...section.matchAll(/<a\s+class="plain"[^>]*>(.*?)<\/a>\s*<span[^>]*>(.*?)<\/span>/gs)];
    return { title: plain(title), lines: items.map(([, head, rest]) => plain(`${head} ${rest}`)) };
  }

  async function typed(command: 'status' | 'top', exitCode: number): Promise<Told> {
    const env = { DATABASE_URL: app.database.url, REDIS_URL: app.redis.url };
    const { code, stdout } = await catamountWith(env, tree.cwd, command);
    assert.equal(code, exitCode);
    const [, title = '', ...rest] = stdout.split('\n');
    const end = rest.findIndex((line) => !line.startsWith('  '));
    const lines = rest.slice(0, end === -1 ? rest.length : end).map(plain);
    return { title: plain(title.replace(/^[!~] /, '').replace(/[.:]$/, '')), lines };
  }

  async function inMetrics(): Promise<string[]> {
    const answer = await tree.request('GET', '/ops/metrics', { headers: { Authorization: `Bearer ${TOKEN}` } });
    const lines = ScrapedText.of(answer).metrics.get('catamount_issues')?.lines ?? [];
    return lines.flatMap(({ labels, value }) => (value > 0 ? [labels.code ?? ''] : [])).sort();
  }

  /** All four report these issues and no others, each in its own form. */
  async function assertTold(codes: readonly string[]): Promise<void> {
    const told = async () => {
      assert.deepEqual(await inMetrics(), [...codes].sort());
      const english = await onThePage('en');
      assert.equal(english.lines.length, codes.length);
      for (const command of ['status', 'top'] as const) {
        const { title, lines } = await typed(command, command === 'status' && codes.length > 0 ? 2 : 0);
        assert.equal(title, english.title);
        assert.deepEqual(lines.map(timeless), english.lines.map(timeless));
      }
      const korean = await onThePage('ko');
      assert.equal(korean.lines.length, codes.length);
      for (const [n, line] of korean.lines.entries()) {
        assert.match(line, /\p{Script=Hangul}/u);
        assert.deepEqual(numbersIn(timeless(line)), numbersIn(timeless(english.lines[n] ?? '')), line);
      }
      const needs = codes.length === 0 ? 'well' : codes.length === 1 ? 'needs_one' : 'needs_other';
      const key = `overview.verdict.${needs === 'well' ? 'well' : 'needs'}`;
      for (const [locale, { title }] of [
        ['en', english],
        ['ko', korean],
      ] as const)
        assert.equal(title, pageTexts(TEXTS).in(locale)(key, { count: codes.length }));
      return true;
    };
    await until(`all report ${codes.join() || 'that all is well'}`, told, { everyMs: 200 });
  }

  it('all is well', () => assertTold([]));

  it('a paused queue', async () => {
    const env = { PATH: process.env.PATH, ...app.env };
    await run(process.execPath, [app.entryFile, 'jobs', 'pause', 'mailer'], { cwd: tree.cwd, env });
    await assertTold(['paused']);
  });

  it('dead jobs as well', async () => {
    for (let n = 0; n < 3; n++) await tree.request('POST', '/dying-job');
    await assertTold(['paused', 'deaths']);
  });

  it('nothing more after Redis has lost its data', async () => {
    const client = createClient({ url: app.redis.url });
    await client.connect();
    await client.sendCommand(['FLUSHALL']);
    client.destroy();
    // Jobs and pauses are kept in Postgres.
    await assertTold(['paused', 'deaths']);
  });
});

function plain(html: string): string {
  const text = html
    .replace(/<[^>]+>/g, '')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');
  return text.replace(/[\s\u00a0]+/g, ' ').trim();
}

/** Without durations, which grow between two looks. */
function timeless(line: string): string {
  return line.replace(/\d+(?:\.\d+)? ?(?:ms|s|min|h|초|분|시간)(?: \d+ ?(?:s|초))?(?![\p{L}])/gu, '…');
}

function numbersIn(text: string): string[] {
  return (text.match(/\d+(?:\.\d+)*/g) ?? []).sort();
}
