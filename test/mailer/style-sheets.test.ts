import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { RenderRequest } from '../../lib/mailer/definition/mail-types';
import { Renderer } from '../../lib/mailer/render/renderer';
import { folderOf } from './mail-system';

describe('style sheets that a mail links to', () => {
  const asked: string[] = [];
  let server: http.Server;
  let base: string;
  before(async () => {
    server = http.createServer((request, response) => {
      asked.push(String(request.url));
      response.setHeader('Content-Type', 'text/css').end('p { color: red }');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => new Promise((resolve) => server.close(resolve)));

  const secret = path.join(folderOf({ 'secret.css': 'p { color: crimson }' }), 'secret.css');
  const templatesDir = folderOf({
    'note_mailer/note/html.ejs': '<html><head><%- raw %></head><body><p>Hello</p></body></html>',
    'styles/note.css': 'p { color: crimson }',
    'styles/plain.txt': 'p { color: crimson }',
  });
  fs.symlinkSync(secret, path.join(templatesDir, 'styles/linked.css'));
  const render = async (raw: string) => {
    const request = {
      template: 'note_mailer/note',
      layout: false,
      locale: 'en',
      t: (key: string) => key,
      subject: '',
      locals: { raw },
      helpers: {},
    } as unknown as RenderRequest;
    const { html = '' } = await new Renderer({ templatesDir, cache: true, appUrl: 'https://shop.example' }).render(
      request,
    );
    return html;
  };

  it('are neither fetched nor read', async () => {
    const up = path.relative(templatesDir, secret);
    const elsewhere = [
      'styles/note.css',
      `${base}/a.css`,
      `${base.slice(5)}/b.css`,
      secret,
      up,
      `styles/../${up}`,
      'styles/linked.css',
    ];
    for (const href of [...elsewhere, pathToFileURL(secret).href, 'styles/plain.txt', 'styles/missing.css']) {
      for (const link of [
        `<link rel="stylesheet" href="${href}">`,
        `<link rel='stylesheet' data-inline href='${href}'>`,
      ]) {
        const html = await render(link);
        assert.match(html, /<p>Hello<\/p>/, href);
        assert.doesNotMatch(html, /crimson/, href);
      }
    }
    await render(`<style>@import url("${base}/c.css"); p { background: url("${base}/d.png") }</style>`);
    assert.deepEqual(asked, []);
  });
});
