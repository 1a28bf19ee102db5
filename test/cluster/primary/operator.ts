import path from 'node:path';
import { ask } from '../../../lib/cluster/control/client';
import { type StatsJson, TREE_COMMANDS } from '../../../lib/cluster/control/commands';
import { readState, type TreeState } from '../../../lib/cluster/control/state-file';
import { type CliEnd, catamount as run } from '../../cli/cli-process';
import type { Tree } from '../../support/tree';
import { WAIT_LIMIT_MS } from '../../support/wait-limit';

/** Runs a command in the tree's folder. */
export function catamount(cwd: string, ...words: string[]): Promise<CliEnd> {
  return catamountWith({}, cwd, ...words);
}

/** The same with these environment variables. */
export function catamountWith(env: Readonly<Record<string, string>>, cwd: string, ...words: string[]): Promise<CliEnd> {
  return run(cwd, words, env);
}

export function stateOf(tree: Tree): TreeState {
  const state = readState(path.join(tree.cwd, '.catamount/state.json'));
  if (!state) throw new Error('the tree has no state file');
  return state;
}

/** Sends a command to the control socket, as the command line does, without starting a process for it. */
export function order(tree: Tree, name: string, ...args: readonly number[]): Promise<Record<string, unknown>> {
  const command = TREE_COMMANDS.find((one) => one.name === name);
  if (!command) throw new Error(`${name} is not a command`);
  const { controlSocket: socket, token } = stateOf(tree);
  return ask({ socket, token }, command, args, WAIT_LIMIT_MS);
}

export async function statsOf(tree: Tree): Promise<StatsJson> {
  return (await order(tree, 'stats')) as unknown as StatsJson;
}
