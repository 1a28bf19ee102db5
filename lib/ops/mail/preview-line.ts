import { htmlWords } from './html-words';

const LONGEST = 140;
/** Enough of the mail to find its first words, behind any filler. */
const LOOKED_AT = 20_000;
/** What templates fill a short line up with. */
const FILLER = /\u034f|[\u00ad\u200b-\u200f\u2060\ufeff]/g;

/** What a list of mails shows after the subject: the first words of the mail, hidden or not. */
export function previewLine(html: string | null, text: string | null): string {
  const words = html === null ? (text ?? '').slice(0, LOOKED_AT) : beforeFiller(htmlWords(html, LOOKED_AT));
  const line = words.replace(FILLER, '').replace(/\s+/g, ' ').trim();
  return line.length <= LONGEST ? line : `${line.slice(0, LONGEST).replace(/\s+\S*$/, '')}…`;
}

/** The filler is there to keep the rest out. */
function beforeFiller(words: string): string {
  const [before = ''] = words.split(/(?:(?:\u034f|[\u200b-\u200f])\s*){4}/, 1);
  return before.trim() === '' ? words : before;
}
