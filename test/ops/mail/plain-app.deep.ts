import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { writeFiles } from '../../support/app-folder';
import { launchBrowser, violations, WatchedPage } from '../../support/browser';
import { removeFolder, tempFolder } from '../../support/temp-folder';
import { startTree, type Tree } from '../../support/tree';
import { BEARER, OPS_TOKEN } from '../ops-web';

const ROOT = path.resolve(__dirname, '../../..');
const MAILER = `const { Mailer } = require('catamount');
exports.OrderMailer = class OrderMailer extends Mailer {
  placed() { return this.mail({ to: 'ada@example.com', subject: 'Placed', layout: false }); }
};
exports.OrderMailer.placed = exports.OrderMailer.action('placed');`;
const PREVIEW = `const { MailerPreview } = require('catamount');
const { OrderMailer } = require('../order-mailer');
exports.OrderMailerPreview = class OrderMailerPreview extends MailerPreview {
  placed() { return OrderMailer.placed(); }
};`;

describe('previews of an app in plain JavaScript, without a build', () => {
  let folder: string;
  let tree: Tree;

  const write = (file: string, text: string) => writeFiles(folder, { [file]: text });
  before(async () => {
    folder = tempFolder('plain');
    write('server.js', "require('catamount').boot(require('./app'));");
    write(
      'app.js',
      "module.exports = require('catamount').defineApp({ name: 'plain', root: __dirname, routes: () => import('./routes.js') });",
    );
    write('routes.js', 'module.exports = () => {};');
    fs.mkdirSync(path.join(folder, 'node_modules'));
    fs.symlinkSync(ROOT, path.join(folder, 'node_modules/catamount'));
    const env = { WEB_CONCURRENCY: '1', OPS_TOKEN };
    tree = await startTree({ entry: path.join(folder, 'server.js'), cwd: folder, env, headers: BEARER });
  });
  after(async () => {
    await tree?.cleanup();
    removeFolder(folder);
  });

  it('say how to write one when there are none', async () => {
    const browser = await launchBrowser();
    try {
      const { page, troubles } = await WatchedPage.open(browser, { baseURL: tree.baseUrl, extraHTTPHeaders: BEARER });
      await page.goto('/ops/mail/previews');
      await page.getByRole('heading', { name: 'No previews yet' }).waitFor();
      assert.equal(await page.locator('code.path').textContent(), path.join(folder, 'mailers/previews'));
      assert.deepEqual(await violations(page), []);
      // The first is shown as soon as it is written.
      write('mailers/order-mailer.js', MAILER);
      write('mailers/templates/order_mailer/placed/html.ejs', '<p>Thank you</p>');
      write('mailers/previews/order-mailer-preview.js', PREVIEW);
      await page.frameLocator('iframe').getByText('Thank you').waitFor();
      assert.deepEqual(troubles, []);
    } finally {
      await browser.close();
    }
  });
});
