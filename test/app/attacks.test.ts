import { removeFolder } from '../support/temp-folder';
import { writeNewApp } from './generated-app';
import { RunningApp } from './running-app';
import { resistsAttacks } from './sign-up-attacks';

/** The limits that an app has without any setting. */
const DEFAULTS = { SIGN_UPS_PER_ADDRESS: '', SIGN_UPS_PER_DOMAIN: '', SIGN_UPS_PER_MAILBOX: '', TRUST_PROXY: '1' };

describe('the sample app under attack:', () => underAttack(() => RunningApp.start({ env: DEFAULTS })));

/** Its other three kinds are in test/process/sign-up-attacks.deep.ts. */
describe('an app written by catamount new under attack:', () => {
  let generated: string;
  before(() => {
    generated = writeNewApp({ typescript: false, esm: false });
  });
  after(() => removeFolder(generated));
  underAttack(() => RunningApp.start({ env: DEFAULTS, generated }));
});

function underAttack(start: () => Promise<RunningApp>): void {
  let app: RunningApp;
  before(async () => {
    app = await start();
  });
  after(() => app?.stop());
  resistsAttacks(() => ({
    signUp: async (body, ip) => {
      const { status, text, headers } = await app.signUp(body, { 'X-Forwarded-For': ip });
      return { status, body: text, retryAfter: Number(headers['retry-after'] ?? 0) };
    },
    visit: async () => (await app.serving.request('/')).status,
    mails: async () => (await app.jobs()).length,
  }));
}
