import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import EmailTemplates from 'email-templates';
import fc from 'fast-check';
import { type I18n, loadI18n } from '../../lib/core/i18n';
import { MailTexts } from '../../lib/mailer/compose/draft';
import { CssInliner } from '../../lib/mailer/render/css-inliner';
import { Views } from '../../lib/mailer/render/views';
import { APP_LOCALES, APP_TEMPLATES } from './mail-system';

const email = new EmailTemplates({
  transport: { jsonTransport: true },
  juiceResources: {
    applyStyleTags: true,
    removeStyleTags: true,
    preserveMediaQueries: true,
    webResources: { relativeTo: APP_TEMPLATES, images: false, scripts: false, svgs: false, inlineAttribute: '(?!)' },
  },
});
const juiceOwn = createRequire(require.resolve('email-templates'))('juice/lib/cheerio') as { codeBlocks: object };
const plain = (html: string) => email.juiceResources(html);

/** juice itself, and a counter of its calls. */
function counted() {
  const counter = { count: 0 };
  const inline = (html: string) => {
    counter.count++;
    return plain(html);
  };
  return { counter, inliner: new CssInliner(inline) };
}

const outcome = (work: Promise<string>) => work.catch((error: Error) => `${error.name}: ${error.message}`);

describe('CssInliner', () => {
  const { codeBlocks } = juiceOwn;
  // juice leaves parts of a text alone that look like code. The inliner need not imitate that.
  before(() => {
    juiceOwn.codeBlocks = {};
  });
  after(() => {
    juiceOwn.codeBlocks = codeBlocks;
  });

  const nasty = fc.constantFrom(
    `O'Brien <b> & "co"`,
    '민지 🐈‍⬛ \u202Eשלום',
    '{{',
    '}}',
    '{{name}}',
    '<% x %>',
    '$& $1 $$ $`',
    'data-inline',
    ' data-inline="x"',
    'JUICE_CODE_BLOCK_0_',
    '\uE0000\uE000',
    '\uE001{{',
    '&amp; &#39; &zwnj;',
    '-->',
    '\0\r\n\t',
    '</style>',
    'x'.repeat(5000),
  );
  const text = fc.oneof(nasty, fc.string({ unit: 'binary', maxLength: 40 }), fc.string({ unit: 'grapheme' }));

  it('gives the same result as juice for our mails, whatever the texts', async () => {
    const i18n: I18n = await loadI18n([APP_LOCALES], 'en');
    const views = new Views(APP_TEMPLATES, { cache: true });
    const { counter, inliner } = counted();
    const htmlOf = (locale: string, name: string, address: string, appUrl: string, subject: string) => {
      const { t } = new MailTexts(i18n, locale, 'email', 'welcome');
      const slots = new Map<string, string>();
      const provide = (slot: string, value: string) => void slots.set(slot, value);
      const slot = (key: string) => slots.get(key) ?? '';
      const locals = { t, locale, subject, appUrl, provide, slot, name, email: address };
      slots.set('content', views.render('user_mailer/welcome/html', locals));
      return views.render('layouts/mailer/html', locals);
    };
    const mail = fc.tuple(fc.constantFrom('en', 'ko'), text, text, fc.oneof(fc.webUrl(), text), text);
    await fc.assert(
      fc.asyncProperty(mail, async (parts) => {
        const html = htmlOf(...parts);
        assert.equal(await inliner.apply(html), await plain(html));
      }),
      { numRuns: 100 },
    );
    counter.count = 0;
    for (const locale of ['en', 'ko']) {
      await inliner.apply(htmlOf(locale, 'Ada', 'ada@example.com', 'https://shop.example/?a=1&b', 'Hello'));
    }
    assert.equal(counter.count, 0);
  });

  it('gives the same result as juice for any well-formed HTML', async () => {
    const escaped = text.map((value) => value.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&#34;'));
    const attribute = fc.oneof(
      fc.tuple(fc.constantFrom('href', 'src', 'alt', 'title', 'class', 'id', 'width', 'align', 'data-x'), escaped),
      fc.constantFrom(['class', 'a'], ['class', 'a b'], ['id', 'i'], ['style', 'color: red; padding: 1px']),
    );
    const tag = fc.tuple(
      fc.constantFrom('p', 'a', 'td', 'tr', 'table', 'div', 'img', 'br', 'IMG', 'h1', 'span'),
      fc.array(attribute, { maxLength: 4 }),
      fc.boolean(),
    );
    const opening = tag.map(([name, attributes, quoted]) => {
      const quote = quoted ? '"' : "'";
      const written = attributes.map(([key, value]) => ` ${key}=${quote}${value?.replaceAll("'", '&#39;')}${quote}`);
      return `<${name}${written.join('')}>`;
    });
    const closing = fc.constantFrom('</p>', '</a>', '</td>', '</tr>', '</table>', '</div>', '</span>');
    const sheet = fc.constantFrom(
      '.a { color: blue; width: 10px } p { margin: 0 !important }',
      '@media (max-width: 480px) { .a { color: red } } .b > p, td + td { padding: 2px }',
      'a[href] { color: red }',
      'a[href^="https"] { color: red } img[alt=""] { border: 0 }',
      '[data-x] p { color: red }',
      'p:empty { display: none } p:not(.a):first-child { color: red }',
      'p:contains("x") { color: red }',
      '#i::before { content: "x" } a:hover { color: red }',
    );
    const part = fc.oneof(
      { weight: 4, arbitrary: escaped },
      { weight: 4, arbitrary: opening },
      { weight: 3, arbitrary: closing },
      { weight: 1, arbitrary: sheet.map((css) => `<style>${css}</style>`) },
      { weight: 1, arbitrary: escaped.map((value) => `<title>${value}</title>`) },
      { weight: 1, arbitrary: fc.constantFrom('<!-- x -->', '<!--[if mso]><p>x</p><![endif]-->', '<![if !mso]>') },
    );
    await fc.assert(
      fc.asyncProperty(sheet, fc.array(part, { maxLength: 20 }), async (css, parts) => {
        const html = `<!doctype html><style>${css}</style>${parts.join('')}`;
        assert.equal(await outcome(counted().inliner.apply(html)), await outcome(plain(html)));
      }),
      { numRuns: 500 },
    );
  });

  it('gives the same result as juice for malformed HTML', async () => {
    const pieces = [
      ...['<', '>', '</', '/>', '<!', '<!--', '-->', '--!>', '<?', ']]>', '<![CDATA[', '"', "'", '=', ' ', '\n', '/'],
      ...['a', 'img', 'p', 'title', 'style', 'textarea', 'script', 'svg', 'href', 'src', 'class', 'x', '&amp;', '&'],
      ...['<a href="', '<a href=', "<a title='", '<img alt="', '<p>', '</p>', '<style>', '</style>', '<title>'],
      ...['</title>', '<textarea>', '</textarea', '.x { color: red }', 'p { color: blue }', '<p class=x>', '<a/href="'],
    ];
    const rubbish = fc.array(fc.constantFrom(...pieces), { maxLength: 30 }).map((found) => found.join(''));
    await fc.assert(
      fc.asyncProperty(rubbish, async (html) => {
        assert.equal(await outcome(counted().inliner.apply(html)), await outcome(plain(html)), html);
      }),
      { numRuns: 1000 },
    );
  });

  it('calls juice once for mails that differ only in texts and links, even concurrent ones, and again after a failure', async () => {
    const mail = (name: string, link: string) => `<style>p { color: red }</style><p>${name}</p><a href="${link}">x</a>`;
    const { counter, inliner } = counted();
    const all = await Promise.all(Array.from({ length: 20 }, (_, n) => inliner.apply(mail(`n${n}`, `https://x/${n}`))));
    assert.equal(counter.count, 1);
    assert.equal(all[7], '<p style="color: red;">n7</p><a href="https://x/7">x</a>');

    let fails = true;
    const flaky = new CssInliner((html) => (fails ? Promise.reject(new Error('no')) : plain(html)));
    await assert.rejects(flaky.apply(mail('a', 'b')), /^Error: no$/);
    fails = false;
    assert.match(await flaky.apply(mail('a', 'b')), /color: red;">a</);
  });

  it('keeps a bounded cache of the most recently used shapes', async () => {
    const mail = (n: number) => `<style>p { color: red }</style><p class="c${n}">${'<b>x</b>'.repeat(2000)}</p>`;
    const { counter, inliner } = counted();
    await inliner.apply(mail(-1));
    for (let n = 0; n < 60; n++) {
      await inliner.apply(mail(n));
      await inliner.apply(mail(-1));
    }
    assert.equal(counter.count, 61);
    await inliner.apply(mail(0));
    assert.equal(counter.count, 62);
  });

  it('calls juice for every mail if a selector depends on what differs, or if files are linked', async () => {
    for (const css of [
      'a[href="1"] { color: red }',
      'p:contains("1") { color: red }',
      '[ title |= x] { color: red }',
    ]) {
      const { counter, inliner } = counted();
      for (const n of [1, 2]) {
        const html = `<style>${css}</style><p>${n}<a href="${n}" title="x-${n}">x</a></p>`;
        assert.equal(await inliner.apply(html), await plain(html));
      }
      assert.equal(counter.count, 2, css);
    }
    const { counter, inliner } = counted();
    for (const n of [1, 2]) await inliner.apply(`<link rel="icon" href="x"><p>${n}</p>`);
    assert.equal(counter.count, 2);
  });

  it('inlines styles even after a text that juice would take for the start of code', async () => {
    juiceOwn.codeBlocks = codeBlocks;
    const inline = 'style="color: red;"';
    for (const before of ['', '<script></script>']) {
      const html = `${before}<style>p { color: red }</style><p>{{</p><p>}} {{x}} <% a %></p>`;
      const inlined = await counted().inliner.apply(html);
      assert.equal(inlined, `${before}<p ${inline}>{{</p><p ${inline}>}} {{x}} <% a %></p>`);
    }
    juiceOwn.codeBlocks = {};
  });
});
