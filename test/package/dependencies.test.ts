import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { BUNDLED, ROOT } from './npm';

type Ranges = Readonly<Record<string, string>>;

interface Manifest {
  readonly dependencies: Ranges;
  readonly devDependencies: Ranges;
  readonly overrides: Ranges;
}

interface Locked {
  readonly version?: string;
  readonly dependencies?: Ranges;
  readonly devDependencies?: Ranges;
  readonly optionalDependencies?: Ranges;
  readonly peerDependencies?: Ranges;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
}

const read = (name: string): unknown => JSON.parse(fs.readFileSync(path.join(ROOT, name), 'utf8'));

/** Installing the package follows its version ranges; this checkout follows its lock file. */
describe('the dependencies of the package', () => {
  const { dependencies, devDependencies, overrides } = read('package.json') as Manifest;
  const { packages } = read('package-lock.json') as { readonly packages: Readonly<Record<string, Locked>> };
  const numbers = (version: string) => version.replace('^', '').split('.').map(Number);
  /** Supports the versions `1.2.3` and the ranges `^1.2.3`, `1.2.3` and `*`, since nothing else is used here. */
  const satisfies = (version: string, range: string): boolean => {
    if (range === '*' || range === version) return true;
    const [[major = 0, ...least], [ownMajor = 0, ...own]] = [numbers(range), numbers(version)];
    const enough = (own[0] ?? 0) - (least[0] ?? 0) || (own[1] ?? 0) - (least[1] ?? 0);
    return range.startsWith('^') && major > 0 && ownMajor === major && enough >= 0;
  };
  /** The ranges in which other packages depend on a package. */
  const asked = (name: string): readonly string[] =>
    Object.entries(packages)
      .filter(([folder]) => folder !== '')
      .flatMap(([, one]) => ({ ...one.dependencies, ...one.optionalDependencies })[name] ?? []);

  it('are ranges, so that an app gets their fixes without a release of ours', () => {
    const pinned = Object.entries(dependencies).filter(([, range]) => !/^\^[1-9]\d*\.\d+\.\d+$/.test(range));
    assert.deepEqual(pinned, []);
  });

  it('are locked to versions that their ranges allow', () => {
    assert.deepEqual(packages['']?.dependencies, dependencies);
    assert.deepEqual(packages['']?.devDependencies, devDependencies);
    for (const [name, range] of Object.entries(dependencies)) {
      const version = packages[`node_modules/${name}`]?.version ?? '';
      assert.ok(satisfies(version, range), `${name} is locked to ${version}, and asked for as ${range}`);
    }
  });

  it('include the peers that they need, since Yarn installs no peers', () => {
    for (const name of Object.keys(dependencies)) {
      const { peerDependencies = {}, peerDependenciesMeta = {} } = packages[`node_modules/${name}`] ?? {};
      const needed = Object.keys(peerDependencies).filter((peer) => peerDependenciesMeta[peer]?.optional !== true);
      assert.deepEqual(
        needed.filter((peer) => !(peer in dependencies)),
        [],
        name,
      );
    }
  });

  it('have stand-ins for packages that others depend on, whose own names an SBOM has', () => {
    const local = Object.keys(overrides).filter((name) => devDependencies[name]?.startsWith('file:'));
    assert.ok(local.length > 0);
    for (const name of local) {
      assert.equal(overrides[name], `$${name}`);
      const spec = devDependencies[name] ?? '';
      const manifest = read(path.join(spec.slice('file:'.length), 'package.json')) as { readonly name: string };
      assert.match(manifest.name, /^catamount-stand-in-/);
      assert.ok(asked(name).length > 0, `nothing depends on ${name} any more: remove the stand-in`);
    }
  });

  it('include what the bundled packages need from outside the bundle, in compatible ranges', () => {
    const needed = BUNDLED.flatMap((name) => Object.entries(packages[name]?.dependencies ?? {}));
    const shared = needed.filter(([name]) => name in dependencies && !(name in overrides) && name !== 'redis');
    assert.deepEqual(shared.map(([name]) => name).sort(), ['@babel/runtime', 'html-to-text', 'juice', 'lodash']);
    for (const [name, range] of shared)
      assert.ok(satisfies((dependencies[name] ?? '').replace('^', ''), range), `${name} ${range}`);
  });

  it("keep the properties of promisified functions, although a stand-in uses Node's own promisify", () => {
    const bees = createRequire(require.resolve('bee-queue'));
    const { promisify } = bees('promise-callbacks') as { promisify(one: object): { readonly mark?: number } };
    assert.equal(promisify(Object.assign(() => undefined, { mark: 7 })).mark, 7);
  });
});
