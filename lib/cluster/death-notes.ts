import type { Death, NextTry } from './tree-picture';

/** How the processes of one place have died, for those who look. */
export class DeathNotes {
  /** The last one; null where nobody has died. */
  death: Death | null = null;
  nextTry: NextTry | null = null;
  private silence: Pick<Death, 'silentMs' | 'doing'> = { silentMs: null, doing: null };
  private wasReady = false;
  private lastErrors: () => readonly string[] = () => [];

  /** Another process begins. @param lastErrors what it last wrote to standard error. */
  begin(lastErrors: () => readonly string[]): void {
    this.silence = { silentMs: null, doing: null };
    this.wasReady = false;
    this.lastErrors = lastErrors;
  }

  ready(): void {
    this.wasReady = true;
    this.nextTry = null;
  }

  /** It is to be killed for it. @param doing by the last that was heard. */
  silent(silentMs: number, doing: string | undefined): void {
    this.silence = { silentMs, doing: doing ?? null };
  }

  died(code: number | null, signal: string | null): void {
    const reason = this.silence.silentMs !== null ? 'timeout' : this.wasReady ? 'crash' : 'boot';
    const ending = signal ? `it was ended by ${signal}` : `it exited with code ${code}`;
    this.death = {
      at: new Date().toISOString(),
      reason,
      words: this.lastErrors().join(' / ') || ending,
      ...this.silence,
    };
  }

  triesAgain({ waitMs, attempt }: { readonly waitMs: number; readonly attempt: number }): void {
    this.nextTry = { at: new Date(Date.now() + waitMs).toISOString(), attempt };
  }
}
