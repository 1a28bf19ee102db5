import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { tempFolder } from '../support/temp-folder';

const TSC = path.resolve(__dirname, '../../node_modules/typescript/bin/tsc');
const LIB = path.resolve(__dirname, '../../dist/lib/internals/stack-traces.js');
/** The types make the lines and columns of the compiled file differ. */
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
  const compiled = (name: string) => path.join(folder, 'out', `${name}.js`);

  before(() => {
    const names = ['failing', 'gone', 'broken', 'theirs', 'nameless'];
    for (const name of names)
      fs.writeFileSync(path.join(folder, `${name}.ts`), name === 'nameless' ? NAMELESS : SOURCE);
    const target = ['--noCheck', '--module', 'commonjs', '--target', 'es2022', '--rootDir', '.', '--outDir', 'out'];
    const files = names.map((name) => `${name}.ts`);
    execFileSync(process.execPath, [TSC, ...target, '--sourceMap', ...files], { cwd: folder, stdio: 'inherit' });
    const map = fs.readFileSync(`${compiled('failing')}.map`).toString('base64');
    const inline = fs
      .readFileSync(compiled('failing'), 'utf8')
      .replace('failing.js.map', `data:application/json;base64,${map}`);
    fs.writeFileSync(compiled('inline'), inline);
    fs.rmSync(`${compiled('gone')}.map`);
    fs.writeFileSync(`${compiled('broken')}.map`, '{"version":3,"mappings"');
    fs.mkdirSync(path.join(folder, 'out/node_modules'));
    for (const end of ['', '.map']) fs.renameSync(compiled('theirs') + end, compiled('node_modules/theirs') + end);
  });

  /** @returns by file the error that its `fail` throws, as a process prints it. */
  function tracesOf(names: readonly string[], flags: readonly string[] = []): Readonly<Record<string, string[]>> {
    const script = `
      require(${JSON.stringify(LIB)}).installSourceMaps();
      const traces = {};
      for (const [name, file] of ${JSON.stringify(names.map((name) => [name, compiled(name)]))}) {
        const { fail } = require(file);
        try { fail({ text: 'no: ' }); } catch (error) { traces[name] = error.stack.split('\\n'); }
      }
      console.log(JSON.stringify(traces));`;
    const env = { PATH: process.env.PATH ?? '' };
    return JSON.parse(execFileSync(process.execPath, [...flags, '-e', script], { encoding: 'utf8', env }));
  }

  it('name the source, its line and its column wherever there is a source map', () => {
    const others = ['gone', 'broken', 'node_modules/theirs'];
    const {
      failing = [],
      inline = [],
      nameless = [],
      ...rest
    } = tracesOf(['failing', 'inline', 'nameless', ...others]);
    const place = `    at fail (${path.join(folder, 'failing.ts')}:8:9)`;
    assert.deepEqual(failing.slice(0, 2), ['RangeError: no: undefined', place]);
    assert.match(failing[2] ?? '', /at \[eval\]:\d+:\d+/);
    assert.equal(inline[1], place, 'the map is in the file itself');
    assert.equal(nameless[0], 'Error', 'its name cannot be printed');
    assert.match(nameless[1] ?? '', /nameless\.ts:2:17\)$/);
    assert.deepEqual(Object.keys(rest), others);
    for (const name of others)
      assert.match(rest[name]?.[1] ?? '', new RegExp(`at fail \\(${compiled(name)}:\\d+:\\d+\\)`), name);
  });

  it('are unchanged where Node maps them itself', () => {
    const [failing] = Object.values(tracesOf(['failing'], ['--enable-source-maps']));
    assert.equal(failing?.[1], `    at fail (${path.join(folder, 'failing.ts')}:8:9)`);
  });
});
