import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { BENCHMARKS } from './benchmarks';
import { CONTENDERS, type ContenderName } from './contender/contenders';
import { Bench } from './frame/bench';
import { endOnSignals, endWhatIsLeft } from './frame/interruption';
import { ROOT, store } from './frame/store';

const PEERS = path.join(ROOT, 'test/benchmark/peers');
const MOST_MINUTES = 120;

const USAGE = `npm run bench -- [names] [--quick] [--rounds n] [--minutes n] [--only row] [--contenders 'a|b'] [--against checkout] [--profile]`;

/** Without names: all of them. */
async function main(): Promise<void> {
  endOnSignals();
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      minutes: { type: 'string' },
      only: { type: 'string' },
      against: { type: 'string' },
      contenders: { type: 'string' },
      profile: { type: 'boolean', default: false },
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
  const { quick, profile, only, against } = values;
  const bench = new Bench({ quick, rounds, minutes, profile, only, against, contenders });
  try {
    for (const name of names) {
      bench.say(`\n=== ${name}: ${BENCHMARKS[name]?.about}`);
      const results = await BENCHMARKS[name]?.run(bench);
      bench.say(`kept in ${path.relative(ROOT, store(name, { options: bench.options, results }))}`);
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

/** What is compared with, from a lock of its own. */
function installPeers(): void {
  const read = (file: string) => fs.readFileSync(path.join(PEERS, file), 'utf8');
  const stamp = path.join(PEERS, 'node_modules/.lock-installed');
  if (fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === read('package-lock.json')) return;
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: PEERS, stdio: 'inherit' });
  fs.writeFileSync(stamp, read('package-lock.json'));
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  // Connections to what was ended above would be tried again for ever.
  process.exit(1);
});
