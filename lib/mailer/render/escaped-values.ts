import { randomUUID } from 'node:crypto';

/** Begins a mark, which nobody outside this process can write. */
const MARK = `\uE000${randomUUID()}`;
const MARKS = new RegExp(`${MARK}-(\\d+);`);

/** The escaped values of one mail. Its HTML has marks in their place, so that all mails of one template have the same. */
export class EscapedValues {
  private readonly texts: string[] = [];

  /** @param escaped what a template would write. @returns the mark that it writes instead. */
  mark(escaped: string): string {
    // A selector such as `:empty` depends on whether there is a text at all.
    return escaped.trim() === '' ? escaped : `${MARK}-${this.texts.push(escaped) - 1};`;
  }

  get size(): number {
    return this.texts.length;
  }

  /** @returns the number of marks in the HTML; undefined if one is there twice. */
  count(marked: string): number | undefined {
    const found = marked.split(MARKS).filter((_, index) => index % 2 === 1);
    return new Set(found).size === found.length ? found.length : undefined;
  }

  /** @returns the HTML with the values in place of their marks. */
  fill(marked: string): string {
    const parts = marked.split(MARKS);
    return parts.map((part, index) => (index % 2 === 1 ? this.texts[Number(part)] : part)).join('');
  }
}
