import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import type { Operations } from '../../lib/cluster/stats';
import { ControlServer } from '../../lib/control/server';
import { EXIT } from '../../lib/core/errors';
import { Events } from '../../lib/core/events';
import { Deadline } from '../../lib/support/deadline';
import { tempFolder } from '../support/temp-folder';
import { type RecorderOptions, RecorderProcess } from './recorder-process';
import { socketRequest } from './socket-request';

describe('a control server', () => {
  const started: RecorderProcess[] = [];
  const start = async (options?: RecorderOptions) => {
    const recorder = new RecorderProcess(options);
    started.push(recorder);
    await recorder.said('listening');
    return recorder;
  };
  const fail = async (options: RecorderOptions) => {
    const recorder = new RecorderProcess(options);
    started.push(recorder);
    return { code: await recorder.exited, text: recorder.output.tail() };
  };
  const answers = async ({ socket, state }: RecorderProcess) =>
    (await socketRequest(socket, 'GET', '/stats', { authorization: `Bearer ${state.token}` })).status === 200;
  afterEach(async () => {
    for (const recorder of started.splice(0)) await recorder.cleanup();
  });

  it('takes its socket and state file along when it stops', async () => {
    const recorder = await start();
    assert.equal(recorder.state.pid, recorder.pid);
    assert.equal(recorder.state.cwd, recorder.cwd);
    assert.equal(recorder.state.controlSocket, recorder.socket);
    assert.match(recorder.state.token, /^[\w-]{43}$/);
    recorder.signal('SIGTERM');
    assert.equal(await recorder.exited, 0);
    assert.deepEqual(fs.readdirSync(path.dirname(recorder.socket)), []);
  });

  it('takes over from a tree that died without a word, with another token', async () => {
    const dead = await start();
    const { token } = dead.state;
    await dead.kill9();
    assert.ok(fs.existsSync(dead.socket) && fs.existsSync(dead.stateFile));
    const next = await start({ cwd: dead.cwd });
    assert.ok(await answers(next));
    assert.notEqual(next.state.token, token);
    assert.equal(fs.statSync(next.socket).mode & 0o777, 0o600);
  });

  it('is refused where another one lives, which is not disturbed', async () => {
    const first = await start();
    const { code, text } = await fail({ cwd: first.cwd });
    assert.equal(code, EXIT.unavailable);
    assert.match(text, /^Another Catamount runs here: it listens on .*control\.sock\. Stop it/);
    const sameState = await fail({ cwd: first.cwd, socket: path.join(first.cwd, 'other.sock') });
    assert.equal(sameState.code, EXIT.unavailable);
    assert.match(sameState.text, /Another Catamount runs here/);
    assert.ok(!fs.existsSync(path.join(first.cwd, 'other.sock')));
    assert.ok(await answers(first));
    assert.equal(first.state.pid, first.pid);
  });

  it('gives the socket to one of several that start at once after a crash', async () => {
    const dead = await start();
    await dead.kill9();
    const { cwd } = dead;
    const all = Array.from({ length: 4 }, () => new RecorderProcess({ cwd }));
    started.push(...all);
    const ends = await Promise.all(
      all.map((one) =>
        Promise.race([
          one.said('listening').then(
            () => one,
            () => undefined,
          ),
          one.exited.then(() => undefined),
        ]),
      ),
    );
    const [winner, ...more] = ends.filter((one) => one !== undefined);
    assert.ok(winner);
    assert.deepEqual(more, []);
    assert.ok(await answers(winner));
  });

  it('never removes or writes over what is not its own', async () => {
    const cwd = tempFolder('control');
    const file = path.join(cwd, 'precious.txt');
    fs.writeFileSync(file, 'precious');
    for (const options of [{ socket: file }, { stateFile: file }]) {
      const { code, text } = await fail({ cwd, ...options });
      assert.notEqual(code, 0);
      assert.match(text, /^\S*precious\.txt is no (socket|state file)/);
      assert.equal(fs.readFileSync(file, 'utf8'), 'precious');
    }
    assert.ok(!fs.existsSync(path.join(cwd, '.catamount/control.sock')));
  });

  it('says so when the path is too long for a socket, and comes by with a short way to it', async () => {
    const deep = path.join(tempFolder('control'), 'd'.repeat(100));
    fs.mkdirSync(deep);
    const { code, text } = await fail({ socket: path.join(deep, 'control.sock') });
    assert.equal(code, EXIT.config);
    assert.match(text, /^The path of the control socket is too long: .* Set CONTROL_SOCKET to a shorter one/);

    const inside = await start({ cwd: deep });
    assert.equal(fs.statSync(inside.socket).mode & 0o777, 0o600);
    inside.signal('SIGINT');
    assert.equal(await inside.exited, 0);
    assert.ok(!fs.existsSync(inside.socket));
  });

  it('is private before anyone can look, and says where it may not write', async () => {
    const cwd = tempFolder('control');
    const [socket, stateFile] = [path.join(cwd, 's'), path.join(cwd, 'state')];
    const operations = {} as Operations;
    const make = (control: { socket: string; stateFile: string }) =>
      new ControlServer({ control, shutdownTimeoutMs: 1, operations, events: new Events() });
    const mask = process.umask(0);
    const modes: number[] = [];
    const listen = net.Server.prototype.listen;
    // Nothing of ours can run between the call and this look, so neither can anybody's connection be accepted.
    net.Server.prototype.listen = function (this: net.Server, ...args: unknown[]) {
      Reflect.apply(listen, this, args);
      modes.push(fs.statSync(socket).mode & 0o777);
      return this;
    } as typeof listen;
    const server = make({ socket, stateFile });
    try {
      await server.start();
    } finally {
      net.Server.prototype.listen = listen;
      process.umask(mask);
    }
    assert.deepEqual(modes, [0o600]);
    await Promise.all([server.stop(Deadline.after(1000)), server.stop(Deadline.after(1000))]);
    await make({ socket, stateFile }).stop(Deadline.after(1000));
    fs.writeFileSync(path.join(cwd, 'file'), '');
    const inFile = path.join(cwd, 'file', 'below');
    for (const control of [
      { socket, stateFile: inFile },
      { socket: inFile, stateFile },
    ]) {
      await assert.rejects(make(control).start(), { name: 'UserError', message: /Set CONTROL_SOCKET and STATE_FILE/ });
    }
    assert.ok(!fs.existsSync(socket));
  });
});
