import { emitKeypressEvents, type Key } from 'node:readline';

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
