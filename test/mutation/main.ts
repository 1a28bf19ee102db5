/** `npm run mutations`: breaks each promise on purpose, in a copy of the checkout, and checks whether its tests notice. */
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { lists, type Mutation } from './mutation';

const ROOT = path.resolve(__dirname, '../..');
const USAGE = `npm run mutations -- [options]
  --only TEXT   only mutations whose promise, file or list contains TEXT; it may be given several times
  --copies N    how many are tried side by side, each in a copy of its own; default: one a core
  --list        names them and ends
  --check       only checks that each text occurs once in its file, and that the tests exist`;
/** The share of mutations that must be noticed by the first tier, and by both tiers. */
const GOALS = { fast: 0.8, both: 0.95 };

type Verdict = 'killed by npm test' | 'killed by the deep tier' | 'SURVIVED' | 'BROKEN';

interface Outcome {
  readonly mutation: Mutation;
  readonly verdict: Verdict;
  readonly note: string;
}

/** Copies the checkout, without the files that git ignores. The copy shares the installed packages. */
function copyCheckout(): string {
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'mutant-'));
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], { cwd: ROOT, encoding: 'utf8' });
  for (const file of listed.split('\0').filter((name) => name !== '' && fs.existsSync(path.join(ROOT, name)))) {
    fs.mkdirSync(path.dirname(path.join(copy, file)), { recursive: true });
    fs.copyFileSync(path.join(ROOT, file), path.join(copy, file));
  }
  fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'));
  // Tests that list the files of the checkout with git must work in the copy, too.
  execFileSync('git', ['init', '--quiet'], { cwd: copy });
  return copy;
}

function run(args: readonly string[], cwd: string): Promise<{ readonly code: number | null; readonly output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data: Buffer) => {
        output += data.toString();
      });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}

/** How long a test waits in vain before it fails, s, even if the app has started slowly. */
const LIMIT_S = '60';
/** The message of a run whose app started too slowly on a busy machine, which proves nothing. */
const TOO_SLOW = /It did not listen within \d+ s/;

/** @returns the first reported failure, if at least one of the files failed. @throws when no test could be run. */
async function fails(files: readonly string[], copy: string): Promise<string | undefined> {
  if (files.length === 0) return undefined;
  const { code, output } = await run(['.config/test.mjs', '--bail', '--limit', LIMIT_S, ...files], copy);
  if (code === 0) return undefined;
  const tooSlow = TOO_SLOW.exec(output);
  if (tooSlow) throw new Error(`${tooSlow[0]}: try it again on a machine that is less busy`);
  return (/^FAILED .*\n\s*(.+)/m.exec(output)?.[1] ?? output.trim().split('\n').at(-1) ?? '').trim();
}

/** @returns why a mutation cannot be tried in this checkout. */
function staleness({ file, find, killedBy }: Mutation, root: string): string | undefined {
  const target = path.join(root, file);
  const places = fs.existsSync(target) ? fs.readFileSync(target, 'utf8').split(find).length - 1 : 0;
  if (places !== 1) return `its text occurs ${places} times in ${file}`;
  const missing = killedBy.filter((name) => !fs.existsSync(path.join(root, name)));
  return missing.length > 0 ? `there is no ${missing.join(', ')}` : undefined;
}

async function attempt(mutation: Mutation, copy: string): Promise<Outcome> {
  const stale = staleness(mutation, copy);
  if (stale !== undefined) return { mutation, verdict: 'BROKEN', note: stale };
  const file = path.join(copy, mutation.file);
  const text = fs.readFileSync(file, 'utf8');
  fs.writeFileSync(
    file,
    text.replace(mutation.find, () => mutation.replace),
  );
  try {
    const built = await run(['.config/build.mjs', '--if-stale'], copy);
    if (built.code !== 0) return { mutation, verdict: 'BROKEN', note: `it does not compile: ${built.output.trim()}` };
    const isDeep = (name: string) => name.endsWith('.deep.ts');
    const quick = await fails(
      mutation.killedBy.filter((name) => !isDeep(name)),
      copy,
    );
    if (quick !== undefined) return { mutation, verdict: 'killed by npm test', note: quick };
    const deep = await fails(mutation.killedBy.filter(isDeep), copy);
    if (deep !== undefined) return { mutation, verdict: 'killed by the deep tier', note: deep };
    return { mutation, verdict: 'SURVIVED', note: mutation.killedBy.join(', ') };
  } catch (thrown) {
    return { mutation, verdict: 'BROKEN', note: String(thrown) };
  } finally {
    fs.writeFileSync(file, text);
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true, default: [''] },
      copies: { type: 'string', default: String(os.availableParallelism()) },
      list: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const copies = Number(values.copies);
  if (values.help || !Number.isInteger(copies) || copies < 1) {
    say(USAGE);
    return values.help ? 0 : 2;
  }
  const chosen = lists().flatMap(({ name, mutations }) =>
    mutations.filter(({ promise, file }) => values.only.some((text) => `${name} ${promise} ${file}`.includes(text))),
  );
  if (values.list) {
    for (const { promise, file } of chosen) say(`${file}: ${promise}`);
    return 0;
  }
  if (values.check) {
    const stale = chosen.flatMap((mutation) => {
      const why = staleness(mutation, ROOT);
      return why === undefined ? [] : [`${mutation.promise}: ${why}`];
    });
    say(stale.length > 0 ? stale.join('\n') : `${chosen.length} mutations match the code`);
    return stale.length > 0 ? 1 : 0;
  }
  const queue = [...chosen];
  const outcomes: Outcome[] = [];
  const folders = Array.from({ length: copies }, copyCheckout);
  try {
    await Promise.all(
      folders.map(async (copy) => {
        for (let next = queue.shift(); next; next = queue.shift()) {
          const outcome = await attempt(next, copy);
          outcomes.push(outcome);
          say(`${outcome.verdict}: ${next.promise} (${next.file})\n    ${outcome.note}`);
        }
      }),
    );
  } finally {
    for (const copy of folders) fs.rmSync(copy, { recursive: true, force: true });
  }
  return summary(outcomes);
}

function summary(outcomes: readonly Outcome[]): number {
  const count = (...verdicts: Verdict[]) => outcomes.filter(({ verdict }) => verdicts.includes(verdict)).length;
  const fast = count('killed by npm test');
  const both = fast + count('killed by the deep tier');
  const broken = count('BROKEN');
  const percent = (part: number) => `${Math.round((100 * part) / Math.max(1, outcomes.length))} %`;
  say(
    `\n${outcomes.length} mutations: npm test kills ${fast} (${percent(fast)}), both tiers ${both} (${percent(both)})`,
  );
  if (broken > 0) say(`${broken} could not be tried: mend their lists`);
  const reached = fast >= GOALS.fast * outcomes.length && both >= GOALS.both * outcomes.length;
  return reached && broken === 0 ? 0 : 1;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

void main().then((code) => {
  process.exitCode = code;
});
