import fs from 'node:fs';
import path from 'node:path';

/** Maximum size of the cache, in characters. */
const MAX_CACHE_LENGTH = 1_000_000;

interface CachedShape {
  /** undefined: HTML of this shape must be inlined as a whole. */
  readonly refill: Promise<Refill | undefined>;
  size: number;
}

/**
 * Moves the rules of style sheets into `style` attributes. That takes a millisecond or more, but its result depends on
 * elements and attributes alone. It is therefore cached for mails that differ only in texts and links, and these are
 * put in afterwards. As they never pass through the inliner, it cannot take a text for markup (`{{` and `data-inline`).
 */
export class CssInliner {
  /** Least recently used first. */
  private readonly cache = new Map<string, CachedShape>();
  private size = 0;

  /** @param inline inlines the style sheets of whole HTML. */
  constructor(private readonly inline: (html: string) => Promise<string>) {}

  /** @returns the inliner's own result, byte for byte. */
  async apply(html: string): Promise<string> {
    const shape = readShape(html);
    if (!shape) return this.whole(html);
    const { marked, values, css } = shape;
    const cached = this.cache.get(marked) ?? this.learn(marked, values.length, css);
    this.use(marked, cached);
    const refill = await cached.refill;
    return refill ? refill(values) : this.whole(html);
  }

  private learn(marked: string, count: number, css: string): CachedShape {
    const refill = dependsOnValues(css)
      ? Promise.resolve(undefined)
      : this.inline(marked).then((one) => createRefill(one, count));
    const cached: CachedShape = { refill, size: marked.length * 2 };
    refill.catch(() => this.forget(marked, cached));
    return cached;
  }

  private use(marked: string, cached: CachedShape): void {
    this.forget(marked, cached);
    this.cache.set(marked, cached);
    this.size += cached.size;
    for (const [oldest, { size }] of this.cache) {
      if (this.size <= MAX_CACHE_LENGTH) break;
      this.cache.delete(oldest);
      this.size -= size;
    }
  }

  private forget(marked: string, cached: CachedShape): void {
    if (this.cache.get(marked) !== cached) return;
    this.cache.delete(marked);
    this.size -= cached.size;
  }

