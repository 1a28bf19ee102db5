import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';
import { nativeImport } from '../../lib/core/native-import.cjs';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { BUNDLED, install, lockLikeOurs, npm, pack, ROOT, removeInstalled } from './npm';

const MAX_PACKAGES = 250;
const MAX_MB = 60;
const MAX_TARBALL_MB = 6;
const MB = 1_000_000;

describe('the published package', () => {
  let folder: string;
  let tarball: Buffer;
  let files: readonly string[];
  let stage: string;
  before(async () => {
    folder = tempFolder('pack');
    const packed = await pack(folder);
    ({ files, stage } = packed);
    execFileSync('tar', ['-xzf', packed.tarball, '-C', folder]);
    tarball = fs.readFileSync(packed.tarball);
    fs.renameSync(packed.tarball, path.join(folder, 'catamount.tgz'));
  });
  after(() => removeFolder(folder));

  it('has a correct package.json, according to publint', async () => {
    const { publint } = (await nativeImport('publint')) as typeof import('publint');
    const bytes = new Uint8Array(tarball).buffer;
    const { messages } = await publint({ pack: { tarball: bytes } });
    assert.deepEqual(messages, []);
  });

  it('has correct types for imports from ES modules and CommonJS', async () => {
    // publint and attw are ES modules that cannot be required, so a compiled import() does not work.
    const types = (await nativeImport('@arethetypeswrong/core')) as typeof import('@arethetypeswrong/core');
    const checked = await types.checkPackage(types.createPackageFromTarballData(new Uint8Array(tarball)));
    assert.ok(checked.types, 'it has types');
    // TypeScript's resolution "node10" does not support exports. attw's profile for Node 16 and later ignores it, too.
    const problems = checked.problems.filter((one) => !('resolutionKind' in one) || one.resolutionKind !== 'node10');
    assert.deepEqual(problems, []);
  });

  it('contains the compiled package, without our app, our tests and our sources', () => {
    for (const file of [
      'package.json',
      'README.md',
      'lib/README.md',
      'lib/job/cli/README.md',
      'lib/cluster/hosts.md',
      'dist/lib/index.js',
      'dist/lib/index.d.ts',
      'dist/lib/testing/index.js',
      'dist/lib/testing/index.d.ts',
      'dist/lib/cli/main.js',
    ])
      assert.ok(files.includes(file), file);
    const foreign = files.filter(
      (file) =>
        !BUNDLED.some((name) => file.startsWith(`${name}/`)) &&
        !/^(package\.json|README\.md|lib\/(?:\w+\/)*\w+\.md|test\/(?:promises|benchmark\/README)\.md|\.github\/(?:LICENSE|CHANGELOG\.md))$/.test(
          file,
        ) &&
        (!file.startsWith('dist/lib/') ||
          file.startsWith('dist/lib/app/') ||
          /embedded\/binaries\/|(?<!\.d)\.ts$/.test(file)),
    );
    assert.deepEqual(foreign, []);
  });

  it('bundles only what it has to', () => {
    const manifests = files.filter((file) => /node_modules\/.*package\.json$/.test(file));
    assert.deepEqual(manifests.map(path.dirname).sort(), BUNDLED);
    assert.ok(tarball.length < MAX_TARBALL_MB * MB, `the tarball has ${tarball.length} bytes`);
  });

  /** A file of the tarball. */
  const read = (file: string) => fs.readFileSync(path.join(folder, 'package', file), 'utf8');

  it('contains no source maps, since the sources are missing, and no references to them', () => {
    const scripts = files.filter((file) => file.endsWith('.js'));
    assert.ok(scripts.includes('dist/lib/index.js'));
    const naming = scripts.filter((file) => /^\/\/# sourceMappingURL=/m.test(read(file)));
    assert.deepEqual([...naming, ...files.filter((file) => file.endsWith('.map'))], []);
  });

  it('has guides that link only to files in it', () => {
    const ours = files.filter((file) => file.endsWith('.md') && !file.startsWith('node_modules/'));
    const links = ours.flatMap((guide) =>
      [...read(guide).matchAll(/\]\((?!https?:|mailto:|#)([^)\s#]+)(?:#[^)\s]+)?\)/g)].map(([link, target = '']) => ({
        place: `${guide}: ${link}`,
        file: path.posix.join(path.posix.dirname(guide), target),
      })),
    );
    const dead = links.filter(({ file }) => !files.includes(file)).map(({ place }) => place);
    assert.deepEqual(dead, []);
    assert.match(
      read('lib/cluster/hosts.md'),
      /\bwith nginx itself \(`test\/process\/behind-nginx\.hand\.ts`\), by hand and in CI/,
    );
    assert.match(read('lib/ops/README.md'), /\[alerts\.yml\]\(\.\.\/\.\.\/dist\/lib\/ops\/metrics\/alerts\.yml\)/);
  });

  it('leaves the checkout unchanged', () => {
    const content = (root: string, name: string) => fs.readFileSync(path.join(root, name), 'utf8');
    const compiled = fs.readdirSync(path.join(ROOT, 'dist/lib'), { recursive: true, encoding: 'utf8' });
    const names = compiled.filter((name) => name.endsWith('.js')).map((name) => `dist/lib/${name}`);
    const guides = files.filter((name) => name.endsWith('.md') && !name.startsWith('node_modules/'));
    const changed = ['package.json', ...guides, ...names].filter(
      (name) => content(stage, name) !== content(ROOT, name),
    );
    assert.deepEqual(changed, []);
    assert.ok(guides.length > 5);
  });

  /** Installs the tarball in a new folder, along with other dependencies of the app. */
  const installedIn = async (name: string, others: Readonly<Record<string, string>> = {}): Promise<string> => {
    const app = path.join(folder, name);
    fs.mkdirSync(app);
    const dependencies = { ...others, catamount: 'file:../catamount.tgz' };
    fs.writeFileSync(
      path.join(app, 'package.json'),
      JSON.stringify({ name, version: '1.0.0', private: true, dependencies }),
    );
    lockLikeOurs(app);
    await install(app, 'install');
    return app;
  };

  it('uses its own nodemailer and email-templates when the app has others', async () => {
    const others = ['nodemailer', 'email-templates'];
    for (const name of others) {
      fs.mkdirSync(path.join(folder, 'of-the-app', name), { recursive: true });
      const manifest = JSON.stringify({ name, version: '1.0.0' });
      fs.writeFileSync(path.join(folder, 'of-the-app', name, 'package.json'), manifest);
    }
    const app = await installedIn('other', Object.fromEntries(others.map((one) => [one, `file:../of-the-app/${one}`])));
    const installed = path.join(app, 'node_modules/catamount');
    const mails = createRequire(createRequire(path.join(installed, 'package.json')).resolve('email-templates'));
    assert.ok(mails.resolve('nodemailer').startsWith(path.join(installed, 'node_modules/nodemailer/')));
    assert.equal(
      fs.realpathSync(path.join(app, 'node_modules/nodemailer')),
      path.join(folder, 'of-the-app/nodemailer'),
    );
    await npm(app, 'ls', '--all');
    await removeInstalled(app);
  });

  describe('installed in an empty folder', () => {
    let stranger: string;
    before(async () => {
      stranger = await installedIn('stranger');
    });
    after(() => removeInstalled(stranger));

    it('brings few and small packages, with all dependencies satisfied', async () => {
      const installed = packagesIn(path.join(stranger, 'node_modules'));
      assert.ok(installed.length <= MAX_PACKAGES, `${installed.length} packages`);
      const size = bytesIn(path.join(stranger, 'node_modules')) / MB;
      assert.ok(size <= MAX_MB, `${size.toFixed(1)} MB`);
      // It fails if a package is missing or has the wrong version.
      await npm(stranger, 'ls', '--all');
    });

    it('brings types that compile and detect mistakes', async () => {
      // The types of Node and Koa, as an app has them, are found in the folder above.
      fs.mkdirSync(path.join(folder, 'node_modules'), { recursive: true });
      fs.symlinkSync(path.join(ROOT, 'node_modules/@types'), path.join(folder, 'node_modules/@types'));
      for (const file of ['tsconfig.json', 'typed.ts', 'typed-testing.ts'])
        fs.copyFileSync(path.join(ROOT, 'test/fixtures/second-app', file), path.join(stranger, file));
      const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc');
      await promisify(execFile)(process.execPath, [tsc, '-p', stranger]).catch((error: { readonly stdout: string }) =>
        assert.fail(error.stdout),
      );
    });

    it('is listed with its stand-ins under their own names, not as the packages that they replace', async () => {
      const listed = await npm(stranger, 'sbom', '--sbom-format=cyclonedx');
      const { components } = JSON.parse(listed) as { readonly components: readonly { readonly purl: string }[] };
      const purls = components.map(({ purl }) => decodeURIComponent(purl));
      const stood = ['ladjs-i18n', 'object.getownpropertydescriptors', 'preview-email'];
      assert.deepEqual(
        purls.filter((purl) => /stand-in/.test(purl)).sort(),
        stood.map((name) => `pkg:npm/catamount-stand-in-${name}@1.0.0`),
      );
      const replaced = /npm\/(?:@ladjs\/i18n|object\.getownpropertydescriptors|preview-email)@/;
      assert.deepEqual(
        purls.filter((purl) => replaced.test(purl)),
        [],
      );
    });

    it('brings one copy of each package that an app shares with it, at the top level', () => {
      const installed = packagesIn(path.join(stranger, 'node_modules'));
      for (const name of ['koa', 'knex', 'objection', 'pg', 'pino', 'nodemailer', 'juice', 'html-to-text', 'lodash']) {
        const found = installed.filter((one) => one.endsWith(`node_modules/${name}`));
        assert.deepEqual(found, [path.join(stranger, 'node_modules', name)]);
      }
      const redis = installed.filter((one) => one.endsWith('node_modules/redis'));
      const ofBeeQueue = 'catamount/node_modules/bee-queue/node_modules/redis';
      const expected = [ofBeeQueue, 'redis'].map((one) => path.join(stranger, 'node_modules', one));
      assert.deepEqual(redis.sort(), expected);
    });
  });
});

/** The folders of all packages in a `node_modules`, including nested ones. */
function packagesIn(modules: string): readonly string[] {
  if (!fs.existsSync(modules)) return [];
  const names = fs.readdirSync(modules).filter((name) => !name.startsWith('.'));
  const folders = names.flatMap((name) =>
    name.startsWith('@') ? fs.readdirSync(path.join(modules, name)).map((inner) => path.join(name, inner)) : [name],
  );
  return folders
    .map((name) => path.join(modules, name))
    .flatMap((one) => [one, ...packagesIn(path.join(one, 'node_modules'))]);
}

/** The sum of all file sizes; on disk they need more. */
function bytesIn(folder: string): number {
  const entries = fs.readdirSync(folder, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile());
  return entries.reduce((sum, entry) => sum + fs.lstatSync(path.join(entry.parentPath, entry.name)).size, 0);
}
