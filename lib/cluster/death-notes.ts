import type { Death } from './tree-picture';

/** What a process leaves behind, for those who ask how it died. */
export class DeathNotes {
  private silence: Pick<Death, 'silentMs' | 'doing'> = { silentMs: null, doing: null };
  private wasReady = false;

  /** @param lastErrors what it last wrote to standard error. */
  constructor(private readonly lastErrors: () => readonly string[]) {}

  ready(): void {
    this.wasReady = true;
  }

  /** It is to be killed for it. @param doing by the last that was heard. */
  silent(silentMs: number, doing: string | undefined): void {
    this.silence = { silentMs, doing: doing ?? null };
  }

  death(code: number | null, signal: string | null): Death {
    const reason = this.silence.silentMs !== null ? 'timeout' : this.wasReady ? 'crash' : 'boot';
    const ending = signal ? `it was ended by ${signal}` : `it exited with code ${code}`;
    return {
      at: new Date().toISOString(),
      reason,
      words: this.lastErrors().join(' / ') || ending,
      ...this.silence,
    };
  }
}
