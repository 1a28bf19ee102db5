import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { pack, removeInstalled, withoutNpm } from '../package/npm';
import { LocalRegistry } from '../package/registry';
import { request } from '../support/http';
import { serverPort } from '../support/server-port';
import { tempFolder } from '../support/temp-folder';
import type { Benchmark } from './harness/bench';
import { judged, median, table } from './harness/figures';
import { ROOT } from './harness/product';

const run = promisify(execFile);
const GOALS = { seconds: { atMost: 60 }, commands: { atMost: 4 } };
/** The mail may take this long to arrive, ms; then the run fails. */
const ARRIVES_MS = 600_000;

/** Arguments after `npx catamount new shop` for each kind of app. */
const SHAPES = {
  'TypeScript, CommonJS': '',
  'TypeScript, ES modules': ' --esm',
  'JavaScript, CommonJS': ' --javascript',
  'JavaScript, ES modules': ' --javascript --esm',
} as const;

/** Seconds of each step of a new user; `commands` are those up to the first mail. */
interface Steps {
  readonly made: number;
  readonly mailed: number;
  readonly tested: number;
  readonly commands: number;
}

/** In an empty folder, with Node and npm, types what the guide says until the first mail has arrived; then `npm test`. */
export const newApp: Benchmark = {
  about:
    's from an empty folder to the first mail by npx catamount new, from the tarball and npm’s cache, and of its npm test',
  peers: false,
  async run(bench) {
    const folder = tempFolder('new');
    const { tarball, manifest } = await pack(folder, ROOT);
    const registry = await LocalRegistry.start(tarball, manifest, folder, ROOT);
    const shapes = (Object.keys(SHAPES) as (keyof typeof SHAPES)[]).filter((name) => bench.wants(name));
    const seen: Partial<Record<keyof typeof SHAPES, Steps[]>> = {};
    try {
      for (const shape of shapes) {
        const rounds: Steps[] = [];
        for (let round = 0; round < (bench.options.rounds ?? 1); round++)
          rounds.push(await first(SHAPES[shape], registry));
        seen[shape] = rounds;
      }
    } finally {
      await registry.stop();
      await removeInstalled(folder);
    }
    const lines = Object.entries(seen).map(([name, rounds]) => {
      const of = (step: keyof Steps) => median(rounds.map((one) => one[step]));
      return [
        name,
        of('made').toFixed(1),
        judged(of('mailed'), GOALS.seconds),
        judged(of('commands'), GOALS.commands),
        of('tested').toFixed(1),
      ];
    });
    bench.say(`\n${table(['s', 'installed', 'first mail', 'commands', 'npm test'], lines)}`);
    return { seen };
  },
};

/** @throws Error when a step fails, with what it has printed. */
async function first(flags: string, registry: LocalRegistry): Promise<Steps> {
  const home = tempFolder('home');
  const port = String(await serverPort());
  const env = { ...withoutNpm(process.env), ...registry.env, NODE_ENV: undefined, PORT: port };
  const typed: string[] = [];
  const type = async (cwd: string, line: string) => {
    typed.push(line);
    await run('/bin/sh', ['-c', line], { cwd, env });
  };
  const begun = performance.now();
  const seconds = () => (performance.now() - begun) / 1000;
  await type(home, `npx --yes catamount new shop${flags}`);
  const made = seconds();
  const shop = path.join(home, 'shop');
  typed.push('cd shop', 'npm start');
  const server = spawn('npm', ['start'], { cwd: shop, env, stdio: ['ignore', 'ignore', 'inherit'], detached: true });
  try {
    const url = `http://127.0.0.1:${port}`;
    const answers = () =>
      request(`${url}/ready`).then(
        ({ status }) => status === 200,
        () => false,
      );
    await until('the server is ready', answers);
    typed.push('curl');
    const { status, body } = await request(`${url}/users`, {
      method: 'POST',
      json: { email: 'ada@example.com', name: 'Ada' },
    });
    if (status !== 201) throw new Error(`the sign-up was answered ${status}: ${body}`);
    const mails = path.join(shop, '.catamount/mails');
    await until('the mail has arrived', () => fs.existsSync(mails) && fs.readdirSync(mails).length > 0);
    const steps = { made, mailed: seconds(), commands: typed.length };
    const exited = once(server, 'exit');
    process.kill(-(server.pid ?? 0), 'SIGTERM');
    await exited;
    const testing = performance.now();
    await type(shop, 'npm test');
    return { ...steps, tested: (performance.now() - testing) / 1000 };
  } finally {
    if (server.exitCode === null && server.signalCode === null) server.kill('SIGTERM');
    await removeInstalled(home);
  }
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const late = performance.now() + ARRIVES_MS;
  while (!(await condition())) {
    if (performance.now() > late) throw new Error(`waited in vain until ${what}`);
    await wait(20);
  }
}
