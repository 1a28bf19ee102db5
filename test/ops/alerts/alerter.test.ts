import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import type { Tree, TreeStatus } from '../../../lib/cluster/status';
import { Events } from '../../../lib/core/events';
import { readSettings } from '../../../lib/core/settings';
import { pauseQueue, resumeQueue } from '../../../lib/job/row/pauses';
import { Alerter } from '../../../lib/ops/alerts/alerter';
import { Deadline } from '../../../lib/support/deadline';
import { type SmtpSink, startSmtpSink } from '../../support/smtp';
import { useDatabase, usePostgres, useRedis, useRedisServer } from '../../support/stores';
import { until } from '../../support/until';
import { before as ago, slotOf, treeStatusOf, workerOf } from '../overview/tree-statuses';

interface Received {
  readonly text: string;
  readonly content: string;
  readonly event: string;
  readonly key: string;
  readonly level: string;
  readonly tree: string;
  readonly url: string;
}

/** A server that keeps what is posted to it. */
class Receiver {
  readonly received: Received[] = [];
  status = 200;
  private readonly server = http.createServer(async (request, response) => {
    const body = (await json(request)) as Received;
    if (this.status === 200) this.received.push(body);
    response.writeHead(this.status).end('noted');
  });

  async start(): Promise<string> {
    await once(this.server.listen(0, '127.0.0.1'), 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/hook/a-secret`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
  }
}

const RESTARTING = {
  slots: [slotOf(0, { nextRestart: { at: ago(-2), attempt: 2 } }), slotOf(1)],
  workers: [workerOf(1)],
};

describe('operators are told', () => {
  const postgres = usePostgres({ migrated: true });
  const database = useDatabase(postgres);
  const server = useRedisServer();
  const redis = useRedis(() => server.url);
  let receiver: Receiver;
  let sink: SmtpSink;
  let webhook = '';
  const alerters: Alerter[] = [];
  const events = new Events();
  const failed: string[] = [];
  events.on('alert.failed', ({ channel, error }) => failed.push(`${channel}: ${error.message}`));

  beforeEach(async () => {
    receiver = new Receiver();
    sink = await startSmtpSink();
    webhook = await receiver.start();
    failed.length = 0;
  });
  afterEach(async () => {
    for (const alerter of alerters.splice(0)) await alerter.stop(Deadline.after(5000));
    await receiver.stop();
    await sink.stop();
    await postgres.query('truncate ops_alerts, job_pauses, job_dead');
  });

  /** A tree's alerter. @param statusNow what the tree's primary says. */
  const start = (statusNow: () => TreeStatus, env: Readonly<Record<string, string>> = { ALERT_WEBHOOK: webhook }) => {
    const all = {
      NODE_ENV: 'test',
      APP_URL: 'https://shop.example',
      SMTP_URL: sink.url,
      MAIL_FROM: 'Shop <a@shop.example>',
    };
    const config = readSettings({ cwd: '/nowhere', env: { ...all, ...env } });
    const tree = { status: async () => statusNow() } as Tree;
    const alerter = new Alerter({ app: { name: 'shop' }, config, tree, redis, database, events, everyMs: 20 });
    alerters.push(alerter);
    alerter.appoint(true);
    return alerter;
  };
  const well = () => treeStatusOf();

  /** Waits until so many alerts were received. */
  const received = (count: number) =>
    until(`${count} alerts`, () => receiver.received.length >= count && receiver.received);
  it('of an issue once, though two trees see it, and of its end once', async () => {
    start(well);
    start(() => treeStatusOf({ id: 'b', name: 'web.2' }));
    await pauseQueue(database.knex, 'mailer', 'cli:ada');
    const [alert] = await received(1);
    assert.match(alert?.text ?? '', /^\[shop\] Queue mailer is paused .*catamount jobs resume mailer/);
    assert.equal(alert?.content, alert?.text);
    assert.deepEqual([alert?.event, alert?.level, alert?.key], ['alert', 'warn', 'paused mailer']);
    assert.equal(alert?.url, 'https://shop.example/ops');
    await resumeQueue(database.knex, 'mailer');
    const [, recovery] = await received(2);
    assert.deepEqual([recovery?.event, recovery?.key], ['recovery', 'paused mailer']);
    assert.match(recovery?.text ?? '', /^\[shop\] Over: Queue mailer is paused .*: 0 jobs wait\.$/);
    await pauseQueue(database.knex, 'default', 'cli:ada');
    await received(3);
    assert.deepEqual(
      receiver.received.map(({ event, key }) => `${event} ${key}`),
      ['alert paused mailer', 'recovery paused mailer', 'alert paused default'],
    );
    await resumeQueue(database.knex, 'default');
    await received(4);
  });

  it('not of what lasts for one look', async () => {
    let asked = 0;
    start(() => treeStatusOf(++asked === 3 ? RESTARTING : {}));
    await until('many looks', () => asked > 20);
    assert.deepEqual(receiver.received, []);
  });

  it('of the same issue by each tree whose own it is', async () => {
    for (const name of ['web.1', 'web.2']) start(() => treeStatusOf({ id: name, name, place: name, ...RESTARTING }));
    await received(2);
    assert.deepEqual(receiver.received.map(({ tree, key }) => `${tree}: ${key}`).sort(), [
      'web.1: web.1 restarts 0',
      'web.2: web.2 restarts 0',
    ]);
  });

  it('of the end of what another process of the tree has told', async () => {
    let status = treeStatusOf(RESTARTING);
    const first = start(() => status);
    await received(1);
    await first.stop(Deadline.after(5000));
    status = well();
    start(() => status);
    const [, recovery] = await received(2);
    assert.match(recovery?.text ?? '', /^\[shop\] Over: Worker 0 restarts, try \d+\.$/);
  });

  it('later, where the webhook fails at first; neither the log nor the error has its secret', async () => {
    receiver.status = 500;
    start(() => treeStatusOf(RESTARTING));
    await until('two failures', () => failed.length >= 2);
    receiver.status = 200;
    await received(1);
    assert.match(failed[0] ?? '', /^webhook: 127\.0\.0\.1:\d+ answered 500$/);
    const told = () => postgres.query('select 1 from ops_alerts where told_at is not null');
    await until('that is recorded', async () => (await told()).length === 1);
  });

  it('by mail, at once and not by a job', async () => {
    start(() => treeStatusOf(RESTARTING), { ALERT_MAIL: 'ada@shop.example, bob@shop.example' });
    const [mail] = await until('a mail', () => sink.messages.length > 0 && sink.messages);
    assert.deepEqual(mail?.envelope, { from: 'a@shop.example', to: ['ada@shop.example', 'bob@shop.example'] });
    assert.match(mail?.subject ?? '', /^\[shop\] Worker 0 restarts/);
    assert.ok((mail?.subject ?? '').length < 120 || mail?.subject?.endsWith('…'), mail?.subject);
    assert.match(mail?.text ?? '', /https:\/\/shop\.example\/ops/);
    assert.equal(mail?.headers.get('auto-submitted'), 'auto-generated');
    assert.equal((await postgres.query('select 1 from job_queue')).length, 0);
  });

  it('while Postgres does not know what was told, and of the end', async () => {
    await postgres.query('alter table ops_alerts rename to away');
    let status = treeStatusOf(RESTARTING);
    start(() => status);
    await received(1);
    await postgres.query('alter table away rename to ops_alerts');
    status = well();
    const [, recovery] = await received(2);
    assert.equal(recovery?.event, 'recovery');
  });
});
