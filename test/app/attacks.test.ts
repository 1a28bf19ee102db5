import { newApp } from '../../lib/cli/generate/new-app';
import { writeFiles } from '../support/app-folder';
import { inSuite } from '../support/suite';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { RunningApp } from './running-app';
import { resistsAttacks } from './sign-up-attacks';

/** The limits that an app has without any setting. */
const DEFAULTS = { SIGN_UPS_PER_ADDRESS: '', SIGN_UPS_PER_DOMAIN: '', SIGN_UPS_PER_MAILBOX: '', TRUST_PROXY: '1' };

describe('the sample app under attack:', () => underAttack(() => RunningApp.start({ env: DEFAULTS })));

/** In JavaScript as CommonJS; test/process/sign-up-attacks.deep.ts has others. */
describe('an app written by catamount new under attack:', () => {
  let generated: string;
  before(() => {
    generated = tempFolder('new-app');
    const kind = { typescript: false, esm: false, manager: 'npm' } as const;
    const files = newApp({ name: 'shop', folder: generated, ...kind, now: new Date() });
    writeFiles(generated, Object.fromEntries(files.map(({ file, content }) => [file, content])));
  });
  after(() => removeFolder(generated));
  underAttack(() => RunningApp.start({ env: DEFAULTS, generated }));
});

function underAttack(start: () => Promise<RunningApp>): void {
  const app = inSuite('stop', () => start());
  resistsAttacks(() => ({
    signUp: async (body, ip) => {
      const { status, text, headers } = await app.signUp(body, { 'X-Forwarded-For': ip });
      return { status, body: text, retryAfter: Number(headers['retry-after'] ?? 0) };
    },
    visit: async () => (await app.serving.request('/')).status,
    mails: async () => (await app.jobs()).length,
  }));
}
