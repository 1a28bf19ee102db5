// The API reference, as HTML in .catamount/reference, by typedoc; a warning fails it.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const folder = path.join(root, '.catamount/reference-source');
fs.rmSync(folder, { recursive: true, force: true });
fs.mkdirSync(folder, { recursive: true });
fs.writeFileSync(path.join(folder, 'catamount.ts'), "export * from '../../lib';\n");
fs.writeFileSync(path.join(folder, 'testing.ts'), "export * from '../../lib/testing';\n");
fs.writeFileSync(
  path.join(folder, 'tsconfig.json'),
  JSON.stringify({
    extends: '../../tsconfig.json',
    compilerOptions: { types: ['node'] },
    include: ['.', '../../lib'],
  }),
);
const require = createRequire(path.join(root, '.config/typedoc/package.json'));
const typedoc = path.join(path.dirname(require.resolve('typedoc/package.json')), 'bin/typedoc');
try {
  execFileSync(process.execPath, [typedoc, '--options', path.join(root, '.config/typedoc.json')], { stdio: 'inherit' });
} catch (error) {
  process.exit(error.status ?? 1);
}
