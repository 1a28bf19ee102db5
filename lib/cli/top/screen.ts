import { emitKeypressEvents, type Key } from 'node:readline';
import type { Line, Size, Tone } from './view';

/** A terminal to draw on, or what stands in for one. */
export interface Output extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** The other screen of the terminal, which leaves what was there before as it was; no cursor. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[2J';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const CLEAR_TO_END = '\x1b[K';

/** Draws frames on a terminal, and gives it back as it was. */
export class Screen {
  private shown: readonly string[] | undefined;
  private entered = false;

  constructor(
    private readonly output: Output,
    private readonly paint: Paint,
  ) {}

  get size(): Size {
    return { columns: this.output.columns ?? 80, rows: this.output.rows ?? 24 };
  }

  enter(): void {
    if (this.entered) return;
    this.entered = true;
    this.shown = undefined;
    this.output.write(ENTER);
  }

  leave(): void {
    if (!this.entered) return;
    this.entered = false;
    this.output.write(LEAVE);
  }

  /** Forgets what is there: the next frame is drawn whole. */
  forget(): void {
    this.shown = undefined;
    if (this.entered) this.output.write('\x1b[2J');
  }

  /** Writes only the lines that are others than before. */
  draw(lines: readonly Line[]): void {
    if (!this.entered) return;
    const painted = lines.map(({ text, tone }) => this.paint(text, tone));
    const changed = painted.flatMap((text, i) =>
      text === this.shown?.[i] ? [] : [`\x1b[${i + 1};1H${text}${CLEAR_TO_END}`],
    );
    this.shown = painted;
    if (changed.length > 0) this.output.write(changed.join(''));
  }
}

/** A terminal's keys, or what stands in for them. */
export interface Input extends NodeJS.ReadableStream {
  readonly isTTY?: boolean;
  setRawMode?(raw: boolean): unknown;
}

/** Hears single keys, as long as it is open. */
export class Keyboard {
  private readonly hear = (typed: string | undefined, key: Key) => this.onKey(nameOf(typed, key));

  /** @param onKey told `q`, `R`, `up`, `tab`, `ctrl-c` and the like. */
  constructor(
    private readonly input: Input,
    private readonly onKey: (key: string) => void,
  ) {
    emitKeypressEvents(input);
  }

  open(): void {
    this.input.setRawMode?.(true);
    this.input.on('keypress', this.hear);
    this.input.resume();
  }

  close(): void {
    this.input.off('keypress', this.hear);
    this.input.setRawMode?.(false);
    this.input.pause();
  }
}

function nameOf(typed: string | undefined, { name, ctrl, shift, sequence }: Key): string {
  if (ctrl) return `ctrl-${name}`;
  if (name === 'tab' && shift) return 'shift-tab';
  // Letters as they are typed, so that R is not r; what has only a name by that.
  return typed !== undefined && /^[!-~]$/.test(typed) ? typed : (name ?? sequence ?? '');
}

/** Makes text look like its tone. */
type Paint = (text: string, tone: Tone) => string;

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
