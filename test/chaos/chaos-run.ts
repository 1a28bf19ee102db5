import { setTimeout as wait } from 'node:timers/promises';
import { Deck } from './deck';
import type { Fault } from './fault/fault';
import { type Balance, balance } from './ledger/balance';
import type { Mishap } from './ledger/ledger';
import { allIsWell, type Recovery } from './probe';
import { Scene } from './scene/scene';
import { lostRequests, type Strike, strike } from './strike';

export interface ChaosOptions {
  readonly seed: number;
  /** How long faults strike; what is on its way then is waited for. */
  readonly ms: number;
  readonly faults: readonly Fault[];
  readonly say: (line: string) => void;
}

export interface ChaosResult {
  readonly strikes: readonly Strike[];
  readonly balance: Balance;
  readonly lostRequests: readonly Mishap[];
  /** Answered as they should be. */
  readonly served: number;
  readonly turnedAway: number;
  readonly failed: number;
  readonly cut: number;
  /** Trees that the platform had to start. */
  readonly starts: number;
  /** Of the last one. */
  readonly exitCode: number | null;
  /** The last lines of its log. */
  readonly log: readonly string[];
}

/** What jobs that are meant to fail have to say. */
const EXPECTED = /StubbornJob failed/;
const LOG_KEPT = 5000;
/** A recovery that took longer is told of in detail. */
const SLOW_MS = 5000;

/** One run: people use the tree, faults strike one after the other, and in the end the books must balance. */
export async function chaosRun({ seed, ms, faults, say }: ChaosOptions): Promise<ChaosResult> {
  const scene = await Scene.make();
  try {
    const { ledger, traffic, platform } = scene;
    traffic.start();
    await allIsWell(scene);
    const deck = new Deck(faults, seed);
    const strikes: Strike[] = [];
    const begun = performance.now();
    while (performance.now() - begun < ms) {
      await wait(deck.roll(1000));
      const fault = deck.next();
      const struck = await strike(fault, scene, deck.roll);
      strikes.push(struck);
      say(lineOf(struck, begun));
      if (struck.error) break;
    }
    await traffic.stop();
    say('waiting for what is on its way');
    const balanced = await balance(scene);
    const exitCode = await platform.stop();
    const count = (damage: Mishap['damage']) => ledger.mishaps.filter((mishap) => mishap.damage === damage).length;
    return {
      strikes,
      balance: balanced,
      lostRequests: lostRequests(ledger.mishaps, strikes),
      served: ledger.served,
      turnedAway: count('turned away'),
      failed: count('failed'),
      cut: count('cut'),
      starts: platform.starts,
      exitCode,
      log: platform.tree.lines
        .map(({ text }) => text)
        .filter((text) => !EXPECTED.test(text))
        .slice(-LOG_KEPT),
    };
  } finally {
    await scene.remove();
  }
}

function lineOf({ fault, from, recovery, error }: Strike, begun: number): string {
  const at = `${Math.round((from - begun) / 1000)} s`.padStart(6);
  return `${at}  ${fault.name.padEnd(36)} ${recovery ? wellAgain(recovery) : `NOT SURVIVED: ${error?.message}`}`;
}

function wellAgain(recovery: Recovery): string {
  const seconds = (ms: number) => (ms / 1000).toFixed(1);
  const sum = Object.values(recovery).reduce((all, ms) => all + ms, 0);
  const [slowest = '', longest = 0] = Object.entries(recovery).sort(([, a], [, b]) => b - a)[0] ?? [];
  const why = sum > SLOW_MS ? ` (${slowest}: ${seconds(longest)} s)` : '';
  return `well again after ${seconds(sum)} s${why}`;
}
