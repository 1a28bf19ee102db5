import dgram from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { Knex } from 'knex';
import type { Tree } from '../../cluster/status';
import type { Config } from '../../core/config';
import type { Events } from '../../core/events';
import type { Redis } from '../../core/redis';
import { StatusCollector } from '../../health/status-collector';
import type { Database } from '../../model/database';
import type { Deadline } from '../../support/deadline';
import { PeriodicTask } from '../../support/periodic-task';
import type { Service } from '../../support/service';
import type { Family } from './exposition';
import { FAMILIES, read, type Scrape } from './scrape';

const EVERY_MS = 10_000;
/** Maximum size of a packet, bytes: no network splits it. */
const PACKET = 1400;
/** A read of Postgres fails after this, ms: it must not hold a connection that requests need. */
const STATEMENT_TIMEOUT_MS = 1500;

export interface StatsdOptions {
  readonly app: { readonly name: string };
  readonly config: Config;
  readonly tree: Tree;
  readonly redis: Redis;
  readonly database: Pick<Database, 'withTimeout'>;
  readonly events: Events;
  /** Interval of the packets, ms. Default 10,000. */
  readonly everyMs?: number;
}

/**
 * Sends the figures of /ops/metrics to STATSD_URL, with the tags of DogStatsD: gauges as they are, of counters and histograms
 * what has been added since the last time. Nothing waits for the packets, and those that are lost are not sent again.
 */
export class Statsd implements Service {
  readonly name = 'StatsD';
  private readonly task: PeriodicTask;
  private readonly collector: StatusCollector;
  private readonly knex: Knex;
  private readonly socket: dgram.Socket;
  private readonly server: Pick<URL, 'hostname' | 'port'>;
  private readonly counts = new Map<string, number>();
  /** false: there is nothing yet to compare with, so that a count may have begun before this process. */
  private isKnown = false;

  constructor(private readonly options: StatsdOptions) {
    const { config, database, events, everyMs = EVERY_MS } = options;
    this.knex = database.withTimeout(STATEMENT_TIMEOUT_MS);
    this.collector = new StatusCollector({ ...options, knex: this.knex, probes: { freshMs: 0 } });
    const { hostname, port } = new URL(config.statsdUrl ?? '');
    this.server = { hostname: hostname.replace(/^\[|\]$/g, ''), port };
    this.socket = dgram.createSocket(isIPv6(this.server.hostname) ? 'udp6' : 'udp4').unref();
    const onError = ({ message }: Error) =>
      events.emit('process.warning', { message: `no metrics are sent to STATSD_URL: ${message}` });
    this.task = new PeriodicTask({ everyMs, work: () => this.flush(), onError });
  }

  /** Does nothing, since a process sends only once it has been appointed. */
  async start(): Promise<void> {}

  /** @param on false: another process of the tree sends from now on. */
  appoint(on: boolean): void {
    if (this.task.stopped) this.isKnown = false;
    if (on) this.task.start();
    else void this.task.stop();
  }

  async stop(deadline: Deadline): Promise<void> {
    await deadline.wait(this.task.stop());
    this.socket.close();
  }

  private async flush(): Promise<undefined> {
    const { config } = this.options;
    const scrape = await read({ config, knex: this.knex, statusCollector: this.collector });
    const lines = FAMILIES.flatMap((family) => this.linesOf(family, scrape));
    this.isKnown ||= scrape.missing === 0;
    for (let packet = ''; lines.length > 0; packet = '') {
      do packet += `${lines.shift()}\n`;
      while (Buffer.byteLength(packet + lines[0]) < PACKET && lines.length > 0);
      await new Promise<void>((resolve, reject) => {
        const { hostname, port } = this.server;
        this.socket.send(packet, Number(port), hostname, (error) => (error ? reject(error) : resolve()));
      });
    }
  }

  private linesOf(family: Family, scrape: Scrape): string[] {
    const { name, shared } = family;
    const whose = { app: this.options.app.name, ...(!shared && { tree: scrape.treeName }) };
    const line = (labels: Readonly<Record<string, string>> = {}, metric: string, value: string) => {
      const tags = Object.entries({ ...whose, ...labels }).map(
        ([tag, text]) => `${tag}:${text.replace(/[,|\s]/g, '_')}`,
      );
      return `${metric}:${value}|#${tags.join()}`;
    };
    const lines =
      family.type === 'histogram'
        ? family.read(scrape).flatMap(({ labels, boundsMs, buckets }) =>
            // One line stands for all of a bucket, by its rate of sampling.
            buckets.counts.flatMap((count, i) => {
              const added = this.added(`${name} ${JSON.stringify(labels)} ${i}`, count);
              const ms = boundsMs[i] ?? boundsMs.at(-1);
              return added > 0 ? line(labels, name.replace(/_seconds$/, ''), `${ms}|ms|@${1 / added}`) : [];
            }),
          )
        : family.read(scrape).flatMap(({ labels, value }) => {
            if (family.type === 'gauge') return line(labels, name, `${value}|g`);
            const added = this.added(`${name} ${JSON.stringify(labels)}`, value);
            return added > 0 ? line(labels, name, `${Number(added.toPrecision(12))}|c`) : [];
          });
    return shared && !scrape.tellsShared ? [] : lines;
  }

  private added(series: string, count: number): number {
    const before = this.counts.get(series) ?? (this.isKnown ? 0 : count);
    this.counts.set(series, count);
    return count - before;
  }
}
