import path from 'node:path';
import type { Events } from '../core/events';
import { Deadline } from '../support/deadline';
import { makeFolder, ownerToActFor, withAdvice } from './data-folder';
import type { EmbeddedServer } from './embedded-server';
import { FolderClaim } from './folder-claim';
import { Keeper } from './keeper';
import { OwnedServer } from './owned-server';
import { PostgresServer } from './postgres-server';
import { RedisServer } from './redis-server';

export interface EmbeddedOptions {
  /** The `.catamount` folder. */
  readonly stateDir: string;
  readonly needPostgres: boolean;
  readonly needRedis: boolean;
  readonly events: Events;
  /** How long the servers outlive a killed primary, so that a quick next start finds them running. Default 10 s. */
  readonly graceMs?: number;
}

const GRACE_MS = 10_000;
/** For taking back a start of which one half failed. */
const FAILED_START_MS = 10_000;

export interface EmbeddedUrls {
  databaseUrl?: string;
  redisUrl?: string;
}

/**
 * Postgres and Redis for a developer's machine: real servers with their data under the state folder. Starts them or
 * adopts those of a killed run, and sees to it that none outlives its use. Only one may do so in a folder at a time.
 */
export class EmbeddedServers {
  readonly name = 'embedded servers';
  private readonly owned: OwnedServer[] = [];
  private claim: FolderClaim | undefined;
  private keeper: Keeper | undefined;
  private starting: Promise<EmbeddedUrls> | undefined;
  private stopping: Promise<void> | undefined;

  private readonly stateDir: string;

  constructor(private readonly options: EmbeddedOptions) {
    this.stateDir = path.resolve(options.stateDir);
  }

  /** @throws UserError when it cannot be: another run in this folder, no binary, a folder of somebody else. */
  start(): Promise<EmbeddedUrls> {
    this.starting ??= withAdvice(() => this.startAll());
    return this.starting;
  }

  /** Stops what runs, in order; at the deadline by force. */
  stop(deadline: Deadline): Promise<void> {
    this.stopping ??= this.stopAll(deadline);
    return this.stopping;
  }

  private async startAll(): Promise<EmbeddedUrls> {
    const { needPostgres, needRedis } = this.options;
    if (!needPostgres && !needRedis) return {};
    const actingFor = ownerToActFor(this.stateDir);
    makeFolder(this.stateDir, actingFor);
    this.claim = await FolderClaim.take(this.stateDir, actingFor);
    const keeper = new Keeper(this.claim, this.options.graceMs ?? GRACE_MS);
    this.keeper = keeper;
    const own = (server: EmbeddedServer) => {
      const owned = new OwnedServer(server, keeper, this.options.events);
      this.owned.push(owned);
      return owned;
    };
    const postgres = own(new PostgresServer(this.stateDir, actingFor));
    const redis = own(new RedisServer(this.stateDir, actingFor));
    const results = await Promise.allSettled([
      needPostgres ? postgres.start().then((databaseUrl) => ({ databaseUrl })) : postgres.stopUnneeded(),
      needRedis ? redis.start().then((redisUrl) => ({ redisUrl })) : redis.stopUnneeded(),
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
    // A start that failed has cleaned up after itself; what one that hangs has begun is left to the keeper.
    if ((await deadline.wait(start)) === 'done') await this.shutDown(deadline);
  }

  private async shutDown(deadline: Deadline): Promise<void> {
    await Promise.all(this.owned.map((server) => server.stop(deadline)));
    if (deadline.expired) return;
    if (this.keeper) await deadline.wait(this.keeper.dismiss());
    this.claim?.release();
  }
}
