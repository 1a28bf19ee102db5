import fs from 'node:fs';
import path from 'node:path';
import type { ChaosOptions, ChaosResult } from './chaos-run';
import type { Outcome } from './traffic/exchange';

const FOLDER = path.resolve(__dirname, '../../.catamount/chaos');
const SHOWN = 20;

/** Whether nothing was lost, and everything that broke was well again. */
export function isGood({ strikes, balance, lostRequests, exitCode }: ChaosResult): boolean {
  const survived = strikes.every(({ error }) => !error);
  return survived && balance.losses.length === 0 && lostRequests.length === 0 && exitCode === 0;
}

export function reportOf(result: ChaosResult): string {
  const { strikes, balance, lostRequests, served, turnedAway, failed, cut, starts } = result;
  const survived = strikes.filter(({ error }) => !error).length;
  const doubles = new Map<string, number>();
  for (const { reason = 'unexplained' } of balance.doubles) doubles.set(reason, (doubles.get(reason) ?? 0) + 1);
  const losses = [
    ...balance.losses,
    ...lostRequests.map(
      ({ what, outcome }) => `${what} ended by ${ending(outcome)}, and nothing that struck explains it`,
    ),
  ];
  const lines = [
    ['faults', `${strikes.length} struck, ${survived} survived`],
    ['requests', `${served} served, ${turnedAway} told to come back, ${failed} failed, ${cut} cut off`],
    ['sign-ups', `${balance.signedUp} answered 201, ${balance.mails} mails received`],
    ['jobs', `${balance.chores} accepted, ${balance.ticks} ticks, ${balance.ranAgain} run again after a fault`],
    ['Redis alone', `${balance.goneWithRedis} jobs that went straight to Redis were gone with its data`],
    ['trees', `${starts} started, the last one ended with code ${result.exitCode}`],
    [
      'duplicates',
      `${balance.doubles.length} mails${[...doubles].map(([reason, count]) => `; ${count}: ${reason}`).join('')}`,
    ],
    ['losses', String(losses.length)],
  ];
  const shown = losses.slice(0, SHOWN).map((loss) => `  ${loss}`);
  return [...lines.map(([what = '', text = '']) => `${what.padEnd(12)} ${text}`), ...shown].join('\n');
}

function ending(outcome: Outcome): string {
  if ('error' in outcome) return outcome.detail ? `${outcome.error} (${outcome.detail})` : outcome.error;
  const { status, retryAfter, body } = outcome;
  return `${status}${status === 503 && retryAfter === undefined ? ' without Retry-After' : ''} (${body.slice(0, 200)})`;
}

/** The whole of it, for whoever has to find out why. @returns the file. */
export function keep({ seed, ms, faults }: ChaosOptions, result: ChaosResult): string {
  fs.mkdirSync(FOLDER, { recursive: true });
  const file = path.join(FOLDER, `run-${seed}.json`);
  const strikes = result.strikes.map(({ fault, error, ...times }) => ({
    fault: fault.name,
    error: error?.message,
    ...times,
  }));
  const options = { seed, ms, faults: faults.map(({ name }) => name) };
  fs.writeFileSync(file, JSON.stringify({ options, ...result, strikes }, null, 2));
  return file;
}
