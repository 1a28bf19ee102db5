import assert from 'node:assert/strict';
import http from 'node:http';
import { request } from '../support/http';
import { until } from '../support/until';
import { ClusterProcess } from './cluster-process';

const SLOTS = [0, 1] as const;
const PADDING = 60_000;
/** More than waits for a process that does not read. */
const TOO_MANY = 200;

/** What the workers of a tree without Redis hear. */
describe('broadcasts between two workers, by their primary', () => {
  let cluster: ClusterProcess;
  let address: string;
  before(async () => {
    cluster = new ClusterProcess('2');
    address = await cluster.address();
  });
  after(() => cluster.end());

  const heardBy = (slot: number) =>
    cluster.of('child.output').flatMap(({ child, line = '' }) => {
      return child === `web.${slot}` && line.startsWith('heard ') ? [line.slice('heard '.length)] : [];
    });
  /** @returns the slot of the worker that has broadcast them. */
  const send = async (texts: readonly string[], padding = 0, agent?: http.Agent) => {
    const query = new URLSearchParams(texts.map((text): [string, string] => ['text', text]));
    query.set('padding', String(padding));
    return Number((await request(`${address}/broadcast?${query}`, agent && { agent })).body.split(' ')[0]);
  };
  const bothHear = async (texts: readonly string[], last = texts.at(-1) ?? '') => {
    await until(`both have heard ${last}`, () => SLOTS.every((slot) => heardBy(slot).includes(last)));
    for (const slot of SLOTS) assert.deepEqual(heardBy(slot).slice(-texts.length), texts);
  };

  it('reach both, each once, in the order of their sender, whichever sends them', async () => {
    const senders = new Set<number>();
    let round = 0;
    await until('each has sent some', async () => {
      const texts = [0, 1, 2].map((n) => `${round}.${n}`);
      senders.add(await send(texts));
      await bothHear(texts);
      round++;
      return senders.size === SLOTS.length;
    });
    for (const slot of SLOTS) assert.equal(heardBy(slot).length, round * 3);
  });

  it('reach the successor of a worker as soon as it is ready', async () => {
    process.kill(cluster.pidOf(0), 'SIGKILL');
    await cluster.nth('worker.ready', 3);
    await send(['to the successor']);
    await bothHear(['to the successor']);
  });

  it('are dropped for one that does not read, with one warning, and reach it again afterwards', async () => {
    const texts = Array.from({ length: TOO_MANY / 10 }, (_, n) => `flood ${n}`);
    // Its connection stays with the worker that served it first.
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const sender = await send(['before'], 0, agent);
    const frozen = 1 - sender;
    process.kill(cluster.pidOf(frozen), 'SIGSTOP');
    for (let n = 0; n < 10; n++) assert.equal(await send(texts, PADDING, agent), sender);
    const { to } = await cluster.nth('broadcast.dropped');
    assert.equal(to, `worker ${frozen}`);
    process.kill(cluster.pidOf(frozen), 'SIGCONT');
    let n = 0;
    await until('it hears again', async () => {
      await send([`after ${n++}`], 0, agent);
      return heardBy(frozen).some((text) => text.startsWith('after'));
    });
    agent.destroy();
    assert.equal(heardBy(sender).filter((text) => text.startsWith('flood')).length, TOO_MANY);
    assert.ok(heardBy(frozen).filter((text) => text.startsWith('flood')).length < TOO_MANY);
    assert.equal(cluster.of('broadcast.dropped').length, 1);
  });
});
