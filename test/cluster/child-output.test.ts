import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { reportOutput } from '../../lib/cluster/child-process';
import { Events } from '../../lib/core/events';

/** Runs the code in a child process and collects what its output is reported as: text, and records of its own logger. */
async function heard(code: string): Promise<{ texts: string[]; records: string[]; recentStderr: readonly string[] }> {
  const events = new Events();
  const texts: string[] = [];
  const records: string[] = [];
  events.on('child.output', ({ child, line }) => texts.push(`${child}: ${line}`));
  events.on('child.record', ({ line }) => records.push(line));
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  const recentStderr = reportOutput(child, 'web.0', events);
  await once(child, 'close');
  return { texts, records, recentStderr };
}

describe('the output of a child process', () => {
  it('is passed on verbatim where a line is JSON with a level, and as text otherwise', async () => {
    const records = [
      '{"level":30,"time":1764430000000,"pid":7,"msg":"by pino"}',
      '{ "message": "by winston",  "level":"info" }',
      '{"severity":"NOTICE","message":"by Google\u2028in one line"}',
    ];
    const texts = [
      'hello',
      '{ not JSON }',
      '{"msg":"no level"}',
      '{"level":null}',
      '["level"]',
      '{"level":30',
      '',
      'the last, without its end',
    ];
    const shuffled = [...texts.slice(0, 3), ...records, ...texts.slice(3)];
    const said = await heard(`process.stdout.write(${JSON.stringify(shuffled.join('\n'))})`);
    assert.deepEqual(said.records, records);
    assert.deepEqual(
      said.texts,
      texts.map((line) => `web.0: ${line}`),
    );
  });

  it('keeps each line in one piece, wherever its chunks are split', async () => {
    const record = JSON.stringify({ level: 30, msg: '가나다'.repeat(50_000) });
    const code = `const record = JSON.stringify({ level: 30, msg: '가나다'.repeat(50_000) });
      const bytes = Buffer.from(record + '\\r\\nafter\\r\\n');
      (async () => { for (let n = 0; n < bytes.length; n += 65_537) await new Promise((done) => process.stdout.write(bytes.subarray(n, n + 65_537), done)); })()`;
    const said = await heard(code);
    assert.equal(said.records.length, 1);
    assert.ok(said.records[0] === record);
    assert.deepEqual(said.texts, ['web.0: after']);
  });

  it('keeps the last lines of stderr before a crash, including JSON records', async () => {
    const said = await heard(`console.error('{"level":60,"msg":"fatal"}\\n\\nError: gone')`);
    assert.deepEqual(said.recentStderr, ['{"level":60,"msg":"fatal"}', 'Error: gone']);
  });
});
