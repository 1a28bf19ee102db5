import type { Knex } from 'knex';
import type { TreeStatus } from '../../cluster/status';
import { environment } from '../../core/config';
import { Events } from '../../core/events';
import { Redis } from '../../core/redis';
import { readSettings } from '../../core/settings';
import { bySeverity, treeIssues } from '../../health/issues';
import { findTransit, type Judgement, judge } from '../../health/judge';
import { StatusCollector, type SystemStatus, valueIn } from '../../health/status-collector';
import type { QueueStatus } from '../../job/row/queue-status';
import { countSet } from '../../job/sets/set-reader';
import { Database } from '../../model/database';
import { issueLine, judgementTitle } from '../../ops/overview/issue-lines';
import { progressText } from '../../ops/overview/processor-card';
import { Formatter } from '../../ops/ui/format';
import { pageTexts, TEXTS } from '../../ops/ui/texts';
import { resolvedUrls } from '../../role/connect/server-connections';
import { Deadline, toError } from '../../support/async';
import { type Line, line } from './view';

/** What has been read from Redis and Postgres. Values that could not be read are undefined. */
export interface Stores {
  readonly queues: readonly QueueStatus[] | undefined;
  readonly retry: number | undefined;
  readonly scheduled: number | undefined;
  readonly dead: number | undefined;
  /** undefined if neither Redis nor Postgres could be reached. */
  readonly systemStatus: SystemStatus | undefined;
  /** Why values are missing. */
  readonly trouble: string | undefined;
}

export const NO_STORES: Stores = {
  queues: undefined,
  retry: undefined,
  scheduled: undefined,
  dead: undefined,
  systemStatus: undefined,
  trouble: undefined,
};

const STOP_MS = 1000;
/** A read of Postgres fails after this, ms, so that the only connection does not wait forever. */
const STATEMENT_TIMEOUT_MS = 5000;
/** Timeout for the first connection to Redis, ms. */
const READY_MS = 3000;

interface Connections {
  readonly redis: Redis;
  readonly database: Database;
  /** With a time limit. */
  readonly knex: Knex;
  readonly statusCollector: StatusCollector;
}

/**
 * Reads queues and job sets, using the settings of the current shell or the embedded servers in the tree's folder.
 */
export class StoreReader {
  private connecting: Promise<Connections> | undefined;

  /** @param cwd the tree's folder. @param status returns the latest status of the tree. */
  constructor(
    private readonly cwd: string,
    private readonly status: () => Promise<TreeStatus>,
  ) {}

  /** Reads everything once. Never rejects: failures are reported in `trouble`. */
  async read(): Promise<Stores> {
    try {
      this.connecting ??= connect(this.cwd, this.status);
      return await readAll(await this.connecting);
    } catch (thrown) {
      this.connecting = undefined;
      const [first = '', second = ''] = toError(thrown).message.split('\n');
      return { ...NO_STORES, trouble: `${first} ${second.trim()}`.trim() };
    }
  }

  async stop(): Promise<void> {
    const connections = await this.connecting?.catch(() => undefined);
    const deadline = Deadline.after(STOP_MS);
    await Promise.allSettled([connections?.redis.stop(deadline), connections?.database.stop(deadline)]);
  }
}

async function connect(cwd: string, status: () => Promise<TreeStatus>): Promise<Connections> {
  const config = readSettings({ env: environment(), cwd });
  const urls = await resolvedUrls(config);
  const events = new Events();
  const production = config.environment === 'production';
  const redis = new Redis(urls.redis, events);
  const database = new Database(urls.database, { production, events, poolMax: 1, schema: config.databaseSchema });
  const ready = events.next('redis.ready');
  await redis.start();
  // If this is not long enough, the client keeps trying by itself.
  if (!redis.isOff) await Deadline.after(READY_MS).wait(ready);
  const knex = database.withTimeout(STATEMENT_TIMEOUT_MS);
  return {
    redis,
    database,
    knex,
    statusCollector: new StatusCollector({ tree: { status }, redis, knex, events, config }),
  };
}

async function readAll({ knex, statusCollector }: Connections): Promise<Stores> {
  const systemStatus = await statusCollector.collect();
  const queues = valueIn(systemStatus.queues);
  if (!queues) return { ...NO_STORES, systemStatus, trouble: 'Postgres does not answer' };
  const [retry, scheduled, dead] = await Promise.all(
    (['retry', 'scheduled', 'dead'] as const).map((set) => countSet(knex, set).catch(() => undefined)),
  );
  return { queues, retry, scheduled, dead, systemStatus, trouble: undefined };
}

const texts = pageTexts(TEXTS).in('en');

/**
 * The health of the tree in lines, with the same judgement and format as the overview page.
 * @param systemStatus undefined if Redis and Postgres could not be reached. @param most the maximum number of problems.
 */
export function judgementLines(
  systemStatus: SystemStatus | undefined,
  treeStatus: TreeStatus,
  now: Date,
  most = Number.POSITIVE_INFINITY,
): Line[] {
  const format = new Formatter(texts, now);
  const judgement = readJudgement(systemStatus, treeStatus);
  const { level, issues, transit } = judgement;
  const title = judgementTitle(judgement, format);
  if (issues.length === 0) return [line(transit ? `~ ${title}.` : `${title}.`, transit ? 'warn' : 'faint')];
  const shown = issues.length > most ? issues.slice(0, Math.max(0, most - 1)) : issues;
  const hidden = issues.length - shown.length;
  return [
    line(`! ${title}:`, level === 'bad' ? 'bad' : 'warn'),
    ...shown.map((issue) => line(`  ${issueLine(issue, format)}`, issue.level)),
    ...(hidden > 0 ? [line(`  … ${hidden} more`, 'warn')] : []),
  ];
}

/** @returns when each part of the tree's jobs last made progress, in one line as on the overview page; '' without any. */
export function progressLine(treeStatus: TreeStatus, now: Date): string {
  return progressText(treeStatus, new Formatter(texts, now));
}

/** Judges the given tree status, which may be newer than the one in `systemStatus`. */
export function readJudgement(
  systemStatus: SystemStatus | undefined,
  treeStatus: TreeStatus,
): Pick<Judgement, 'level' | 'issues' | 'transit'> {
  if (systemStatus) {
    const own = { ok: true, value: treeStatus, tookMs: 0 } as const;
    return judge({ ...systemStatus, own }, null, treeStatus.limits.latencyWarningMs);
  }
  const issues = bySeverity(treeIssues(treeStatus));
  return { level: issues[0]?.level ?? 'busy', issues, transit: findTransit(treeStatus, undefined) };
}
