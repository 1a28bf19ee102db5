import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import type { Config } from '../../lib/core/config';
import { logEvents } from '../../lib/core/event-catalog';
import { Events } from '../../lib/core/events';
import { runInContext } from '../../lib/core/execution-context';
import { createLogger, isoTime, openLogDestination } from '../../lib/core/logging';
import { readSettings } from '../../lib/core/settings';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { until } from '../support/until';

describe('the log', () => {
  function listen(level: Config['log']['level']) {
    const lines: Record<string, unknown>[] = [];
    const destination = { write: (text: string) => void lines.push(JSON.parse(text)) };
    const events = new Events();
    const off = logEvents(events, createLogger({ log: { level, format: 'json' } }, 'jobs', destination));
    return { events, lines, off };
  }

  /** A job's run, and how often its arguments were read. */
  function job() {
    const asked = { times: 0 };
    const args = () => {
      asked.times++;
      return ['Ann'];
    };
    return { asked, run: { id: 'j-1', class: 'GreetJob', queue: 'default', attempt: 2, requestId: 'r-1', args } };
  }

  it('into a pipe leaves symbolic links of packages alone', () => {
    const folder = fs.realpathSync(tempFolder('links'));
    try {
      fs.mkdirSync(path.join(folder, 'store'));
      for (const name of ['a.js', 'b.js']) fs.writeFileSync(path.join(folder, 'store', name), '');
      fs.symlinkSync(path.join(folder, 'store'), path.join(folder, 'linked'));
      const script = `const { openLogDestination } = require(${JSON.stringify(path.resolve(__dirname, '../../lib/core/logging'))});
        require.resolve(${JSON.stringify(path.join(folder, 'store/a.js'))});
        openLogDestination({ format: 'json' }, 1);
        process.stdout.write(require.resolve(${JSON.stringify(path.join(folder, 'linked/b.js'))}));`;
      const found = execFileSync(process.execPath, ['--import', 'tsx', '-e', script], { encoding: 'utf8' });
      assert.equal(found, path.join(folder, 'store/b.js'));
    } finally {
      removeFolder(folder);
    }
  });

  it('names the process and the request in each line, until it is turned off', () => {
    const { events, lines, off } = listen('info');
    runInContext({ requestId: 'r-1' }, () => events.emit('process.warning', { message: 'careful' }));
    off();
    events.emit('process.warning', { message: 'too late' });
    assert.deepEqual(
      lines.map(({ level, process: name, pid, msg, requestId }) => ({ level, name, pid, msg, requestId })),
      [{ level: 'warn', name: 'jobs', pid: process.pid, msg: 'careful', requestId: 'r-1' }],
    );
  });

  it('has a line for each request, unless LOG_REQUESTS=0 or by LOG_LEVEL; failures of requests are logged in any case', () => {
    for (const [env, expected] of [
      [{ LOG_REQUESTS: '1' }, ['GET / 200 in 1 ms', 'GET / failed: no']],
      [{ LOG_REQUESTS: '0' }, ['GET / failed: no']],
      [{ LOG_LEVEL: 'error' }, ['GET / failed: no']],
    ] as const) {
      const { log } = readSettings({ env, cwd: '/srv/shop' });
      const lines: unknown[] = [];
      const events = new Events();
      const destination = { write: (text: string) => void lines.push(JSON.parse(text).msg) };
      logEvents(events, createLogger({ log }, 'web.0', destination), log);
      const request = { method: 'GET', path: '/', requestId: 'r-1' };
      const times = {
        status: 200,
        durationMs: 1,
        queuedMs: 0,
        sqlMs: 0,
        sqlCount: 0,
        internal: false,
        shedReason: null,
        remoteAddress: '::1',
      };
      events.emit('request.finished', { ...request, ...times });
      events.emit('request.error', { ...request, error: new Error('no') });
      assert.deepEqual(lines, expected);
    }
  });

  it('in the pretty format names the process and the request, too, and cannot be forged by what a message says', async () => {
    const folder = tempFolder('log');
    const file = path.join(folder, 'log');
    const fd = fs.openSync(file, 'w');
    const log = { level: 'info', format: 'pretty' } as const;
    const logger = createLogger({ log }, 'web.0', openLogDestination(log, fd));
    const forged = 'x\n[12:00:00.000] INFO: [primary] forged\x1b[2J\u202edone';
    runInContext({ requestId: 'r-1' }, () => logger.error({ err: new Error(forged), tag: forged }, forged));
    const text = await until('the line is written', () => fs.readFileSync(file, 'utf8'));
    assert.deepEqual(text.match(/^\S.*/gm)?.length, 1, text);
    assert.match(
      text,
      /ERROR: \[web\.0\] x\n {4}\[12:00:00\.000\] INFO: \[primary\] forged\\x1b\[2J\\u202edone \(r-1\)/,
    );
    assert.ok(!text.includes('\x1b') && !text.includes('\u202e'));
    fs.closeSync(fd);
    removeFolder(folder);
  });

  for (const format of ['json', 'pretty'] as const) {
    it(`in a file changes no line of another logger, overwrites no line of another process, nor is it overwritten: ${format}, by > and by >>`, async () => {
      const folder = tempFolder('log');
      for (const [flags, old] of [
        ['a', 'old\n'],
        ['w', ''],
      ] as const) {
        const file = path.join(folder, flags);
        fs.writeFileSync(file, old);
        const fd = fs.openSync(file, flags);
        const [web, jobs] = [openLogDestination({ format }, fd), openLogDestination({ format }, fd)];
        web.pass('of web 0');
        fs.writeSync(fd, 'by console.log\n');
        jobs.pass('{"level":20,  "msg":"of jobs"}');
        web.pass('of web 0');
        const all = `${old}of web 0\nby console.log\n{"level":20,  "msg":"of jobs"}\nof web 0\n`;
        await until('all lines are in the file', () => fs.readFileSync(file, 'utf8') === all);
        fs.closeSync(fd);
      }
      removeFolder(folder);
    });
  }

  it('reads arguments only when the line is written', () => {
    for (const [level, times] of [
      ['debug', 1],
      ['warn', 0],
    ] as const) {
      const { events, lines } = listen(level);
      const { asked, run } = job();
      events.emit('job.started', { ...run, waitedMs: 3 });
      assert.deepEqual([asked.times, lines.length], [times, times]);
    }
  });

  it('says which job failed, with which arguments and for which request', () => {
    const { events, lines } = listen('warn');
    const { run } = job();
    const error = new Error('busy');
    events.emit('job.retrying', { ...run, waitMs: 15_000, error });
    events.emit('job.dead', { ...run, reason: 'busy (the last of 2 attempts)', error });
    events.emit('job.dead', { ...run, args: () => undefined, reason: 'busy', error });
    const about = { jobId: 'j-1', requestId: 'r-1', args: ['Ann'] };
    assert.deepEqual(
      lines.map(({ level, msg, jobId, requestId, args }) => ({ level, msg, jobId, requestId, args })),
      [
        { level: 'warn', msg: 'GreetJob failed (attempt 2), retried in 15 s: busy', ...about },
        { level: 'error', msg: 'GreetJob is dead: busy (the last of 2 attempts)', ...about },
        { level: 'error', msg: 'GreetJob is dead: busy', ...about, args: undefined },
      ],
    );
    assert.match(JSON.stringify(lines[0]?.err), /"message":"busy"/);
  });

  it('loses no event to a listener that throws, which is reported', () => {
    const events = new Events();
    const heard: string[] = [];
    events.on('process.warning', () => {
      throw new Error('bad listener');
    });
    events.on('process.warning', ({ message }) => heard.push(message));
    events.on('process.error', ({ error, during }) => heard.push(`${during}: ${error.message}`));
    events.emit('process.warning', { message: 'one' });
    assert.deepEqual(heard, ['a listener of process.warning: bad listener', 'one']);
  });

  it('is louder about what is wrong', () => {
    const { events, lines } = listen('debug');
    for (const [code, expected] of [
      [0, true],
      [3, true],
      [3, false],
    ] as const)
      events.emit('worker.exited', { slot: 0, pid: 7, code, signal: null, expected });
    for (const awayMs of [null, 5000]) events.emit('redis.ready', { awayMs });
    for (const role of ['operator', null] as const)
      events.emit('operator.sign-in', { role, address: '::1', locked: true });
    const told = lines.map(({ level, msg }) => `${level} ${msg}`).join('\n');
    assert.match(
      told,
      /^info .* stopped\ninfo .* code 3\nerror .* code 3\ndebug connected .*\ninfo .* after 5 s\ninfo signed in .*\nwarn wrong .* has to wait now$/,
    );
  });

  it('writes times as toISOString() does, across minutes and days, and when the clock goes back', () => {
    const begun = Date.UTC(2026, 11, 31, 23, 58, 59, 990);
    const moments = [0, 1, 59_999, 60_000, ...Array.from({ length: 400 }, (_, n) => begun + n * 457), begun];
    const left = [...moments];
    const time = isoTime(() => left.shift() ?? 0);
    for (const ms of moments) assert.equal(time(), `,"time":"${new Date(ms).toISOString()}"`);
  });
});
