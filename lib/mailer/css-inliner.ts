import { type Filling, fillingOf, skeletonOf } from './html-skeleton';

/** Of all that is kept, in characters. */
const KEPT = 1_000_000;

interface Known {
  /** undefined: this one must be inlined whole. */
  readonly filling: Promise<Filling | undefined>;
  size: number;
}

/**
 * Writes style sheets into the elements of HTML. That takes a millisecond and more, yet what comes of it depends on
 * elements and attributes alone: so it is done once for mails that differ only in their texts and links, and those are
 * put in. As they never meet the inliner, no text can look like markup to it (`{{` and `data-inline` do).
 */
export class CssInliner {
  /** The latest used last. */
  private readonly known = new Map<string, Known>();
  private size = 0;

  /** @param inline does it for whole HTML. */
  constructor(private readonly inline: (html: string) => Promise<string>) {}

  /** @returns what the inliner itself would make of it, byte for byte. */
  async apply(html: string): Promise<string> {
    const skeleton = skeletonOf(html);
    if (!skeleton) return this.whole(html);
    const { marked, values, css } = skeleton;
    const known = this.known.get(marked) ?? this.learn(marked, values.length, css);
    this.use(marked, known);
    const filling = await known.filling;
    return filling ? filling(values) : this.whole(html);
  }

  private learn(marked: string, count: number, css: string): Known {
    const filling = seesValues(css)
      ? Promise.resolve(undefined)
      : this.inline(marked).then((one) => fillingOf(one, count));
    const known: Known = { filling, size: marked.length * 2 };
    filling.catch(() => this.forget(marked, known));
    return known;
  }

  private use(marked: string, known: Known): void {
    this.forget(marked, known);
    this.known.set(marked, known);
    this.size += known.size;
    for (const [oldest, { size }] of this.known) {
      if (this.size <= KEPT) break;
      this.known.delete(oldest);
      this.size -= size;
    }
  }

  private forget(marked: string, known: Known): void {
    if (this.known.get(marked) !== known) return;
    this.known.delete(marked);
    this.size -= known.size;
  }

  /** juice takes `{{` and `<%` for the beginning of code, up to the next end of such, whatever is between. */
  private async whole(html: string): Promise<string> {
    const guard = '\uE001';
    if (html.includes(guard) || !/\{\{|<%/.test(html)) return this.inline(html);
    const inlined = await this.inline(html.replace(/\{(?=\{)|<(?=%)/g, `$&${guard}`));
    return inlined.replaceAll(guard, '');
  }
}

/** Whether a selector may ask for what the skeleton leaves out. */
function seesValues(css: string): boolean {
  if (/:i?contains\b|\\|@import/i.test(css)) return true;
  for (const [, name] of css.matchAll(/\[([^\]~|^$*=]*)/g)) {
    if (!/^\s*[\w-]+\s*$/.test(name ?? '') || /^\s*(?:href|src|alt|title)\s*$/i.test(name ?? '')) return true;
  }
  return false;
}
