import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { TABLES } from '../../lib/core/config';
import { Clock } from '../chaos/scene/clock';
import { order } from '../cluster/primary/operator';
import { buildFixtureApp } from '../support/fixture-app';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { startTree } from '../support/tree';
import { until } from '../support/until';
import { Scene, type State, shows } from './state';

const clear = (scene: Scene) => scene.faulty.database.query(`delete from ${TABLES.jobs}; delete from ${TABLES.dead}`);

/** The last ones are told for a minute or more after they are over, so each stands before those that come before it. */
const STATES: readonly State[] = [
  {
    name: 'a job that blocks from its first line',
    make: async (scene) => {
      await scene.enqueue('blocking', 'unblock');
      return () => scene.switchOn('unblock');
    },
    cause: /its event loop is blocked/,
    culprit: /BlockingJob \([\da-f-]{36}\)/,
    remedy: /`?static thread = true/,
    exitCode: 3,
    ready: /does not answer/,
  },
  {
    name: 'a route that blocks from its first line',
    make: (scene) => {
      const answer = scene.tree.request('GET', '/block/unblock-route').catch(() => undefined);
      return async () => {
        scene.switchOn('unblock-route');
        await answer;
      };
    },
    cause: /its event loop is blocked/,
    culprit: /Worker \d.*GET \/block\/unblock-route/,
    remedy: /catamount recycle \d/,
    exitCode: 2,
  },
  {
    name: 'a paused queue',
    make: async (scene) => {
      await scene.jobs('pause', 'default');
      return () => scene.jobs('resume', 'default');
    },
    cause: /is paused/,
    culprit: /Queue default.*by /,
    remedy: /catamount jobs resume default/,
    exitCode: 2,
  },
  {
    name: 'a queue that nobody serves',
    make: async (scene) => {
      await scene.enqueue('report');
      return () => clear(scene);
    },
    cause: /Nobody serves/,
    culprit: /queue reports/,
    remedy: /JOB_QUEUES/,
    exitCode: 3,
  },
  {
    name: 'a job past its timeout',
    make: async (scene) => {
      await scene.enqueue('overtime', 'end');
      return () => scene.switchOn('end');
    },
    cause: /past its timeout/,
    culprit: /OvertimeJob.*\(job [\da-f-]{36}\)/,
    remedy: /this\.context\.signal/,
    exitCode: 2,
  },
  {
    name: 'a poison job',
    make: async (scene) => {
      // Between two of its deaths: the successor of the processor has the time that a large app needs.
      const end = scene.switchOn('slow-boot');
      await scene.enqueue('poison');
      return async () => {
        await end();
        await until(
          'it is dead',
          async () => (await scene.faulty.database.query(`select 1 from ${TABLES.dead}`)).length > 0,
        );
        await clear(scene);
      };
    },
    cause: /job processor (restarts|died)/,
    culprit: /PoisonJob/,
    remedy: /catamount jobs pause default/,
    exitCode: 3,
  },
  {
    name: 'a phased restart that failed',
    make: async (scene) => {
      const mend = scene.switchOn('broken');
      await order(scene.tree, 'phased-restart').catch(() => undefined);
      await mend();
      return () => order(scene.tree, 'phased-restart');
    },
    cause: /not completed/,
    culprit: /this release has no warehouse/,
    remedy: /catamount restart/,
    exitCode: 2,
  },
  {
    name: 'a crash loop',
    make: (scene) => {
      const mend = scene.switchOn('crash');
      scene.faulty.killProcessor();
      return mend;
    },
    cause: /crash loop/,
    culprit: /no licence for the processor/,
    remedy: /catamount/,
    exitCode: 3,
    ready: /not running/,
  },
  {
    name: 'a recurring job that throws',
    make: async (scene) => {
      await scene.tree.request('POST', '/cron');
      return async () => {
        await scene.tree.request('DELETE', '/cron');
        await clear(scene);
      };
    },
    cause: /no such warehouse/,
    culprit: /nightly.*--class ThrowingJob/,
    remedy: /catamount jobs retry/,
    exitCode: 2,
    lingers: true,
  },
  {
    name: 'a flood of 422',
    make: async (scene) => {
      const posts = Array.from({ length: 60 }, () => scene.tree.request('POST', '/forms'));
      await Promise.all(posts);
      return () => undefined;
    },
    cause: /\d+ requests were rejected with 422/,
    culprit: /POST \/forms/,
    remedy: /go back to the release before/,
    exitCode: 2,
    lingers: true,
  },
  {
    name: 'a missing class',
    make: async (scene) => {
      await scene.faulty.database.query(
        `insert into ${TABLES.jobs} (queue, class, payload) values ('default', 'GoneJob', '{"class":"GoneJob","args":[]}')`,
      );
      return () => clear(scene);
    },
    cause: /left to other/,
    culprit: /GoneJob/,
    remedy: /catamount jobs delete/,
    exitCode: 2,
    lingers: true,
  },
  {
    name: 'a slow route takes all slots',
    make: (scene) => {
      const ended = Promise.all(
        Array.from({ length: 20 }, () => scene.tree.request('GET', '/slow/go').catch(() => undefined)),
      );
      return async () => {
        scene.switchOn('go');
        await ended;
      };
    },
    cause: /slots were taken/,
    culprit: /GET \/slow\/go/,
    remedy: /catamount worker-count-up/,
    exitCode: 3,
    lingers: true,
  },
];

/** What the machine does. Both are told for minutes, and the second stands before the first. */
const OF_THE_MACHINE: readonly State[] = [
  {
    name: 'a clock that jumps',
    make: () => {
      clock.set(2 * 3_600_000);
      return () => undefined;
    },
    cause: /The clock of this machine jumped forward by 2 h/,
    culprit: /machine slept/,
    remedy: /timedatectl/,
    exitCode: 2,
    lingers: true,
  },
  {
    name: 'a leak',
    make: async (scene) => {
      const from = scene.tree.lines.length;
      const isRecycled = () => scene.tree.lines.slice(from).some(({ text }) => /is recycled/.test(text));
      while (!isRecycled()) {
        await scene.tree.request('POST', '/leak?mb=40').catch(() => undefined);
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
      return () => undefined;
    },
    // The other worker may have been given as much, and stands out once the first is replaced.
    cause: /(grew to|holds) \d+ MB/,
    culprit: /Worker \d/,
    remedy: /catamount (stats|recycle \d)/,
    exitCode: 2,
    lingers: true,
  },
];

/** A release whose web is deployed, while jobs are still run by the one before. */
const OF_RELEASES: readonly State[] = [
  {
    name: 'two releases side by side',
    make: async (scene) => {
      const folder = tempFolder('next-release');
      fs.cpSync(path.dirname(await buildFixtureApp('states-app')), folder, { recursive: true, verbatimSymlinks: true });
      const source = fs.readFileSync(path.join(folder, 'jobs/throwing.js'), 'utf8');
      fs.writeFileSync(path.join(folder, 'jobs/next.js'), source.replaceAll('ThrowingJob', 'NextJob'));
      const next = await startTree({
        entry: path.join(folder, 'server.js'),
        args: ['--only', 'web'],
        env: scene.faulty.env,
      });
      assert.equal((await next.request('POST', '/jobs/next')).status, 202);
      return async () => {
        await next.cleanup();
        removeFolder(folder);
      };
    },
    cause: /is left to other processors/,
    culprit: /NextJob/,
    remedy: /Deploy a release that has it/,
    exitCode: 2,
    lingers: true,
  },
];

let clock: Clock;

describe('the first line of every state: the page, status, top, alerts and /ready name cause, culprit and remedy of', () => {
  const folder = tempFolder('states');
  let scene: Scene;
  const inScene = (states: readonly State[], env: () => Record<string, string>) => {
    describe('one tree', () => {
      before(async () => {
        const entry = await buildFixtureApp('states-app');
        scene = await Scene.make({ entry, env: { STATES: folder, WEB_CONCURRENCY: '2', ...env() } });
      });
      after(() => scene?.remove());
      shows(states, () => scene);
    });
  };
  after(() => removeFolder(folder));

  inScene(STATES, () => ({ WEB_BACKLOG: '1', JOB_LATENCY_WARNING: '2s' }));
  inScene(OF_RELEASES, () => ({}));
  inScene(OF_THE_MACHINE, () => {
    clock = new Clock(path.join(folder, 'clock'));
    return { ...clock.env, MEMORY_LIMIT_MB: '800' };
  });
});
