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
];

export default mutations;
