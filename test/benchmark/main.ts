import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { boot } from './boot';
import { CONTENDERS, type ContenderName } from './contender/contenders';
import { enqueue } from './enqueue';
import { firstMail } from './first-mail';
import { growth } from './growth';
import { Bench, type Benchmark } from './harness/bench';
import { endOnSignals, endWhatIsLeft } from './harness/processes';
import { PEERS, RESULTS, ROOT } from './harness/product';
import { jobs } from './jobs';
import { mail } from './mail';
import { memory } from './memory';
import { pickup } from './pickup';
import { seed } from './seed';
import { signUp } from './sign-up';

/** The benchmarks by the names that `npm run bench -- <name>` takes. */
const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  boot,
  'sign-up': signUp,
  'first-mail': firstMail,
  jobs,
  pickup,
  enqueue,
  mail,
  memory,
  growth,
  seed,
};
const MOST_MINUTES = 120;
const USAGE = `npm run bench -- [names] [--quick] [--rounds n] [--minutes n] [--only row] [--contenders 'a|b'] [--beside folder]`;

/** Runs the named benchmarks, or all of them without names. */
async function main(): Promise<void> {
  endOnSignals();
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      minutes: { type: 'string' },
      only: { type: 'string' },
      contenders: { type: 'string' },
      beside: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return usage();
  const names = positionals.length > 0 ? positionals : Object.keys(BENCHMARKS);
  for (const name of names) {
    if (!BENCHMARKS[name])
      throw new Error(`there is no benchmark ${name}; there are: ${Object.keys(BENCHMARKS).join(', ')}`);
  }
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0)) {
    throw new Error(`--rounds is ${values.rounds}; give a whole number above 0`);
  }
  const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
  if (minutes !== undefined && !(minutes > 0 && minutes <= MOST_MINUTES)) {
    throw new Error(`--minutes is ${values.minutes}; give a number above 0, at most ${MOST_MINUTES}`);
  }
  const contenders = values.contenders?.split('|').map((name) => {
    if (isContender(name)) return name;
    throw new Error(`there is no contender ${name}; there are: ${Object.keys(CONTENDERS).join(' | ')}`);
  });
  if (names.some((name) => BENCHMARKS[name]?.peers)) installPeers();
  const { quick, only, beside } = values;
  const bench = new Bench({ quick, rounds, minutes, only, contenders, beside });
  try {
    for (const name of names) {
      bench.say(`\n=== ${name}: ${BENCHMARKS[name]?.about}`);
      const results = await BENCHMARKS[name]?.run(bench);
      bench.say(`kept in ${path.relative(ROOT, keep(name, { options: bench.options, results }))}`);
    }
    await bench.end();
  } finally {
    await endWhatIsLeft();
  }
}

function usage(): void {
  const lines = Object.entries(BENCHMARKS).map(([name, { about }]) => `  ${name.padEnd(10)} ${about}`);
  process.stdout.write(`${USAGE}\n${lines.join('\n')}\n`);
}

function isContender(name: string): name is ContenderName {
  return Object.hasOwn(CONTENDERS, name);
}

/** Installs the packages that the product is compared with from their lock file, unless they are up to date. */
function installPeers(): void {
  const read = (file: string) => fs.readFileSync(path.join(PEERS, file), 'utf8');
  const stamp = path.join(PEERS, 'node_modules/.lock-installed');
  if (fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === read('package-lock.json')) return;
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: PEERS, stdio: 'inherit' });
  fs.writeFileSync(stamp, read('package-lock.json'));
}

/** Writes the results, with a description of the machine, to a file below RESULTS. @returns its path. */
function keep(name: string, results: object): string {
  fs.mkdirSync(RESULTS, { recursive: true });
  const at = new Date();
  const file = path.join(RESULTS, `${name}-${at.toISOString().replace(/[:.]/g, '-')}.json`);
  const machine = {
    node: process.version,
    cpu: os.cpus()[0]?.model,
    cores: os.availableParallelism(),
    load: os.loadavg(),
  };
  fs.writeFileSync(file, `${JSON.stringify({ name, at, commit: commit(), machine, ...results }, null, 2)}\n`);
  return file;
}

function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { cwd: ROOT }).toString().trim();
  } catch {
    return 'unknown';
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  // Without this, clients would reconnect forever to servers that were ended above.
  process.exit(1);
});
