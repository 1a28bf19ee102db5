/** Elements whose content nobody reads. */
const UNREAD = /^<(head|style|script|title)\b/i;
const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  zwnj: '\u200c',
  shy: '\u00ad',
};

/**
 * The text in HTML, hidden or not, with spaces for tags. Takes one pass, for strangers may have written it: what is not
 * closed hides all behind it.
 * @param most stops when there is so much of it, characters. Default: all.
 */
export function htmlWords(html: string, most = Number.POSITIVE_INFINITY): string {
  const lower = html.toLowerCase();
  const words: string[] = [];
  let length = 0;
  let at = 0;
  while (at < html.length && length < most) {
    const open = html.indexOf('<', at);
    const text = html.slice(at, open === -1 ? html.length : open);
    if (text !== '') words.push(decoded(text));
    length += text.length;
    if (open === -1) break;
    at = endOfTag(html, lower, open);
  }
  return words.join(' ');
}

/** Index behind the tag that begins there, or behind the whole element if nobody reads it. */
function endOfTag(html: string, lower: string, open: number): number {
  const behind = (closing: string, from: number) => {
    const end = lower.indexOf(closing, from);
    return end === -1 ? html.length : end + closing.length;
  };
  if (html.startsWith('<!--', open)) return behind('-->', open + 4);
  const [, unread] = UNREAD.exec(html.slice(open, open + 8)) ?? [];
  return unread === undefined ? behind('>', open) : behind('>', behind(`</${unread.toLowerCase()}`, open));
}

function decoded(text: string): string {
  return text.replace(
    /&(?:#(\d{1,8})|#x([\da-f]{1,6})|(\w{1,8}));/gi,
    (whole, decimal, hex, name: string | undefined) => {
      if (name !== undefined) return ENTITIES[name] ?? whole;
      const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
      return code <= 0x10ffff ? String.fromCodePoint(code) : '';
    },
  );
}
