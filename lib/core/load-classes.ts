import fs from 'node:fs';
import path from 'node:path';
import { toError } from '../support/async';
import { UserError } from './errors';

/** A folder whose files hold classes: jobs, mailers, previews, models. */
export interface ClassFolder<C> {
  readonly isOne: (value: unknown) => value is C;
  /**
   * Takes what one file holds.
   * @param classes those that it exports, each once. @param name of the file, without its folder.
   * @throws Error that says what is wrong with the file.
   */
  readonly take: (classes: readonly C[], name: string, exported: unknown) => void;
  /**
   * Whether folders below it count, and index files. Where each file holds one class they do not: an index can only
   * repeat what the others hold, and folders below are for what the classes share.
   */
  readonly recursive?: boolean;
}

/**
 * Loads the files of a folder in the order of their names. Tests and declarations of types are passed over. A folder that
 * is missing holds nothing.
 * @throws UserError that names the file and the reason.
 */
export function loadClasses<C>(folder: string, { isOne, take, recursive = false }: ClassFolder<C>): void {
  if (!fs.existsSync(folder)) return;
  const names = fs.readdirSync(folder, { recursive, encoding: 'utf8' }).filter((name) => {
    if (!/\.(js|ts)$/.test(name) || /\.(d|test|spec)\.(js|ts)$/.test(name)) return false;
    return recursive || !/^index\.(js|ts)$/.test(name);
  });
  for (const name of names.sort()) {
    const file = path.join(folder, name);
    try {
      const exported: unknown = require(file);
      take([...new Set(exportsOf(exported).filter(isOne))], name, exported);
    } catch (thrown) {
      const error = toError(thrown);
      throw Object.assign(new UserError(`${file}: ${error.message}`), { cause: error });
    }
  }
}

/** The values that a module exports: the class itself where that is the module. */
export function exportsOf(exported: unknown): readonly unknown[] {
  return typeof exported === 'object' && exported !== null ? Object.values(exported) : [exported];
}
