import type { Tone } from './view';

/** Makes text look like its tone. */
export type Paint = (text: string, tone: Tone) => string;

const RESET = '\x1b[0m';
const COLOURED: Readonly<Record<Tone, string>> = {
  plain: '',
  strong: '\x1b[1m',
  faint: '\x1b[2m',
  selected: '\x1b[7m',
  warn: '\x1b[33m',
  bad: '\x1b[1;31m',
};
/** Weight and reversal are no colours. */
const UNCOLOURED: typeof COLOURED = { ...COLOURED, faint: '', warn: '', bad: '\x1b[1m' };

/** @param colour false: as NO_COLOR asks for. */
export function painter(colour: boolean): Paint {
  const codes = colour ? COLOURED : UNCOLOURED;
  return (text, tone) => (codes[tone] === '' || text === '' ? text : `${codes[tone]}${text}${RESET}`);
}

/** For what is no terminal. */
export const UNPAINTED: Paint = (text) => text;
