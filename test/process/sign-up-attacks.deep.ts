import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { newApp } from '../../lib/cli/generate/new-app';
import { resistsAttacks } from '../app/sign-up-attacks';
import { writeFiles } from '../support/app-folder';
import { createDatabase } from '../support/postgres';
import { removeFolder, tempFolder } from '../support/temp-folder';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';

const ROOT = path.resolve(__dirname, '../..');
/** The limits that an app has without any setting. One worker is hit by every attack. */
const ENV = {
  SIGN_UPS_PER_ADDRESS: '',
  SIGN_UPS_PER_DOMAIN: '',
  SIGN_UPS_PER_MAILBOX: '',
  TRUST_PROXY: '1',
  WEB_CONCURRENCY: '1',
};

/** The attacks of test/app/attacks.test.ts, on trees in production. */
describe('under attack,', () => {
  // The fast tier has one in JavaScript as CommonJS.
  for (const { typescript, esm } of [
    { typescript: true, esm: false },
    { typescript: false, esm: true },
  ])
    describe(`an app written by catamount new in ${typescript ? 'TypeScript' : 'JavaScript'}, as ${esm ? 'ES modules' : 'CommonJS'}:`, () => {
      let app: string;
      const deployment = useDeployment({ database: createDatabase });
      let tree: Tree;
      before(async () => {
        app = tempFolder('new-app');
        const files = newApp({ name: 'shop', folder: app, typescript, esm, manager: 'npm', now: new Date() });
        writeFiles(app, Object.fromEntries(files.map(({ file, content }) => [file, content])));
        fs.mkdirSync(path.join(app, 'node_modules'));
        fs.symlinkSync(ROOT, path.join(app, 'node_modules/catamount'));
        for (const name of ['typescript', 'knex', '@types'])
          fs.symlinkSync(path.join(ROOT, 'node_modules', name), path.join(app, 'node_modules', name));
        if (typescript) {
          execFileSync(process.execPath, [path.join(app, 'node_modules/typescript/bin/tsc')], { cwd: app });
          for (const folder of ['lib/locales', 'lib/mailers/templates'])
            fs.cpSync(path.join(app, folder), path.join(app, 'dist', folder), { recursive: true });
        }
        const entry = path.join(app, typescript ? 'dist/server.js' : 'server.js');
        execFileSync(process.execPath, [entry, 'migrate'], { cwd: app, env: { ...process.env, ...deployment.env } });
        tree = await deployment.start({ cwd: app, entry, env: ENV });
      });
      after(() => removeFolder(app));

      resistsAttacks(() => ({
        signUp: async (json, ip) => {
          const { status, body, headers } = await tree.request('POST', '/users', {
            json,
            headers: { 'X-Forwarded-For': ip },
          });
          return { status, body, retryAfter: Number(headers['retry-after'] ?? 0) };
        },
        visit: async () => (await tree.request('GET', '/')).status,
        mails: async () => {
          const waiting = () => deployment.database.query('select 1 from job_queue');
          await until('every job has ended', async () => (await waiting()).length === 0);
          return deployment.sink.messages.length;
        },
      }));
    });
});
