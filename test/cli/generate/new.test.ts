import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { runNew } from '../../../lib/cli/generate/new-command';
import { UserError } from '../../../lib/core/errors';
import { tempFolder } from '../../support/temp-folder';
import { catamount } from '../cli-process';
import { ROOT } from './app-folder';

const TEMPLATES = path.join(ROOT, 'lib/cli/generate/templates');
const readJson = (...parts: readonly string[]) =>
  JSON.parse(fs.readFileSync(path.join(...parts), 'utf8')) as Record<string, Record<string, string>>;

describe('catamount new', () => {
  const make = async (line: string, folder = tempFolder('new')) => {
    let printed = '';
    await runNew(line.split(' '), folder, (text) => {
      printed += text;
    });
    return { folder, printed };
  };

  it('creates an app with the top level of this repository', async () => {
    const { folder, printed } = await make('shop --skip-install');
    assert.deepEqual(
      fs.readdirSync(path.join(folder, 'shop')).sort(),
      '.biome.json .config .gitignore Procfile README.md jobs lib migrations package.json server.ts test tsconfig.json'.split(
        ' ',
      ),
    );
    assert.match(printed, /Next: cd shop && npm install && npm start\n$/);
  });

  it('takes versions, and the embedded servers for all platforms, from this package', async () => {
    const { folder } = await make('shop --skip-install');
    const made = readJson(folder, 'shop/package.json');
    const ours = readJson(ROOT, 'package.json');
    for (const tool of ['@biomejs/biome', '@types/koa', '@types/node', 'tsx', 'typescript'])
      assert.equal(made.devDependencies?.[tool], ours.devDependencies?.[tool], tool);
    assert.equal(made.dependencies?.catamount, `file:${ROOT}`);
    const servers = readJson(folder, 'shop/.config/local-servers/package.json');
    assert.deepEqual(
      servers.optionalDependencies,
      readJson(ROOT, 'lib/embedded/binaries/package.json').optionalDependencies,
    );
  });

  it('writes code that passes Biome, format included, in every language and module system', async () => {
    const biome = path.join(ROOT, 'node_modules/@biomejs/biome/bin/biome');
    for (const flags of ['', ' --esm', ' --javascript', ' --javascript --esm']) {
      const { folder } = await make(`shop --skip-install${flags}`);
      execFileSync(process.execPath, [biome, 'check', '--error-on-warnings', '.'], {
        cwd: path.join(folder, 'shop'),
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      const esm = readJson(folder, 'shop/package.json') as { readonly type?: unknown };
      assert.equal(esm.type, flags.includes('esm') ? 'module' : undefined);
    }
  });

  it('has a dev script, and one that runs tests at any depth', async () => {
    const { folder } = await make('shop --skip-install --javascript');
    const shop = path.join(folder, 'shop');
    const { scripts } = readJson(folder, 'shop/package.json') as { readonly scripts: Readonly<Record<string, string>> };
    assert.equal(scripts.dev, 'exec catamount dev');
    fs.rmSync(path.join(shop, 'test'), { recursive: true });
    for (const depth of ['test', 'test/web', 'test/web/deep']) {
      fs.mkdirSync(path.join(shop, depth));
      fs.writeFileSync(path.join(shop, depth, 'a.test.js'), `require('node:test').test('at ${depth}', () => {});\n`);
    }
    const printed = execFileSync('sh', ['-c', scripts.test ?? ''], {
      cwd: shop,
      encoding: 'utf8',
      env: { PATH: process.env.PATH, NODE_OPTIONS: '--test-reporter=tap' },
    });
    for (const depth of ['test', 'test/web', 'test/web/deep'])
      assert.match(printed, new RegExp(`ok \\d+ - at ${depth}$`, 'm'));
  });

  it('writes for pnpm, where that has started it, which install scripts are not needed', async () => {
    const folder = tempFolder('new');
    const { stdout } = await catamount(folder, ['new', 'shop', '--skip-install'], {
      npm_config_user_agent: 'pnpm/12.2',
    });
    assert.match(stdout, /Next: cd shop && pnpm install && pnpm start\n$/);
    assert.match(fs.readFileSync(path.join(folder, 'shop/pnpm-workspace.yaml'), 'utf8'), /^ {2}esbuild: false$/m);
  });

  it('installs the packages in the new folder, and says so if that fails', async () => {
    const PATH = tempFolder('path');
    fs.writeFileSync(path.join(PATH, 'npm'), '#!/bin/sh\necho "$PWD $*"\nexit $CODE\n', { mode: 0o755 });
    const folder = fs.realpathSync(tempFolder('new'));
    const done = await catamount(folder, ['new', 'shop'], { PATH, CODE: '0' });
    assert.match(done.stdout, new RegExp(`^${folder}/shop install .*\\n\\n.*Next: cd shop && npm start\\n$`, 'm'));
    const failed = await catamount(folder, ['new', 'inn'], { PATH, CODE: '7' });
    const message = `npm install failed in ${folder}/inn. The app has been created: run npm install there again.\n`;
    assert.deepEqual([failed.code, failed.stderr], [1, message]);
  });

  it('imports only packages that it depends on itself, since pnpm hides all others', () => {
    for (const name of fs.readdirSync(TEMPLATES, { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ejs')) continue;
      const source = fs.readFileSync(path.join(TEMPLATES, name), 'utf8');
      const imported = [...source.matchAll(/(?:\buse(?:Type|Package)?\([^)]*, |import\()'([^'.]+)'\)/g)].map(
        ([, from]) => from,
      );
      assert.deepEqual(
        imported.filter((from) => !/^(?:node:|catamount(?:\/testing)?$)/.test(from ?? '')),
        [],
        name,
      );
    }
  });

  it('refuses wrong input with one sentence that says what to do, and lists the files with --dry-run', async () => {
    const { folder, printed } = await make('shop --dry-run');
    assert.match(printed, /^ {4}create {2}shop\/package\.json$/m);
    assert.deepEqual(fs.readdirSync(folder), []);
    fs.mkdirSync(path.join(folder, 'taken'));
    fs.writeFileSync(path.join(folder, 'taken/file'), '');
    for (const [line, message] of [
      ['Shop', /"Shop" is not the name of an app. Give lower-case letters, digits, - and _/],
      ['node_modules', /"node_modules" is the folder of installed packages/],
      ['../shop', /"\.\.\/shop" is not the name of an app/],
      ['shop inn', /Unexpected argument "inn"/],
      ['shop --esm --cjs', /Give --esm or --cjs, not both/],
      ['shop --coffee', /--coffee/],
      ['taken', /taken already exists and is not empty. Give another name, or move it away/],
    ] as const)
      await assert.rejects(
        make(line, folder),
        (error) => error instanceof UserError && message.test(error.message),
        line,
      );
    assert.deepEqual(fs.readdirSync(folder), ['taken']);
    const { code, stderr } = await catamount(folder, ['new']);
    assert.deepEqual([code, stderr], [64, 'new needs a name. For example: catamount new shop\n']);
    assert.match((await catamount(folder, ['help', 'new'])).stdout, /--skip-install/);
  });
});
