import type { Paint } from './paint';
import type { Line, Size } from './view';

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
