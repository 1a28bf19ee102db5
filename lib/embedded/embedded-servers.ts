import path from 'node:path';
import type { Events } from '../core/events';
import { Deadline } from '../support/deadline';
import { makeFolder, ownerToActFor, withAdvice } from './data-folder';
import { FolderLock } from './folder-lock';
import { Keeper } from './keeper';
import { PostgresServer } from './postgres-server';
import { RedisServer } from './redis-server';
import { type EmbeddedServer, findServer, OwnedServer } from './server-lifecycle';

export interface EmbeddedOptions {
  /** The `.catamount` folder. */
  readonly stateDir: string;
  readonly needPostgres: boolean;
  readonly needRedis: boolean;
  readonly events: Events;
  /** How long the servers outlive a killed primary, whose children finish what they have, ms. Default 10,000. */
  readonly graceMs?: number;
  /** Connections that the tree may open. Postgres allows 20 more, and at least 60. */
  readonly connections?: number;
}

const GRACE_MS = 10_000;
/** Timeout for stopping the other server when one has failed to start, ms. */
const FAILED_START_MS = 10_000;

export interface EmbeddedUrls {
  databaseUrl?: string;
  redisUrl?: string;
}

/**
 * Postgres and Redis for a developer's machine: real servers with their data in the state folder. It stops those of a killed
 * run, starts new ones, and ensures that none keeps running unused. Only one process at a time may do so in a folder.
 */
export class EmbeddedServers {
  readonly name = 'embedded servers';
  private readonly owned: OwnedServer[] = [];
  private folderLock: FolderLock | undefined;
  private keeper: Keeper | undefined;
  private starting: Promise<EmbeddedUrls> | undefined;
  private stopping: Promise<void> | undefined;

  private readonly stateDir: string;

  constructor(private readonly options: EmbeddedOptions) {
    this.stateDir = path.resolve(options.stateDir);
  }

  /** @throws UserError if another run uses the folder, a binary is missing, or the folder belongs to another user. */
  start(): Promise<EmbeddedUrls> {
    this.starting ??= withAdvice(() => this.startAll());
    return this.starting;
  }

  /** Shuts the servers down, and kills those that are still running shortly before the deadline. */
  stop(deadline: Deadline): Promise<void> {
    this.stopping ??= this.stopAll(deadline);
    return this.stopping;
  }

  private async startAll(): Promise<EmbeddedUrls> {
    const { needPostgres, needRedis } = this.options;
    if (!needPostgres && !needRedis) return {};
    const actingFor = ownerToActFor(this.stateDir);
    makeFolder(this.stateDir, actingFor);
    this.folderLock = await FolderLock.take(this.stateDir);
    const keeper = new Keeper(this.stateDir, this.options.graceMs ?? GRACE_MS);
    this.keeper = keeper;
    const own = (server: EmbeddedServer) => {
      const owned = new OwnedServer(server, keeper, this.options.events);
      this.owned.push(owned);
      return owned;
    };
    const postgres = own(new PostgresServer(this.stateDir, actingFor, this.options.connections));
    const redis = own(new RedisServer(this.stateDir, actingFor));
    const results = await Promise.allSettled([
      needPostgres ? postgres.start().then((databaseUrl) => ({ databaseUrl })) : postgres.stopLeftOver(),
      needRedis ? redis.start().then((redisUrl) => ({ redisUrl })) : redis.stopLeftOver(),
    ]);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) {
      await this.shutDown(Deadline.after(FAILED_START_MS));
      throw failed.reason;
    }
    return Object.assign({}, ...results.map((result) => (result.status === 'fulfilled' ? result.value : {})));
  }

  private async stopAll(deadline: Deadline): Promise<void> {
    const start = this.starting?.catch(() => undefined) ?? Promise.resolve();
    // A failed start has already cleaned up. If the start hangs, its servers are left to the keeper.
    if ((await deadline.wait(start)) === 'done') await this.shutDown(deadline);
  }

  private async shutDown(deadline: Deadline): Promise<void> {
    await Promise.all(this.owned.map((server) => server.stop(deadline)));
    if (deadline.expired) return;
    if (this.keeper) await deadline.wait(this.keeper.dismiss());
    this.folderLock?.release();
  }
}

/**
 * Finds the servers that are running in a state folder, whoever started them. A server that is not running is left out,
 * and nothing is started.
 * @throws UserError for one that runs but does not answer, or whose files this user may not read.
 */
export function findRunningServers(stateDir: string): Promise<EmbeddedUrls> {
  const folder = path.resolve(stateDir);
  const findUrl = async (server: EmbeddedServer) => {
    const found = await findServer(server);
    return found && server.url(found.port);
  };
  return withAdvice(async () => {
    const urls = [new PostgresServer(folder), new RedisServer(folder)].map(findUrl);
    const [databaseUrl, redisUrl] = await Promise.all(urls);
    return { ...(databaseUrl !== undefined && { databaseUrl }), ...(redisUrl !== undefined && { redisUrl }) };
  });
}
