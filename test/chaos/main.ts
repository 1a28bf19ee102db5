import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { endOnSignals } from '../benchmark/harness/processes';
import { processesOfRun } from '../support/run-processes';
import { FAULTS, type Fault } from './fault/faults';
import { type ChaosOptions, type ChaosResult, chaosRun } from './run';
import type { Outcome } from './traffic';

const ROOT = path.resolve(__dirname, '../..');
const FOLDER = path.join(ROOT, '.catamount/chaos');
/** Number of losses that are printed at most. */
const SHOWN = 20;
const USAGE = `npm run chaos -- [--minutes n] [--seed n] [--only fault,fault]
npm run chaos -- fuzz [--times n] [--seed n] [--only words]   the fuzzers of test/fuzz with n times as many cases, and all other properties with another seed
npm run chaos -- long [--seed n] [--only words] [--minutes n] the long forms of tests of the deep tier; --minutes: duration of the deaths
npm run chaos -- faults                                       the names that --only accepts`;
const MAX_MINUTES = 120;
/** Time after the faults for jobs in progress and for the shutdown, ms. A longer run hangs and is ended. */
const EXTRA_MS = 10 * 60_000;

const say = (line: string) => void process.stdout.write(`${line}\n`);

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      minutes: { type: 'string', default: '10' },
      seed: { type: 'string', default: String(Date.now() % 100_000) },
      only: { type: 'string' },
      times: { type: 'string', default: '20' },
      help: { type: 'boolean', default: false },
    },
  });
  const [command = 'run', ...rest] = positionals;
  if (values.help || rest.length > 0) return usage();
  const seed = whole('--seed', values.seed, 2 ** 31);
  switch (command) {
    case 'run':
      return run(number('--minutes', values.minutes, MAX_MINUTES), seed, chosen(values.only));
    case 'fuzz':
      // The fuzzers, and all other files with properties, which the tiers only run with one seed.
      return mocha(testFiles("from 'fast-check'", 'test/fuzz/'), values.only, {
        FUZZ_SCALE: String(whole('--times', values.times, 10_000)),
        FUZZ_SEED: String(seed),
      });
    case 'long':
      return mocha(testFiles("support/long-form'"), values.only, {
        CHAOS_LONG: 'yes',
        CHAOS_SEED: String(seed),
        CHAOS_MINUTES: String(number('--minutes', values.minutes, MAX_MINUTES)),
      });
    case 'faults':
      for (const { name, about } of FAULTS) say(`${name.padEnd(28)} ${about}`);
      return 0;
    default:
      return usage();
  }
}

async function run(minutes: number, seed: number, faults: readonly Fault[]): Promise<number> {
  endOnSignals();
  const options = { seed, ms: minutes * 60_000, faults, say };
  say(
    `seed ${seed}: repeat the same faults in the same order with npm run chaos -- --minutes ${minutes} --seed ${seed}`,
  );
  const limit = setTimeout(() => {
    process.stderr.write('the run hangs and is ended\n');
    process.kill(process.pid, 'SIGTERM');
  }, options.ms + EXTRA_MS);
  const result = await chaosRun(options);
  clearTimeout(limit);
  say(`\n${reportOf(result)}\n\nwritten to ${path.relative(ROOT, keep(options, result))}`);
  const left = processesOfRun();
  for (const { pid, command } of left) {
    say(`left behind and killed: ${pid} ${command}`);
    process.kill(pid, 'SIGKILL');
  }
  return isGood(result) && left.length === 0 ? 0 : 1;
}

/** True when nothing was lost, the tree recovered from every fault, and it exited with code 0. */
function isGood({ injections, balance, lostRequests, exitCode }: ChaosResult): boolean {
  const survived = injections.every(({ error }) => !error);
  return survived && balance.losses.length === 0 && lostRequests.length === 0 && exitCode === 0;
}

