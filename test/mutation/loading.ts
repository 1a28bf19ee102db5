import type { Mutation } from './mutation';

/** Mutations of how an app's files are loaded, and of what is said where that fails. */
const mutations: readonly Mutation[] = [
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
