import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { TREE_COMMANDS } from '../../../lib/cluster/control/commands';
import { onOperatorSignals } from '../../../lib/cluster/control/signals';
import { Output } from '../../support/output';
import { until } from '../../support/until';
import { Recorder } from './recorder';

/** By signal, the operation that it calls. Those that stop the tree have their own tests. */
const CALLED: Readonly<Partial<Record<NodeJS.Signals, string>>> = {
  SIGUSR1: 'phasedRestart',
  SIGUSR2: 'phasedRestart',
  SIGTTIN: 'scale 1',
  SIGTTOU: 'scale -1',
  SIGTSTP: 'quietJobs',
  SIGPWR: 'stacks',
  SIGQUIT: 'halt',
};
const SIGNALS = Object.keys(CALLED) as NodeJS.Signals[];
/** Echoes each line that it is sent, unless a signal has ended or stopped it. */
const CHILD = `
  require(${JSON.stringify(path.resolve(__dirname, '../../../dist/lib/cluster/operator-signals'))}).ignoreOperatorSignals();
  process.stdin.on('data', (line) => process.stdout.write(line)).resume();
  console.log('ready');
`;

describe('operator signals', () => {
  it('each call the operation of their command, every time, until the handlers are removed', async () => {
    const handlers = () => SIGNALS.map((signal) => process.listenerCount(signal));
    const before = handlers();
    const { operations, events, calls, complaints } = new Recorder({ failing: ['scale', '!quietJobs'] });
    const off = onOperatorSignals(operations, events);
    for (const signal of [...SIGNALS, ...SIGNALS]) {
      const { length } = calls;
      process.kill(process.pid, signal);
      await until(`${signal} has called ${CALLED[signal]}`, () => calls.length > length);
      assert.equal(calls.at(-1), CALLED[signal]);
    }
    assert.deepEqual(complaints.slice(0, 3), [
      'SIGTTIN (worker-count-up): scale is refused today.',
      'SIGTTOU (worker-count-down): scale is refused today.',
      'SIGTSTP (jobs quiet): quietJobs broke',
    ]);
    off();
    off();
    assert.deepEqual(handlers(), before);
    const inTable = TREE_COMMANDS.flatMap(({ signals }) => signals);
    assert.deepEqual(inTable.sort(), [...SIGNALS, 'SIGTERM', 'SIGINT', 'SIGHUP'].sort());
  });

  it('neither end nor suspend a child that ignores them, nor open its debugger', async () => {
    const child = spawn(process.execPath, ['-e', CHILD]);
    const output = new Output(child);
    await output.waitFor(/ready/);
    for (const signal of [...SIGNALS, ...SIGNALS]) {
      child.kill(signal);
      const from = output.lines.length;
      child.stdin.write(`after ${signal}\n`);
      await output.waitFor(new RegExp(`after ${signal}`), { from });
    }
    assert.deepEqual(output.matching(/Debugger listening/), []);
    const exited = once(child, 'exit');
    child.stdin.end();
    assert.deepEqual(await exited, [0, null]);
  });
});
