import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { RouterContext } from '@koa/router';
import type { Routes } from '../../index';
import { userLocale } from '../services/user-locale';

const VIEWS = path.resolve(__dirname, '../views');
const YEAR = 'public, max-age=31536000, immutable';

/** HTML snippets by the name of their placeholder in the page. */
type Texts = Readonly<Record<string, string>>;

/** The landing page and its files, which are read only once, when the routes are added. */
export const homeRoutes: Routes = (router) => {
  const style = readView('home.css');
  const icon = readView('favicon.svg');
  const files = { style: `/home.css?v=${style.tag}`, icon: `/favicon.svg?v=${icon.tag}` };
  const page = filled(readView('home.html').text, files);
  const pageIn = (locale: string) => {
    const texts: Texts = JSON.parse(readView(`home.${locale}.json`).text);
    return { texts, page: filled(page, texts) };
  };
  const pages = { en: pageIn('en'), ko: pageIn('ko') };

  router.get('/', (ctx) => {
    // The page shows commands to paste, so these contain the origin from which the page was requested.
    ctx.set({ 'Cache-Control': 'no-cache', Vary: 'Host, Accept-Language' });
    const { texts, page: translated } = pages[userLocale(ctx.locale)];
    answer(ctx, 'html', filled(translated, { origin: readOrigin(ctx), ...linksFor(ctx, texts) }));
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

/** Links to the operators' pages, for readers who may open them. */
function linksFor({ ops }: Pick<RouterContext, 'ops'>, texts: Texts): Texts {
  const link = (address: string | null | undefined, text = '', classes = '') =>
    address ? `<a${classes && ` class="${classes}"`} href="${address}">${text}</a>` : '';
  return {
    links: link(ops?.tree, texts.operate) + link(ops?.inbox, texts.inbox),
    inboxButton: ops?.inbox ? `<p>${link(ops.inbox, texts.openInbox, 'btn')}</p>` : '',
  };
}

function readView(name: string): { readonly text: string; readonly tag: string } {
  const text = fs.readFileSync(path.join(VIEWS, name), 'utf8');
  return { text, tag: tagOf(text) };
}

/** Fills in placeholders. Those without a value stay. */
function filled(text: string, values: Texts): string {
  return text.replace(/\{\{(\w+)\}\}/g, (place, name: string) => values[name] ?? place);
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

/** The client controls the Host header, so anything but a host name is kept out of the page. */
function readOrigin(ctx: RouterContext): string {
  return /^[\w.-]+(:\d+)?$|^\[[\da-fA-F:]+\](:\d+)?$/.test(ctx.host)
    ? `${ctx.protocol}://${ctx.host}`
    : 'http://localhost:3000';
}
