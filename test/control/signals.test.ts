import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Operations } from '../../lib/cluster/stats';
import { COMMANDS } from '../../lib/control/commands';
import { onOperatorSignals } from '../../lib/control/signals';
import { Events } from '../../lib/core/events';
import { Output } from '../support/output';

const signals = COMMANDS.flatMap((command) => command.signals).filter(
  (name) => name !== 'SIGTERM' && name !== 'SIGINT',
);
/** Answers each line it is sent, unless a signal has ended or frozen it. */
const CHILD = `
  require(${JSON.stringify(path.resolve(__dirname, '../../lib/control/signals'))}).ignoreOperatorSignals();
  process.stdin.on('data', (line) => process.stdout.write(line)).resume();
  console.log('ready');
`;

describe('operator signals', () => {
  it('neither end nor freeze a child that ignores them', async () => {
    const child = spawn(process.execPath, ['--import', require.resolve('tsx'), '-e', CHILD]);
    const output = new Output(child);
    await output.waitFor(/ready/);
    for (const signal of [...signals, ...signals]) {
      child.kill(signal);
      const from = output.lines.length;
      child.stdin.write(`after ${signal}\n`);
      await output.waitFor(new RegExp(`after ${signal}`), { from });
    }
    const exited = once(child, 'exit');
    child.stdin.end();
    assert.deepEqual(await exited, [0, null]);
  });

  it('leave no handler behind when they are no longer listened to', () => {
    const count = () => signals.map((signal) => process.listenerCount(signal));
    const before = count();
    const off = onOperatorSignals({} as Operations, new Events());
    assert.deepEqual(
      count(),
      before.map((listeners) => listeners + 1),
    );
    off();
    off();
    assert.deepEqual(count(), before);
  });
});
