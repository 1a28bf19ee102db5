import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { tempFolder } from '../support/temp-folder';

const TSC = path.resolve(__dirname, '../../node_modules/typescript/bin/tsc');
const LIB = path.resolve(__dirname, '../../lib/core/source-maps.ts');
/** Types, so that lines and columns of the compiled file are others. */
const SOURCE = `interface Given {
  readonly text: string;
}
type Thrown = { readonly given: Given };

export function fail({ text }: Given): never {
  const thrown: Thrown | undefined = undefined;
  throw new RangeError(text + String(thrown));
}
`;
const NAMELESS = `export function fail(): never {
  const error = new Error('x');
  Object.defineProperty(error, 'name', { get(): string { throw new Error('no name'); } });
  throw error;
}
`;

describe('stack traces', () => {
  const folder = tempFolder('maps');

  /** `<name>.ts`, beside it; run what is compiled, `out/<name>.js`. */
  function write(name: string, source: string): void {
    fs.writeFileSync(path.join(folder, `${name}.ts`), source);
  }

  function compile(names: readonly string[], ...flags: string[]): void {
    const files = names.map((name) => `${name}.ts`);
    const target = ['--noCheck', '--module', 'commonjs', '--target', 'es2022', '--rootDir', '.', '--outDir', 'out'];
    execFileSync(process.execPath, [TSC, ...target, ...flags, ...files], { cwd: folder, stdio: 'inherit' });
  }

  const compiled = (name: string) => path.join(folder, 'out', `${name}.js`);

  before(() => {
    write('source-maps', fs.readFileSync(LIB, 'utf8'));
    for (const name of ['failing', 'gone', 'broken', 'theirs', 'inline']) write(name, SOURCE);
    write('nameless', NAMELESS);
    compile(['source-maps', 'failing', 'gone', 'broken', 'theirs', 'nameless'], '--sourceMap');
    compile(['inline'], '--inlineSourceMap');
  });

  /** @returns what `fail` of the file throws, as a process without flags prints it. */
  function traceOf(file: string, { flags = [] as string[], maps = true } = {}): string[] {
    const own = compiled('source-maps');
    const script = `
      ${maps ? `require(${JSON.stringify(own)}).mapStackTraces();` : ''}
      const { fail } = require(${JSON.stringify(file)});
      try { fail({ text: 'no: ' }); } catch (error) { console.log(error.stack); }`;
    const env = { PATH: process.env.PATH ?? '' };
    return execFileSync(process.execPath, [...flags, '-e', script], { encoding: 'utf8', env })
      .trim()
      .split('\n');
  }

  it('name the source, its line and its column, as Node does with its flag', () => {
    const trace = traceOf(compiled('failing'));
    assert.equal(trace[0], 'RangeError: no: undefined');
    assert.equal(trace[1], `    at fail (${path.join(folder, 'failing.ts')}:8:9)`);
    assert.match(trace[2] ?? '', /at \[eval\]:\d+:\d+/);
    const byNode = traceOf(compiled('failing'), { flags: ['--enable-source-maps'], maps: false });
    assert.deepEqual(trace.slice(0, 2), byNode.slice(0, 2));
  });

  it('read a map that is in the file itself', () => {
    const trace = traceOf(compiled('inline'));
    assert.equal(trace[1], `    at fail (${path.join(folder, 'inline.ts')}:8:9)`);
  });

  it('leave a file as it is whose map is gone, broken, or of a package', () => {
    fs.rmSync(`${compiled('gone')}.map`);
    fs.writeFileSync(`${compiled('broken')}.map`, '{"version":3,"mappings"');
    fs.mkdirSync(path.join(folder, 'out/node_modules'));
    for (const end of ['', '.map']) fs.renameSync(compiled('theirs') + end, compiled('node_modules/theirs') + end);
    for (const name of ['gone', 'broken', 'node_modules/theirs']) {
      assert.match(traceOf(compiled(name))[1] ?? '', new RegExp(`at fail \\(${compiled(name)}:\\d+:\\d+\\)`), name);
    }
  });

  it('are Node’s own where it maps them', () => {
    const trace = traceOf(compiled('failing'), { flags: ['--enable-source-maps'] });
    assert.equal(trace[1], `    at fail (${path.join(folder, 'failing.ts')}:8:9)`);
  });

  it('survive an error that cannot be written', () => {
    const trace = traceOf(compiled('nameless'));
    assert.equal(trace[0], 'Error');
    assert.match(trace[1] ?? '', /nameless\.ts:2:17\)$/);
  });
});
