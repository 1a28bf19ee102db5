import type { EscapedValues } from './escaped-values';

const STYLES = /<style\b[\s\S]*?<\/style/gi;
const SELECTED_BY = /<style\b[\s\S]*?<\/style|\s(?:class|id|style)\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>]*)/gi;
/** Selectors by the value of another attribute or by a text, and what may hide one. */
const SELECTORS = /\[[^\]]*=|:i?contains\b|\\|@import/i;
/** Number of inlined mails that are kept, and their maximum length, characters. */
const MAX_KEPT = 100;
const MAX_LENGTH = 100_000;

/**
 * Inlines style sheets by juice, which takes some 2 ms. What it makes of a mail is kept, and serves all mails that differ
 * in escaped values only.
 */
export class CssInliner {
  private readonly kept = new Map<string, Promise<string>>();

  constructor(private readonly juice: (html: string) => Promise<string>) {}

  /** @param marked HTML that has the mark of each value once. */
  async apply(marked: string, values: EscapedValues): Promise<string> {
    // Style sheets, and the attributes by which they select, need their values.
    const shape = marked.replace(SELECTED_BY, (part) => values.fill(part));
    if (shape.length <= MAX_LENGTH && ![...shape.matchAll(STYLES)].some(([css]) => SELECTORS.test(css))) {
      const inlined = await this.once(shape);
      // juice may have dropped a value together with an attribute.
      if (values.count(inlined) === values.count(shape)) return values.fill(inlined);
    }
    return this.inline(values.fill(marked));
  }

  private once(marked: string): Promise<string> {
    const known = this.kept.get(marked);
    if (known) return known;
    const [oldest] = this.kept.keys();
    if (oldest !== undefined && this.kept.size >= MAX_KEPT) this.kept.delete(oldest);
    const inlined = this.inline(marked);
    this.kept.set(marked, inlined);
    inlined.catch(() => this.kept.delete(marked));
    return inlined;
  }

  /** juice takes `{{` and `<%` for the start of template code and skips to its end, so a guard character splits them. */
  async inline(html: string): Promise<string> {
    const guard = '\uE001';
    if (html.includes(guard) || !/\{\{|<%/.test(html)) return this.juice(html);
    const inlined = await this.juice(html.replace(/\{(?=\{)|<(?=%)/g, `$&${guard}`));
    return inlined.replaceAll(guard, '');
  }
}
