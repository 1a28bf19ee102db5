import fs from 'node:fs';
import path from 'node:path';
import { makeDataFolder, type User } from './data-folder';
import { redisBinary } from './find-binaries';
import { newPassword, readPassword, writePassword, writePrivately } from './password';
import type { EmbeddedServer, Recorded } from './server-lifecycle';
import { type Command, redisAnswers } from './server-process';

export class RedisServer implements EmbeddedServer {
  readonly name = 'redis';
  readonly title = 'Redis';
  readonly variable = 'REDIS_URL';
  readonly stopSignal = 'TERM';
  readonly transient = /Address already in use/;
  readonly folder: string;
  /** The data folder. */
  readonly mark: string;
  private readonly recordFile: string;
  private readonly user: User | undefined;

  constructor(stateDir: string, actingFor?: User) {
    this.folder = path.join(stateDir, 'redis');
    this.mark = path.join(this.folder, 'data');
    this.recordFile = path.join(this.folder, 'redis.json');
    this.user = findOwner(this.mark) ?? actingFor;
  }

  url(port: number): string {
    return `redis://:${readPassword(this.folder)}@127.0.0.1:${port}`;
  }

  recorded(): Recorded | undefined {
    try {
      return JSON.parse(fs.readFileSync(this.recordFile, 'utf8')) as Recorded;
    } catch (error) {
      // There is no record, or a start was interrupted while writing it. In that case the keeper knows the pid.
      if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  lastPort(): number | undefined {
    return this.recorded()?.port;
  }

  record(started: Recorded): void {
    writePrivately(this.recordFile, JSON.stringify(started), this.user);
  }

  isReady({ port }: Recorded): Promise<boolean> {
    return redisAnswers(port, readPassword(this.folder));
  }

  /**
   * Runs Redis with an append-only file. A write reaches the disk within a second, and the end of the process loses nothing.
   */
  async prepare(): Promise<(port: number) => Command> {
    const { user } = this;
    const binary = await redisBinary();
    makeDataFolder(this.folder, user);
    makeDataFolder(this.mark, user);
    const password = readPassword(this.folder) ?? newPassword();
    writePassword(this.folder, password, user);
    // The password is in a file, because every user can read command lines.
    const settingsFile = path.join(this.folder, 'redis.conf');
    writePrivately(settingsFile, `requirepass ${password}\n`, user);
    const settings = {
      bind: '127.0.0.1',
      dir: this.mark,
      appendonly: 'yes',
      appendfsync: 'everysec',
      save: '',
      maxmemory: '64mb',
      'maxmemory-policy': 'noeviction',
      // The command line must stay unchanged, because it identifies this server.
      'set-proc-title': 'no',
    };
    const options = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    return (port) => ({ argv: [binary, settingsFile, '--port', String(port), ...options], user });
  }
}

/** @returns the owner of existing data if we are root, so that the data remains theirs. */
function findOwner(folder: string): User | undefined {
  if (process.getuid?.() !== 0 || !fs.existsSync(folder)) return undefined;
  const { uid, gid } = fs.statSync(folder);
  return { uid, gid };
}
