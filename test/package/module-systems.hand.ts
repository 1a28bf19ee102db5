import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { useDeployment } from '../process/deployment';
import { createDatabase, type TestDatabase } from '../support/postgres';
import { install, lockLikeOurs, npm, pack, removeInstalled, withoutNpm } from './npm';
import { APP, testOf } from './typescript-app';

const run = promisify(execFile);

/** A Node that strips types, if that of this run is older than 22.18. */
const STRIPPING_NODE = process.env.STRIPPING_NODE ?? process.execPath;
/** Test runners, and the compiler that Jest uses. The app's own packages come from this checkout. */
const RUNNERS = ['vitest@4', 'jest@30', '@babel/core@7', '@babel/preset-env@7', '@babel/preset-typescript@7'];
const TSX = ['--import=tsx'];

/**
 * One TypeScript app, started in every way in which TypeScript can be run, and tested with every runner: each class must be
 * loaded only once. Vitest and Jest are not among our packages, so this file is in no tier:
 * `npm test -- test/package/module-systems.hand.ts`, with a Node of 22.18 or later, or one named in STRIPPING_NODE.
 */
describe('an app in TypeScript', () => {
  let folder: string;
  const deployment = useDeployment({ database: createDatabase });
  let database: TestDatabase;

  before(async () => {
    database = await createDatabase();
    folder = path.join(deployment.folder, 'app');
    const runners = ['node', 'mocha', 'vitest', 'jest'] as const;
    const tests = runners.map((runner) => [`test/${runner}.test.ts`, testOf(runner)] as const);
    for (const [name, content] of [...Object.entries(APP), ...tests]) {
      fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
      fs.writeFileSync(path.join(folder, name), content);
    }
    const { tarball } = await pack(deployment.folder);
    fs.renameSync(tarball, path.join(deployment.folder, 'catamount.tgz'));
    lockLikeOurs(folder);
    await install(folder, 'install');
    await npm(folder, 'install', '--no-save', '--prefer-offline', ...RUNNERS);
  });
  after(async () => {
    await removeInstalled(folder);
    await database.drop();
  });

  /** Runs Node in the app, in the environment of a developer with a test database. */
  const node = async (args: readonly string[], program = process.execPath): Promise<string> => {
    const { NODE_OPTIONS: _, ...own } = withoutNpm(process.env);
    const env = { ...own, TEST_DATABASE_URL: database.url };
    const { stdout, stderr } = await run(program, args, { cwd: folder, env }).catch(
      (error: { readonly stdout: string; readonly stderr: string }) => assert.fail(error.stdout + error.stderr),
    );
    return stdout + stderr;
  };
  const bin = (file: string) => path.join(folder, 'node_modules', file);
  const strippingNode = async () => {
    const said = await node(['-p', '[process.version, process.features.typescript]'], STRIPPING_NODE);
    const explained = `${STRIPPING_NODE} (${said.trim()}) strips no types: name a Node of 22.18 or later in STRIPPING_NODE`;
    assert.match(said, /'strip'/, explained);
    return STRIPPING_NODE;
  };

  /** Signs up in a worker, which enqueues a job with a model, which sends a mail with the same model. */
  const greets = async (options: {
    readonly cwd: string;
    readonly entry: string;
    readonly node?: string;
    readonly loader?: string;
  }) => {
    const { cwd, entry, node: program = process.execPath, loader } = options;
    const tree = await deployment.start({
      cwd,
      entry: path.join(cwd, entry),
      node: program,
      env: { NODE_ENV: 'development', NODE_OPTIONS: loader, WEB_CONCURRENCY: '1' },
    });
    const email = `${path.basename(cwd)}-${entry}-${loader ?? program}@example.com`.replace(/[/=]/g, '.').slice(-60);
    const answer = await tree.request('POST', '/users', { json: { email, name: 'Ada' } });
    assert.equal(answer.status, 201, answer.body);
    const [sent] = await deployment.sink.waitFor(({ envelope }) => envelope.to.includes(email));
    assert.match(sent?.text ?? '', /Hello, Ada: the same User in the job, the same User in the mailer/);
    await tree.stop();
    await tree.allGone();
  };

  it('runs as a tree, compiled by tsc', async () => {
    await node([bin('typescript/bin/tsc'), '-p', '.']);
    fs.cpSync(path.join(folder, 'mailers/templates'), path.join(folder, 'dist/mailers/templates'), { recursive: true });
    await greets({ cwd: path.join(folder, 'dist'), entry: 'server.js' });
  });

  it('runs as a tree with tsx', () => greets({ cwd: folder, entry: 'server.ts', loader: TSX.join() }));

  it("runs as a tree with Node's own type stripping", async () =>
    greets({ cwd: folder, entry: 'server.ts', node: await strippingNode() }));

  const tap = ['--test', '--test-reporter=tap', 'test/node.test.ts'];
  it('can be tested with node:test and tsx', async () => assert.match(await node([...TSX, ...tap]), /^# pass 1$/m));

  it("can be tested with node:test and Node's own type stripping", async () =>
    assert.match(await node(tap, await strippingNode()), /^# pass 1$/m));

  const mocha = (file: string) => [bin('mocha/bin/mocha.js'), '--timeout=0', file];
  it('can be tested with mocha and tsx, using the settings of the guide', async () => {
    const options = ['--import=tsx', '--no-experimental-require-module'];
    assert.match(await node([...options, ...mocha('test/mocha.test.ts')]), /^ *1 passing/m);
  });

  it("can be tested with mocha and Node's own type stripping", async () =>
    assert.match(await node(mocha('test/mocha.test.ts'), await strippingNode()), /^ *1 passing/m));

  it('can be tested with Vitest, with the import that the guide mentions', async () =>
    assert.match(
      await node([bin('vitest/vitest.mjs'), 'run', '--no-color', '--testTimeout=0', 'test/vitest.test.ts']),
      /Tests +1 passed/,
    ));

  it('can be tested with Jest', async () =>
    assert.match(
      await node([bin('jest/bin/jest.js'), '--testTimeout=600000', 'test/jest.test.ts']),
      /^Tests: +1 passed/m,
    ));
});
