import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { type SmtpSink, startSmtpSink } from '../support/smtp';
import { tempFolder } from '../support/temp-folder';
import { startTree, type Tree } from '../support/tree';
import { writeScript } from './new-app-script';
import { pack, ROOT, removeInstalled, withoutNpm } from './npm';

const run = promisify(execFile);

/** The folders of Node's programs to run with, separated by `:`. */
const NODES = (process.env.NODES ?? path.dirname(process.execPath)).split(':');
/** The package managers, which are on the PATH. */
const MANAGERS = (process.env.MANAGERS ?? 'npm').split(',');
const KINDS: Readonly<Record<string, readonly string[]>> = {
  'TypeScript, CommonJS': [],
  'TypeScript, ES modules': ['--esm'],
  'JavaScript, CommonJS': ['--javascript'],
  'JavaScript, ES modules': ['--javascript', '--esm'],
};
const ONLY = process.env.KINDS?.split(';') ?? Object.keys(KINDS);

/**
 * What `catamount new` writes, with each package manager and each release of Node: install, build, test, sign up, run a
 * script. The packages come from npm's registry, so this file is in no tier: `NODES=/n20/bin:/n26/bin
 * MANAGERS=npm,pnpm,yarn npm test -- test/package/managers.hand.ts`.
 */
describe('a new app', () => {
  let folder: string;
  let tarball: string;
  let mail: SmtpSink;
  before(async () => {
    folder = tempFolder('managers');
    [{ tarball }, mail] = await Promise.all([pack(folder), startSmtpSink()]);
  });
  after(async () => {
    await mail.stop();
    await removeInstalled(folder);
  });

  for (const manager of MANAGERS)
    for (const kind of ONLY) {
      const name = `${manager}-${Object.keys(KINDS).indexOf(kind)}`;
      const typescript = kind.startsWith('TypeScript');
      const app = () => path.join(folder, name);

      /** Runs a line in a shell that finds this Node first. @returns what it has printed. */
      const shell = async (node: string, line: string, cwd = app()): Promise<string> => {
        // Yarn 1 would take a tarball of this version from its cache, although this one may have changed.
        const own = { PATH: `${node}:${process.env.PATH}`, CI: '1', YARN_CACHE_FOLDER: path.join(folder, 'yarn') };
        const env = { ...withoutNpm(process.env), ...own };
        const { stdout } = await run('/bin/sh', ['-c', line], { cwd, env, maxBuffer: 1e8 }).catch(
          (error: { readonly stdout: string; readonly message: string }) =>
            assert.fail(`${line}: ${error.stdout}\n${error.message}`),
        );
        return stdout;
      };

      for (const [index, node] of NODES.entries())
        it(`in ${kind} with ${manager} and ${node}`, async () => {
          if (index === 0) {
            const flags = (KINDS[kind] ?? []).join(' ');
            const agent = `npm_config_user_agent=${manager}/1`;
            await shell(node, `${agent} node ${ROOT}/dist/lib/cli/main.js new ${name} --skip-install ${flags}`, folder);
            const file = path.join(app(), 'package.json');
            fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(`file:${ROOT}`, `file:${tarball}`));
            writeScript(app(), `again.${typescript ? 'ts' : 'js'}`);
          }
          // One of our packages asks for Node 22 for a program of its own, which nobody runs. Yarn 1 refuses to install it.
          await shell(node, `${manager} install${manager === 'yarn' ? ' --ignore-engines' : ''}`);
          await shell(node, `${manager} run lint`);
          if (typescript) await shell(node, `${manager} run typecheck && ${manager} run build`);
          assert.match(await shell(node, `${manager} test`), /^[#ℹ] pass 2$/m);
          let tree: Tree | undefined;
          try {
            const before = mail.messages.length;
            tree = await startTree({
              node: '/bin/sh',
              entry: '-c',
              args: [`exec ${manager} start`],
              cwd: app(),
              env: { PATH: `${node}:${process.env.PATH}`, SMTP_URL: mail.url, WEB_CONCURRENCY: '1' },
            });
            const email = `ada-${index}@example.com`;
            const made = await tree.request('POST', '/users', { json: { email, name: `Ada ${index}` } });
            assert.equal(made.status, 201, made.body);
            await mail.waitFor(before + 1);
            const exec = manager === 'npm' ? 'npx' : manager;
            await shell(node, `${exec} catamount run scripts/again.${typescript ? 'ts' : 'js'} 'Ada ${index}'`);
            const subjects = (await mail.waitFor(before + 2)).slice(before).map(({ subject }) => subject);
            assert.deepEqual(subjects, [`Welcome to ${name}`, `Welcome to ${name}`]);
          } finally {
            if (tree) process.kill(tree.processes().primary ?? tree.pid, 'SIGTERM');
            await tree?.allGone();
            await tree?.cleanup();
          }
        });
    }
});
