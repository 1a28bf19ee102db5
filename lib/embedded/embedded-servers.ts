import path from 'node:path';
import type { Events } from '../core/events';
import { Deadline } from '../support/async';
import { makeFolder, ownerToActFor, withAdvice } from './data-folder';
import { FolderLock, Keeper } from './folder-lock';
import { PostgresServer } from './postgres-server';
import { RedisServer } from './redis-server';
import { OwnedServer } from './server-lifecycle';
import type { ServerProcess } from './server-process';

export interface EmbeddedOptions {
  /** The `.catamount` folder. */
  readonly stateDir: string;
  readonly needPostgres: boolean;
  readonly needRedis: boolean;
  readonly events: Events;
  /** How long the servers outlive a killed primary, so that a quick restart can reuse them, ms. Default 10,000. */
  readonly graceMs?: number;
  /** Connections that the tree may open. Postgres allows 20 more, and at least 60; a reused server keeps its limit. */
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
 * Postgres and Redis for a developer's machine: real servers with their data in the state folder. Starts them, or
 * reuses those of a killed run, and ensures that none keeps running unused. Only one process at a time may do so in a
 * folder.
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
    this.folderLock = await FolderLock.take(this.stateDir, actingFor);
    const keeper = new Keeper(this.folderLock, this.options.graceMs ?? GRACE_MS);
    this.keeper = keeper;
    const own = (server: EmbeddedServer) => {
      const owned = new OwnedServer(server, keeper, this.options.events);
      this.owned.push(owned);
      return owned;
    };
    const postgres = own(new PostgresServer(this.stateDir, actingFor, this.options.connections));
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

/** A running server, started now or reused. */
export interface RunningServer {
  readonly process: ServerProcess;
  readonly port: number;
  readonly reused: boolean;
}

/** One kind of server with its data in one folder. */
export interface EmbeddedServer {
  readonly name: 'postgres' | 'redis';
  readonly folder: string;
  /** The signal of a fast but orderly shutdown. */
  readonly stopSignal: 'INT' | 'TERM';
  /** An argument of its command line that no other process has. */
  readonly mark: string;
  /** Contains the password, so it must not be logged. */
  url(port: number): string;
  /**
   * @returns false if an older version started the server without a password, so that anybody on the machine can
   * connect. Such a server is not reused but restarted with a password.
   */
  hasPassword(): boolean;
  /**
   * Finds the server that a previous run left behind, and waits if it is starting or stopping.
   * @throws UserError if it runs but does not answer.
   */
  find(): Promise<RunningServer | undefined>;
  /**
   * Starts the server.
   * @param onPid called with the process id as soon as there is one.
   * @param port the only port allowed. Default: the port of the last run if it is free, else any.
   * @throws UserError if it cannot be started.
   */
  start(onPid: (pid: number) => void, port?: number): Promise<RunningServer>;
}

/**
 * Finds the servers that are running in a state folder, whoever started them. A server that is not running is left out,
 * and nothing is started.
 * @throws UserError for one that runs but does not answer, or whose files this user may not read.
 */
export function findRunningServers(stateDir: string): Promise<EmbeddedUrls> {
  const folder = path.resolve(stateDir);
  const urlOf = async (server: EmbeddedServer) => {
    const found = await server.find();
    return found && server.url(found.port);
  };
  return withAdvice(async () => {
    const urls = [new PostgresServer(folder), new RedisServer(folder)].map(urlOf);
    const [databaseUrl, redisUrl] = await Promise.all(urls);
    return { ...(databaseUrl !== undefined && { databaseUrl }), ...(redisUrl !== undefined && { redisUrl }) };
  });
}
