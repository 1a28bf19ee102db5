import { createClient, watchReplies } from '../internals/redis-client';
import { replaceClient } from '../internals/replaced-client';
import { toError, withTimeout } from '../support/async';
import { SilenceWatch } from '../support/progress';
import { EXIT, UserError } from './errors';
import type { RedisClient } from './redis';
import { clientUrl, redisPlace, redisTls } from './redis-url';

/** Time limit of one sentinel's answer, ms. Late ones are ignored. */
const ANSWER_MS = 1000;
const NOT_KNOWN = 'it knows no such master';

export interface ServerAddress {
  /** A name, or an address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** The sentinels of a URL, which know the master of a group of servers. */
export class Sentinels {
  private readonly hosts: readonly string[];
  private readonly master: string;

  /** @param url as `readSentinelUrl` returns it. */
  constructor(private readonly url: string) {
    const { searchParams } = new URL(url);
    this.hosts = (searchParams.get('sentinels') ?? '').split(',');
    this.master = searchParams.get('master') ?? '';
  }

  /**
   * Asks all at once; the first answer counts. One that is out of date leads to a server that takes no writes, which is left
   * again, or at worst to hints that nobody reads: jobs are in Postgres.
   * @throws UserError, exit code 78, when sentinels answer and none knows the master; Error when nobody answers.
   */
  async locate(): Promise<ServerAddress> {
    const { hosts } = this;
    const failures: string[] = [];
    const asked = hosts.map((host) =>
      this.ask(host).catch((error: unknown) => {
        failures.push(`${host}: ${toError(error).message}`);
        throw error;
      }),
    );
    const found = await Promise.any(asked).catch(() => undefined);
    if (found) return found;
    if (failures.every((text) => !text.endsWith(NOT_KNOWN)))
      throw new Error(`no sentinel answers (${failures.join('; ')})`);
    throw new UserError(
      `Redis at ${redisPlace(this.url)} cannot be found: the sentinels at ${hosts} watch no master called ${this.master}. ` +
        `Set the name after the hosts of the Redis URL to that of their "sentinel monitor".`,
      EXIT.config,
    );
  }

  /** @throws Error when it does not answer, or knows no such master. */
  private async ask(host: string): Promise<ServerAddress> {
    const client = connectionTo(this.sentinelUrl(host));
    client.on('error', () => undefined);
    const command = ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.master];
    const late = () => new Error(`no answer within ${ANSWER_MS} ms`);
    try {
      const reply: unknown = await withTimeout(
        client.connect().then(() => client.sendCommand(command)),
        ANSWER_MS,
        late,
      );
      if (!Array.isArray(reply)) throw new Error(NOT_KNOWN);
      return { host: String(reply[0]), port: Number(reply[1]) };
    } finally {
      client.destroy();
    }
  }

  private sentinelUrl(host: string): string {
    const { searchParams } = new URL(this.url);
    const url = new URL(serverUrl(this.url, readAddress(host)));
    url.username = encodeURIComponent(searchParams.get('sentinelUsername') ?? '');
    url.password = encodeURIComponent(searchParams.get('sentinelPassword') ?? '');
    url.pathname = '';
    return url.toString();
  }
}

/** @returns the URL of one server, with the login, database, TLS mode and prefix of this one. */
export function serverUrl(url: string, { host, port }: ServerAddress): string {
  const [given, parsed] = [new URL(url), new URL(clientUrl(url))];
  parsed.hostname = host.includes(':') ? `[${host}]` : host;
  parsed.port = String(port);
  for (const name of ['sslmode', 'keyPrefix']) {
    const value = given.searchParams.get(name);
    if (value !== null) parsed.searchParams.set(name, value);
  }
  return parsed.toString();
}

function connectionTo(url: string) {
  return createClient({
    url: clientUrl(url),
    RESP: 2,
    socket: { connectTimeout: ANSWER_MS, reconnectStrategy: false, ...redisTls(url) },
    commandOptions: { timeout: 0 },
  });
}

function readAddress(text: string): ServerAddress {
  const { hostname, port } = new URL(`redis://${text}`);
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}

/** The connection to a server that has owed a reply for this long is dropped, ms: sentinels name another master by then. */
const SILENCE_MS = 10_000;
/** Time limit for connecting, ms: a frozen server accepts the connection and never answers. */
const CONNECT_MS = 5000;

/**
 * Connects one `Redis` to the master that the sentinels name at the time: each connection is a client of its own, to
 * which the client that others hold delegates.
 */
export class MasterConnection {
  private readonly sentinels: Sentinels;

  /**
   * @param client the one that others hold.
   * @param create makes a client that does not reconnect.
   * @param onLost called when a connection is lost, or cannot be made.
   */
  constructor(
    private readonly url: string,
    private readonly client: RedisClient,
    private readonly create: (url: string) => RedisClient,
    private readonly onLost: (error: Error) => void,
  ) {
    this.sentinels = new Sentinels(url);
    this.watch(client);
  }

  async connect(): Promise<void> {
    const { client } = this;
    try {
      const next = this.create(serverUrl(this.url, await this.sentinels.locate()));
      // Nobody needs the events of the earlier connection.
      client.removeAllListeners().on('error', () => undefined);
      client.destroy();
      replaceClient(client, this.watch(next));
      await withTimeout(client.connect(), CONNECT_MS, () => new Error(`no answer within ${CONNECT_MS} ms`));
    } catch (error) {
      this.onLost(toError(error));
    }
  }

  private watch(client: RedisClient): RedisClient {
    client.on('terminated', (error: unknown) => this.onLost(toError(error)));
    const silence = new SilenceWatch(SILENCE_MS, this.onLost);
    silence.expectGreeting(client);
    watchReplies(client, silence.expect);
    return client;
  }
}
