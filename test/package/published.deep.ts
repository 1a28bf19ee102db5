import assert from 'node:assert/strict';
import fs from 'node:fs';
import { nativeImport } from '../../lib/internals/native-import.cjs';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { pack } from './npm';

describe('the published package', () => {
  let folder: string;
  let tarball: Buffer;
  before(async () => {
    folder = tempFolder('pack');
    tarball = fs.readFileSync((await pack(folder)).tarball);
  });
  after(() => removeFolder(folder));

  it('is described by its package.json as it is: publint has nothing to say', async () => {
    const { publint } = (await nativeImport('publint')) as typeof import('publint');
    const bytes = new Uint8Array(tarball).buffer;
    const { messages } = await publint({ pack: { tarball: bytes } });
    assert.deepEqual(messages, []);
  });

  it('has types that tell of each import what it gives, of ES modules and of CommonJS', async () => {
    // Both are ES modules whose parts cannot be required, so neither by a compiled import.
    const types = (await nativeImport('@arethetypeswrong/core')) as typeof import('@arethetypeswrong/core');
    const checked = await types.checkPackage(types.createPackageFromTarballData(new Uint8Array(tarball)));
    assert.ok(checked.types, 'it has types');
    // TypeScript's resolution "node10" knows no exports at all; attw's own profile for Node 16 and later leaves it out, too.
    const problems = checked.problems.filter((one) => !('resolutionKind' in one) || one.resolutionKind !== 'node10');
    assert.deepEqual(problems, []);
  });
});
