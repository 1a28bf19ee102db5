import { setTimeout as wait } from 'node:timers/promises';
import { dice } from '../support/dice';
import { until } from '../support/until';
import { type Balance, balance } from './balance';
import type { Fault, Roll } from './fault/faults';
import { duringPhasedRestart, PHASED_RESTART } from './fault/processes';
import type { Mishap } from './ledger';
import { Environment } from './scene/environment';

export interface ChaosOptions {
  readonly seed: number;
  /** Time during which faults are injected, ms. The run then waits for requests and jobs in progress. */
  readonly ms: number;
  readonly faults: readonly Fault[];
  readonly say: (line: string) => void;
}

export interface ChaosResult {
  readonly injections: readonly Injection[];
  readonly balance: Balance;
  readonly lostRequests: readonly Mishap[];
  /** Requests that succeeded. */
  readonly served: number;
  readonly shed: number;
  readonly failed: number;
  readonly cut: number;
  /** Number of trees that the platform started. */
  readonly starts: number;
  /** Exit code of the last tree. */
  readonly exitCode: number | null;
  /** Last lines of that tree's log. */
  readonly log: readonly string[];
}

/** An injected fault. Times as `performance.now()`. */
export interface Injection {
  readonly fault: Fault;
  readonly from: number;
  /** Time of recovery; undefined when the tree did not recover. */
  readonly to: number | undefined;
  /** Duration of each step of the recovery after the fault ended. */
  readonly recovery: Recovery | undefined;
  /** The reason for which the tree did not recover. */
  readonly error: Error | undefined;
}

/** Durations of the checks that show that the tree works again, ms. */
type Recovery = Readonly<Record<'ready' | 'a sign-up' | 'a job' | 'its mail', number>>;

/** Log lines of jobs that fail on purpose. */
const EXPECTED = /(Retried|Notes|Stepped|Part)Job failed/;
const LOG_KEPT = 5000;
const RECOVERY_LIMIT_MS = 90_000;
/** The slowest step of a recovery is printed when it took longer than this, ms. */
const SLOW_MS = 5000;
/** A fault also excuses a request that began up to this long after its end, ms. */
const AFTER_MS = 1000;

/** One run: clients use the tree, faults are injected one after the other, and at the end the ledger must balance. */
export async function chaosRun({ seed, ms, faults, say }: ChaosOptions): Promise<ChaosResult> {
  const environment = await Environment.start();
  try {
    const { ledger, traffic, platform } = environment;
    traffic.start();
    await recovered(environment);
    const schedule = new FaultSchedule(faults, seed);
    const injections: Injection[] = [];
    const begun = performance.now();
    while (performance.now() - begun < ms) {
      await wait(schedule.roll(1000));
      const injection = await inject(schedule.next(), environment, schedule.roll);
      injections.push(injection);
      say(lineOf(injection, begun));
      if (injection.error) break;
    }
    await traffic.stop();
    say('waiting for unfinished jobs');
    const balanced = await balance(environment);
    const exitCode = await platform.stop();
    const count = (damage: Mishap['damage']) => ledger.mishaps.filter((mishap) => mishap.damage === damage).length;
    const log = platform.tree.lines.map(({ text }) => text).filter((text) => !EXPECTED.test(text));
    return {
      injections,
      balance: balanced,
      lostRequests: lostRequests(ledger.mishaps, injections),
      served: ledger.served,
      shed: count('turned away'),
      failed: count('failed'),
      cut: count('cut'),
      starts: platform.starts,
      exitCode,
      log: log.slice(-LOG_KEPT),
    };
  } finally {
    await environment.remove();
  }
}

/** The order of faults for a seed: all once, then all once during a phased restart, and so on. */
export class FaultSchedule {
  /** Random numbers for the faults' own choices. */
  readonly roll: Roll;
  private left: Fault[] = [];
  private rounds = 0;

  constructor(
    private readonly faults: readonly Fault[],
    seed: number,
  ) {
    this.roll = dice(seed);
  }

  next(): Fault {
    if (this.left.length === 0) this.left = this.shuffled(this.round());
    return this.left.pop() ?? PHASED_RESTART;
  }

  private round(): readonly Fault[] {
    if (this.rounds++ % 2 === 0) return this.faults;
    const others = this.faults.filter((fault) => fault !== PHASED_RESTART);
    return others.length > 0 ? others.map(duringPhasedRestart) : this.faults;
  }

  private shuffled(faults: readonly Fault[]): Fault[] {
    const order = [...faults];
    for (let n = order.length - 1; n > 0; n--) {
      const other = this.roll(n + 1);
      [order[n], order[other]] = [order[other] as Fault, order[n] as Fault];
    }
    return order;
  }
}

/** Injects a fault and waits for the recovery. Never rejects: the result holds the error. */
async function inject(fault: Fault, environment: Environment, roll: Roll): Promise<Injection> {
  const from = performance.now();
  try {
    await fault.inject(environment, roll);
    const recovery = await recovered(environment);
    return { fault, from, to: performance.now(), recovery, error: undefined };
  } catch (thrown) {
    return { fault, from, to: undefined, recovery: undefined, error: thrown as Error };
  }
}

/** Resolves once a new user has signed up and got a mail, and a job has run. @throws Error after RECOVERY_LIMIT_MS. */
async function recovered({ platform, traffic, jobLedger, mails }: Environment): Promise<Recovery> {
  const limit = { timeoutMs: RECOVERY_LIMIT_MS, everyMs: 200 };
  const times = [performance.now()];
  const done = () => times.push(performance.now());
  await platform.ready();
  done();
  const email = await until('a sign-up is answered 201', () => traffic.signUps.signUp(), limit);
  done();
  const task = await until('a job is accepted', () => traffic.tasks.enqueue('transaction'), limit);
  await until(`job ${task} has run`, () => jobLedger.tasks().has(task), limit);
  done();
  await until(`${email} has received a mail`, () => mails.entries.some(({ to }) => to === email), limit);
  done();
  const [ready = 0, signUp = 0, job = 0, mail = 0] = times.slice(1).map((time, n) => time - (times[n] ?? time));
  return { ready, 'a sign-up': signUp, 'a job': job, 'its mail': mail };
}

/** Failed requests that no fault at their time excuses. */
export function lostRequests(mishaps: readonly Mishap[], injections: readonly Injection[]): Mishap[] {
  return mishaps.filter((mishap) => !injections.some((injection) => explains(injection, mishap)));
}

function explains({ fault, from, to = Number.POSITIVE_INFINITY }: Injection, mishap: Mishap): boolean {
  if (!fault.damage || mishap.to < from || mishap.from > to + AFTER_MS) return false;
  return mishap.damage === fault.damage || (mishap.damage === 'turned away' && fault.damage === 'cut');
}

function lineOf({ fault, from, recovery, error }: Injection, begun: number): string {
  const at = `${Math.round((from - begun) / 1000)} s`.padStart(6);
  return `${at}  ${fault.name.padEnd(36)} ${recovery ? wellAgain(recovery) : `NOT SURVIVED: ${error?.message}`}`;
}

function wellAgain(recovery: Recovery): string {
  const seconds = (ms: number) => (ms / 1000).toFixed(1);
  const sum = Object.values(recovery).reduce((all, ms) => all + ms, 0);
  const [slowest = '', longest = 0] = Object.entries(recovery).sort(([, a], [, b]) => b - a)[0] ?? [];
  const why = sum > SLOW_MS ? ` (${slowest}: ${seconds(longest)} s)` : '';
  return `recovered after ${seconds(sum)} s${why}`;
}
