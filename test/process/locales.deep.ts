import assert from 'node:assert/strict';
import path from 'node:path';
import { catamount } from '../cli/cli-process';
import { appFolder } from '../support/app-folder';
import { createDatabase } from '../support/postgres';
import { inSuite } from '../support/suite';
import { removeFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { useDeployment } from './deployment';

const texts = (value: object) => JSON.stringify(value);
/** An app in German and Brazilian Portuguese, with a text that only English has. */
const FILES: Readonly<Record<string, string>> = {
  'package.json': '{ "name": "laden", "type": "module" }',
  'app.js': `import { defineApp } from 'catamount';
    export default defineApp({ name: 'laden', root: import.meta.dirname, migrations: false, routes: () => import('./routes.js') });`,
  'server.js': `import { boot } from 'catamount';\nimport app from './app.js';\nawait boot(app);`,
  'routes.js': `import { OrderMailer } from './mailers/order-mailer.js';
    export default (router) => router.post('/orders', async (ctx) => {
      await OrderMailer.placed(ctx.query.to).deliverLater();
      ctx.status = 202;
      ctx.body = { locale: ctx.locale };
    });`,
  'mailers/order-mailer.js': `import { Mailer } from 'catamount';
    export class OrderMailer extends Mailer {
      static layout = false;
      static placed = this.action('placed');
      placed(to) { return this.mail({ to, locals: { count: 2 } }); }
    }`,
  'mailers/templates/order_mailer/placed/text.ejs':
    "<%- locale %>: <%- t('.thanks') %> <%- t('.things', { count }) %> <%- t('.legal') %>",
  'locales/de.json': texts({
    order_mailer: {
      placed: {
        subject: 'Deine Bestellung',
        thanks: 'Danke!',
        things_one: 'ein Ding',
        things_other: '{{count}} Dinge',
      },
    },
    catamount: { problems: { 404: { title: 'Hier ist nichts', what: 'Diese Seite gibt es nicht.' } } },
  }),
  'locales/pt-BR.json': texts({
    order_mailer: { placed: { subject: 'Seu pedido', things_one: 'uma coisa', things_other: '{{count}} coisas' } },
  }),
  'locales/en.json': texts({
    order_mailer: {
      placed: {
        subject: 'Your order',
        thanks: 'Thanks!',
        things_one: 'a thing',
        things_other: '{{count}} things',
        legal: 'Legal notice.',
      },
    },
  }),
};

describe('an app in languages for which Catamount has no texts', () => {
  const folder = appFolder(FILES);
  const deployment = useDeployment({ database: createDatabase });
  const tree = inSuite(undefined, () =>
    deployment.start({
      entry: path.join(folder, 'server.js'),
      cwd: folder,
      env: { NODE_ENV: 'development', DEFAULT_LOCALE: 'de', WEB_CONCURRENCY: '1' },
    }),
  );
  after(() => removeFolder(folder));

  const order = async (languages: string, to: string) => {
    const headers = languages === '' ? {} : { 'Accept-Language': languages };
    const answer = await tree.request('POST', `/orders?to=${to}@example.com`, { headers });
    assert.equal(answer.status, 202, answer.body);
    return answer.json<{ locale: string }>().locale;
  };

  it('uses the language of the client or DEFAULT_LOCALE, and logs once each text that a language lacks', async () => {
    assert.equal(await order('', 'first'), 'de');
    assert.equal(await order('pt-BR,pt;q=0.9', 'second'), 'pt-BR');
    assert.equal(await order('fr, de-AT;q=0.5', 'third'), 'de');
    assert.equal(await order('en-GB', 'fourth'), 'en');
    const mails = await deployment.sink.waitFor(4);
    const written = mails.map((mail) => `${mail.subject} ${mail.headers.get('content-language')} ${mail.text?.trim()}`);
    assert.deepEqual(written.sort(), [
      'Deine Bestellung de de: Danke! 2 Dinge Legal notice.',
      'Deine Bestellung de de: Danke! 2 Dinge Legal notice.',
      'Seu pedido pt-BR pt-BR: Danke! 2 coisas Legal notice.',
      'Your order en en: Thanks! 2 things Legal notice.',
    ]);
    const page = await tree.request('GET', '/none', { headers: { Accept: 'text/html' } });
    assert.match(page.body, /<html lang="de">[\s\S]*Diese Seite gibt es nicht\./);
    const told = await until('all are logged', () => {
      const lines = tree.linesMatching(/is missing in/);
      const found = lines.map(({ text }) => /the text (\S+) is missing in (\S+), .* of (\w+)/.exec(text));
      return found.length >= 5 && found;
    });
    assert.deepEqual(told.map((found) => found?.slice(1, 4).join(' ')).sort(), [
      'catamount.problems.home de en',
      'catamount.problems.request de en',
      'order_mailer.placed.legal de en',
      'order_mailer.placed.legal pt-BR en',
      'order_mailer.placed.thanks pt-BR de',
    ]);
  });

  it('fails catamount check, which names the texts that a language lacks', async () => {
    const { stdout, code } = await catamount(folder, ['check'], { DEFAULT_LOCALE: 'de' });
    for (const says of [
      /de\.json: lacks the text order_mailer\.placed\.legal /,
      /pt-BR\.json: lacks the text order_mailer\.placed\.thanks /,
    ])
      assert.match(stdout, says);
    assert.equal(code, 1);
  });
});
