import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { builtScript, unbuiltSources } from '../../../lib/role/command/unbuilt';
import { removeFolder, tempFolder } from '../../support/temp-folder';

describe('an app that runs from its build', () => {
  const cwd = tempFolder('built');
  after(() => removeFolder(cwd));

  const at = (file: string) => path.join(cwd, file);
  /** @param seconds the time at which the file was written. */
  const write = (file: string, seconds = 0) => {
    fs.mkdirSync(path.dirname(at(file)), { recursive: true });
    fs.writeFileSync(at(file), '');
    fs.utimesSync(at(file), seconds, seconds);
  };
  const script = (file: string, entry: string) => builtScript(at(file), at(entry), cwd);

  it('runs a script in TypeScript as the build has it, since its own imports would load the app twice', () => {
    for (const file of ['server.ts', 'src/main.ts', 'scripts/a.ts', 'scripts/b.mts', 'src/scripts/c.ts', 'd.js'])
      write(file);
    assert.throws(() => script('scripts/a.ts', 'dist/server.js'), /\/scripts\/a\.ts is not built yet: have "include"/);
    for (const file of ['dist/scripts/a.js', 'dist/scripts/b.mjs', 'build/scripts/c.js']) write(file, 1);
    assert.equal(script('scripts/a.ts', 'dist/server.js'), at('dist/scripts/a.js'));
    assert.equal(script('scripts/b.mts', 'dist/server.js'), at('dist/scripts/b.mjs'));
    assert.equal(script('src/scripts/c.ts', 'build/main.js'), at('build/scripts/c.js'));
    write('scripts/a.ts', 2);
    assert.throws(
      () => script('scripts/a.ts', 'dist/server.js'),
      /a\.ts has changed since the app was built: build it/,
    );
    // What is no source of the build runs as it is: JavaScript, what is elsewhere, an app that is not compiled.
    assert.equal(script('d.js', 'dist/server.js'), at('d.js'));
    assert.equal(script('../x.ts', 'dist/server.js'), at('../x.ts'));
    for (const entry of ['server.js', 'server.ts', 'src/main.ts', 'lib/server.mjs'])
      assert.equal(script('scripts/a.ts', entry), at('scripts/a.ts'), entry);
  });

  it('names the sources of a folder that the build lacks', () => {
    for (const file of ['seeds/a.ts', 'seeds/b.ts', 'seeds/types.d.ts', 'seeds/c.js', 'dist/seeds/a.js']) write(file);
    assert.deepEqual(unbuiltSources(at('dist/seeds'), cwd), [path.join('seeds', 'b.ts')]);
    assert.deepEqual(unbuiltSources(at('seeds'), cwd), []);
  });
});
