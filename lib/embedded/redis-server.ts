import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { UserError } from '../core/errors';
import { Deadline } from '../support/async';
import { makeDataFolder, type User } from './data-folder';
import type { EmbeddedServer, RunningServer } from './embedded-servers';
import { redisBinary } from './find-binaries';
import { newPassword, readPassword, writePassword, writePrivately } from './password';
import { poll, StartError, startServer } from './server-lifecycle';
import { freePort, hasArgument, isAlive, redisAnswers } from './server-process';

interface Recorded {
  readonly pid: number;
  readonly port: number;
}

/** Timeout for a server that is loading its data or stopping, ms. */
const SETTLE_MS = 15_000;
const MAX_TRIES = 4;
const AGAIN_MS = 100;

export class RedisServer implements EmbeddedServer {
  readonly name = 'redis';
  readonly stopSignal = 'TERM';
  readonly folder: string;
  /** The data folder. */
  readonly mark: string;
  private readonly recordFile: string;
  private readonly settingsFile: string;

  constructor(
    stateDir: string,
    private readonly actingFor?: User,
  ) {
    this.folder = path.join(stateDir, 'redis');
    this.mark = path.join(this.folder, 'data');
    this.recordFile = path.join(this.folder, 'redis.json');
    this.settingsFile = path.join(this.folder, 'redis.conf');
  }

  url(port: number): string {
    const password = readPassword(this.folder);
    return `redis://${password === undefined ? '' : `:${password}@`}127.0.0.1:${port}`;
  }

  hasPassword(): boolean {
    return readPassword(this.folder) !== undefined;
  }

  async find(): Promise<RunningServer | undefined> {
    const { pid, port } = this.recorded() ?? { pid: 0, port: 0 };
    if (!isAlive(pid) || !(await hasArgument(pid, this.mark))) return undefined;
    const process = { pid, gone: () => !isAlive(pid) };
    const settled = await poll(
      async () => process.gone() || (await redisAnswers(port, readPassword(this.folder))),
      Deadline.after(SETTLE_MS),
    );
    if (process.gone()) return undefined;
    if (settled) return { process, port, reused: true };
    throw new UserError(
      `The embedded Redis, pid ${pid}, does not answer on port ${port}. ` +
        `If this persists, stop it (kill ${pid}), then start again.`,
    );
  }

  async start(onPid: (pid: number) => void, port?: number): Promise<RunningServer> {
    const binary = await redisBinary();
    const user = this.userOfData() ?? this.actingFor;
    makeDataFolder(this.folder, user);
    makeDataFolder(this.mark, user);
    const password = readPassword(this.folder) ?? newPassword();
    writePassword(this.folder, password, user);
    // The password is in a file, because every user can read command lines.
    writePrivately(this.settingsFile, `requirepass ${password}\n`, user);
    for (let attempt = 1; ; attempt++) {
      try {
        const chosen = port ?? (await freePort(attempt === 1 ? this.recorded()?.port : undefined));
        return await this.startOn(chosen, binary, user, onPid);
      } catch (error) {
        if (attempt === MAX_TRIES || !(error instanceof StartError && /Address already in use/.test(error.log)))
          throw error;
        await wait(AGAIN_MS);
      }
    }
  }

  /**
   * Starts Redis with an append-only file: a write reaches the disk within a second, and the end of the process loses
   * nothing.
   */
  private async startOn(
    port: number,
    binary: string,
    user: User | undefined,
    onPid: (pid: number) => void,
  ): Promise<RunningServer> {
    const settings = {
      bind: '127.0.0.1',
      port: String(port),
      dir: this.mark,
      appendonly: 'yes',
      appendfsync: 'everysec',
      save: '',
      maxmemory: '64mb',
      'maxmemory-policy': 'noeviction',
      // The command line must stay unchanged, because it identifies this server.
      'set-proc-title': 'no',
    };
    const argv = [
      binary,
      this.settingsFile,
      ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    ];
    const process = await startServer({
      name: 'Redis',
      variable: 'REDIS_URL',
      command: { argv, user },
      logFile: path.join(this.folder, 'redis.log'),
      onPid: (pid) => {
        fs.writeFileSync(this.recordFile, JSON.stringify({ pid, port } satisfies Recorded));
        if (user) fs.chownSync(this.recordFile, user.uid, user.gid);
        onPid(pid);
      },
      ready: () => redisAnswers(port, readPassword(this.folder)),
    });
    return { process, port, reused: false };
  }

  private recorded(): Recorded | undefined {
    try {
      return JSON.parse(fs.readFileSync(this.recordFile, 'utf8')) as Recorded;
    } catch (error) {
      // There is no record, or a start was interrupted while writing it. In that case the keeper knows the pid.
      if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** @returns the owner of existing data if we are root, so that the data remains theirs. */
  private userOfData(): User | undefined {
    if (process.getuid?.() !== 0 || !fs.existsSync(this.mark)) return undefined;
    const { uid, gid } = fs.statSync(this.mark);
    return { uid, gid };
  }
}
