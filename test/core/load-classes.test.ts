import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import vm from 'node:vm';
import { importExports, loadClasses } from '../../lib/core/load-classes';
import { writeFiles } from '../support/app-folder';
import { removeFolder, tempFolder } from '../support/temp-folder';

describe('the loader of folders', () => {
  let folder: string;
  beforeEach(() => {
    folder = tempFolder('classes');
  });
  afterEach(() => removeFolder(folder));

  const write = (files: Readonly<Record<string, string>>) => writeFiles(folder, files);
  async function load(importFile?: (file: string) => Promise<unknown>): Promise<Map<string, string[]>> {
    const found = new Map<string, string[]>();
    const isOne = (value: unknown): value is () => void => typeof value === 'function';
    const take = (classes: readonly (() => void)[], name: string) =>
      found.set(name, classes.map((one) => one.name).sort());
    await loadClasses(folder, { isOne, take, recursive: true, importFile });
    return found;
  }

  it('loads CommonJS and ES modules, whatever they export', async () => {
    write({
      'a.cjs': 'module.exports = class A {};',
      'b.cjs': 'const all = { B: class B {}, C: class C {} }; module.exports = all;',
      'c.mjs': 'await null; export default class D {}; export class E {}',
      'd.cjs':
        'Object.defineProperty(exports, "__esModule", { value: true }); exports.default = class F {}; exports.G = class G {};',
      'esm/package.json': '{"type":"module"}',
      'esm/e.js': 'export class H {}',
      'a file, #1 of 100%.cjs': 'exports.I = class I {};',
    });
    assert.deepEqual(
      [...(await load())],
      [
        ['a file, #1 of 100%.cjs', ['I']],
        ['a.cjs', ['A']],
        ['b.cjs', ['B', 'C']],
        ['c.mjs', ['D', 'E']],
        ['d.cjs', ['F', 'G']],
        ['esm/e.js', ['H']],
      ],
    );
  });

  it('loads a class once, whoever else has imported or required it', async () => {
    write({
      'a.cjs': 'exports.A = class A {};',
      'b.mjs': 'export class B {}',
      'main.mjs': `
        import { createRequire } from 'node:module';
        import { B } from './b.mjs';
        const require = createRequire(import.meta.url);
        const { importExports } = require(${JSON.stringify(path.resolve(__dirname, '../../dist/lib/core/load-classes.js'))});
        const theirs = await importExports(import.meta.dirname + '/b.mjs');
        const others = await importExports(import.meta.dirname + '/a.cjs');
        console.log(theirs.B === B, others.A === require('./a.cjs').A);`,
    });
    assert.equal(execFileSync(process.execPath, [path.join(folder, 'main.mjs')], { encoding: 'utf8' }), 'true true\n');
  });

  it('loads with the function that the app passes', async () => {
    write({ 'a.cjs': 'throw new Error("not by this road")' });
    const asked: string[] = [];
    const found = await load(async (file) => {
      asked.push(file);
      return { A: class A {} };
    });
    assert.deepEqual([...found], [['a.cjs', ['A']]]);
    assert.deepEqual(asked, [path.join(folder, 'a.cjs')]);
  });

  it('falls back to require in a sandbox without import(), such as that of Jest', async () => {
    write({ 'a.cjs': 'exports.A = class A {};' });
    const inSandbox = vm.runInThisContext('(file) => import(file)') as (file: string) => Promise<unknown>;
    await assert.rejects(inSandbox(path.join(folder, 'a.cjs')), { code: /^ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING/ });
    const native = require('../../lib/core/native-import.cjs') as { nativeImport: unknown };
    const before = native.nativeImport;
    native.nativeImport = inSandbox;
    try {
      assert.deepEqual(Object.keys((await importExports(path.join(folder, 'a.cjs'))) as object), ['A']);
    } finally {
      native.nativeImport = before;
    }
  });
});
