import fs from 'node:fs';
import path from 'node:path';

/** A change that breaks a promise, and the test files that must notice it. */
export interface Mutation {
  /** A statement that is untrue once the code is changed like this. */
  readonly promise: string;
  /** Relative to the checkout. */
  readonly file: string;
  /** A text that occurs in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  /** Test files, relative to the checkout, of which at least one has to fail. */
  readonly killedBy: readonly string[];
}

/** All mutations, by the file that lists them. */
export function lists(): { readonly name: string; readonly mutations: readonly Mutation[] }[] {
  const names = fs.readdirSync(__dirname).filter((name) => name.endsWith('.ts'));
  return names
    .filter((name) => name !== 'main.ts' && name !== 'mutation.ts')
    .sort()
    .map((name) => {
      const { default: mutations } = require(path.join(__dirname, name)) as { readonly default: readonly Mutation[] };
      return { name: path.basename(name, '.ts'), mutations };
    });
}
