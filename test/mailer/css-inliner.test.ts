import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import EmailTemplates from 'email-templates';
import fc from 'fast-check';
import { CssInliner } from '../../lib/mailer/render/css-inliner';
import { EscapedValues } from '../../lib/mailer/render/escaped-values';
import { Views } from '../../lib/mailer/render/views';
import { folderOf } from './mail-system';

const email = new EmailTemplates({
  transport: { jsonTransport: true },
  juiceResources: {
    applyStyleTags: true,
    removeStyleTags: true,
    preserveMediaQueries: true,
    webResources: {
      relativeTo: '/',
      links: false,
      images: false,
      scripts: false,
      svgs: false,
      inlineAttribute: '(?!)',
    },
  },
});
const juiceOwn = createRequire(require.resolve('email-templates'))('juice/lib/cheerio') as { codeBlocks: object };
const plain = (html: string) => email.juiceResources(html);

/** An inliner of one template, and a counter of its calls of juice. */
function inlinerOf(template: string) {
  const views = new Views([folderOf({ 'mail/html.ejs': template })], { cache: true });
  const counter = { count: 0 };
  const inliner = new CssInliner((html) => {
    counter.count++;
    return plain(html);
  });
  const apply = (locals: object) => {
    const values = new EscapedValues();
    return inliner.apply(views.render('mail/html', { ...locals }, values), values);
  };
  const whole = (locals: object) => plain(views.render('mail/html', { ...locals }));
  return { counter, apply, whole };
}

const TEMPLATE = `<!doctype html><html><head><title><%= a %></title><style>
.a { color: blue; width: 10px } p { margin: 0 !important } a[href] { color: red } p:empty { display: none }
@media (max-width: 480px) { .a { color: red } } .b > p, td + td { padding: 2px } p:not(.a):first-child { top: 0 }
</style></head><body><!-- <%= b %> --><!--[if mso]><p>x</p><![endif]-->
<div class="b"><p><%= a %></p><p class="a" title='<%= b %>'>x</p><img src="<%= b %>" alt="<%= c %>"></div>
<table><tr><td><%= c %></td><td data-x="<%= a %>"><a href="<%= a %>"><b><%= b %></b></a></td></tr></table>
<textarea><%= b %></textarea></body></html>`;

describe('CssInliner', () => {
  const { codeBlocks } = juiceOwn;
  // juice leaves parts of a text alone that look like code. The inliner need not imitate that.
  before(() => {
    juiceOwn.codeBlocks = {};
  });
  after(() => {
    juiceOwn.codeBlocks = codeBlocks;
  });

  const odd = [
    '',
    ' ',
    `O'Brien <b> & "co"`,
    '민지 🐈‍⬛ \u202Eשלום',
    '{{',
    '<% x %>',
    '$& $1 $$ $`',
    'data-inline',
    '&amp;',
  ];
  const text = fc.oneof(
    fc.constantFrom(...odd, 'JUICE_CODE_BLOCK_0_', '\uE0000\uE000', '\uE001{{', '-->', '</style>', '\0\r\n\t'),
    fc.string({ unit: 'grapheme' }),
    fc.webUrl(),
  );

  it('gives the same result as juice, whatever the values', async () => {
    const { counter, apply, whole } = inlinerOf(TEMPLATE);
    await fc.assert(
      fc.asyncProperty(fc.record({ a: text, b: text, c: text }), async (locals) => {
        assert.equal(await apply(locals), await whole(locals));
      }),
      { numRuns: 200 },
    );
    // White space is a part of what is kept: each of three values is one of three such texts, or another one.
    assert.ok(counter.count <= 64, String(counter.count));
  });

  it('calls juice once for mails that differ only in values, even concurrent ones', async () => {
    const { counter, apply } = inlinerOf('<style>p { color: red }</style><p><%= n %></p><a href="<%= n %>">x</a>');
    const all = await Promise.all(Array.from({ length: 20 }, (_, n) => apply({ n })));
    assert.equal(counter.count, 1);
    assert.equal(all[7], '<p style="color: red;">7</p><a href="7">x</a>');
  });

  it('calls juice again after a failure', async () => {
    let fails = true;
    const inliner = new CssInliner((html) => (fails ? Promise.reject(new Error('no')) : plain(html)));
    const html = '<style>p { color: red }</style><p>a</p>';
    await assert.rejects(inliner.apply(html, new EscapedValues()), /^Error: no$/);
    fails = false;
    assert.match(await inliner.apply(html, new EscapedValues()), /color: red;">a</);
  });

  it('keeps a limited number of mails', async () => {
    const { counter, apply } = inlinerOf('<style>p { color: red }</style><p><%- n %></p>');
    for (let n = 0; n < 101; n++) await apply({ n });
    await apply({ n: 100 });
    assert.equal(counter.count, 101);
    await apply({ n: 0 });
    assert.equal(counter.count, 102);
  });

  for (const [what, template] of [
    ['a class', '<style>.x1 { color: red }</style><p class="a <%= n %>">1</p>'],
    ['an id without quotes', '<style>#x1 { color: red }</style><p id=<%= n %>>1</p>'],
    ['a style', '<style>p { color: red }</style><p style="top: <%= n %>px">1</p>'],
    ['an attribute that a style sheet names', '<style>a[href="x1"] { color: red }</style><a href="<%= n %>">1</a>'],
    ['a text that a style sheet names', '<style>p:contains("x1") { color: red }</style><p><%= n %></p>'],
    ['a style sheet', '<style>p { width: calc(<%= n %>) }</style><p>1</p><p>2</p>'],
  ] as const)
    it(`lets style sheets depend on a value in ${what}`, async () => {
      const { counter, apply, whole } = inlinerOf(template);
      for (const n of ['x1', 'x2']) assert.equal(await apply({ n }), await whole({ n }));
      assert.equal(counter.count, 2);
    });

  it('inlines styles even after a text that juice would take for the start of code', async () => {
    juiceOwn.codeBlocks = codeBlocks;
    const { apply } = inlinerOf('<style>p { color: red }</style><p>{{</p><p>}} {{x}} <%= n %></p>');
    const style = 'style="color: red;"';
    assert.equal(await apply({ n: '{{' }), `<p ${style}>{{</p><p ${style}>}} {{x}} {{</p>`);
    juiceOwn.codeBlocks = {};
  });
});
