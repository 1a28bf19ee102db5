import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { STATUS_CODES } from 'node:http';
import path from 'node:path';
import type Koa from 'koa';
import type { Locale } from '../core/config';
import type { Events } from '../core/events';
import { missingTextWords, textFiles, withParents } from '../core/locales';
import type { ProblemError } from './context';

export interface PageTexts {
  readonly defaultLocale: Locale;
  readonly events: Events;
  /** The app's folder of texts, whose `catamount.problems` take precedence over ours. Default: only ours. */
  readonly localesDir?: string | undefined;
}

/** The folder of our own texts: title and explanation, by status or by class of status. */
const SHIPPED = path.join(__dirname, 'locales');

/** Renders a problem as an HTML page. Title and detail from the app's own routes are shown unchanged. */
export function problemPage(
  { status, options }: ProblemError,
  { locale, requestId }: Pick<Koa.Context, 'locale' | 'requestId'>,
  texts: PageTexts,
): { readonly body: string; readonly headers: Readonly<Record<string, string>> } {
  const words = loadWords(texts);
  const [kind, either] = [String(status), status < 500 ? '4xx' : '5xx'];
  const usual = words.find(locale, [`${kind}.title`, `${either}.title`]);
  const what = words.find(locale, [`${kind}.what`, `${either}.what`]);
  const { title = usual.text, detail, errors = [] } = options;
  // The framework's own details are in English.
  const shown = detail === undefined || (locale !== 'en' && words.has(locale, `${kind}.what`)) ? what.text : detail;
  const list = errors.map((part) => `<li>${escaped(`${part.pointer} ${part.detail}`)}</li>`).join('');
  const [home, request] = ['home', 'request'].map((label) => escaped(words.find(locale, [label]).text));
  const body = `<!doctype html>
<html lang="${usual.locale}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escaped(title)}</h1>
<p>${escaped(shown)}</p>
${list && `<ul>${list}</ul>\n`}<p><small>${status} ${STATUS_CODES[status] ?? ''} · ${request} ${escaped(requestId)}</small></p>
<a href="/">${home}</a>
</main>
</body>
</html>
`;
  return { body, headers: { 'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': POLICY } };
}

function escaped(text: string): string {
  const signs: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replace(/[&<>"]/g, (sign) => signs[sign] ?? sign);
}

const read = new WeakMap<PageTexts, ProblemWords>();

function loadWords(texts: PageTexts): ProblemWords {
  const words = read.get(texts) ?? new ProblemWords(texts);
  read.set(texts, words);
  return words;
}

/** The page's texts in every language: the app's, then ours. Each file is read once, at its first use. */
class ProblemWords {
  private readonly read = new Map<string, Readonly<Record<string, string>>>();
  private readonly warned = new Set<string>();

  constructor(private readonly texts: PageTexts) {}

  has(locale: Locale, key: string): boolean {
    return withParents(locale).some((each) => this.in(each)[key] !== undefined);
  }

  /** @returns the first of these texts that the locale has, or else its fallbacks, of which English is the last. */
  find(locale: Locale, keys: readonly string[]): { readonly text: string; readonly locale: string } {
    const own = withParents(locale);
    for (const each of [...own, ...withParents(this.texts.defaultLocale), 'en']) {
      const key = keys.find((one) => this.in(each)[one] !== undefined);
      if (key === undefined) continue;
      if (!own.includes(each)) this.warn(`catamount.problems.${keys[0]}`, locale, each);
      return { text: this.in(each)[key] ?? '', locale: each };
    }
    throw new Error(`there is no text ${keys[0]} in English`);
  }

  private warn(key: string, locale: Locale, shown: string): void {
    const message = missingTextWords({ key, locale, shown });
    if (this.warned.has(message)) return;
    this.warned.add(message);
    this.texts.events.emit('process.warning', { message });
  }

  private in(locale: string): Readonly<Record<string, string>> {
    let words = this.read.get(locale);
    if (!words) {
      const { localesDir } = this.texts;
      const folders = localesDir === undefined ? [SHIPPED] : [SHIPPED, localesDir];
      const files = folders.flatMap((folder) => textFiles(folder).get(locale) ?? []);
      words = Object.assign(Object.create(null), ...files.map(readWords));
      this.read.set(locale, words ?? {});
    }
    return words ?? {};
  }
}

/** @returns the texts below `catamount.problems` in a file: `{ "404": { "title": "…", "what": "…" }, "home": "…" }`. */
function readWords(file: string): Readonly<Record<string, string>> {
  const { catamount } = JSON.parse(fs.readFileSync(file, 'utf8')) as { catamount?: { problems?: object } };
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(catamount?.problems ?? {}) as [string, unknown][]) {
    if (typeof value === 'string') found[name] = value;
    for (const part of ['title', 'what']) {
      const text: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, part) : undefined;
      if (typeof text === 'string') found[`${name}.${part}`] = text;
    }
  }
  return found;
}

const STYLE = `:root{color-scheme:light dark}body{margin:0;min-height:100vh;display:grid;place-content:center;justify-items:start;gap:12px;padding:24px;box-sizing:border-box;color:light-dark(#17181b,#ececee);background:light-dark(#f6f6f4,#0d0e10);font:400 1rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Apple SD Gothic Neo","Noto Sans KR","Malgun Gothic",sans-serif;overflow-wrap:anywhere}:lang(ko){word-break:keep-all}h1,p,ul{margin:0;max-width:36rem}p{white-space:pre-wrap}h1{font-size:1.375rem;line-height:1.25}a{display:inline-flex;align-items:center;min-height:44px;color:light-dark(#2257b8,#8cb4ff)}small{color:light-dark(#565961,#a2a6ae);font-variant-numeric:tabular-nums}`;

/** The page loads no other file, so it works whatever the app serves. The policy allows its style by digest. */
const POLICY = `default-src 'none';base-uri 'none';frame-ancestors 'none';style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`;
