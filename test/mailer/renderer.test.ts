import assert from 'node:assert/strict';
import fs from 'node:fs';
import type { I18n } from '../../lib/core/i18n';
import { MailTexts } from '../../lib/mailer/compose/draft';
import { MissingTemplateError, TemplateError } from '../../lib/mailer/definition/errors';
import type { RenderRequest } from '../../lib/mailer/definition/mail-types';
import { Renderer } from '../../lib/mailer/render/renderer';
import { folderOf, textsOf } from './mail-system';

const LAYOUT = {
  'layouts/mailer/html.ejs': '<html lang="<%= locale %>"><body><%- slot("content") %></body></html>',
  'layouts/mailer/text.ejs': '<%- slot("content") %>\n-- \n<%= slot("reason") %>',
};

function rendererOf(files: Readonly<Record<string, string>>, cache = true): Renderer {
  const templatesDir = folderOf({ ...LAYOUT, ...files });
  return new Renderer({ templatesDir, cache, appUrl: 'https://shop.example' });
}

describe('Renderer', () => {
  let i18n: I18n;
  before(async () => {
    i18n = await textsOf({
      en: {
        shop: { note: { hello: 'Hello, {{name}}', count_one: 'one item', count_other: '{{count}} items' }, bye: 'Bye' },
      },
      ko: { shop: { note: { hello: '{{name}} 님, 안녕하세요' } } },
    });
  });

  function request(
    locals: Record<string, unknown> = {},
    more: Partial<RenderRequest> & { locale?: string } = {},
  ): RenderRequest {
    const { t, locale } = new MailTexts(i18n, more.locale ?? 'en', 'shop', 'note');
    return { template: 'shop/note', layout: 'mailer', locale, t, subject: 'Note', locals, ...more };
  }

  it('renders both parts into the layout, in the locale', async () => {
    const renderer = rendererOf({
      'shop/note/html.ejs': '<p><%= t(".hello", { name }) %></p>',
      'shop/note/text.ejs': '<% provide("reason", t("shop.bye")) %><%= t(".hello", { name }) %>',
    });
    const en = await renderer.render(request({ name: 'Ada' }));
    assert.equal(en.html, '<html lang="en"><body><p>Hello, Ada</p></body></html>');
    assert.equal(en.text, 'Hello, Ada\n--\nBye\n');
    const ko = await renderer.render(request({ name: '민지' }, { locale: 'ko' }));
    assert.equal(ko.html, '<html lang="ko"><body><p>민지 님, 안녕하세요</p></body></html>');
    assert.equal(ko.text, '민지 님, 안녕하세요\n--\nBye\n');
    const bare = await renderer.render(request({ name: 'Ada' }, { layout: false }));
    assert.equal(bare.html, '<p>Hello, Ada</p>');
  });

  it('takes each file from the first folder that has it', async () => {
    const first = folderOf({ 'shop/note/html.ejs': '<%- include("/partials/a") %><%- include("/partials/b") %>' });
    fs.mkdirSync(`${first}/partials`);
    fs.writeFileSync(`${first}/partials/a.ejs`, 'own ');
    const second = folderOf({
      ...LAYOUT,
      'shop/note/html.ejs': 'theirs',
      'partials/a.ejs': 'a',
      'partials/b.ejs': 'b',
    });
    for (const cache of [true, false]) {
      const renderer = new Renderer({ templatesDir: [first, second], cache, appUrl: 'https://shop.example' });
      assert.equal((await renderer.render(request())).html, '<html lang="en"><body>own b</body></html>');
      const missing = renderer.render(request({}, { template: 'shop/none' }));
      await assert.rejects(missing, (error: Error) => error.message.includes(`${first}/shop/none/html.ejs`));
    }
  });

  it('names the partial and its line when a partial fails', async () => {
    const renderer = rendererOf({
      'shop/note/html.ejs': '<p>\n\n<%- include("/partials/row", { row: undefined }) %></p>',
      'partials/row.ejs': '<b>\n<%= row.total %></b>',
    });
    await assert.rejects(renderer.render(request()), (error) => {
      assert.ok(error instanceof TemplateError);
      assert.match(error.message, /partials\/row\.ejs:2: Cannot read properties of undefined/);
      return true;
    });
  });

  for (const [what, source, line] of [
    ['a broken expression', '<p>\n\n<%= name. %>\n</p>', 3],
    ['a broken statement', 'a\n<% if (name { %>\nb\n<% } %>', 2],
    ['a block that is never closed', 'a\n<% if (name) { %>\nb\n', 4],
    ['a tag that is never closed', 'a\nb\n<%= name\nc', 3],
  ] as const) {
    it(`finds the line of ${what}`, async () => {
      await assert.rejects(rendererOf({ 'shop/note/text.ejs': source }).render(request({ name: 1 })), (error) => {
        assert.ok(error instanceof TemplateError, String(error));
        assert.equal(error.line, line, error.message);
        assert.match(error.message, /text\.ejs:\d: /);
        return true;
      });
    });
  }

  it('never sends an empty mail: a missing template or layout is an error', async () => {
    await assert.rejects(rendererOf({}).render(request()), (error) => {
      assert.ok(error instanceof MissingTemplateError);
      assert.match(error.message, /shop\/note\/html\.ejs and no text\.ejs beside it/);
      return true;
    });
    const renderer = rendererOf({ 'shop/note/html.ejs': '<p>Hi</p>' });
    await assert.rejects(renderer.render(request({}, { layout: 'other' })), /layouts\/other\/html\.ejs: write it/);
  });

  it('finds templates and layouts only inside their folder', async () => {
    const templatesDir = folderOf({ ...LAYOUT, 'inside/shop/note/text.ejs': 'in', 'secret/html.ejs': 'out' });
    const renderer = new Renderer({ templatesDir: `${templatesDir}/inside`, cache: true, appUrl: '' });
    assert.equal((await renderer.render(request({}, { layout: false }))).text, 'in\n');
    for (const template of [
      '../secret',
      'shop/../../secret',
      `${templatesDir}/secret`,
      '',
      '.',
      'shop/./note',
      '..\\secret',
    ])
      await assert.rejects(renderer.render(request({}, { template })), MissingTemplateError, template);
    await assert.rejects(renderer.render(request({}, { layout: '../../secret' })), MissingTemplateError);
  });

  it('derives the text part from the HTML, without preheader, images and hidden elements, in the text layout', async () => {
    const html =
      '<% provide("reason", "Why") %><div class="preheader">Hidden</div><b aria-hidden="true">C</b><h1>Hi</h1><p>See <a href="https://x.example/y">this</a> &amp; <%= name %></p><img alt="cat" src="c.png">';
    const layout = '<html><body><i>Shop</i><%- slot("content") %></body></html>';
    const files = { 'shop/note/html.ejs': html, 'layouts/mailer/html.ejs': layout };
    const bare = "HI\n\nSee this [https://x.example/y] & O'Brien <b>";
    const textOf = async (renderer: Renderer, given: Partial<RenderRequest> = {}) =>
      (await renderer.render(request({ name: "O'Brien <b>" }, given))).text;
    assert.equal(await textOf(rendererOf(files)), `${bare}\n\n--\nWhy\n`);
    // Without a text layout, the text is derived from the whole HTML, layout included.
    const own = { 'shop/note/html.ejs': html, 'layouts/own/html.ejs': layout };
    assert.equal(await textOf(rendererOf(own), { layout: 'own' }), `Shop\n\n${bare}\n`);
    const text = 'Only <%= t(".count", { count: 2 }) %><%= none %>';
    const plain = rendererOf({ 'shop/note/text.ejs': text }).render(request({ none: null }, { layout: false }));
    assert.deepEqual(await plain, { text: 'Only 2 items\n' });
  });

  it('inlines style sheets except media queries, whatever a template does with the output of a partial', async () => {
    const row = '<%= name %>';
    for (const [use, shown] of [
      ["<%= include('/row') %>", 'a&amp;amp;b'],
      ["<%- include('/row').toUpperCase() %>", 'A&AMP;B'],
      ["<%- include('/row').slice(0, 3) %>", 'a&a'],
      ["<% include('/row') %>none", 'none'],
    ] as const) {
      const template = `<style>p { color: red } @media (max-width: 480px) { p { color: blue } }</style><p>${use}</p>`;
      const rendered = await rendererOf({ 'shop/text/html.ejs': template, 'row.ejs': row }).render(
        request({ name: 'a&b' }, { layout: false, template: 'shop/text' }),
      );
      const html = rendered.html?.replace(/<style>\s*(@media) [^<]*<\/style>\s*/, '$1 ');
      assert.equal(html, `@media <p style="color: red;">${shown}</p>`);
    }
  });

  it('reads a template again when it changes, unless told to cache', async () => {
    for (const cache of [false, true]) {
      const templatesDir = folderOf({ 'shop/note/text.ejs': 'old' });
      const renderer = new Renderer({ templatesDir, cache, appUrl: '' });
      await renderer.render(request({}, { layout: false }));
      fs.writeFileSync(`${templatesDir}/shop/note/text.ejs`, 'new');
      fs.utimesSync(`${templatesDir}/shop/note/text.ejs`, 1, 1);
      assert.equal((await renderer.render(request({}, { layout: false }))).text, cache ? 'old\n' : 'new\n');
    }
  });
});