function reportOf(result: ChaosResult): string {
  const { injections, balance, lostRequests, served, shed, failed, cut, starts } = result;
  const survived = injections.filter(({ error }) => !error).length;
  const duplicates = new Map<string, number>();
  for (const { reason = 'unexplained' } of balance.duplicates)
    duplicates.set(reason, (duplicates.get(reason) ?? 0) + 1);
  const losses = [
    ...balance.losses,
    ...lostRequests.map(({ what, outcome }) => `${what} ended with ${ending(outcome)}, and no fault explains it`),
  ];
  const lines = [
    ['faults', `${injections.length} struck, ${survived} survived`],
    ['requests', `${served} served, ${shed} asked to retry, ${failed} failed, ${cut} cut off`],
    ['sign-ups', `${balance.signedUp} answered 201, ${balance.mails} mails received`],
    ['notes', `${balance.notes} committed with a job that sends them, ${balance.noteMails} mails received`],
    ['jobs', `${balance.tasks} accepted, ${balance.ticks} ticks, ${balance.ranAgain} run again after a fault`],
    ['trees', `${starts} started, the last one ended with code ${result.exitCode}`],
    [
      'duplicates',
      `${balance.duplicates.length} mails${[...duplicates].map(([reason, count]) => `; ${count}: ${reason}`).join('')}`,
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

/** Writes the whole result to a file, for diagnosis. @returns its path. */
function keep({ seed, ms, faults }: ChaosOptions, result: ChaosResult): string {
  fs.mkdirSync(FOLDER, { recursive: true });
  const file = path.join(FOLDER, `run-${seed}.json`);
  const injections = result.injections.map(({ fault, error, ...times }) => ({
    fault: fault.name,
    error: error?.message,
    ...times,
  }));
  const options = { seed, ms, faults: faults.map(({ name }) => name) };
  fs.writeFileSync(file, JSON.stringify({ options, ...result, injections }, null, 2));
  return file;
}

/** The test files of both tiers that contain a text, or are in a folder. */
function testFiles(text: string, folder?: string): string[] {
  const all = fs.readdirSync(path.join(ROOT, 'test'), { recursive: true, encoding: 'utf8' });
  return all
    .filter((file) => /\.(test|deep)\.ts$/.test(file) && !file.includes('node_modules'))
    .map((file) => path.join('test', file))
    .filter((file) => {
      const isInFolder = folder !== undefined && file.startsWith(folder);
      return isInFolder || fs.readFileSync(path.join(ROOT, file), 'utf8').includes(text);
    })
    .sort();
}

/** Runs Mocha on the files. @param only a pattern of test titles. @returns its exit code. */
function mocha(files: readonly string[], only: string | undefined, env: Readonly<Record<string, string>>): number {
  const program = path.join(ROOT, 'node_modules/mocha/bin/mocha.js');
  const options = [
    '--no-config',
    '--node-option',
    'import=tsx',
    '--require',
    'test/support/hooks.ts',
    '--timeout',
    '900000',
    // Otherwise words that are in no title would pass without a test.
    '--fail-zero',
  ];
  const { status } = spawnSync(
    process.execPath,
    [program, ...options, ...files, ...(only === undefined ? [] : ['--fgrep', only])],
    {
      cwd: ROOT,
      stdio: 'inherit',
      env: { ...process.env, ...env },
    },
  );
  return status ?? 1;
}

function chosen(only: string | undefined): readonly Fault[] {
  if (only === undefined) return FAULTS;
  return only.split(',').map((name) => {
    const found = FAULTS.find((fault) => fault.name === name.trim());
    if (found) return found;
    throw new Error(`there is no fault ${name}; there are: ${FAULTS.map((fault) => fault.name).join(', ')}`);
  });
}

function number(name: string, text: string, most: number): number {
  const value = Number(text);
  if (value > 0 && value <= most) return value;
  throw new Error(`${name} is ${text}; give a number up to ${most}`);
}

function whole(name: string, text: string, most: number): number {
  const value = number(name, text, most);
  if (Number.isInteger(value)) return value;
  throw new Error(`${name} is ${text}; give a whole number`);
}

function usage(): number {
  say(USAGE);
  return 64;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    process.exit(1);
  },
);
