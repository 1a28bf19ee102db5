import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from './npm';

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const read = (name: string): unknown => JSON.parse(fs.readFileSync(path.join(ROOT, name), 'utf8'));

/** Whoever installs the package gets what its ranges allow; this checkout gets what its lock says. */
describe('the dependencies of the package', () => {
  const { dependencies, devDependencies } = read('package.json') as Manifest;
  const { packages } = read('package-lock.json') as {
    readonly packages: Readonly<Record<string, { readonly version: string } & Partial<Manifest>>>;
  };

  it('are ranges, so that a fix of one of them reaches an app without a release of ours', () => {
    const pinned = Object.entries(dependencies).filter(([, range]) => !/^\^[1-9]\d*\.\d+\.\d+$/.test(range));
    assert.deepEqual(pinned, []);
  });

  it('are pinned by the lock, to versions that their ranges allow', () => {
    assert.deepEqual(packages['']?.dependencies, dependencies);
    assert.deepEqual(packages['']?.devDependencies, devDependencies);
    const numbers = (version: string) => version.replace('^', '').split('.').map(Number);
    for (const [name, range] of Object.entries(dependencies)) {
      const version = packages[`node_modules/${name}`]?.version ?? '';
      const [[major, ...least], [lockedMajor, ...locked]] = [numbers(range), numbers(version)];
      assert.equal(lockedMajor, major, `${name} ${version}`);
      const enough = (locked[0] ?? 0) - (least[0] ?? 0) || (locked[1] ?? 0) - (least[1] ?? 0);
      assert.ok(enough >= 0, `${name} is locked to ${version}, and asked for as ${range}`);
    }
  });

  it('ask apps for the override of nodemailer that we have ourselves', () => {
    const readme = fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8');
    assert.ok(readme.includes(`"overrides": { "nodemailer": "${dependencies.nodemailer}" }`));
  });
});
