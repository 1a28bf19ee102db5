import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { RouterContext } from '@koa/router';
import type { Routes } from '../../index';

const VIEWS = path.resolve(__dirname, '../views');
const YEAR = 'public, max-age=31536000, immutable';

/** The landing page and what belongs to it, read once, when the routes are added. */
export const homeRoutes: Routes = (router) => {
  const style = readView('home.css');
  const icon = readView('favicon.svg');
  const page = readView('home.html')
    .text.replaceAll('{{style}}', `/home.css?v=${style.tag}`)
    .replaceAll('{{icon}}', `/favicon.svg?v=${icon.tag}`);

  router.get('/', (ctx) => {
    // The commands shown are to work when pasted, so they name the address that the page was asked from.
    ctx.set({ 'Cache-Control': 'no-cache', Vary: 'Host' });
    answer(ctx, 'html', page.replaceAll('{{origin}}', originOf(ctx)));
  });
  router.get('/home.css', (ctx) => {
    ctx.set('Cache-Control', YEAR);
    answer(ctx, 'css', style.text);
  });
  router.get(['/favicon.svg', '/favicon.ico'], (ctx) => {
    ctx.set('Cache-Control', YEAR);
    answer(ctx, 'svg', icon.text);
  });
};

function readView(name: string): { readonly text: string; readonly tag: string } {
  const text = fs.readFileSync(path.join(VIEWS, name), 'utf8');
  return { text, tag: tagOf(text) };
}

function tagOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 12);
}

function answer(ctx: RouterContext, type: string, text: string): void {
  ctx.status = 200;
  ctx.type = type;
  ctx.etag = tagOf(text);
  if (ctx.fresh) ctx.status = 304;
  else ctx.body = text;
}

/** The Host header is the caller's to write: what is no host name stays out of the page. */
function originOf(ctx: RouterContext): string {
  return /^[\w.-]+(:\d+)?$|^\[[\da-fA-F:]+\](:\d+)?$/.test(ctx.host)
    ? `${ctx.protocol}://${ctx.host}`
    : 'http://localhost:3000';
}
