// On a machine for which no Redis server comes along, the tests that start one are skipped.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

/** @returns why no Redis server can be started here; undefined when one can. */
export async function whyNoRedis(root) {
  const { redisBinary } = createRequire(import.meta.url)(path.join(root, 'dist/lib/embedded/find-binaries.js'));
  return redisBinary().then(
    () => undefined,
    (error) => error.message,
  );
}

/** @returns those of these test files that import the test Redis or the embedded servers, directly or through other files of the tests. */
export function filesThatNeedRedis(root, files) {
  const test = path.join(root, 'test');
  const sources = fs
    .readdirSync(test, { recursive: true })
    .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
    .map((name) => path.join(test, name));
  const imports = new Map(sources.map((file) => [file, importsOf(file)]));
  const needing = new Set(['support/redis.ts', 'embedded/servers-under-test.ts'].map((name) => path.join(test, name)));
  for (let size = 0; size < needing.size; ) {
    size = needing.size;
    for (const [file, imported] of imports) if (imported.some((name) => needing.has(name))) needing.add(file);
  }
  return files.filter((file) => needing.has(path.join(root, file)));
}

function importsOf(file) {
  const text = fs.readFileSync(file, 'utf8');
  return [...text.matchAll(/(?:from|import\() ?'(\.[^']+)'/g)]
    .map(([, name]) => path.resolve(path.dirname(file), name))
    .map((name) => `${name}.ts`);
}