  /**
   * juice takes `{{` and `<%` for the start of template code and skips to its end, so they are split by a guard
   * character.
   */
  private async whole(html: string): Promise<string> {
    const guard = '\uE001';
    if (html.includes(guard) || !/\{\{|<%/.test(html)) return this.inline(html);
    const inlined = await this.inline(html.replace(/\{(?=\{)|<(?=%)/g, `$&${guard}`));
    return inlined.replaceAll(guard, '');
  }
}

/** Returns true when a selector may depend on values that the shape leaves out. */
function dependsOnValues(css: string): boolean {
  if (/:i?contains\b|\\|@import/i.test(css)) return true;
  for (const [, name] of css.matchAll(/\[([^\]~|^$*=]*)/g)) {
    if (!/^\s*[\w-]+\s*$/.test(name ?? '') || /^\s*(?:href|src|alt|title)\s*$/i.test(name ?? '')) return true;
  }
  return false;
}

/** HTML with its texts taken out, which leaves all that style sheets depend on. */
interface HtmlShape {
  /** The HTML with a mark in place of each value: equal for mails that differ in texts and links only. */
  readonly marked: string;
  /** Indexed by the number in their mark. */
  readonly values: readonly string[];
  /** The text of its `style` elements. */
  readonly css: string;
}

/** A private-use character: never markup, and rare in texts. */
const MARK = '\uE000';
const TAG =
  /<([a-z][a-z0-9:-]*)((?:\s+[^\s"'<>/=]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'=<>`]+))?)*)\s*(\/?)>|<\/[a-z][^\s<>/]*\s*>/iy;
const ATTRIBUTE = /\s+([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'[^']*'|[^\s"'=<>`]+))?/y;
/** Attributes of links and images that differ from mail to mail and that juice ignores. */
const VARYING = new Set(['href', 'src', 'alt', 'title']);
const WITH_VARYING = new Set(['a', 'img']);
/** Elements whose content is not markup. */
const RAW = new Set(['style', 'title', 'textarea']);
/** Elements that refer to files, have parsing rules of their own, or do not occur in mails. */
const STRANGE = new Set(['script', 'link', 'svg', 'math', 'plaintext']);

/**
 * Takes texts, and `href`, `src`, `alt` and `title` of links and images, out of HTML.
 * @returns undefined for HTML that another parser might read differently: with a bare `<`, an odd comment, scripts or
 * linked style sheets.
 */
export function readShape(html: string): HtmlShape | undefined {
  return html.includes(MARK) ? undefined : new ShapeReader(html).read();
}

/** Puts values into an inlined shape, which is cut at its marks. */
type Refill = (values: readonly string[]) => string;

/** @returns undefined when a mark is missing in `html` or occurs more than once. */
export function createRefill(html: string, count: number): Refill | undefined {
  const parts = html.split(MARK);
  const order = parts.filter((_, index) => index % 2 === 1).map(Number);
  if (order.length !== count || new Set(order).size !== count || order.some((n) => !(n >= 0 && n < count))) {
    return undefined;
  }
  const between = parts.filter((_, index) => index % 2 === 0);
  return (values) => {
    let filled = between[0] ?? '';
    for (let index = 0; index < order.length; index++) filled += `${values[order[index] ?? 0]}${between[index + 1]}`;
    return filled;
  };
}

class ShapeReader {
  private readonly kept: string[] = [];
  private readonly values: string[] = [];
  private css = '';
  private at = 0;
  /** Offset in `html` up to which everything is in `kept`. */
  private keptTo = 0;

  constructor(private readonly html: string) {}

  read(): HtmlShape | undefined {
    const { html } = this;
    for (;;) {
      const open = html.indexOf('<', this.at);
      this.text(open < 0 ? html.length : open);
      if (open < 0) break;
      if (!(html.startsWith('<!', open) ? this.declaration(open) : this.tag(open))) return undefined;
    }
    this.kept.push(html.slice(this.keptTo));
    return { marked: this.kept.join(''), values: this.values, css: this.css };
  }

  /** White space alone stays in the shape, since a parser may treat it differently from text. */
  private text(end: number): void {
    if (/\S/.test(this.html.slice(this.at, end))) this.takeOut(this.at, end);
    this.at = end;
  }

  private takeOut(start: number, end: number): void {
    this.kept.push(this.html.slice(this.keptTo, start), MARK, String(this.values.length), MARK);
    this.values.push(this.html.slice(start, end));
    this.keptTo = end;
  }

  private declaration(open: number): boolean {
    const { html } = this;
    const comment = html.startsWith('<!--', open);
    if (comment ? /^<!---?>/.test(html.slice(open, open + 6)) : !/[a-z[]/i.test(html[open + 2] ?? '')) return false;
    if (html.startsWith('<![CDATA[', open)) return false;
    const end = html.indexOf(comment ? '-->' : '>', open + 2);
    this.at = end + (comment ? 3 : 1);
    return end >= 0;
  }

  private tag(open: number): boolean {
    TAG.lastIndex = open;
    const found = TAG.exec(this.html);
    if (!found) return false;
    this.at = TAG.lastIndex;
    const name = found[1]?.toLowerCase();
    if (name === undefined) return true;
    if (STRANGE.has(name)) return false;
    if (WITH_VARYING.has(name)) this.attributes(open + 1 + name.length, found[2] ?? '');
    return !RAW.has(name) || (found[3] === '' && this.raw(name));
  }

  private attributes(start: number, text: string): void {
    ATTRIBUTE.lastIndex = 0;
    for (let found = ATTRIBUTE.exec(text); found; found = ATTRIBUTE.exec(text)) {
      const [, name = '', value = ''] = found;
      // Only values in double quotes are taken out, because the inliner writes those back unchanged.
      if (value === '' || !VARYING.has(name)) continue;
      const end = start + ATTRIBUTE.lastIndex - 1;
      this.takeOut(end - value.length, end);
    }
  }

  private raw(name: string): boolean {
    const rest = new RegExp(`</${name}`, 'gi');
    rest.lastIndex = this.at;
    const close = rest.exec(this.html)?.index;
    if (close === undefined) return false;
    if (name === 'style') this.css += `${this.html.slice(this.at, close)}\n`;
    else if (this.html.slice(this.at, close).includes('<')) return false;
    else this.text(close);
    this.at = close;
    return true;
  }
}

const LINK = /<link\b(?:[^>"']|"[^"]*"|'[^']*')*>/gi;

/**
 * Replaces links to style sheets in the templates' folder by the style sheets. Other links stay: the HTML may contain
 * text of strangers, which must not make us fetch from our network or read our files.
 * @param root the templates' folder.
 */
export function withOwnStyleSheets(html: string, root: string): string {
  return html.replace(LINK, (link) => {
    if (!readAttribute(link, 'rel')?.toLowerCase().split(/\s+/).includes('stylesheet')) return link;
    const css = ownFile(readAttribute(link, 'href') ?? '', root);
    if (css === undefined) return link;
    const media = readAttribute(link, 'media');
    return `<style>\n${media === undefined ? css : `@media ${media} {\n${css}\n}`}\n</style>`;
  });
}

function readAttribute(tag: string, name: string): string | undefined {
  const found = new RegExp(`\\s${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s"'>]+))`, 'i').exec(tag);
  return found?.slice(1).find((value) => value !== undefined);
}

/**
 * @returns undefined for a URL, for anything but a style sheet, and for a file outside the folder, be it by a symlink.
 */
function ownFile(href: string, root: string): string | undefined {
  if (!/^[\w./-]+\.css$/.test(href)) return undefined;
  try {
    const folder = fs.realpathSync(root);
    const file = fs.realpathSync(path.resolve(folder, href));
    return file.startsWith(folder + path.sep) ? fs.readFileSync(file, 'utf8') : undefined;
  } catch {
    return undefined;
  }
}
