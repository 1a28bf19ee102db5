import type { Config } from '../../core/config';
import { errorFinding, type Finding, warningFinding } from '../../core/finding';
import type { RedisClient } from '../../core/redis';
import { answerWithin, readInfo } from '../../core/redis-script';
import { lazy } from '../../support/lazy';

/** Time limit of an answer, ms: a start does not wait for a Redis that is unavailable. */
const ANSWER_MS = 2000;
/** The oldest version: earlier ones have no RPOP that takes several hints. Valkey reports 7.2. */
const LEAST = 6.2;

export interface RedisContext {
  /** Begins the sentences: `Redis`, or with its place. */
  readonly name: string;
  readonly client: RedisClient;
  /** The fields of INFO, since managed servers forbid CONFIG GET. */
  readonly info: () => Promise<ReadonlyMap<string, string>>;
  readonly appName: string;
  readonly config: Config;
}

export function redisContext(given: Omit<RedisContext, 'info'>): RedisContext {
  return { ...given, info: lazy(async () => readInfo(await answerWithin(ANSWER_MS, given.client.info()))) };
}

export async function version({ name, info }: RedisContext): Promise<Finding[]> {
  const found = (await info()).get('redis_version') ?? '';
  // Minor versions of Redis have one digit.
  if (!(Number.parseFloat(found) < LEAST)) return [];
  return [errorFinding(`${name} is version ${found}, which cannot be used: use ${LEAST} or newer.`)];
}

/** @returns the end of the same sentence for an error of a Redis that does not know the client's first command, of 6.0. */
export function greetingFault({ message }: Error): string | undefined {
  return /unknown command .?HELLO\b/i.test(message)
    ? `is older than 6.0, since it does not know HELLO, and cannot be used: use ${LEAST} or newer.`
    : undefined;
}

export async function cluster({ name, info }: RedisContext): Promise<Finding[]> {
  if ((await info()).get('cluster_enabled') !== '1') return [];
  return [errorFinding(`${name} is in cluster mode, which cannot be used: use one without it.`)];
}

/** Reported even without a memory limit, since a later plan may have one. */
export async function eviction({ name, info }: RedisContext): Promise<Finding[]> {
  const policy = (await info()).get('maxmemory_policy');
  if (policy === undefined || policy === 'noeviction') return [];
  const what = 'deletes counts of rate limits and the charts when it is full';
  return [warningFinding(`${name} ${what} (maxmemory-policy ${policy})`, 'set it to noeviction.')];
}

/** Asks the app's trees on this Redis, each of which reports at least every ten seconds. */
export async function proxies(context: RedisContext): Promise<Finding[]> {
  // No tree runs on a Redis that is refused, and a cluster rejects keys of other nodes.
  if ([await version(context), await cluster(context)].flat().length > 0) return [];
  const { client, appName, config } = context;
  const { TreeDirectory } = await import('../../tree/tree-directory');
  const trees = (await new TreeDirectory(client).list()).map(({ treeStatus }) => treeStatus);
  const statuses = trees
    .filter(({ app }) => app === appName)
    .flatMap(({ stats }) => stats.workerStatus.map(({ lastStatus }) => lastStatus));
  const peers = new Set(statuses.flatMap((status) => status.untrustedProxy ?? []));
  if (peers.size === 0) return [];
  const from = [...peers].map((peer) => peer || 'a unix socket').join(', ');
  const trusts = 'hops' in config.trustProxy ? 'TRUST_PROXY is 0' : 'TRUST_PROXY does not name it';
  const remedy =
    'set it to the number of proxies in front, or to their addresses. If you have no proxy there, a client has forged the headers, and there is nothing to do.';
  return [warningFinding(`Headers of a proxy came from ${from}, and ${trusts}`, remedy)];
}
