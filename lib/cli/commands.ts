/** A command of `catamount` that is none of the running tree (cluster/control/commands) and none of `jobs`. */
export interface CliCommand {
  readonly name: string;
  /** One line of `catamount help`. */
  readonly summary: string;
  /** Words and options behind the name. */
  readonly usage: string;
  /** What `catamount help NAME` tells besides. */
  readonly details: string;
  /** true: the app's own entry file runs it, through `boot`, and reads its options. */
  readonly inApp: boolean;
}

const app = { inApp: true, usage: '', details: '' };
const here = { inApp: false, usage: '', details: '' };

/** One line a command. */
export const CLI_COMMANDS: readonly CliCommand[] = [
  { ...app, name: 'start', summary: 'start the tree (the default)', usage: '[--only web|jobs]' },
  { ...app, name: 'check', summary: 'find what is wrong in the app before it is deployed', usage: '[--json]' },
  { ...app, name: 'run', summary: 'run a script with models, jobs and mailers connected', usage: 'FILE [ARGUMENT…]' },
  { ...app, name: 'console', summary: 'type code with models, jobs and mailers at hand' },
  { ...app, name: 'db', summary: 'the database: migrate, rollback, status, seed, reset', usage: 'COMMAND [--force]' },
  { ...app, name: 'migrate', summary: 'bring the database up to date' },
  { ...app, name: 'rollback', summary: 'take the last batch of migrations back' },
  { ...here, name: 'top', summary: 'show the running tree live; h tells its keys; once when not on a terminal' },
  { ...here, name: 'version', summary: 'print the version' },
  { ...here, name: 'help', summary: 'print this, or what there is to say about one command', usage: '[COMMAND]' },
];
