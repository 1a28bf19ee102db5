// The API reference, as HTML in .catamount/reference, by typedoc; a warning fails it. `lib/index.ts` loads its classes on first
// access and so declares them as variables; the reference is of an entry that exports the same names from where they stand.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const folder = path.join(root, '.catamount/reference-source');
const index = fs.readFileSync(path.join(root, 'lib/index.ts'), 'utf8');

const fileOf = new Map(
  [...index.matchAll(/^import type \* as (\w+) from '\.\/(.+)';$/gm)].map(([, name, file]) => [name, file]),
);
const exported = [...index.matchAll(/^export (?:type )?(?:\*|\{[^}]*\}) from '\.\/[^']+';/gm)].map(([statement]) =>
  statement.replace("from './", "from '../../lib/"),
);
const loadedLater = [...index.matchAll(/^export declare const (\w+): typeof (\w+)\.\w+;$/gm)].map(
  ([, name, module]) => `export { ${name} } from '../../lib/${fileOf.get(module)}';`,
);
fs.rmSync(folder, { recursive: true, force: true });
fs.mkdirSync(folder, { recursive: true });
fs.writeFileSync(path.join(folder, 'catamount.ts'), [...exported, ...loadedLater, ''].join('\n'));
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
