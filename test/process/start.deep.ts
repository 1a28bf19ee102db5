import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type ParsedMail, simpleParser } from 'mailparser';
import { inSuite } from '../support/suite';
import { startTree, type Tree } from '../support/tree';
import { until } from '../support/until';

/** Nothing is set, so everything is embedded. */
const env = { HOST: undefined, LOG_FORMAT: 'pretty', NODE_ENV: undefined };
const USER = { email: 'new.user@example.com', name: 'New User' };
const TITLES = ['catamount: jobs', 'catamount: primary', 'catamount: web 0', 'catamount: web 1'];

describe('a first start with no settings', () => {
  const tree = inSuite('cleanup', () => startTree({ env }));
  let again: Tree | undefined;
  let created: { readonly id: string; readonly accessToken: string };
  after(() => again?.cleanup());

  it('prints what it starts, then where it listens, and runs a primary, two workers, a processor and two servers', async () => {
    const text = tree.lines.map((line) => line.text).join('\n');
    for (const pattern of [
      /^Catamount \d+\.\d+\.\d+ starts the app \w+: cluster mode, development$/m,
      new RegExp(`Node.js: ${process.version}, pid ${tree.pid}$`, 'm'),
      /Web: .*2 workers × 5 threads/,
      /Jobs: .*1 processor × 2, queues default, mailer \(strict order\)/,
      /Mail: .*\.catamount\/mails/,
      /Data: .*Postgres embedded, Redis embedded/,
      /Listening on http:\/\/127\.0\.0\.1:\d+/,
    ])
      assert.match(text, pattern);
    assert.ok(text.indexOf('Catamount') < text.indexOf('Listening'));
    const titles = () =>
      tree
        .processes()
        .all.flatMap(({ command }) => /^catamount: \w+( \d+)?(?=$| )/.exec(command)?.[0] ?? [])
        .sort();
    // A child that has just been forked has its parent's title until it runs its own program.
    await until(
      'each process has its title',
      () => isDeepStrictEqual(titles(), TITLES) || assert.fail(titles().join()),
    );
    const { postgres, redis, primary } = tree.processes();
    assert.ok(postgres && redis);
    assert.equal(primary, tree.pid);
  });

  it('answers sign-ups with 201 and the token, and writes each welcome to a file, in the language of the user', async () => {
    const answer = await tree.request('POST', '/users', { json: USER });
    assert.deepEqual([answer.status, answer.headers.location], [201, '/users/me']);
    created = answer.json<typeof created & Record<string, unknown>>();
    assert.deepEqual(created, { ...USER, locale: 'en', id: created.id, accessToken: created.accessToken });
    assert.match(created.accessToken, new RegExp(`^${created.id}:[\\w-]{43}$`));
    const json = { email: 'gildong@example.com', name: '홍길동', locale: 'ko' };
    assert.equal((await tree.request('POST', '/users', { json })).status, 201);
    const mails = await mailsIn(tree, 2);
    for (const [to, subject, text, locale] of [
      [USER.email, 'Welcome to Catamount', /Your account is ready/, 'en'],
      [json.email, 'Catamount에 오신 것을 환영합니다', /계정이 준비되었습니다/, 'ko'],
    ] as const) {
      const mail = mails.get(to);
      assert.equal(mail?.subject, subject);
      assert.match(mail?.text ?? '', text);
      assert.match(String(mail?.html), new RegExp(`<html[^>]* lang="${locale}"`));
    }
  });

  it('stopped by Ctrl-C and started again knows the user, and sends no mail a second time', async () => {
    assert.equal((await tree.stop('SIGINT')).code, 0);
    await tree.allGone();
    again = await startTree({ env, cwd: tree.cwd });
    const headers = { authorization: `Bearer ${created.accessToken}` };
    const me = await again.request('GET', '/users/me', { headers });
    assert.deepEqual(me.json(), { id: created.id, ...USER, locale: 'en' });
    assert.equal((await again.request('POST', '/users', { json: { email: 'third@example.com' } })).status, 201);
    await mailsIn(again, 3);
    assert.equal((await again.stop('SIGINT')).code, 0);
    await again.allGone();
    assert.equal(mailFiles(again).length, 3);
  });
});

function mailFiles({ cwd }: Tree): string[] {
  const folder = path.join(cwd, '.catamount/mails');
  const names = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
  return names.filter((name) => name.endsWith('.eml')).map((name) => path.join(folder, name));
}

/** Waits for that many mails. @returns them by recipient. */
async function mailsIn(tree: Tree, wanted: number): Promise<Map<string, ParsedMail>> {
  const files = await until(`there are ${wanted} mails`, () => {
    const found = mailFiles(tree);
    return found.length >= wanted ? found : undefined;
  });
  const mails = await Promise.all(files.map((file) => simpleParser(fs.readFileSync(file))));
  return new Map(mails.map((mail) => [[mail.to ?? []].flat()[0]?.value[0]?.address ?? '', mail]));
}
