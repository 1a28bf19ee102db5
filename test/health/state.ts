import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { json } from 'node:stream/consumers';
import { readTree } from '../../lib/cluster/control/commands';
import type { Tree as StatusSource, TreeStatus } from '../../lib/cluster/status';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { readSettings } from '../../lib/core/settings';
import { Database } from '../../lib/model/database';
import { Alerter } from '../../lib/ops/alerts/alerter';
import { Deadline } from '../../lib/support/deadline';
import { catamountWith, order } from '../cluster/primary/operator';
import { cookiesOf, signInTo } from '../ops/ops-web';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { BEARER, FaultyTree, type Undo } from './faulty-tree';
import { squeezed, timeless, toldByCommand, toldByPage } from './told';

const ROOT = path.resolve(__dirname, '../..');
/** Each look loads the tree, too. */
const SELDOM = { everyMs: 250 };

/** A state that operators meet, and what its first line has to say. */
export interface State {
  readonly name: string;
  /** Makes it for real. */
  readonly make: (scene: Scene) => Promise<Undo> | Undo;
  readonly cause: RegExp;
  /** The class and the job, the route and the request, the process. */
  readonly culprit: RegExp;
  /** What helps: a command, or a setting. */
  readonly remedy: RegExp;
  /** Of `catamount status`. */
  readonly exitCode: 2 | 3;
  /** The body of /ready, where the tree is not ready, or its jobs are not. */
  readonly ready?: RegExp;
  /** true: it is told for minutes after it is over. The states after it must come before it in the list of issues. */
  readonly lingers?: boolean;
}

interface Alert {
  readonly event: 'alert' | 'recovery';
  readonly key: string;
  readonly line: string;
}

/** A tree in which states are made, and all who tell of them: page, commands, alerts and /ready. */
export class Scene {
  private readonly alerts: Alert[] = [];
  private readonly closing: (() => unknown)[] = [];

  private constructor(
    readonly faulty: FaultyTree,
    private readonly entry: string | undefined,
    /** Let in to the pages. */
    private readonly headers: Readonly<Record<string, string>>,
  ) {}

  /** @param options as of FaultyTree. Files in the folder `STATES` are switches of the app `states-app`. */
  static async make(options: Parameters<typeof FaultyTree.make>[0] = {}): Promise<Scene> {
    const faulty = await FaultyTree.make(options);
    const password = options?.env?.OPS_PASSWORD;
    const headers = password === undefined ? BEARER : { cookie: cookiesOf(await signInTo(faulty.tree, password)) };
    const scene = new Scene(faulty, options?.entry, headers);
    try {
      await scene.tellAlerts();
    } catch (thrown) {
      await scene.remove();
      throw thrown;
    }
    return scene;
  }

  /** Runs `catamount jobs …` in the folder of the app. */
  async jobs(...words: readonly string[]): Promise<void> {
    const folder = this.entry === undefined ? ROOT : path.dirname(this.entry);
    const { code, stderr } = await catamountWith(this.faulty.env, folder, 'jobs', ...words);
    assert.equal(code, 0, stderr);
  }

  get tree(): Tree {
    return this.faulty.tree;
  }

  /** The switches of the app. */
  switchOn(name: string): Undo {
    const file = path.join(this.faulty.env.STATES ?? assert.fail('the tree has no folder of switches'), name);
    fs.writeFileSync(file, '');
    return () => fs.rmSync(file, { force: true });
  }

  async enqueue(file: string, word = ''): Promise<void> {
    const { status, body } = await this.tree.request('POST', `/jobs/${file}?word=${word}`);
    assert.equal(status, 202, body);
  }

