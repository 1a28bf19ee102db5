import type { Mutation } from './mutation';

/** Mutations of how an app's files are loaded and written, and of the answers to wrong calls of the command. */
const mutations: readonly Mutation[] = [
  {
    promise: 'a migration that the build lacks is told',
    file: 'lib/role/unbuilt-migrations.ts',
    find: '&& !built.has(',
    replace: '&& built.size > 9 && !built.has(',
    killedBy: ['test/cli/outside-the-tree.deep.ts'],
  },
  {
    promise: 'what catamount dev tells is appended to the file that its tree logs to',
    file: 'lib/cli/dev/output.ts',
    find: "fs.openSync(file, 'a')",
    replace: "fs.openSync(file, 'r+')",
    killedBy: ['test/cli/dev/dev.deep.ts'],
  },
  {
    promise: 'why a tree cannot start does not overwrite its log in the same file',
    file: 'lib/role/primary.ts',
    find: 'if (fileBehind(2) !== null) fs',
    replace: 'if (fileBehind(2) === undefined) fs',
    killedBy: ['test/process/refused-start.deep.ts'],
  },
  {
    promise: 'generate writes all files or none',
    file: 'lib/cli/generate/files.ts',
    find: 'for (const each of written) fs.rmSync(each',
    replace: 'for (const each of [] as string[]) fs.rmSync(each',
    killedBy: ['test/cli/generate/generate.test.ts'],
  },
  {
    promise: 'of an option that there is not it is told which one may be meant',
    file: 'lib/core/command-line.ts',
    find: 'if (meant !== undefined) return',
    replace: 'if (meant === given) return',
    killedBy: ['test/cli/usage.test.ts'],
  },
  {
    promise: 'an order to the running tree takes no option of a start',
    file: 'lib/cli/main.ts',
    find: 'readArguments(name, { args, options: TO_THE_TREE,',
    replace: 'readArguments(name, { args, options: { ...WITH_VALUE, ...TO_THE_TREE },',
    killedBy: ['test/cli/usage.test.ts'],
  },
  {
    promise: 'a file whose classes exist twice is named',
    file: 'lib/core/load-classes.ts',
    find: 'if (required.some((one) => !classes.includes(one))) throw',
    replace: 'if (required.length > 9) throw',
    killedBy: ['test/package/mocha.deep.ts'],
  },
  {
    promise: 'a script that is not there is told by one sentence',
    file: 'lib/role/script.ts',
    find: 'if (!fs.existsSync(absolute)) throw',
    replace: 'if (false) throw',
    killedBy: ['test/cli/outside-the-tree.deep.ts'],
  },
  {
    promise: 'a file that is no script is told to be none',
    file: 'lib/core/load-fault.ts',
    find: 'if (NO_SCRIPT.includes(code) && [',
    replace: 'if (code === undefined && [',
    killedBy: ['test/cli/outside-the-tree.deep.ts'],
  },
  {
    promise: 'a script that is not there is told whether servers are there or not',
    file: 'lib/role/script.ts',
    find: '  pathOf(file);\n',
    replace: '',
    killedBy: ['test/cli/outside-the-tree.deep.ts'],
  },
  {
    promise: 'what Node says of a script that cannot be loaded is one sentence',
    file: 'lib/role/script.ts',
    find: "throw (await import('../core/load-fault')).namedFileFault(absolute, thrown);",
    replace: 'throw thrown;',
    killedBy: ['test/cli/outside-the-tree.deep.ts'],
  },
  {
    promise: 'who waits for a connection of a pool that is ended is no error of Postgres',
    file: 'lib/model/database.ts',
    find: " || line.endsWith('Error: aborted')",
    replace: '',
    killedBy: ['test/model/database.test.ts'],
  },
];

export default mutations;
