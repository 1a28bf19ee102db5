import { createClient, watchReplies } from '../internals/redis-client';
import { replaceClient } from '../internals/replaced-client';
import { toError, withTimeout } from '../support/async';
import { SilenceWatch } from '../support/progress';
import { EXIT, UserError } from './errors';
import type { RedisClient } from './redis';
import { readInfo } from './redis-script';
import { clientUrl, isSentinelUrl, keyPrefixOf, redisPlace, redisTls } from './redis-url';

/** Time limit of one sentinel's or node's answer, ms. Late ones are ignored. */
const ANSWER_MS = 1000;
/** Maximum number of a cluster's nodes that are asked at once; a large cluster has more. */
const MAX_ASKED = 5;

export interface ServerAddress {
  /** A name, or an address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** The answer of one sentinel or node. */
interface Answer {
  /** undefined: it knows no such server. */
  readonly address: ServerAddress | undefined;
  /** Of two answers the one with the higher epoch is newer. */
  readonly epoch: number;
}

type Asked = ReturnType<typeof connectionTo>;

/**
 * Finds the server that has an app's keys, where the URL names only servers that know it: sentinels, or a node of a
 * cluster. The lookup precedes each connection; connections that a process makes at the same time share one.
 */
export abstract class RedisRoute {
  private locating: Promise<ServerAddress> | undefined;

  constructor(protected readonly url: string) {}

  /**
   * Asks several at once and waits for the majority of them, at most a second. The newest answer counts: a sentinel that
   * was cut off from the others may still name the old master.
   * @throws UserError, exit code 78, when sentinels answer and none knows the master; Error when nobody answers.
   */
  locate(): Promise<ServerAddress> {
    this.locating ??= this.find().finally(() => {
      this.locating = undefined;
    });
    return this.locating;
  }

  /** Call with a rejection: it may name the server to use, as MOVED does. */
  follow(_message: string): void {}

  protected abstract readonly kind: string;
  protected abstract asked(): readonly ServerAddress[];
  protected abstract ask(client: Asked, at: ServerAddress): Promise<Answer>;
  protected abstract unknown(): Error;
  /** The URL with the login for the servers that are asked. */
  protected abstract loginOf(url: URL): URL;

  protected async find(): Promise<ServerAddress> {
    const asked = this.asked();
    const answers: Answer[] = [];
    const failures: string[] = [];
    await new Promise<void>((resolve) => {
      for (const at of asked) {
        const settle = () => {
          if (answers.length > asked.length / 2 || answers.length + failures.length === asked.length) resolve();
        };
        this.answerOf(at)
          .then((answer) => answers.push(answer))
          .catch((error: unknown) => failures.push(`${addressText(at)}: ${toError(error).message}`))
          .finally(settle);
      }
    });
    const newest = newestOf(answers);
    if (newest) return newest;
    if (answers.length > 0) throw this.unknown();
    throw new Error(`no ${this.kind} answers (${failures.join('; ')})`);
  }

  private async answerOf(at: ServerAddress): Promise<Answer> {
    const client = connectionTo(this.loginOf(new URL(serverUrl(this.url, at))).toString());
    client.on('error', () => undefined);
    const late = () => new Error(`no answer within ${ANSWER_MS} ms`);
    try {
      return await withTimeout(
        client.connect().then(() => this.ask(client, at)),
        ANSWER_MS,
        late,
      );
    } finally {
      client.destroy();
    }
  }
}

/** The master of a group of servers that sentinels watch. */
export class SentinelRoute extends RedisRoute {
  protected readonly kind = 'sentinel';
  private readonly master: string;

  constructor(url: string) {
    super(url);
    this.master = new URL(url).searchParams.get('master') ?? '';
  }

  protected asked(): readonly ServerAddress[] {
    return (new URL(this.url).searchParams.get('sentinels') ?? '').split(',').map(readAddress);
  }

  protected loginOf(url: URL): URL {
    const { searchParams } = new URL(this.url);
    url.username = encodeURIComponent(searchParams.get('sentinelUsername') ?? '');
    url.password = encodeURIComponent(searchParams.get('sentinelPassword') ?? '');
    url.pathname = '';
    return url;
  }

  protected async ask(client: Asked): Promise<Answer> {
    const [address, facts] = await Promise.all([
      client.sendCommand(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.master]) as Promise<unknown>,
      // Where this command is forbidden, the sentinel's answer counts with epoch 0.
      client.sendCommand(['SENTINEL', 'MASTER', this.master]).catch(() => []) as Promise<unknown>,
    ]);
    const fields = texts(facts);
    const epoch = Number(fields[fields.indexOf('config-epoch') + 1] ?? 0) || 0;
    const [host, port] = texts(address);
    return { address: host === undefined ? undefined : { host, port: Number(port) }, epoch };
  }

  protected unknown(): UserError {
    const { searchParams } = new URL(this.url);
    return new UserError(
      `Redis at ${redisPlace(this.url)} cannot be found: the sentinels at ${searchParams.get('sentinels')} watch no master ` +
        `called ${this.master}. Set the name after the hosts of the Redis URL to that of their "sentinel monitor".`,
      EXIT.config,
    );
  }
}

/** The node of a cluster that has the slot of an app's prefix. */
export class ClusterRoute extends RedisRoute {
  protected readonly kind = 'node of the cluster';
  private nodes: readonly ServerAddress[] = [];
  private moved: ServerAddress | undefined;

