import { createHash } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';

/** What npm reads of a package before it installs it, as registries and lock files have it. */
interface Version {
  readonly version: string;
  readonly name?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly bundledDependencies?: readonly string[];
  /** The same, as registries call it. */
  readonly bundleDependencies?: readonly string[];
  readonly dist?: { readonly tarball: string; readonly integrity: string };
}

const UPSTREAM = 'https://registry.npmjs.org';

/**
 * A registry that has the packages of this checkout's lock file, in those versions only, and one tarball of ours. So npm
 * finds what a stranger's npm would find, without a lock and without the network: the files themselves are in npm's cache,
 * by their checksums, since `npm ci` has installed this checkout. What is not there is asked of npm's own registry.
 */
export class LocalRegistry {
  private readonly packages = new Map<string, Map<string, Version>>();
  private readonly server = http.createServer((request, response) => this.answer(request.url ?? '', response));

  private constructor(
    private readonly tarball: Buffer,
    /** A folder for npm's cache, in which only the files are shared with the user's: npx keeps what it installs there. */
    private readonly cache: string,
  ) {}

  /**
   * @param tarball of our package. @param manifest its package.json, parsed. @param folder in which npm's cache is made.
   * @param root of the checkout.
   */
  static async start(tarball: string, manifest: Version, folder: string, root: string): Promise<LocalRegistry> {
    const cache = path.join(folder, 'npm-cache');
    const shared = path.join(process.env.npm_config_cache ?? path.join(os.homedir(), '.npm'), '_cacache');
    fs.mkdirSync(cache);
    if (fs.existsSync(shared)) fs.symlinkSync(shared, path.join(cache, '_cacache'));
    const registry = new LocalRegistry(fs.readFileSync(tarball), cache);
    registry.server.listen(0, '127.0.0.1');
    await once(registry.server, 'listening');
    const { packages } = JSON.parse(fs.readFileSync(path.join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, Version>;
    };
    for (const [place, entry] of Object.entries(packages)) registry.add(place, entry);
    const integrity = `sha512-${createHash('sha512').update(registry.tarball).digest('base64')}`;
    const { bundledDependencies: bundleDependencies = [] } = manifest;
    const dist = { tarball: `${registry.url}/catamount.tgz`, integrity };
    registry.set('catamount', { ...manifest, bundleDependencies, dist });
    return registry;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** For npm and npx. */
  get env(): Readonly<Record<string, string>> {
    return { npm_config_registry: this.url, npm_config_cache: this.cache, npm_config_prefer_offline: 'true' };
  }

  async stop(): Promise<void> {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
  }

  /** Of a package that stands in several places, such as one and an older one below another, all versions are there. */
  private add(place: string, entry: Version): void {
    const [, installed] = /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)$/.exec(place) ?? [];
    const { integrity, link, ...rest } = entry;
    const name = entry.name ?? installed;
    if (name === undefined || integrity === undefined || link === true) return;
    const file = `${name.split('/').at(-1)}-${entry.version}.tgz`;
    this.set(name, { ...rest, dist: { tarball: `${UPSTREAM}/${name}/-/${file}`, integrity } });
  }

  private set(name: string, entry: Version): void {
    const versions = this.packages.get(name) ?? new Map<string, Version>();
    this.packages.set(name, versions.set(entry.version, { ...entry, name }));
  }

  private answer(url: string, response: http.ServerResponse): void {
    // npm keeps nothing of this: the next run has another port.
    response.setHeader('Cache-Control', 'no-store');
    if (url === '/catamount.tgz') return void response.end(this.tarball);
    // npm asks us for the files, too, in place of its own registry.
    if (url.endsWith('.tgz')) return void response.writeHead(302, { Location: UPSTREAM + url }).end();
    const name = decodeURIComponent(url.slice(1));
    const versions = this.packages.get(name);
    if (!versions) return void response.writeHead(404, { 'Content-Type': 'application/json' }).end('{}');
    const latest = [...versions.keys()].sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ name, 'dist-tags': { latest }, versions: Object.fromEntries(versions) }));
  }
}