  /**
   * The alerts of the tree, with the product's own alerter. It looks more often than every ten seconds, so it is one of the test,
   * with the tree's settings and by the same ways to the servers.
   */
  private async tellAlerts(): Promise<void> {
    const server = http.createServer(async (request, response) => {
      this.alerts.push((await json(request)) as Alert);
      response.end();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    this.closing.push(() => {
      server.closeAllConnections();
      server.close();
    });
    const webhook = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const config = readSettings({ cwd: this.tree.cwd, env: { ...this.faulty.env, ALERT_WEBHOOK: webhook } });
    const events = new Events();
    const redis = new Redis(this.faulty.env.REDIS_URL ?? '', events);
    const database = new Database(this.faulty.env.DATABASE_URL ?? '', { production: false, events, poolMax: 5 });
    await redis.start();
    const status = async (): Promise<TreeStatus> => readTree(await order(this.tree, 'status'));
    const tree = { status } as unknown as StatusSource;
    const alerter = new Alerter({ app: { name: 'states' }, config, tree, redis, database, events, everyMs: 300 });
    alerter.appoint(true);
    this.closing.push(async () => {
      const deadline = Deadline.after(3000);
      await alerter.stop(deadline);
      await Promise.allSettled([redis.stop(deadline), database.stop(deadline)]);
    });
  }

  async firstLine(): Promise<string> {
    const { title, lines } = await toldByPage(this.tree, this.headers);
    return lines[0] ?? title;
  }

  /** Makes the state, reads all who tell of it, undoes it, and waits until none tells of it. @returns the first line. */
  async shows({ name, make, cause, culprit, remedy, exitCode, ready, lingers = false }: State): Promise<string> {
    const from = this.alerts.length;
    const undo = await make(this);
    try {
      const line = await until(
        `the page names cause, culprit and remedy of: ${name}`,
        async () => {
          const first = await this.firstLine();
          for (const wanted of [cause, culprit, remedy]) assert.match(first, wanted);
          return first;
        },
        SELDOM,
      );
      await Promise.all([
        until(`status and top say the same of: ${name}`, () => this.agree(exitCode), SELDOM),
        until(
          `an alert says the same of: ${name}`,
          async () => {
            const told = this.alerts.slice(from).filter(({ event }) => event === 'alert');
            const all = told.map((alert) => comparable(squeezed(alert.line)));
            assert.ok(all.includes(comparable(await this.firstLine())), all.join('\n'));
            return true;
          },
          SELDOM,
        ),
        ready &&
          until(
            `/ready says so of: ${name}`,
            async () => {
              assert.match(await this.faulty.readyBody(), ready);
              return true;
            },
            SELDOM,
          ),
      ]);
      return line;
    } finally {
      await undo();
      if (!lingers) await this.isOver(name);
    }
  }

  private async isOver(name: string): Promise<void> {
    await until(
      `all is well after: ${name}`,
      async () => {
        const { title, lines } = await toldByPage(this.tree, this.headers);
        assert.equal(title, 'All is well', lines.join('\n'));
        return true;
      },
      SELDOM,
    );
    const isOver = ({ key }: Alert) => this.alerts.filter((one) => one.key === key).at(-1)?.event === 'recovery';
    await until(`the alerts are over after: ${name}`, () => this.alerts.every(isOver), SELDOM);
  }

  private async agree(exitCode: number): Promise<true> {
    const { code, lines, stdout } = await toldByCommand(this.tree, this.faulty.env, 'status');
    assert.equal(comparable(lines[0] ?? ''), comparable(await this.firstLine()), stdout);
    assert.equal(code, exitCode, stdout);
    const top = await toldByCommand(this.tree, this.faulty.env, 'top');
    assert.equal(comparable(top.lines[0] ?? ''), comparable(await this.firstLine()), top.stdout);
    return true;
  }

  async remove(): Promise<void> {
    for (const close of this.closing.reverse()) await close();
    await this.faulty.remove();
  }
}

/** Without durations and counts, which grow between two looks. */
function comparable(line: string): string {
  return timeless(line).replace(/\d+(?:[.,]\d+)*/g, '#');
}

/** A test for each of these states, one after the other in one tree. Its title has the first line. */
export function shows(states: readonly State[], scene: () => Scene): void {
  for (const state of states)
    it(state.name, async function () {
      const line = await scene().shows(state);
      this.runnable().title += `: ${line}`;
    });
}
