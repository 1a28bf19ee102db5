/** HTML whose texts are taken out: what style sheets see of it. */
export interface Skeleton {
  /** The HTML with a mark in place of each value: equal for mails that differ in texts and links only. */
  readonly marked: string;
  /** By the number in their mark. */
  readonly values: readonly string[];
  /** The style sheets in it. */
  readonly css: string;
}

/** A character for private use: no markup, and rare in texts. */
const MARK = '\uE000';
const TAG =
  /<([a-z][a-z0-9:-]*)((?:\s+[^\s"'<>/=]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'=<>`]+))?)*)\s*(\/?)>|<\/[a-z][^\s<>/]*\s*>/iy;
const ATTRIBUTE = /\s+([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'[^']*'|[^\s"'=<>`]+))?/y;
/** What links and images differ in from mail to mail, and juice does not read. */
const VARYING = new Set(['href', 'src', 'alt', 'title']);
const WITH_VARYING = new Set(['a', 'img']);
/** No markup inside. */
const RAW = new Set(['style', 'title', 'textarea']);
/** Names files, has other rules of its own, or is in no mail. */
const STRANGE = new Set(['script', 'link', 'svg', 'math', 'plaintext']);

/**
 * Takes texts, and `href`, `src`, `alt` and `title` of links and images, out of HTML.
 * @returns undefined for HTML that a parser might read in another way than we do: with a bare `<`, an odd comment,
 * scripts, linked style sheets.
 */
export function skeletonOf(html: string): Skeleton | undefined {
  return html.includes(MARK) ? undefined : new Reading(html).read();
}

/** Puts values into what has become of a skeleton, cut at its marks. */
export type Filling = (values: readonly string[]) => string;

/** @returns undefined when a mark of `marked` is missing in `html`, or there more than once. */
export function fillingOf(html: string, count: number): Filling | undefined {
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

class Reading {
  private readonly kept: string[] = [];
  private readonly values: string[] = [];
  private css = '';
  private at = 0;
  /** Up to here all is in `kept`. */
  private keptTo = 0;

  constructor(private readonly html: string) {}

  read(): Skeleton | undefined {
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

  /** White space stays: where there is nothing else, a parser may treat it otherwise than text. */
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
      // In double quotes it comes back as it was.
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