  /** @param message `MOVED 7 host:port`: the next connection is made to that node. */
  override follow(message: string): void {
    const [, address] = /MOVED \d+ (\S+:\d+)/.exec(message) ?? [];
    if (address !== undefined) this.moved = this.fromNode(readAddress(address), readAddress(new URL(this.url).host));
  }

  protected override async find(): Promise<ServerAddress> {
    const { moved } = this;
    this.moved = undefined;
    return moved ?? super.find();
  }

  protected asked(): readonly ServerAddress[] {
    const given = readAddress(new URL(this.url).host);
    const others = this.nodes.filter((node) => addressText(node) !== addressText(given));
    return [given, ...others.sort(() => Math.random() - 0.5).slice(0, MAX_ASKED - 1)];
  }

  protected loginOf(url: URL): URL {
    return url;
  }

  protected async ask(client: Asked, at: ServerAddress): Promise<Answer> {
    const [slot, ranges] = (await Promise.all([
      client.sendCommand(['CLUSTER', 'KEYSLOT', keyPrefixOf(this.url)]),
      client.sendCommand(['CLUSTER', 'SLOTS']),
    ])) as unknown as [number, [first: number, last: number, ...nodes: [host: string | null, port: number][]][]];
    const known = ranges.flatMap(([, , ...nodes]) => nodes.map(([host, port]) => this.fromNode({ host, port }, at)));
    if (known.length > 0) this.nodes = [...new Map(known.map((node) => [addressText(node), node])).values()];
    const [, , owner] = ranges.find(([first, last]) => slot >= first && slot <= last) ?? [];
    return { address: owner && this.fromNode({ host: owner[0], port: owner[1] }, at), epoch: 0 };
  }

  protected unknown(): Error {
    return new Error(`no node of the cluster at ${redisPlace(this.url)} has the keys of ${keyPrefixOf(this.url)}`);
  }

  /** A node that does not know its own host name has the one by which it was asked. */
  private fromNode({ host, port }: { readonly host: string | null; readonly port: number }, at: ServerAddress) {
    return { host: host || at.host, port };
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

/** The address that most of the newest answers name. */
function newestOf(answers: readonly Answer[]): ServerAddress | undefined {
  const known = answers.flatMap(({ address, epoch }) => (address ? [{ address, epoch }] : []));
  const newest = known.filter(({ epoch }) => epoch === Math.max(...known.map((answer) => answer.epoch)));
  const votes = (wanted: ServerAddress) =>
    newest.filter(({ address }) => addressText(address) === addressText(wanted)).length;
  return newest.sort((a, b) => votes(b.address) - votes(a.address))[0]?.address;
}

function readAddress(text: string): ServerAddress {
  const { hostname, port } = new URL(`redis://${text}`);
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port || 6379) };
}

function addressText({ host, port }: ServerAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function texts(reply: unknown): readonly string[] {
  return Array.isArray(reply) ? reply.map(String) : [];
}

const routes = new Map<string, RedisRoute>();

/** @returns the route of a URL of sentinels, or of a cluster once this process has found that it is one. */
export function routeOf(url: string): RedisRoute | undefined {
  if (isSentinelUrl(url) && !routes.has(url)) routes.set(url, new SentinelRoute(url));
  return routes.get(url);
}

/** @returns a function that locates the server of this URL, or returns undefined where the URL leads to it. */
export function locatorOf(url: string): () => Promise<ServerAddress> | undefined {
  return () => routeOf(url)?.locate();
}

/** The connection to a server that has owed a reply for this long is dropped, ms: sentinels name another master by then. */
const SILENCE_MS = 10_000;
/** Time limit for connecting, ms: a frozen server accepts the connection and never answers. */
const CONNECT_MS = 5000;

/**
 * Makes the connections of one `Redis` by a route: each is a client of its own, to which the client that others hold
 * delegates.
 */
export class RedisRouter {
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
    this.watch(client);
  }

  get route(): RedisRoute | undefined {
    return routeOf(this.url);
  }

  async connect(): Promise<void> {
    const { client, route, onLost } = this;
    if (!route) return void (await client.connect());
    try {
      const next = this.create(serverUrl(this.url, await route.locate()));
      // Nobody needs the events of the earlier connection.
      client.removeAllListeners().on('error', () => undefined);
      client.destroy();
      replaceClient(client, this.watch(next));
      await withTimeout(client.connect(), CONNECT_MS, () => new Error(`no answer within ${CONNECT_MS} ms`));
    } catch (error) {
      onLost(toError(error));
    }
  }

  /**
   * In a cluster the slot of an app's prefix may be moved, so the nodes are asked from the first connection on.
   * @returns true when connections are made by a route.
   */
  async isRoute(): Promise<boolean> {
    const { client, route, url } = this;
    if (route) return true;
    const info = readInfo(await client.info('cluster').catch(() => ''));
    if (info.get('cluster_enabled') !== '1') return false;
    const cluster = new ClusterRoute(url);
    routes.set(url, cluster);
    // Learns the other nodes now, in case this one becomes unavailable.
    await cluster.locate().catch(() => undefined);
    return true;
  }

  /** @returns true when the error only names the node to use: no server is unavailable then. */
  follows({ message }: Error): boolean {
    this.route?.follow(message);
    return message.includes('MOVED ') && keyPrefixOf(this.url) !== '';
  }

  private watch(client: RedisClient): RedisClient {
    client.on('terminated', (error: unknown) => this.onLost(toError(error)));
    const silence = new SilenceWatch(SILENCE_MS, this.onLost);
    silence.expectGreeting(client);
    watchReplies(client, silence.expect);
    return client;
  }
}
