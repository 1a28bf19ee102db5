import { createHash } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';

/** The metadata that npm reads before it installs a package, in the form of registries and lock files. */
interface Version {
  readonly version: string;
  readonly name?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly bundledDependencies?: readonly string[];
  /** The same, under the name that registries use. */
  readonly bundleDependencies?: readonly string[];
  readonly dist?: { readonly tarball: string; readonly integrity: string };
}

const UPSTREAM = 'https://registry.npmjs.org';

/**
 * A registry with the packages and versions of this checkout's lock file, and our tarball. With it npm finds what a user's npm
 * would find, without a lock file and without the network: the files are in npm's cache, by checksum, since `npm ci` has
 * installed this checkout. Missing files are requested from npm's own registry.
 */
export class LocalRegistry {
  private readonly packages = new Map<string, Map<string, Version>>();
  private readonly server = http.createServer((request, response) => this.answer(request.url ?? '', response));

  private constructor(
    private readonly tarball: Buffer,
    /** The folder of npm's cache. It shares only the files with the user's cache, since npx also keeps its installations there. */
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

  /** The environment for npm and npx. */
  get env(): Readonly<Record<string, string>> {
    return { npm_config_registry: this.url, npm_config_cache: this.cache, npm_config_prefer_offline: 'true' };
  }

  async stop(): Promise<void> {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
  }

  /** Adds a version. A package that is installed in several places, such as a nested older one, has several versions. */
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
    // npm must not cache this: the next run has another port.
    response.setHeader('Cache-Control', 'no-store');
    if (url === '/catamount.tgz') return void response.end(this.tarball);
    // npm requests the files from this registry, too.
    if (url.endsWith('.tgz')) return void response.writeHead(302, { Location: UPSTREAM + url }).end();
    const name = decodeURIComponent(url.slice(1));
    const versions = this.packages.get(name);
    if (!versions) return void response.writeHead(404, { 'Content-Type': 'application/json' }).end('{}');
    const latest = [...versions.keys()].sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ name, 'dist-tags': { latest }, versions: Object.fromEntries(versions) }));
  }
}
