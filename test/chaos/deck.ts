import { dice } from '../support/dice';
import type { Fault, Roll } from './fault/fault';
import { duringPhasedRestart, PHASED_RESTART } from './fault/phased-restart';

/** Which fault is next, the same for the same seed: each once, each once during a phased restart, and so on. */
export class Deck {
  /** For whatever the faults leave to chance. */
  readonly roll: Roll;
  private cards: Fault[] = [];
  private rounds = 0;

  constructor(
    private readonly faults: readonly Fault[],
    seed: number,
  ) {
    this.roll = dice(seed);
  }

  next(): Fault {
    if (this.cards.length === 0) this.cards = this.shuffled(this.round());
    return this.cards.pop() ?? PHASED_RESTART;
  }

  private round(): readonly Fault[] {
    if (this.rounds++ % 2 === 0) return this.faults;
    const others = this.faults.filter((fault) => fault !== PHASED_RESTART);
    return others.length > 0 ? others.map(duringPhasedRestart) : this.faults;
  }

  private shuffled(faults: readonly Fault[]): Fault[] {
    const cards = [...faults];
    for (let n = cards.length - 1; n > 0; n--) {
      const other = this.roll(n + 1);
      [cards[n], cards[other]] = [cards[other] as Fault, cards[n] as Fault];
    }
    return cards;
  }
}
