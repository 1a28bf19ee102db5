import type { Mutation } from './mutation';

/** Mutations of how an app's files are loaded and written, and of the errors for wrong calls of the command. */
const mutations: readonly Mutation[] = [
  {
    promise: 'a migration that is missing from the build is reported',
    file: 'lib/role/command/unbuilt.ts',
    find: '&& !built.has(',
    replace: '&& built.size > 9 && !built.has(',
    killedBy: ['test/cli/outside-the-tree.deep.ts'],
  },
  {
    promise: 'a script in TypeScript of an app that is built is run as the build has it',
    file: 'lib/role/command/unbuilt.ts',
    find: '  return built;',
    replace: '  return file;',
    killedBy: ['test/role/command/unbuilt.test.ts'],
  },
  {
    promise: 'what a script does not await is waited for',
    file: 'lib/role/connect/connection.ts',
    find: 'for (let quiet = 0; quiet < 2 &&',
    replace: 'for (let quiet = 0; quiet < 0 &&',
    killedBy: ['test/role/connect/connection.test.ts'],
  },
  {
    promise: 'lines of the log, of console.log and of a failed start in one file overwrite none of each other',
    file: 'lib/core/non-blocking-writer.ts',
    find: 'if (readStat(inherited).isFile()) {',
    replace: 'if (readStat(inherited).isFIFO()) {',
    killedBy: ['test/core/log.test.ts', 'test/cli/dev/dev.deep.ts', 'test/process/refused-start.deep.ts'],
  },
  {
    promise: 'generate writes all files or none',
    file: 'lib/cli/generate/files.ts',
    find: 'for (const each of written) fs.rmSync(each',
    replace: 'for (const each of [] as string[]) fs.rmSync(each',
    killedBy: ['test/cli/generate/generate.test.ts'],
  },
  {
    promise: 'for an unknown option, a similar one is suggested',
    file: 'lib/core/command-line.ts',
    find: 'if (meant !== undefined) return',
    replace: 'if (meant === given) return',
    killedBy: ['test/cli/usage.test.ts'],
  },
  {
    promise: 'a command to the running tree rejects the options of start',
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
    promise: 'a missing script is reported in one sentence',
    file: 'lib/role/command/run.ts',
    find: 'if (!fs.existsSync(absolute)) throw',
    replace: 'if (false) throw',
    killedBy: ['test/cli/outside-the-tree.deep.ts'],
  },
  {
    promise: 'a file that is not a script is reported as such',
    file: 'lib/core/load-fault.ts',
    find: 'if (NO_SCRIPT.includes(code) && [',
    replace: 'if (code === undefined && [',
    killedBy: ['test/cli/outside-the-tree.deep.ts'],
  },
  {
    promise: 'a missing script is reported even without servers',
    file: 'lib/role/command/run.ts',
    find: 'builtScript(pathOf(file), ',
    replace: 'builtScript(path.resolve(file), ',
    killedBy: ['test/cli/outside-the-tree.deep.ts'],
  },
  {
    promise: 'a script that cannot be loaded is reported in one sentence',
    file: 'lib/role/command/run.ts',
    find: "throw (await import('../../core/load-fault')).namedFileFault(file, thrown);",
    replace: 'throw thrown;',
    killedBy: ['test/cli/outside-the-tree.deep.ts'],
  },
  {
    promise: 'a wait for a connection that ends with the pool is not an error of Postgres',
    file: 'lib/model/database.ts',
    find: " || line.endsWith('Error: aborted')",
    replace: '',
    killedBy: ['test/model/database.test.ts'],
  },
];

export default mutations;
