import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import { dice } from '../../support/dice';
import { Load } from '../../support/load';
import { sized } from '../../support/long-form';
import { serverPort } from '../../support/server-port';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { type SupervisorApp, useSupervisorApp } from './supervisor-app';

const EVERY_MS = 1000;
const ROLES = ['primary', 'jobs', 'web', 'web'] as const;

/** Pids of dead children for which the process has not waited. */
function zombiesOf(ppid: number): number[] {
  return fs.readdirSync('/proc').flatMap((name) => {
    try {
      const stat = fs.readFileSync(`/proc/${name}/stat`, 'utf8');
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return state === 'Z' && Number(parent) === ppid ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

function isBound(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** Kills one process of the tree each second, and starts the tree again after its primary was killed, as a platform does. */
for (const { ms, seed } of sized(
  [{ ms: 5000, seed: 8 }],
  [
    { ms: 60_000, seed: 1 },
    { ms: 60_000, seed: 7 },
  ],
))
  describe(`kill -9 of a random process each second, for ${ms / 1000} s (seed ${seed})`, () => {
    const app = useSupervisorApp();

    it('leaves no zombie, no orphan and no bound port, and the web always comes back', async function () {
      const port = await serverPort();
      const roll = dice(seed);
      let tree = await app.start({ PORT: String(port) });
      const gateway = new Load(tree.baseUrl, 6, () => '/slow?ms=20', { routed: true, whenRefused: 'try again' });
      const hits: string[] = [];
      try {
        for (let n = 0; n < ms / EVERY_MS; n++) {
          const next = performance.now() + EVERY_MS;
          const role = ROLES[roll(ROLES.length)] ?? 'primary';
          const which = roll(2);
          const victim = await until(`there is a process to kill (${role})`, () => {
            const { primary, jobs, webPids } = tree.processes();
            return { primary, jobs, web: webPids[which % webPids.length] }[role];
          });
          hits.push(role);
          process.kill(victim, 'SIGKILL');
          if (role === 'primary') tree = await startAgain(app, tree, port);
          else await until('the victim is gone', () => !has(tree, victim));
          await gateway.more(1);
          await until('the next kill is due', () => performance.now() >= next);
        }
        const whole = () => tree.processes().webPids.length === 2 && tree.processes().jobs !== undefined;
        await until('the tree is whole again', whole);
        await gateway.more(20);
      } finally {
        await gateway.stop();
      }
      // Only requests in flight at the victim are lost: there is no 5xx, and no client is left hanging.
      assert.deepEqual(
        Object.keys(gateway.failures).filter((kind) => !/^(ECONNRESET|EPIPE)/.test(kind)),
        [],
        `after kills of ${hits.join(', ')}`,
      );
      assert.deepEqual([...new Set(hits)].sort(), ['jobs', 'primary', 'web']);
      assert.deepEqual(zombiesOf(tree.pid), []);
      assert.equal(tree.processes().all.length, 4);
      assert.equal((await tree.stop()).code, 0);
      await tree.allGone();
      assert.equal(await isBound(port), false);
      const killed = ['primary', 'jobs', 'web'].map((role) => `${role} ${hits.filter((hit) => hit === role).length}`);
      const { answered, failures } = gateway;
      const cut = Object.values(failures).reduce((sum, count) => sum + count, 0);
      this.runnable().title += `: killed were ${killed.join(', ')}; ${answered} requests, ${cut} cut off`;
    });
  });

function has(tree: Tree, pid: number): boolean {
  return tree.processes().all.some((row) => row.pid === pid);
}

async function startAgain(app: SupervisorApp, dead: Tree, port: number): Promise<Tree> {
  await dead.end();
  await dead.allGone();
  assert.equal(await isBound(port), false);
  return app.start({ PORT: String(port) }, { cwd: dead.cwd });
}
