import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { endOnSignals } from '../benchmark/harness/processes';
import { processesOfRun } from '../support/run-processes';
import { chaosRun } from './chaos-run';
import type { Fault } from './fault/fault';
import { FAULTS } from './fault/faults';
import { isGood, keep, reportOf } from './report';

const ROOT = path.resolve(__dirname, '../..');
const USAGE = `npm run chaos -- [--minutes n] [--seed n] [--only fault,fault]
npm run chaos -- fuzz [--times n] [--seed n] [--only words]   the fuzzers of test/fuzz, with so many times as many cases
npm run chaos -- long [--seed n] [--only words]               the long forms of tests in test/process and test/supervisor
npm run chaos -- faults                                       what --only takes`;
const MOST_MINUTES = 120;
/** For what is on its way, and for the end: then a run that hangs is ended. */
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
      return run(number('--minutes', values.minutes, MOST_MINUTES), seed, chosen(values.only));
    case 'fuzz':
      return mocha('test/fuzz/*.{test,deep}.ts', values.only, {
        FUZZ_SCALE: String(whole('--times', values.times, 10_000)),
        FUZZ_SEED: String(seed),
      });
    case 'long':
      return mocha('test/chaos/*.chaos.ts', values.only, { CHAOS_SEED: String(seed) });
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
  say(`seed ${seed}: the same faults in the same order by npm run chaos -- --minutes ${minutes} --seed ${seed}`);
  const limit = setTimeout(() => {
    process.stderr.write('the run hangs, and is ended\n');
    process.kill(process.pid, 'SIGTERM');
  }, options.ms + EXTRA_MS);
  const result = await chaosRun(options);
  clearTimeout(limit);
  say(`\n${reportOf(result)}\n\nkept in ${path.relative(ROOT, keep(options, result))}`);
  const left = processesOfRun();
  for (const { pid, command } of left) {
    say(`left behind, and killed now: ${pid} ${command}`);
    process.kill(pid, 'SIGKILL');
  }
  return isGood(result) && left.length === 0 ? 0 : 1;
}

/** @param only words of the titles to run. */
function mocha(files: string, only: string | undefined, env: Readonly<Record<string, string>>): number {
  const program = path.join(ROOT, 'node_modules/mocha/bin/mocha.js');
  const options = [
    '--no-config',
    '--node-option',
    'import=tsx',
    '--require',
    'test/support/hooks.ts',
    '--timeout',
    '900000',
  ];
  const { status } = spawnSync(
    process.execPath,
    [program, ...options, files, ...(only === undefined ? [] : ['--fgrep', only])],
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
