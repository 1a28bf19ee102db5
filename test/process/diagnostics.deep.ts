import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { guideFields } from '../support/diagnostics-guide';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { signUp, somebody } from './sign-ups';

const FIELDS = guideFields();
const CHANNELS = [...FIELDS.keys()].map((name) => `catamount.${name}`);

interface Message {
  readonly channel: string;
  /** The process in which it was published. */
  readonly by: number;
  readonly version: number;
  readonly requestId?: string;
  readonly to?: readonly string[];
}

describe('the diagnostics channels of a tree', () => {
  const deployment = useDeployment();
  let tree: Tree;
  let record: string;
  before(async () => {
    record = path.join(deployment.folder, 'record');
    fs.writeFileSync(record, '');
    const recorder = path.join(__dirname, 'diagnostics-recorder.cjs');
    const env = {
      NODE_OPTIONS: `--require ${recorder}`,
      DIAGNOSTICS_CHANNELS: CHANNELS.join(),
      DIAGNOSTICS_RECORD: record,
      WEB_CONCURRENCY: '1',
    };
    tree = await deployment.start({ env: { ...deployment.env, ...env } });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
  });

  const messages = () =>
    fs
      .readFileSync(record, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Message);
  const on = (channel: string) => messages().filter((message) => message.channel === `catamount.${channel}`);

  it('tell of a sign-up from its request to its mail, by the request id, in worker and processor', async () => {
    const user = somebody();
    const { headers } = await signUp(tree, user);
    await until('its job is done', () => on('job.succeeded').length > 0);
    const { web, jobs } = tree.processes();
    const byProcess = (names: readonly string[]) => names.map((name) => on(name).map(({ by }) => by));
    assert.deepEqual(byProcess(['request.started', 'request.finished', 'job.enqueued']), [
      [web.get(0)],
      [web.get(0)],
      [web.get(0)],
    ]);
    assert.deepEqual(byProcess(['job.started', 'mail.processed', 'mail.sent', 'job.succeeded']), [
      [jobs],
      [jobs],
      [jobs],
      [jobs],
    ]);
    for (const name of ['request.started', 'request.finished', 'job.started', 'job.succeeded'])
      assert.equal(on(name)[0]?.requestId, headers['x-request-id'], name);
    assert.deepEqual(on('mail.sent')[0]?.to, [user.email]);
  });

  it('tell in the primary of the lives of workers and processors', async () => {
    const { primary } = tree.processes();
    await tree.stop();
    for (const role of ['worker', 'processor'])
      for (const life of ['forked', 'ready', 'exited'])
        assert.deepEqual(
          on(`${role}.${life}`).map(({ by }) => by),
          [primary],
          `${role}.${life}`,
        );
    for (const { channel, by: _, ...message } of messages()) {
      assert.deepEqual(Object.keys(message).sort(), FIELDS.get(channel.replace('catamount.', '')), channel);
      assert.equal(message.version, 1);
    }
  });
});
