import path from 'node:path';
import type { Events } from '../core/events';
import { Deadline } from '../support/deadline';
import { makeFolder, ownerToActFor, withAdvice } from './data-folder';
import type { EmbeddedServer, RunningServer } from './embedded-server';
import { FolderClaim } from './folder-claim';
import { Keeper } from './keeper';
import { PostgresServer } from './postgres-server';
import { RedisServer } from './redis-server';
import { stopServer } from './stop-server';

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
  private readonly running = new Map<EmbeddedServer, RunningServer>();
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
    const postgres = new PostgresServer(this.stateDir, actingFor);
    const redis = new RedisServer(this.stateDir, actingFor);
    const results = await Promise.allSettled([
      this.settle(postgres, needPostgres, keeper),
      this.settle(redis, needRedis, keeper),
    ]);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) {
      await this.shutDown(Deadline.after(FAILED_START_MS));
      throw failed.reason;
    }
    return {
      ...this.urlOf(postgres, (databaseUrl) => ({ databaseUrl })),
      ...this.urlOf(redis, (redisUrl) => ({ redisUrl })),
    };
  }

  /** Brings one server up; or down, when a killed run left it here and this one has its own elsewhere. */
  private async settle(server: EmbeddedServer, needed: boolean, keeper: Keeper): Promise<void> {
    const begun = performance.now();
    const watch = (pid: number) => keeper.watch(pid, server.stopSignal, server.mark);
    const found = await server.find();
    if (found) watch(found.process.pid);
    if (found && !needed) return stopServer(server, found, Deadline.after(FAILED_START_MS));
    if (!needed) return;
    const running = found ?? (await server.start(watch));
    this.running.set(server, running);
    this.options.events.emit('embedded.started', {
      server: server.name,
      pid: running.process.pid,
      adopted: running.adopted,
      durationMs: Math.round(performance.now() - begun),
    });
  }

  private urlOf(server: EmbeddedServer, as: (url: string) => EmbeddedUrls): EmbeddedUrls {
    const running = this.running.get(server);
    return running ? as(server.url(running.port)) : {};
  }

  private async stopAll(deadline: Deadline): Promise<void> {
    const start = this.starting?.catch(() => undefined) ?? Promise.resolve();
    // A start that failed has cleaned up after itself; what one that hangs has begun is left to the keeper.
    if ((await deadline.wait(start)) === 'done') await this.shutDown(deadline);
  }

  private async shutDown(deadline: Deadline): Promise<void> {
    await Promise.all(
      [...this.running].map(async ([server, running]) => {
        await stopServer(server, running, deadline);
        this.running.delete(server);
        this.options.events.emit('embedded.stopped', { server: server.name, pid: running.process.pid });
      }),
    );
    if (this.keeper) await deadline.wait(this.keeper.dismiss());
    this.claim?.release();
  }
}
