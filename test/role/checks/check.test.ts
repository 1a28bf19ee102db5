import assert from 'node:assert/strict';
import path from 'node:path';
import { defineApp } from '../../../lib/role/app/app-definition';
import { loadRoutes } from '../../../lib/role/app/load-parts';
import { findings } from '../../../lib/role/checks/all-checks';
import { AppParts } from '../../../lib/role/checks/app-parts';
import { refuseMistakes } from '../../../lib/role/start/app-check';
import { writeFiles } from '../../support/app-folder';
import { LANE_FOLDER, removeFolder, tempFolder } from '../../support/temp-folder';
import { IN_THE_APP, type Mistake, SOUND } from '../mistakes';

/** The files import from 'catamount', as those of an app do; this replaces it. */
const DOOR = JSON.stringify(path.resolve(__dirname, '../../../lib'));

describe('the check of an app', () => {
  const folders: string[] = [];
  after(() => {
    for (const folder of folders) removeFolder(folder);
  });

  async function check({ files = {}, options = {} }: Pick<Mistake, 'files' | 'options'>, delivery = 'test') {
    const root = tempFolder('check');
    folders.push(root);
    for (const [name, text] of Object.entries({ ...SOUND, ...files }))
      writeFiles(root, { [name]: text?.replaceAll("'catamount'", DOOR) ?? null });
    const app = defineApp({ name: 'shop', root, ...options });
    const queues = ['default', 'mailer'].map((name) => ({ name, weight: 1 }));
    const parts = new AppParts(app, {
      jobs: { enabled: true, concurrency: 2, weighted: false, queues, latencyWarningMs: 0 },
      mail: { delivery, smtpUrl: null, from: 'a@b.example', dir: '' },
      defaultLocale: 'en',
    });
    return { parts, found: await findings('app', 'start', parts) };
  }

  it('finds nothing in an app without mistakes, and counts its jobs and mailers', async () => {
    const { parts, found } = await check({});
    assert.deepEqual(found, []);
    assert.deepEqual([[...(await parts.jobs()).value].length, (await parts.mailers()).value.size], [1, 1]);
  });

  for (const [name, { says, warning = false, alone = false, ...mistake }] of Object.entries(IN_THE_APP)) {
    it(`finds ${name}`, async () => {
      const { found } = await check(mistake);
      const [finding = assert.fail(`found only ${JSON.stringify(found)}`), ...more] = found.filter(({ text }) =>
        says.test(text),
      );
      assert.deepEqual(more, []);
      assert.equal(finding.severity, warning ? 'warning' : 'error');
      assert.ok(finding.text.includes(LANE_FOLDER) || /cron named|^defineApp/.test(finding.text), finding.text);
      // A mistake is reported once, unless other files depend on what is missing.
      if (mistake.options || alone) assert.deepEqual(found, [finding]);
    });
  }

  it('reports all mistakes at once, and refuses to start only because of the fatal ones', async () => {
    const { found } = await check({
      files: {
        ...IN_THE_APP['a job without perform']?.files,
        ...IN_THE_APP['a missing text']?.files,
        ...IN_THE_APP['a queue that is not served']?.files,
      },
    });
    const warnings: string[] = [];
    assert.throws(
      () => refuseMistakes(found, (message) => warnings.push(message)),
      (error: Error & { readonly exitCode?: number }) =>
        error.exitCode === 78 && /no perform/.test(error.message) && /lacks the text/.test(error.message),
    );
    assert.equal(warnings.filter((message) => /queue reports/.test(message)).length, 1);
  });

  it('refuses a class or a mailer that encrypts while there is no key', async () => {
    const wave = `import { Job } from 'catamount';\nexport default class WaveJob extends Job { static encrypt = true; perform() {} }`;
    const clinic = `import { Mailer } from 'catamount';\nexport class ClinicMailer extends Mailer { static encrypt = true; }`;
    for (const [file, text] of [
      ['jobs/wave.js', wave],
      ['mailers/clinic-mailer.js', clinic],
    ] as const) {
      const { found } = await check({ files: { [file]: text } });
      assert.deepEqual(
        found.map(({ id, severity }) => [id, severity]),
        [['encryption', 'error']],
      );
      assert.match(found[0]?.text ?? '', /^(WaveJob|ClinicMailer) .*JOB_ENCRYPTION_KEYS/);
    }
  });

  it('refuses a class with thread while JOB_THREADS is 0', async () => {
    const text = `import { Job } from 'catamount';\nexport default class WaveJob extends Job { static thread = true; perform() {} }`;
    const { found } = await check({ files: { 'jobs/wave.js': text } });
    assert.deepEqual(
      found.map(({ id, severity }) => [id, severity]),
      [['threads', 'error']],
    );
    assert.match(found[0]?.text ?? '', /^WaveJob .*JOB_THREADS/);
  });

  it('refuses a MAIL_DELIVERY that neither Catamount nor the app has, and a method of the app with a name of Catamount', async () => {
    const files = {
      'mail-setup.js': `module.exports = { deliveryMethods: { pigeon: () => ({ name: 'pigeon', send: async () => ({}) }) } };`,
      'bad-setup.js': `module.exports = { deliveryMethods: { smtp: () => ({}) } };`,
    };
    const at = (delivery: string, file?: string) => {
      const mailSetup = () => import(path.join(folders.at(-1) ?? '', `${file}.js`));
      return check({ files, ...(file === undefined ? {} : { options: { mailSetup } }) }, delivery);
    };
    assert.deepEqual((await at('pigeon', 'mail-setup')).found, []);
    const { found } = await at('pigoen', 'mail-setup');
    assert.deepEqual(
      found.map(({ id, severity }) => [id, severity]),
      [['delivery_method', 'error']],
    );
    assert.match(found[0]?.text ?? '', /^MAIL_DELIVERY is pigoen.*did you mean pigeon\?.* smtp, .*, pigeon$/);
    assert.match((await at('pigeon')).found[0]?.text ?? '', /^MAIL_DELIVERY is pigeon/);
    assert.match((await at('smtp', 'bad-setup')).found[0]?.text ?? '', /deliveryMethods .*other than smtp/);
  });

  it('names the file of routes that export no function', async () => {
    const routes = async () => ({ default: {} });
    await assert.rejects(
      loadRoutes({ routes } as unknown as Parameters<typeof loadRoutes>[0]),
      /^UserError: routes \(of defineApp\): its default export is no function; export one:/,
    );
  });
});
