import { emitKeypressEvents, type Key } from 'node:readline';
import type { Line, Size, Tone } from './view';

/** A terminal to draw on. Tests pass a stream. */
export interface Output extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** Switches to the terminal's alternate screen, which leaves the normal one unchanged, and hides the cursor. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[2J';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const CLEAR_TO_END = '\x1b[K';

/** Draws frames on a terminal, which `leave` restores. */
export class Screen {
  private shown: readonly string[] | undefined;
  private entered = false;

  constructor(
    private readonly output: Output,
    private readonly style: Styler,
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

  /** Clears the screen, so that the next frame is drawn in full. */
  forget(): void {
    this.shown = undefined;
    if (this.entered) this.output.write('\x1b[2J');
  }

  /** Writes only the lines that differ from the last frame. */
  draw(lines: readonly Line[]): void {
    if (!this.entered) return;
    const styled = lines.map(({ text, tone }) => this.style(text, tone));
    const changed = styled.flatMap((text, i) =>
      text === this.shown?.[i] ? [] : [`\x1b[${i + 1};1H${text}${CLEAR_TO_END}`],
    );
    this.shown = styled;
    if (changed.length > 0) this.output.write(changed.join(''));
  }
}

/** The keyboard of a terminal. Tests pass a stream. */
export interface Input extends NodeJS.ReadableStream {
  readonly isTTY?: boolean;
  setRawMode?(raw: boolean): unknown;
}

/** Reports single key presses while it is open. */
export class Keyboard {
  private readonly onKeypress = (typed: string | undefined, key: Key) => this.onKey(keyName(typed, key));

  /** @param onKey called with the name of the key: `q`, `R`, `up`, `tab`, `ctrl-c` and so on. */
  constructor(
    private readonly input: Input,
    private readonly onKey: (key: string) => void,
  ) {
    emitKeypressEvents(input);
  }

  open(): void {
    this.input.setRawMode?.(true);
    this.input.on('keypress', this.onKeypress);
    this.input.resume();
  }

  close(): void {
    this.input.off('keypress', this.onKeypress);
    this.input.setRawMode?.(false);
    this.input.pause();
  }
}

function keyName(typed: string | undefined, { name, ctrl, shift, sequence }: Key): string {
  if (ctrl) return `ctrl-${name}`;
  if (name === 'tab' && shift) return 'shift-tab';
  // Printable characters are reported as typed, so that R differs from r. Other keys have names.
  return typed !== undefined && /^[!-~]$/.test(typed) ? typed : (name ?? sequence ?? '');
}

/** Adds the escape codes of a tone to a text. */
type Styler = (text: string, tone: Tone) => string;

const RESET = '\x1b[0m';
const COLOURED: Readonly<Record<Tone, string>> = {
  plain: '',
  strong: '\x1b[1m',
  faint: '\x1b[2m',
  selected: '\x1b[7m',
  warn: '\x1b[33m',
  bad: '\x1b[1;31m',
};
/** Bold and reverse video are not colours, so NO_COLOR allows them. */
const UNCOLOURED: typeof COLOURED = { ...COLOURED, faint: '', warn: '', bad: '\x1b[1m' };

/** @param colour false if NO_COLOR is set. */
export function stylerFor(colour: boolean): Styler {
  const codes = colour ? COLOURED : UNCOLOURED;
  return (text, tone) => (codes[tone] === '' || text === '' ? text : `${codes[tone]}${text}${RESET}`);
}

/** For outputs other than terminals. */
export const UNSTYLED: Styler = (text) => text;
