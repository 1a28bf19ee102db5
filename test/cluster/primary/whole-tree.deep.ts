import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { tempFolder } from '../../support/temp-folder';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { order, statsOf } from './operator';
import { useSupervisorApp } from './supervisor-app';

/** Prints a line for each collection that the product requests. Node itself shows that only up to version 20. */
const OBSERVER = `
const vm = require('node:vm');
const { runInNewContext } = vm;
vm.runInNewContext = (code, ...rest) => {
  const result = runInNewContext(code, ...rest);
  if (code !== 'gc') return result;
  return (...options) => {
    result(...options);
    console.log(process.pid + ' was told to collect');
  };
};
`;

describe('a whole tree', () => {
  const app = useSupervisorApp();
  let tree: Tree;
  before(async () => {
    const observer = path.join(tempFolder('observer'), 'observer.js');
    fs.writeFileSync(observer, OBSERVER);
    tree = await app.start({ LOG_LEVEL: 'debug', NODE_OPTIONS: `--require ${observer}` });
  });

  const heard = (hook: string) => app.notes('hooks').filter((event) => event.hook === hook);

  it('applies the app’s job setup in its web workers and in its job processor', async () => {
    assert.equal((await tree.request('POST', '/dying-job')).status, 202);
    await until('the failure is reported', () => app.notes('jobs').length === 3);
    const args = [{ iban: 'DE02 1203', name: 'Ann' }];
    const shown = [{ iban: '[FILTERED]', name: 'Ann' }];
    assert.deepEqual(app.notes('jobs'), [
      { enqueues: 'DyingJob', title: 'catamount: web' },
      { performs: 'DyingJob', args, title: 'catamount: jobs' },
      { reports: 'dead', job: 'DyingJob', attempt: 1, args: shown, message: 'there is no hope', requested: true },
    ]);
    await tree.waitForLine(/the app's reportError: the tracker is down/);
    for (const text of [/DyingJob started, attempt 1/, /DyingJob is dead: there is no hope/]) {
      const line = await tree.waitForLine(text);
      assert.match(line.text, /"args":\[\{"iban":"\[FILTERED\]","name":"Ann"\}\]/);
    }
  });

  it('enqueues a mail in a web worker without loading mail code, and delivers it in the job processor with the mail setup', async () => {
    const headers = { 'Accept-Language': 'ko' };
    const answer = await tree.request('POST', '/notices?to=ada@example.com', { headers });
    assert.deepEqual(answer.json(), { enqueued: true, loaded: [] });
    await until('the mail is sent', () => app.notes('mails').length > 0);
    assert.deepEqual(app.notes('mails'), [
      {
        mailer: 'NoticeMailer',
        action: 'notice',
        to: 'staging@supervised.example',
        subject: 'acme at 1970-01-01T00:00:00.000Z',
        text: 'notice_mailer/notice in ko\n',
        title: 'catamount: jobs',
      },
    ]);
    const done = await tree.waitForLine(/mail NoticeMailer#notice sent by log/);
    assert.equal(done.json.jobClass, 'catamount.deliver-mail');
    const records = await app.database.query('select state, recipients from mail_deliveries');
    assert.deepEqual(records, [{ state: 'sent', recipients: ['staging@supervised.example'] }]);
  });

  it('calls the hooks of its start; one that throws or rejects is logged and does no harm', async () => {
    await until('booted is called', () => heard('booted').length === 1);
    assert.equal(heard('booted')[0]?.address, tree.baseUrl);
    const booted = heard('workerBoot').map(({ slot }) => slot);
    assert.deepEqual(booted.sort(), [0, 1]);
    assert.equal(heard('workerReady').length, 2);
    assert.equal(tree.linesMatching(/the app's hook workerReady: this hook always throws/).length, 2);
    await order(tree, 'phased-restart');
    await tree.waitForLine(/the app's hook phase: this hook always rejects/);
    assert.deepEqual(
      heard('phase').map(({ phase }) => phase),
      [1],
    );
    const exits = heard('workerExit').map(({ code, expected }) => ({ code, expected }));
    assert.deepEqual(exits, Array(2).fill({ code: 0, expected: true }));
    await until('the processor has been replaced', () => heard('processorExit').length === 1);
    assert.equal((await tree.request('GET', '/slow')).status, 200);
  });

  it('gives early hints to a client that still waits for the page', async () => {
    const release = app.switchOn('hold');
    const asked = http.get(`${tree.baseUrl}/hinted`, { agent: false });
    const answer = once(asked, 'response') as Promise<[http.IncomingMessage]>;
    const [{ statusCode, headers }] = (await once(asked, 'information')) as [http.InformationEvent];
    assert.deepEqual([statusCode, headers.link], [103, '</app.css>; rel=preload; as=style']);
    release();
    const [page] = await answer;
    assert.deepEqual([page.statusCode, await text(page)], [200, 'the page']);
  });

  it('tells a request the figures of its tree', async () => {
    const answer = await tree.request('GET', '/stats');
    const told = answer.json() as Record<string, unknown>;
    const printed = await statsOf(tree);
    assert.equal(answer.headers['x-workers'], String(printed.workers), 'by koa');
    assert.deepEqual(
      [told.pid, told.workers, told.booted_workers],
      [tree.pid, printed.workers, printed.booted_workers],
    );
    assert.deepEqual(Object.keys(told).sort(), Object.keys(printed).sort());
  });

  it('does not lose the last lines of a worker that crashes', async () => {
    await Promise.allSettled([tree.request('GET', '/print?text=famous'), tree.request('GET', '/crash')]);
    await tree.waitForLine(/"msg":"famous"/);
    await tree.waitForLine(/worker \d \(pid \d+\) exited with code 3/);
    const crashed = () => heard('workerExit').some(({ code, expected }) => code === 3 && expected === false);
    await until('the hook has been called', crashed);
  });

  it('replaces a worker that leaves an error uncaught, and that answers its requests all the same', async () => {
    const from = tree.lines.length;
    assert.equal((await tree.request('GET', '/stray')).status, 200);
    const { json } = await tree.waitForLine(/uncaught: a stray rejection/, { from });
    assert.equal(json.level, 'error');
    await tree.waitForLine(new RegExp(`worker \\d \\(pid ${json.pid}\\) is being replaced`), { from });
  });

  it('collects garbage in its workers and its primary when they are idle', async () => {
    const serving = async () => (await statsOf(tree)).booted_workers === 2;
    await until('both workers serve again', serving);
    const { pid } = (await tree.request('GET', '/litter')).json();
    for (const one of [tree.pid, Number(pid)]) await tree.waitForLine(new RegExp(`\\b${one} was told to collect`));
  });

  it('names the process in every line, and calls the hooks of its end', async () => {
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
    await tree.waitForLine(/stopped in/);
    const names = new Set(tree.lines.flatMap(({ json }) => json.process ?? []));
    assert.deepEqual([...names].sort(), ['jobs', 'primary', 'web.0', 'web.1']);
    const unnamed = tree.lines.filter(({ json, text }) => !json.process && !/^\d+ was told to collect$/.test(text));
    assert.deepEqual(unnamed, []);
    assert.match(String(heard('stopping')[0]?.reason), /SIGTERM/);
    assert.equal(heard('stopped')[0]?.killed, 0);
  });
});
