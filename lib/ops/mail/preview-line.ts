const LONGEST = 140;
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' };
/** What templates fill a short line up with. */
const FILLER = /\u034f|[\u00ad\u200b-\u200f\u2060\ufeff]/g;

/** What a list of mails shows after the subject: the first words of the mail, hidden or not. */
export function previewLine(html: string | null, text: string | null): string {
  const words = html === null ? (text ?? '') : visible(html);
  const line = words.replace(FILLER, '').replace(/\s+/g, ' ').trim();
  return line.length <= LONGEST ? line : `${line.slice(0, LONGEST).replace(/\s+\S*$/, '')}…`;
}

/** Up to the filler, which is there to keep the rest out. */
function visible(html: string): string {
  const body = html
    .replace(/<!--[\s\S]*?-->|<(head|style|script|title)\b[\s\S]*?<\/\1>/gi, ' ')
    .replace(/<[^>]*>/g, ' ')
    .replace(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (whole, decimal, hex, name: string | undefined) => {
      const code = decimal ? Number(decimal) : hex ? Number.parseInt(hex, 16) : 0;
      if (code) return code <= 0x10ffff ? String.fromCodePoint(code) : '';
      return name === 'zwnj' || name === 'shy' ? '\u200c' : (ENTITIES[name ?? ''] ?? whole);
    });
  const [before = ''] = body.split(/(?:(?:\u034f|[\u200b-\u200f])\s*){4}/);
  return before.trim() === '' ? body : before;
}
