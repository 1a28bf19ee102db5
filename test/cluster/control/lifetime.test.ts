import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { awaitStopping } from '../../../lib/cluster/control/predecessor';
import { lookAt, writeState } from '../../../lib/cluster/control/state-file';
import { EXIT } from '../../../lib/core/errors';
import { Events } from '../../../lib/core/events';
import { keepInTest } from '../../support/suite';
import { tempFolder } from '../../support/temp-folder';
import { until } from '../../support/until';
import { Recorder, type RecorderOptions } from './recorder';
import { socketRequest } from './socket-request';

describe('a control server', () => {
  const keep = keepInTest((recorder: Recorder) => recorder.cleanup());
  const make = (options?: RecorderOptions) => keep(new Recorder(options));
  const start = async (options?: RecorderOptions) => {
    const recorder = make(options);
    await recorder.server.start();
    return recorder;
  };
  const answers = async ({ socket, state }: Recorder) =>
    (await socketRequest(socket, 'GET', '/stats', { authorization: `Bearer ${state.token}` })).status === 200;
  const modeOf = (file: string) => fs.statSync(file).mode & 0o777;

  it('removes its socket and state file when it stops, and can be stopped without having been started', async () => {
    await make().stop();
    const recorder = await start();
    const { token, startedAt, version, ...rest } = recorder.state;
    assert.deepEqual(rest, { pid: process.pid, cwd: process.cwd(), controlSocket: recorder.socket });
    assert.match(token, /^[0-9a-f]{64}$/);
    assert.deepEqual([modeOf(recorder.socket), modeOf(recorder.stateFile)], [0o600, 0o600]);
    await Promise.all([recorder.stop(), recorder.stop()]);
    assert.deepEqual(fs.readdirSync(path.dirname(recorder.socket)), []);
  });

  it('does not remove the state file of a later tree, or a folder in its place', async () => {
    const recorder = await start();
    const later = { ...recorder.state, token: 'of a later tree' };
    writeState(recorder.stateFile, later);
    await recorder.stop();
    assert.deepEqual(recorder.state, later);
    const other = await start();
    fs.rmSync(other.stateFile);
    fs.mkdirSync(other.stateFile);
    await other.stop();
    assert.ok(fs.statSync(other.stateFile).isDirectory());
  });

  /** Leaves a socket and a state file behind, as `kill -9` does. */
  const startDead = async () => {
    const dead = await start();
    // A second link to the socket outlives the listener, which unlinks the first.
    fs.linkSync(dead.socket, `${dead.socket}.kept`);
    await dead.vanish();
    fs.renameSync(`${dead.socket}.kept`, dead.socket);
    return dead;
  };

  it('takes over the socket of a tree that was killed, with a new token', async () => {
    const dead = await startDead();
    const { token } = dead.state;
    const next = await start({ cwd: dead.cwd });
    assert.ok(await answers(next));
    assert.notEqual(next.state.token, token);
    assert.equal(modeOf(next.socket), 0o600);
  });

  it('waits while another process removes the files of a dead tree, unless that process died and left its lock', async () => {
    const dead = await startDead();
    const lock = `${dead.socket}.lock`;
    fs.mkdirSync(lock);
    const next = make({ cwd: dead.cwd });
    const { ino } = fs.lstatSync(dead.socket);
    const { mkdirSync } = fs;
    let attempts = 0;
    const isThere = () => fs.lstatSync(dead.socket, { throwIfNoEntry: false })?.ino === ino;
    fs.mkdirSync = ((...args: Parameters<typeof mkdirSync>) => {
      if (args[0] === lock) attempts++;
      return mkdirSync(...args);
    }) as typeof mkdirSync;
    try {
      const taken = next.server.start();
      await until('it has tried three times to take the lock', () => attempts >= 3 || !isThere());
      assert.ok(isThere(), 'another process removes it');
      fs.utimesSync(lock, 0, 0);
      await taken;
    } finally {
      fs.mkdirSync = mkdirSync;
    }
    assert.ok(await answers(next));
    assert.deepEqual(fs.readdirSync(path.dirname(dead.socket)).sort(), ['control.sock', 'state.json']);
  });

  it('is waited for by the next start while its tree is stopping, until its process has ended', async () => {
    const first = await start();
    const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'inherit'] });
    const exited = once(child, 'exit');
    writeState(first.stateFile, { ...first.state, pid: child.pid ?? 0 });
    const events = new Events();
    const told: number[] = [];
    events.on('primary.waiting', ({ pid }) => {
      told.push(pid);
      child.stdin.end();
    });
    await awaitStopping(first.stateFile, events);
    assert.deepEqual(told, [], 'it runs: the start is refused by others at once');
    const { status } = first.operations;
    first.operations.status = async () => ({ ...(await status()), stopping: true });
    await awaitStopping(first.stateFile, events);
    assert.deepEqual(told, [child.pid]);
    assert.equal(lookAt(child.pid ?? 0), 'gone');
    await exited;
    await awaitStopping(path.join(first.cwd, 'none.json'), events);
  });

  it('refuses to start where another one is running, and leaves that one undisturbed', async () => {
    const first = await start();
    const { cwd, state } = first;
    const taken = {
      name: 'UserError',
      exitCode: EXIT.unavailable,
      message: /^Another Catamount runs here: it listens on /,
    };
    const other = path.join(cwd, 'other');
    await assert.rejects(start({ cwd }), taken);
    await assert.rejects(start({ cwd, socket: other }), taken, 'otherwise the state file of the first would be lost');
    await assert.rejects(start({ cwd, stateFile: other }), taken, 'otherwise the socket of the first would be lost');
    assert.ok(!fs.existsSync(other));
    assert.ok(await answers(first));
    assert.deepEqual(first.state, state);
  });

  it('never removes or overwrites a file that is not its own', async () => {
    const cwd = tempFolder('control');
    const file = path.join(cwd, 'precious.txt');
    fs.writeFileSync(file, 'precious');
    for (const options of [{ socket: file }, { stateFile: file }]) {
      const message = /precious\.txt is not a (socket|state file)/;
      await assert.rejects(start({ cwd, ...options }), { name: 'UserError', message });
      assert.equal(fs.readFileSync(file, 'utf8'), 'precious');
    }
    assert.ok(!fs.existsSync(path.join(cwd, '.catamount/control.sock')));
  });

  it('names a path that it cannot write to or that is too long for a socket, and the setting to change', async () => {
    const cwd = tempFolder('control');
    const inFile = path.join(cwd, 'file', 'below');
    fs.writeFileSync(path.dirname(inFile), '');
    const [socket, stateFile] = [path.join(cwd, 's'), path.join(cwd, 'state')];
    for (const [options, message] of [
      [{ socket, stateFile: inFile }, /Set CONTROL_SOCKET and STATE_FILE/],
      [{ socket: inFile, stateFile }, /Set CONTROL_SOCKET and STATE_FILE/],
      [
        { socket: path.join(cwd, 'd'.repeat(100), 's'), stateFile },
        /^The path of the control socket is too long: .* Set CONTROL_SOCKET to a shorter one/,
      ],
    ] as const)
      await assert.rejects(start({ cwd, ...options }), { name: 'UserError', exitCode: EXIT.config, message });
    assert.ok(!fs.existsSync(socket));
  });

  it('creates its socket with mode 0600 from the start, whatever the umask', async () => {
    const server = make();
    const mask = process.umask(0);
    const modes: number[] = [];
    const listen = net.Server.prototype.listen;
    // None of our code runs between the call and this check, so no connection can have been accepted in between.
    net.Server.prototype.listen = function (this: net.Server, ...args: unknown[]) {
      Reflect.apply(listen, this, args);
      const folder = path.dirname(server.socket);
      for (const name of fs.readdirSync(folder)) modes.push(modeOf(path.join(folder, name)));
      return this;
    } as typeof listen;
    try {
      await server.server.start();
      assert.equal(process.umask(), 0, 'the umask is restored');
    } finally {
      net.Server.prototype.listen = listen;
      process.umask(mask);
    }
    assert.deepEqual([...modes, modeOf(server.stateFile)], [0o600, 0o600]);
  });
});
