// `npm test`: the first tier; `npm run test:deep` (--deep): the second. Mocha's own parallel mode shares the files out: a lane
// takes the next one as it is free, the slowest first by the times in .config/test-times.json. See test/README.md.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { filesThatNeedRedis, whyNoRedis } from './needs-redis.mjs';
import { startOnce } from './start-once.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const TIMES = path.join(root, '.config/test-times.json');
const TIERS = { fast: '.test.ts', deep: '.deep.ts' };
/** What one wait of a test may take where the app starts in START_MS. A slower machine gets more. */
const WAIT_LIMIT_MS = 60_000;
const START_MS = 2000;
const MAX_FACTOR = 8;
const HELP = `npm test -- [options] [files]
  --deep         the deep tier instead: processes, the supervisor, browsers, the package, storms
  --lanes N      how many files run side by side; default: one a core and one more, with --deep two more
  --only TEXT    only files whose path contains TEXT, of both tiers unless --deep is given; may be repeated
  --grep TEXT    only tests whose full name contains TEXT
  --bail         end with the first failure
  --limit S      the longest that one wait of a test may take; default: 60, and more where the app starts slowly
  --record       keep how long each file took in .config/test-times.json, by which the next run orders them`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    deep: { type: 'boolean', default: false },
    lanes: { type: 'string' },
    only: { type: 'string', multiple: true, default: [] },
    grep: { type: 'string' },
    bail: { type: 'boolean', default: false },
    limit: { type: 'string' },
    record: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

function fail(message, code = 2) {
  console.error(message);
  process.exit(code);
}

function filesOfTier(endings) {
  return fs
    .readdirSync(path.join(root, 'test'), { recursive: true })
    .filter((file) => endings.some((ending) => file.endsWith(ending)) && !file.includes('node_modules'))
    .map((file) => path.join('test', file));
}

function chosenFiles() {
  if (positionals.length > 0) {
    for (const file of positionals) {
      const found = fs.statSync(path.join(root, file), { throwIfNoEntry: false });
      if (!found?.isFile()) fail(`There is no test file ${file}${found ? '; for those of a folder say --only' : ''}`);
    }
    return positionals;
  }
  const everything = values.only.length > 0 && !values.deep;
  const files = filesOfTier(everything ? Object.values(TIERS) : [values.deep ? TIERS.deep : TIERS.fast]);
  const chosen =
    values.only.length === 0 ? files : files.filter((file) => values.only.some((text) => file.includes(text)));
  if (chosen.length === 0) fail(`No test file has ${values.only.join(' or ')} in its path`);
  return chosen;
}

/** A file that was never timed comes first: it may be the slowest. */
function slowestFirst(files) {
  const times = fs.existsSync(TIMES) ? JSON.parse(fs.readFileSync(TIMES, 'utf8')) : {};
  return files.sort(
    (a, b) => (times[b] ?? Number.POSITIVE_INFINITY) - (times[a] ?? Number.POSITIVE_INFINITY) || (a < b ? -1 : 1),
  );
}

if (values.help) {
  console.log(HELP);
  process.exit(0);
}
// Tests wait for servers much of their time, and deep tests for processes almost half of it.
const lanes = Number(values.lanes ?? os.availableParallelism() + (values.deep ? 2 : 1));
if (!Number.isInteger(lanes) || lanes < 1) fail(`--lanes takes a whole number from 1 on, not ${values.lanes}`);
if (values.limit !== undefined && !(Number(values.limit) > 0))
  fail(`--limit takes a number of seconds, not ${values.limit}`);
const chosen = slowestFirst(chosenFiles());
const noRedis = await whyNoRedis(root);
const skipped = noRedis === undefined ? [] : filesThatNeedRedis(root, chosen);
const files = chosen.filter((file) => !skipped.includes(file));
if (skipped.length > 0)
  console.log(`${skipped.length} of ${chosen.length} files are skipped, since they need a Redis: ${noRedis}`);
const runFolder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'cat-')));
// Other users' processes, which some tests start, must get through to theirs.
fs.chmodSync(runFolder, 0o711);
let run;
let brokenOff = false;
process.on('exit', () => {
  if (brokenOff) killLeftovers();
  fs.rmSync(runFolder, { recursive: true, force: true, maxRetries: 5 });
});
// A terminal signals the run itself, too; whoever signals only us means the run.
for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => {
    brokenOff = true;
    if (run === undefined) process.exit(1);
    if (signal === 'SIGTERM') run.kill(signal);
  });

// Without an app that starts, every test that needs one would wait for its limit.
const start = await startOnce(path.join(root, 'dist/server.js'), path.join(runFolder, 'start'));
if (start.failure) fail(`${start.failure}\nThe app does not start, so no test was run. Its last lines are above.`, 1);
const factor = Math.min(MAX_FACTOR, Math.max(1, start.ms / START_MS));
const limitMs = values.limit === undefined ? Math.round(WAIT_LIMIT_MS * factor) : Number(values.limit) * 1000;

run = spawn(
  process.execPath,
  [
    // Given here and not by .mocharc.json, for which Mocha would put one more process between us and the run.
    '--import=tsx',
    path.join(root, 'node_modules/mocha/bin/mocha.js'),
    '--no-config',
    '--require=test/support/hooks.ts',
    '--parallel',
    `--jobs=${lanes}`,
    `--timeout=${limitMs * 3}`,
    '--reporter=test/support/file-reporter.ts',
    ...(values.grep === undefined ? [] : ['--fgrep', values.grep]),
    ...(values.bail ? ['--bail'] : []),
    // A timer that a failed test has left behind, such as that of a pool, must not keep the run from its end.
    '--exit',
    ...(process.stdout.isTTY ? ['--color'] : []),
    ...files,
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, CATAMOUNT_TEST_FOLDER: runFolder, CATAMOUNT_TEST_LIMIT_MS: String(limitMs) },
  },
);
run.once('close', (code) => {
  if (values.record) record();
  for (const file of skipped) console.log(`SKIPPED ${file}: it needs a Redis`);
  process.exitCode = code ?? 1;
});

/** A run that was broken off could not end what its tests had started. Whatever names its folder is of this run. */
function killLeftovers() {
  if (!fs.existsSync('/proc/self/cmdline')) return;
  for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    try {
      // A tree has a title instead of a command line, but was told of its run.
      const told = ['cmdline', 'environ'].map((name) => fs.readFileSync(`/proc/${pid}/${name}`, 'utf8')).join('');
      if (told.includes(`${runFolder}/`)) process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }
}

function record() {
  const known = fs.existsSync(TIMES) ? JSON.parse(fs.readFileSync(TIMES, 'utf8')) : {};
  for (const line of fs.readFileSync(path.join(runFolder, 'times'), 'utf8').trim().split('\n')) {
    const { file, seconds } = JSON.parse(line);
    known[file] = seconds;
  }
  const still = Object.entries(known).filter(([file]) => fs.existsSync(path.join(root, file)));
  const sorted = Object.fromEntries(still.sort(([, a], [, b]) => b - a));
  fs.writeFileSync(TIMES, `${JSON.stringify(sorted, null, 2)}\n`);
}
