#!/usr/bin/env node
import fs from 'node:fs';
import path from 'node:path';
import { EXIT } from '../core/errors';
import { version } from '../core/version';

/** Where an app's entry file is looked for, in this order, from the current folder. */
const ENTRIES = ['dist/server.js', 'server.js'];

const HELP = `Catamount ${version()}: Koa web workers, a job processor and mail as one process tree.

Usage: catamount [command] [--only web|jobs]

  start       start the tree (the default)
  migrate     bring the database up to date
  rollback    take the last batch of migrations back
  version     print the version
  help        print this

The app is ${ENTRIES.join(' or ')} in the current folder.
`;

function main(args: readonly string[]): void {
  const command = args.find((arg) => !arg.startsWith('-'));
  if (command === 'help' || args.includes('--help') || args.includes('-h')) process.stdout.write(HELP);
  else if (command === 'version' || args.includes('--version') || args.includes('-v'))
    process.stdout.write(`${version()}\n`);
  else runApp();
}

/** The app's own entry file decides the rest: `boot` reads the command from the arguments. */
function runApp(): void {
  const entry = ENTRIES.map((file) => path.resolve(file)).find((file) => fs.existsSync(file));
  if (entry === undefined) {
    process.stderr.write(
      `There is no ${ENTRIES.join(' or ')} in ${process.cwd()}. Build the app, or go to its folder.\n`,
    );
    process.exit(EXIT.usage);
  }
  // Children are started from argv[1]: it must be the app's entry, not this file.
  process.argv[1] = entry;
  require(entry);
}

main(process.argv.slice(2));
