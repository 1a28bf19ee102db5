import assert from 'node:assert/strict';
import path from 'node:path';
import { nameAndMessage } from '../../../lib/job/admin/job-json';
import { stackLines, withoutLibraryFrames } from '../../../lib/ops/jobs/stack-lines';

const LIB = path.resolve(__dirname, '../../../lib');

describe('stack traces', () => {
  it('distinguish frames of the app from those of packages, of Node and of Catamount', () => {
    const frames = [
      'at post (/srv/shop/jobs/sync.js:41:13)',
      'at Knex.query (/srv/shop/node_modules/knex/lib/a.js:1:2)',
      `at Executor.run (${LIB}/job/perform/executor.ts:1:2)`,
      `at async SignUp (${LIB}/app/services/sign-up.ts:1:2)`,
      'at async process.processTicksAndRejections (node:internal/process/task_queues:95:5)',
      'at node:internal/deps/undici/undici:13178:13',
      'at Array.map (<anonymous>)',
      'at async Promise.all (index 1)',
      `at file://${process.cwd()}/jobs/mail.mjs:3:4`,
    ];
    const lines = stackLines(`Error: x\n${frames.map((frame) => `    ${frame}`).join('\n')}`);
    assert.deepEqual(
      lines.map(({ kind }) => kind),
      ['own', 'library', 'library', 'own', 'library', 'library', 'library', 'library', 'own'],
    );
    assert.equal(lines.at(-1)?.text, 'at jobs/mail.mjs:3:4');
    assert.equal(lines[3]?.text, 'at async SignUp (lib/app/services/sign-up.ts:1:2)');
  });

  it('have their causes between the frames, and do not take lines of messages for frames', () => {
    const stack = 'Error: one\ntwo\n    at a (/x/a.js:1:1)\nCaused by: TypeError: three\nfour\n    at b (/x/b.js:1:1)';
    assert.deepEqual(
      stackLines(stack).map(({ text, kind }) => `${kind} ${text}`),
      ['own at a (/x/a.js:1:1)', 'cause TypeError: three', 'cause four', 'own at b (/x/b.js:1:1)'],
    );
    assert.deepEqual(stackLines(''), []);
  });

  it('are shortened to the relevant frames when there are many others', () => {
    const library = '    at x (node:internal/a:1:1)\n'.repeat(6);
    const own = '    at y (/srv/shop/y.js:1:1)\n';
    const lines = stackLines(`Error: x\n${own}${library}${own}${library}`.trimEnd());
    assert.deepEqual(
      withoutLibraryFrames(lines)?.map(({ kind }) => kind),
      ['own', 'library', 'library', 'own', 'library', 'library'],
    );
    assert.equal(withoutLibraryFrames(lines.slice(0, 4)), undefined);
  });

  it('start with a name and a message', () => {
    assert.deepEqual(nameAndMessage('TypeError: x: y'), { name: 'TypeError', message: 'x: y' });
    assert.deepEqual(nameAndMessage('Nested.Error: x\ny\nCaused by: z'), { name: 'Nested.Error', message: 'x\ny' });
    assert.deepEqual(nameAndMessage('AbortError'), { name: 'AbortError', message: '' });
    assert.deepEqual(nameAndMessage('no name: at all'), { name: '', message: 'no name: at all' });
    assert.deepEqual(nameAndMessage(''), { name: '', message: '' });
  });
});
