import fs from 'node:fs';
import path from 'node:path';
import { toError } from '../support/async';
import { UserError } from './errors';

/** A folder whose files hold classes: jobs, mailers, previews, models. */
export interface ClassFolder<C> {
  readonly isOne: (value: unknown) => value is C;
  /**
   * Receives the classes of one file.
   * @param classes each exported class once. @param name the file's name, relative to the folder.
   * @throws Error that says what is wrong with the file.
   */
  readonly take: (classes: readonly C[], name: string, exported: unknown) => void;
  /**
   * true: subfolders and index files are loaded, too. Default false, for folders where each file holds one class: there
   * an index can only repeat the others, and subfolders are for shared code.
   */
  readonly recursive?: boolean;
  /** Receives what is wrong with each file, and the others are loaded all the same. Default: the first is thrown. */
  readonly onFault?: ((fault: UserError) => void) | undefined;
}

/**
 * Loads the files of a folder in the order of their names, without tests and type declarations. A missing folder counts
 * as empty.
 * @throws UserError that names the file and the reason.
 */
export function loadClasses<C>(folder: string, { isOne, take, recursive = false, onFault }: ClassFolder<C>): void {
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
      const fault = Object.assign(new UserError(`${file}: ${error.message}`), { cause: error });
      if (!onFault) throw fault;
      onFault(fault);
    }
  }
}

/** @returns the values that a module exports, or the module itself when it is a class. */
export function exportsOf(exported: unknown): readonly unknown[] {
  return typeof exported === 'object' && exported !== null ? Object.values(exported) : [exported];
}
