import assert from 'node:assert/strict';
import fs from 'node:fs';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import path from 'node:path';
import { commandPath, parseArguments, TREE_COMMANDS } from '../../lib/cluster/control/commands';
import { readRequest } from '../../lib/cluster/control/request';
import { readState } from '../../lib/cluster/control/state-file';
import { UserError } from '../../lib/core/errors';
import { Recorder } from '../cluster/control/recorder';
import { rawExchange, socketRequest } from '../cluster/control/socket-request';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { readAnswers } from './answers';
import { cases, SEED, withShortStacks } from './campaign';
import { Mutator } from './mutator';

const WORDS = [
  ...['\r\n', '\r\n\r\n', 'Authorization: Bearer x\r\n', 'Content-Length: 4\r\n', 'Transfer-Encoding: chunked\r\n'],
  ...['Expect: 100-continue\r\n', 'Upgrade: x\r\nConnection: upgrade\r\n', '\0'],
  ...'HTTP/1.0 /stop %2f ?'.split(' '),
];

/** A client without the token learns nothing and causes nothing. One with it causes what it asked for, or nothing. */
describe('the control socket, given anything', () => {
  withShortStacks();
  let recorder: Recorder;
  let mutator: Mutator;
  before(async () => {
    recorder = await Recorder.start();
    mutator = new Mutator(SEED, WORDS);
  });
  after(() => recorder.cleanup());

  const requestsWith = (headers: string): [string, ...string[]] => [
    `GET /stats HTTP/1.1\r\nHost: x\r\n${headers}\r\n`,
    ...TREE_COMMANDS.map(
      (command) => `${command.method} ${commandPath(command)}/1 HTTP/1.1\r\nHost: x\r\n${headers}\r\n`,
    ),
  ];

  async function assertUndisturbed(): Promise<void> {
    const headers = { authorization: `Bearer ${recorder.state.token}` };
    assert.equal((await socketRequest(recorder.socket, 'GET', '/status', headers)).status, 200);
    assert.deepEqual(recorder.complaints, []);
  }

  it('runs no command without the token, and stays up', async () => {
    const seeds = requestsWith('Authorization: Bearer nonsense\r\n');
    const some = async (many: number) => {
      for (let n = many; n > 0; n--) {
        const answers = readAnswers(await rawExchange(recorder.socket, mutator.mutate(seeds), { end: true }));
        for (const { status } of answers) assert.ok([100, 400, 403, 408, 417, 431].includes(status), String(status));
      }
    };
    await Promise.all(Array.from({ length: 8 }, () => some(cases(1000) / 8)));
    assert.deepEqual(recorder.calls, []);
    await assertUndisturbed();
  });

  it('with the token, reads a request as the command that its path names, or rejects it', () => {
    const token = 'T0KEN';
    const targets = ['/stats', '/jobs/quiet', '/recycle/1', '/recycle/0?x=1', '/worker-count-up'] as const;
    for (let n = cases(10_000); n > 0; n--) {
      const request = new IncomingMessage(new Socket());
      request.url = mutator.mutate(targets).toString('latin1');
      request.method = mutator.pick(['GET', 'POST', 'HEAD', 'post', 'STOP']);
      request.headers = { authorization: `Bearer ${token}` };
      const answer = readRequest(request, token);
      if ('status' in answer) {
        assert.ok([400, 404, 405, 413].includes(answer.status));
        assert.ok(JSON.stringify(answer.body).length < 2000);
      } else {
        const { command, args } = answer;
        assert.equal(request.method, command.method);
        assert.ok(args.every((argument) => Number.isSafeInteger(argument) && argument >= 0));
        const wanted = [commandPath(command), ...args].join('/');
        assert.equal(request.url.split('?')[0]?.replace(/\/0+(?=\d)/, '/'), wanted);
      }
    }
  });

  it('reads the argument of a command as a whole number, or rejects it', () => {
    for (let n = cases(5000); n > 0; n--) {
      for (const command of TREE_COMMANDS.filter(({ takes }) => takes)) {
        try {
          assert.ok(
            parseArguments(command, [mutator.mutate(['1', '12']).toString('utf8')]).every((argument) => argument >= 0),
          );
        } catch (thrown) {
          assert.ok(thrown instanceof UserError);
        }
      }
    }
  });

  it('has a state file that is read, or rejected without printing its token', () => {
    const folder = tempFolder('state');
    const file = path.join(folder, 'state.json');
    const state = JSON.stringify({ ...recorder.state, pid: 7 });
    for (let n = cases(1000); n > 0; n--) {
      fs.writeFileSync(file, mutator.mutate([state]));
      try {
        assert.ok((readState(file)?.pid ?? 0) > 0);
      } catch (thrown) {
        assert.ok(thrown instanceof UserError);
        assert.ok(!thrown.message.includes(recorder.state.token));
      }
    }
    removeFolder(folder);
  });
});
