/** Default limit, characters. */
const MAX_BYTES = 8 * 1024 * 1024;

/** Limits how much waits for a process or server that takes it slowly or not at all. */
export class Backlog {
  private size = 0;
  private full = false;

  /** @param onFull called when something is dropped, and not again until all that waits has been taken. */
  constructor(
    private readonly onFull: () => void,
    private readonly most = MAX_BYTES,
  ) {}

  /** @returns a function to call once it has been taken; undefined when there is no room: drop it. */
  take(length: number): (() => void) | undefined {
    if (this.size + length > this.most) {
      if (!this.full) this.onFull();
      this.full = true;
      return undefined;
    }
    this.size += length;
    return () => {
      this.size -= length;
      if (this.size === 0) this.full = false;
    };
  }
}
